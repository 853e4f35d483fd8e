"""A process lives as long as the leadership: ready, watched, restarted, and ended with all it left."""

import asyncio
import os
import signal
import socket
import sys
import time

import pytest

from leaderd.core.events import ResourceFailed, ResourcesStarted, ResourcesStopped, StartFailed
from leaderd.plan import ResourcePlan
from tests.resources.conftest import TOKEN, Rig, may_contain, needs_namespaces, runs, script, until

STOPPED = ResourcesStopped(TOKEN, clean=True, detail="")
CONTAIN = [pytest.param(True, marks=needs_namespaces), False]


def process(command: tuple[str, ...], name: str = "app", **settings) -> ResourcePlan:
    return ResourcePlan(
        name, "process", {"command": list(command), "contain": may_contain(), "restart": 0, **settings}
    )


def port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def mark_of(rig: Rig) -> str:
    return f"mark-{rig.directory.name}"


def sleeper(rig: Rig, before: str = "", after: str = "") -> tuple[str, ...]:
    """A process of two: a shell and a sleep, both with the mark in their command line."""
    return rig.script("app", f"{before}\necho up >> ups\nsh -c 'sleep 1000; :{mark_of(rig)}' & wait\n{after}")


def restarts(rig: Rig) -> list[dict]:
    return [fields for _, event, fields in rig.lines if event == "restarted in place"]


@pytest.mark.parametrize("contain", CONTAIN)
async def test_it_runs_from_start_to_stop_with_the_environment_of_hooks(rig, contain):
    rig.build(process(rig.script("app", "env | grep ^LEADERD_ | sort; echo ready >&2; sleep 1000"),
                      contain=contain))
    assert await rig.start() == ResourcesStarted(TOKEN)
    await until(lambda: "ready" in rig.output())
    said = dict(line.split("=", 1) for line in rig.output() if "=" in line)
    assert said["LEADERD_TOKEN"] == str(TOKEN)
    assert (said["LEADERD_ELECTION"], said["LEADERD_NODE"], said["LEADERD_ACTION"]) == ("db", "a", "start")
    assert rig.group.states() == [("app", "process", "started")]
    assert rig.group.stop_commands() == ()
    began = time.monotonic()
    assert await rig.stop() == STOPPED
    assert time.monotonic() - began < 2
    assert rig.group.states() == [("app", "process", "stopped")]


async def test_a_stop_without_a_process_is_harmless_and_may_be_repeated(rig):
    rig.build(process(("sleep", "1000")))
    assert await rig.stop() == STOPPED
    await rig.start()
    assert await rig.stop() == STOPPED
    assert await rig.stop() == STOPPED


@pytest.mark.parametrize("contain", CONTAIN)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGUSR2])
async def test_a_signal_right_after_the_start_is_not_lost(rig, number, contain):
    """The order may come before the child leads a process group of its own."""
    rig.build(process(("sleep", "1000"), contain=contain))
    resource = rig.group._resources[0]
    await rig.stop()
    for _ in range(5):
        await rig.start()
        run = resource.run
        run.signal(number)
        assert await asyncio.wait_for(run.done, 5) == 128 + number
        assert (await rig.event()).detail
        await rig.stop()


@pytest.mark.parametrize("contain", CONTAIN)
async def test_what_ignores_the_request_is_killed_within_the_budget(rig, contain):
    inner = f"trap '' TERM; while :; do sleep 1; done; :{mark_of(rig)}"
    rig.build(process(rig.script("app", f"trap '' TERM; echo up >> ups; sh -c \"{inner}\""), contain=contain))
    await rig.start()
    await rig.text("ups")
    await until(lambda: runs(mark_of(rig)))
    began = time.monotonic()
    assert await rig.stop(within=1.0) == STOPPED
    assert 0.7 < time.monotonic() - began < 1.0
    assert not runs(mark_of(rig))


async def test_it_may_clean_up_when_it_is_asked_to_end(rig):
    rig.build(process(rig.script(
        "app",
        "trap 'sleep 0.2; echo clean >> down; exit 0' TERM; echo up >> ups; while :; do sleep 0.05; done",
    )))
    await rig.start()
    await rig.text("ups")
    assert await rig.stop() == STOPPED
    assert (rig.directory / "down").read_text() == "clean\n"


@pytest.mark.parametrize("contain", CONTAIN)
async def test_what_it_leaves_behind_ends_with_it(rig, contain):
    left = f"setsid sh -c 'while :; do sleep 0.1; done; :{mark_of(rig)}' >/dev/null 2>&1 </dev/null &"
    rig.build(process(rig.script("app", f"{left}\nsleep 0.3; exit 3"), contain=contain))
    await rig.start()
    await until(lambda: runs(mark_of(rig)))
    assert await rig.event() == ResourceFailed(TOKEN, "app: failed with exit code 3")
    assert not runs(mark_of(rig))
    assert await rig.stop() == STOPPED


