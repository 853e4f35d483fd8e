"""The hook contract, shown on real hooks."""

import os
import stat

import pytest

from leaderd.core.events import ResourceFailed, ResourcesStarted, ResourcesStopped, StartFailed
from leaderd.plan import ResourcePlan
from leaderd.resources.script import ended
from tests.resources.conftest import CLOCK, LEASE, TOKEN, Rig, script


async def test_a_hook_sees_exactly_the_environment_of_the_contract(rig, monkeypatch):
    monkeypatch.setenv("LEADERD_PASSWORD_FILE", "/secret")
    monkeypatch.setenv("LEADERD_ELECTION", "another")
    monkeypatch.setenv("PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION", "python")
    monkeypatch.setenv("KEPT", "grüße")
    hook = rig.directory / "hook"
    hook.write_text(f"#!/bin/sh\ntr '\\0' '\\n' < /proc/$$/environ > {rig.directory}/env.$1\n")
    hook.chmod(0o755)
    rig.build(script("x", (str(hook),)))
    assert await rig.start() == ResourcesStarted(TOKEN)
    got = dict(line.split("=", 1) for line in (rig.directory / "env.start").read_text().splitlines())
    expected = {
        name: value for name, value in os.environ.items()
        if not name.startswith("LEADERD_") and not name.startswith("PROTOCOL_BUFFERS")
    }
    timeout = float(got.pop("LEADERD_TIMEOUT"))
    assert 18 < timeout <= 20
    assert got == {
        **expected,
        "LEADERD_ACTION": "start", "LEADERD_ELECTION": "db", "LEADERD_NODE": "a",
        "LEADERD_TOKEN": str(TOKEN), "LEADERD_LEASE": f"{LEASE:x}", "LEADERD_REASON": "elected",
        "LEADERD_PREVIOUS": "b", "LEADERD_SEQUENCE": "1",
    }


async def test_a_stop_tells_its_own_reason_and_the_terms_lease(rig):
    rig.build(script("x", rig.script("hook", 'echo "$1 $LEADERD_REASON $LEADERD_LEASE $LEADERD_PREVIOUS"')))
    await rig.start()
    await rig.stop()
    assert rig.output() == [f"start elected {LEASE:x} b", f"stop shutdown {LEASE:x} b"]


async def test_the_clean_up_at_daemon_start_knows_no_term(rig):
    rig.build(script("x", rig.script("hook", 'echo "$1 $LEADERD_TOKEN $LEADERD_LEASE $LEADERD_REASON"')))
    rig.begin_stop(token=0, reason="startup")
    assert await rig.event() == ResourcesStopped(0, clean=True, detail="")
    assert rig.output() == ["stop 0 0 startup"]
    assert rig.group.states() == [("x", "script", "stopped")]


async def test_the_sequence_grows_across_restarts(tmp_path):
    numbers = []
    for _ in range(2):
        rig = Rig(tmp_path)
        rig.build(script("x", rig.script("hook", 'echo "$LEADERD_SEQUENCE"')))
        await rig.start()
        await rig.stop()
        await rig.close()
        numbers += rig.output()
    assert numbers == ["1", "2", "3", "4"]


async def test_a_hook_has_no_terminal_no_input_and_its_own_process_group(rig):
    # Fields 5, 6 and 7 of stat: process group, session, terminal.
    text = "set -- $(cut -d' ' -f 5-7 /proc/$$/stat)\n"
    text += "echo $(($$ - $1)) $(($$ - $2)) $3; readlink /proc/$$/fd/0"
    rig.build(script("x", rig.script("hook", text)))
    await rig.start()
    assert rig.output() == ["0 0 0", "/dev/null"]


async def test_a_hook_inherits_no_descriptor_and_no_ignored_signal(rig):
    text = "grep -E 'SigIgn|SigBlk' /proc/self/status; exec ls /proc/self/fd"
    rig.build(script("x", rig.script("hook", text)))
    await rig.start()
    blocked, ignored, *files = rig.output()
    # 3 is the directory that ls reads.
    assert files == ["0", "1", "2", "3"]
    assert int(blocked.split()[1], 16) == 0
    # Signals 32 and 33 are the C library's own, and nobody can ignore or restore them.
    assert int(ignored.split()[1], 16) & 0x7FFF_FFFF == 0


async def test_output_goes_to_the_log_line_by_line_with_its_origin(rig):
    rig.build(script("x", rig.script("hook", "echo one; echo two >&2; printf 'three'")))
    await rig.start()
    assert rig.lines == [
        ("info", "hook output", {"line": line, "election": "db", "resource": "x", "action": "start"})
        for line in ("one", "two", "three")
    ]


async def test_each_verb_may_have_its_own_command(rig):
    verbs = {verb: ["/bin/sh", "-c", f"echo did {verb}"] for verb in ("start", "stop")}
    rig.build(ResourcePlan("x", "script", verbs))
    assert await rig.start() == ResourcesStarted(TOKEN)
    assert await rig.stop() == ResourcesStopped(TOKEN, clean=True, detail="")
    assert rig.output() == ["did start", "did stop"]


async def test_a_verb_that_is_not_given_is_not_called(rig):
    rig.build(ResourcePlan("x", "script", {"stop": ["/bin/echo", "only"], "monitor_interval": 0.1}))
    assert await rig.start() == ResourcesStarted(TOKEN)
    assert await rig.stop() == ResourcesStopped(TOKEN, clean=True, detail="")
    assert rig.output() == ["only"]