@pytest.mark.parametrize(("body", "why"), [
    ("exit 0", "app: ended with exit code 0"), ("exit 9", "app: failed with exit code 9"),
    ("kill -9 $$", "app: was killed by SIGKILL"),
])
async def test_its_end_is_noticed_at_once(rig, body, why):
    rig.build(process(rig.script("app", body)))
    began = time.monotonic()
    await rig.start()
    assert await rig.event() == ResourceFailed(TOKEN, why)
    assert time.monotonic() - began < 5
    assert rig.group.states() == [("app", "process", "failed")]
    assert await rig.stop() == STOPPED


async def test_a_program_that_is_not_there(rig):
    rig.build(process(("/nonexistent/app",), ready={"exits": True}))
    assert await rig.start() == StartFailed(
        TOKEN, "app: /nonexistent/app: No such file or directory before it was ready")
    assert await rig.stop() == STOPPED


async def test_it_is_restarted_in_place_as_often_as_allowed(rig):
    rig.build(process(sleeper(rig), restart=2), script("x", rig.script("x", "")))
    await rig.start()
    for count in (1, 2):
        await rig.text("ups", lines=count)
        await until(lambda: runs(mark_of(rig)))
        for pid in runs(mark_of(rig)):
            os.kill(pid, signal.SIGKILL)
        await until(lambda count=count: len(restarts(rig)) == count)
    await rig.text("ups", lines=3)
    assert rig.events.empty()
    await until(lambda: rig.group.states()[0] == ("app", "process", "started"))
    assert [fields["left"] for fields in restarts(rig)] == [1, 0]
    for pid in runs(mark_of(rig)):
        os.kill(pid, signal.SIGKILL)
    assert (await rig.event()).token == TOKEN
    assert rig.group.states() == [("app", "process", "failed"), ("x", "script", "started")]
    assert await rig.stop() == STOPPED
    assert not runs(mark_of(rig))


async def test_restarts_that_fail_count_too_and_are_paced(rig):
    rig.build(process(rig.script("app", "echo up >> ups; exit 1"), restart=3))
    began = time.monotonic()
    await rig.start()
    assert await rig.event() == ResourceFailed(TOKEN, "app: failed with exit code 1")
    assert (rig.directory / "ups").read_text().count("up") == 4
    assert 1.4 < time.monotonic() - began < 8
    await rig.stop()


async def test_a_stop_during_a_restart_leaves_nothing_running(rig):
    rig.build(process(sleeper(rig), restart=5, ready={"command": ["false"], "timeout": 20.0}))
    rig.begin_start()
    await rig.text("ups")
    assert await rig.stop() == STOPPED
    assert not runs(mark_of(rig))
    assert rig.events.empty()


async def test_a_failed_monitor_of_a_script_is_a_reason_to_restart_it(rig):
    hook = rig.script("hook", """
        echo $1 >> calls
        case $1 in start) : > up;; stop) rm -f up;; monitor) [ -e up ] || exit 7;; esac""")
    rig.build(script("x", hook, monitor_interval=0.05, restart=1))
    await rig.start()
    (rig.directory / "up").unlink()
    await until(lambda: len(restarts(rig)) == 1)
    await until((rig.directory / "up").exists)
    calls = (rig.directory / "calls").read_text().split()
    assert [call for call in calls if call != "monitor"] == ["start", "stop", "start"]
    assert restarts(rig)[0]["detail"] == "x: monitor says it is not running"
    (rig.directory / "up").unlink()
    assert await rig.event() == ResourceFailed(TOKEN, "x: monitor says it is not running")
    await rig.stop()


async def test_a_script_whose_stop_fails_is_not_started_again(rig):
    hook = rig.script("hook", "echo $1 >> calls; case $1 in stop|monitor) exit 1;; esac")
    rig.build(script("x", hook, monitor_interval=0.05, restart=9))
    await rig.start()
    assert await rig.event() == ResourceFailed(TOKEN, "x: stop failed with exit code 1")
    assert (rig.directory / "calls").read_text().split() == ["start", "monitor", "stop"]


async def test_restarts_come_back_after_a_good_run(rig, monkeypatch):
    monkeypatch.setattr("leaderd.resources.watch.GOOD_RUN", 0.3)
    rig.build(process(rig.script("app", "echo up >> ups; sleep 0.5; exit 1"), restart=1))
    await rig.start()
    await rig.text("ups", lines=4)
    assert rig.events.empty()
    await rig.stop()


async def test_without_the_privilege_it_ends_with_all_it_left_as_well(rig):
    left = f"setsid sh -c 'while :; do sleep 0.1; done; :{mark_of(rig)}' >/dev/null 2>&1 </dev/null &"
    rig.build(process(rig.script("app", f"{left}\nsleep 1000"), contain=True))
    rig.pods.permitted = False
    assert await rig.start() == ResourcesStarted(TOKEN)
    assert rig.group.states() == [("app", "process (not contained)", "started")]
    await until(lambda: runs(mark_of(rig)))
    assert await rig.stop() == STOPPED
    assert not runs(mark_of(rig))


async def test_one_whose_keeper_was_killed_is_not_called_stopped(rig):
    """What it had detached may run on: only the guard, which sees all, can tell."""
    rig.build(process(sleeper(rig), contain=False))
    await rig.start()
    await until(lambda: runs(mark_of(rig)))
    os.kill(rig.pods._plain._process.pid, signal.SIGKILL)
    event = await rig.event()
    assert isinstance(event, ResourceFailed)
    assert "the process that runs hooks died" in event.detail
    event = await rig.stop()
    assert event.clean is False
    assert "may still run" in event.detail
    for left in runs(mark_of(rig)):
        os.kill(left, signal.SIGKILL)


# --- ready ---


SERVER = """
import http.server, sys, time
time.sleep(float(sys.argv[2]))
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/health?x=1" else 503)
        self.end_headers()
    def log_message(self, *_): pass
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


def server(number: int, delay: float) -> tuple[str, ...]:
    return (sys.executable, "-I", "-S", "-c", SERVER, str(number), str(delay))


@pytest.mark.parametrize("kind", ["tcp", "http"])
async def test_it_is_started_when_it_answers(rig, kind):
    number = port()
    asked = {"tcp": f"127.0.0.1:{number}", "http": f"http://127.0.0.1:{number}/health?x=1"}[kind]
    rig.build(process(server(number, 0.5), ready={kind: asked, "timeout": 20.0}))
    began = time.monotonic()
    assert await rig.start() == ResourcesStarted(TOKEN)
    assert time.monotonic() - began > 0.5
    socket.create_connection(("127.0.0.1", number)).close()
    assert await rig.stop() == STOPPED


async def test_an_answer_that_is_an_error_is_not_ready(rig):
    number = port()
    rig.build(process(server(number, 0), ready={"http": f"http://127.0.0.1:{number}/", "timeout": 1.0}))
    assert await rig.start() == StartFailed(
        TOKEN, f"app: not ready after 1 s (http://127.0.0.1:{number}/)")
    assert await rig.stop() == STOPPED


async def test_a_command_says_when_it_is_ready_in_its_own_surroundings(rig):
    check = rig.script("check", "echo $LEADERD_ACTION >> asked; [ -e there ]")
    rig.build(process(rig.script("app", "sleep 0.4; : > there; sleep 1000"),
                      ready={"command": list(check), "timeout": 20.0}))
    assert await rig.start() == ResourcesStarted(TOKEN)
    assert set((rig.directory / "asked").read_text().split()) == {"monitor"}
    assert await rig.stop() == STOPPED


async def test_what_ends_before_it_is_ready_fails_at_once(rig):
    rig.build(process(rig.script("app", "exit 4"), ready={"tcp": f"127.0.0.1:{port()}", "timeout": 20.0}))
    began = time.monotonic()
    assert await rig.start() == StartFailed(TOKEN, "app: failed with exit code 4 before it was ready")
    assert time.monotonic() - began < 10
    assert await rig.stop() == STOPPED


async def test_the_group_s_time_bounds_the_wait(rig):
    rig.build(process(("sleep", "1000"), ready={"tcp": f"127.0.0.1:{port()}", "timeout": 60.0}),
              start_timeout=0.7)
    began = time.monotonic()
    assert isinstance(await rig.start(), StartFailed)
    assert time.monotonic() - began < 5
    assert await rig.stop() == STOPPED


DAEMON = ("(setsid sh -c 'trap \"echo bye >> down; exit\" TERM; echo up >> ups; "
          "while :; do sleep 0.05; done; :{mark}' >/dev/null 2>&1 </dev/null &)\nsleep 0.3; exit {code}")


@pytest.mark.parametrize("contain", CONTAIN)
async def test_a_process_that_puts_itself_in_the_background(rig, contain):
    rig.build(process(rig.script("app", DAEMON.format(mark=mark_of(rig), code=0)), contain=contain,
                      ready={"exits": True}))
    began = time.monotonic()
    assert await rig.start() == ResourcesStarted(TOKEN)
    assert time.monotonic() - began > 0.3
    await asyncio.sleep(0.3)
    assert rig.events.empty()
    assert runs(mark_of(rig))
    assert await rig.stop() == STOPPED
    assert (rig.directory / "down").read_text() == "bye\n"
    assert not runs(mark_of(rig))


async def test_the_end_of_the_last_in_the_background_is_its_end(rig):
    rig.build(process(rig.script("app", DAEMON.format(mark=mark_of(rig), code=0)), ready={"exits": True}))
    await rig.start()
    await until(lambda: runs(mark_of(rig)))
    for pid in runs(mark_of(rig)):
        os.kill(pid, signal.SIGKILL)
    assert await rig.event() == ResourceFailed(TOKEN, "app: ended with exit code 0")
    await rig.stop()


async def test_one_that_fails_to_put_itself_in_the_background(rig):
    rig.build(process(rig.script("app", DAEMON.format(mark=mark_of(rig), code=2)), ready={"exits": True}))
    assert await rig.start() == StartFailed(TOKEN, "app: failed with exit code 2 before it was ready")
    assert not runs(mark_of(rig))
    assert await rig.stop() == STOPPED