@pytest.mark.parametrize("contain", [False, True])
async def test_a_failed_start_says_how(rig, contain):
    rig.build(script("x", rig.script("hook", '[ "$1" = stop ] || exit 3'), contain=contain))
    assert await rig.start() == StartFailed(TOKEN, "x: start failed with exit code 3")
    assert [state for *_, state in rig.group.states()] == ["failed"]
    assert await rig.stop() == ResourcesStopped(TOKEN, clean=True, detail="")


async def test_a_start_killed_by_a_signal_says_which(rig):
    rig.build(script("x", rig.script("hook", "kill -SEGV $$")))
    assert await rig.start() == StartFailed(TOKEN, "x: start was killed by SIGSEGV")


@pytest.mark.parametrize(("code", "clean"), [(0, True), (7, True), (1, False), (2, False), (143, False)])
async def test_a_stop_may_say_done_or_not_running_and_nothing_else(rig, code, clean):
    rig.build(script("x", rig.script("hook", f"exit {code}")))
    event = await rig.stop()
    assert event.clean is clean
    assert bool(event.detail) is not clean
    assert rig.group.states() == [("x", "script", "stopped" if clean else "failed")]


@pytest.mark.parametrize("contain", [False, True])
async def test_a_missing_hook_is_named(rig, contain):
    rig.build(script("x", ("/nowhere/hook",), contain=contain))
    assert await rig.start() == StartFailed(
        TOKEN, "x: start: /nowhere/hook: No such file or directory"
    )
    assert await rig.stop() == ResourcesStopped(
        TOKEN, clean=False, detail="x: stop: /nowhere/hook: No such file or directory"
    )


async def test_a_hook_that_is_not_executable_is_named(rig):
    (path,) = rig.script("hook", "exit 0")
    os.chmod(path, stat.S_IRUSR)
    rig.build(script("x", (path,)))
    assert await rig.start() == StartFailed(TOKEN, f"x: start: {path}: Permission denied")


async def test_a_hook_without_an_interpreter_line_is_named(rig):
    path = rig.directory / "hook"
    path.write_text("echo hello\n")
    path.chmod(0o755)
    rig.build(script("x", (str(path),)))
    assert await rig.start() == StartFailed(TOKEN, f"x: start: {path}: Exec format error")


async def test_a_program_is_looked_up_on_the_path(rig):
    rig.build(ResourcePlan("x", "script", {"start": ["echo", "found"], "monitor_interval": 0.0}))
    assert await rig.start() == ResourcesStarted(TOKEN)
    assert rig.output() == ["found"]


async def test_a_large_environment_and_odd_bytes_reach_the_hook(rig, monkeypatch):
    monkeypatch.setenv("BIG", "x" * 100_000)
    monkeypatch.setitem(os.environ, "ODD", os.fsdecode(b"\xff\xfe"))
    rig.build(script("x", rig.script("hook", 'echo ${#BIG}; printf %s "$ODD" | od -An -tx1')))
    await rig.start()
    assert rig.output() == ["100000", " ff fe"]


async def test_a_start_that_needs_95_percent_of_its_time_succeeds(rig):
    rig.build(script("x", rig.script("hook", '[ "$1" != start ] || sleep 3.8')), start_timeout=4.0)
    await rig.stop()  # as at daemon start
    assert await rig.start() == ResourcesStarted(TOKEN)


async def test_a_stop_that_needs_95_percent_of_its_time_succeeds(rig):
    rig.build(script("x", rig.script("hook", '[ "$1" != stop ] || sleep 3.8')))
    await rig.start()
    before = CLOCK.now()
    assert await rig.stop(within=4.0) == ResourcesStopped(TOKEN, clean=True, detail="")
    assert 3.8 <= CLOCK.now().held_since(before) < 4.0


@pytest.mark.parametrize("contain", [False, True])
async def test_a_monitor_that_fails_is_news_of_the_term(rig, contain):
    text = '[ "$1" != monitor ] || [ ! -e broken ] || exit 7'
    rig.build(script("x", rig.script("hook", text), monitor_interval=0.1, contain=contain))
    await rig.start()
    (rig.directory / "broken").touch()
    assert await rig.event() == ResourceFailed(TOKEN, "x: monitor says it is not running")
    assert [state for *_, state in rig.group.states()] == ["failed"]
    assert await rig.stop() == ResourcesStopped(TOKEN, clean=True, detail="")


async def test_a_monitor_that_hangs_has_failed(rig):
    text = '[ "$1" != monitor ] || exec sleep 1000'
    rig.build(script("x", rig.script("hook", text), monitor_interval=0.1))
    await rig.start()
    assert await rig.event() == ResourceFailed(TOKEN, "x: monitor: took longer than 1.0 s and was killed")


async def test_a_resource_that_is_not_monitored_is_never_asked(rig):
    rig.build(script("x", rig.script("hook", 'echo "$1"')))
    await rig.start()
    await rig.stop()
    assert rig.output() == ["start", "stop"]


async def test_the_guard_gets_the_stops_in_reverse(rig):
    hook = rig.script("hook", "")
    rig.build(script("x", hook), script("y", hook))
    commands = rig.group.stop_commands()
    assert [command.resource for command in commands] == ["y", "x"]
    assert commands[0].argv == (*hook, "stop")
    assert (commands[0].timeout, commands[0].fine) == (2.0, (0, 7))


@pytest.mark.parametrize(
    ("code", "words"),
    [(1, "failed with exit code 1"), (137, "was killed by SIGKILL"), (255, "failed with exit code 255")],
)
def test_an_end_in_words(code, words):
    assert ended(code) == words
