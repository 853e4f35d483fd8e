"""Containment: what hooks start ends with the term, however the agent ends."""

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from leaderd.core.events import ResourceFailed, ResourcesStarted, ResourcesStopped
from tests.resources.conftest import TOKEN, may_contain, needs_namespaces, runs, script, until

ROOT = Path(__file__).parents[2]

# A daemon as daemons are: two forks, a session of its own, no tie to anything.
DAEMON = """
case $1 in
start)
    [ ! -e up ] || rm up
    (setsid sh -c 'echo up > up; while :; do date +%s%N >> beats; sleep 0.02; done; :{mark}' \
        > /dev/null 2>&1 < /dev/null &)
    while [ ! -e up ]; do sleep 0.01; done ;;
esac
"""


class Agent:
    """A stub agent in a process of its own."""

    def __init__(self, directory: Path, contain: bool, text: str, *wrapper: str) -> None:
        hook = directory / "hook"
        hook.write_text(f"#!/bin/sh\ncd {directory}\n{text}\n")
        hook.chmod(0o755)
        self.process = subprocess.Popen(
            [*wrapper, sys.executable, "-m", "tests.resources.stub", str(directory), str(hook),
             str(int(contain))],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT,
        )
        self.seen: list[dict] = []

    def read(self, key: str, value: object = None) -> dict:
        """Read until a line has this key (with this value)."""
        for line in self.process.stdout:
            said = json.loads(line)
            self.seen.append(said)
            if key in said and (value is None or said[key] == value):
                return said
        raise AssertionError(f"the agent ended before it said {key}: {self.seen}")

    def tell(self, command: str) -> None:
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory that another user may use as well."""
    directory = Path(tempfile.mkdtemp(prefix="leaderd-test-"))
    directory.chmod(0o777)
    yield directory
    shutil.rmtree(directory)


def mark_of(place: Path) -> str:
    return f"mark-{place.name}"


async def gone(mark: str) -> None:
    await until(lambda: not runs(mark), 10)


@needs_namespaces
async def test_hooks_see_their_own_pids_and_proc_and_one_another(rig):
    text = """
case $1 in
start) (setsid sleep 1000 > /dev/null 2>&1 & echo $! > pid) ;;
monitor) kill -0 $(cat pid) && [ "$(cat /proc/$(cat pid)/comm)" = sleep ] ;;
stop) cat /proc/1/comm; ls /proc | grep -c '^[0-9]' ; [ ! -e pid ] || kill $(cat pid) ;;
esac"""
    rig.build(script("x", rig.script("hook", text), contain=True, monitor_interval=0.1))
    assert await rig.start() == ResourcesStarted(TOKEN)
    await asyncio.sleep(0.5)
    assert rig.events.empty(), "monitor finds the process by its namespace pid"
    assert await rig.stop() == ResourcesStopped(TOKEN, clean=True, detail="")
    first, processes = rig.output()
    assert first == "leaderd-pod"
    # PID 1, the keeper, the hook, the daemon, ls, grep.
    assert int(processes) <= 6
    assert rig.pods.permitted


@needs_namespaces
async def test_contained_and_plain_hooks_stand_side_by_side(rig):
    hook = rig.script("hook", "readlink /proc/self/ns/pid")
    rig.build(script("x", hook), script("y", hook, contain=True), script("z", hook, contain=True))
    await rig.start()
    plain, one, other = rig.output()
    assert plain == os.readlink("/proc/self/ns/pid")
    assert one == other != plain


@needs_namespaces
async def test_each_term_has_a_namespace_of_its_own(rig):
    # The number of a namespace is used again, the start of its first process is not.
    rig.build(script("x", rig.script("hook", "cut -d' ' -f22 /proc/1/stat"), contain=True))
    await rig.stop()
    await rig.start()
    await rig.stop()
    await rig.start()
    before, start, stop, after = rig.output()
    assert start == stop
    assert len({before, start, after}) == 3


@needs_namespaces
async def test_the_pids_of_one_term_mean_nothing_in_the_next(rig):
    text = "if [ -e pid ] && kill -0 $(cat pid); then exit 1; fi 2> /dev/null; echo $$ > pid"
    rig.build(script("x", rig.script("hook", text), contain=True))
    for _ in range(5):
        assert (await rig.stop()).clean


@pytest.mark.parametrize("privileged", [pytest.param(True, marks=needs_namespaces), False])
async def test_the_end_of_the_term_ends_what_stop_left_behind(rig, privileged):
    mark = mark_of(rig.directory)
    rig.build(script("x", rig.script("hook", DAEMON.format(mark=mark)), contain=True))
    rig.pods.permitted = privileged
    await rig.start()
    assert runs(mark)
    assert await rig.stop() == ResourcesStopped(TOKEN, clean=True, detail="")
    assert not runs(mark)


@needs_namespaces
async def test_a_term_whose_processes_all_died_has_failed(rig):
    rig.build(script("x", rig.script("hook", "exit 0"), contain=True))
    await rig.start()
    os.kill(rig.pods._contained[-1]._process.pid, signal.SIGKILL)
    assert await rig.event() == ResourceFailed(TOKEN, "the contained processes have all died")
    assert await rig.stop() == ResourcesStopped(TOKEN, clean=True, detail="")


@needs_namespaces
@pytest.mark.parametrize("stopped", [False, True])
async def test_a_contained_daemon_dies_with_an_agent_that_is_killed(place, stopped):
    mark = mark_of(place)
    agent = Agent(place, True, DAEMON.format(mark=mark))
    try:
        agent.read("posted", "ResourcesStarted")
        assert runs(f":{mark}")
        if stopped:
            agent.process.send_signal(signal.SIGSTOP)
        agent.process.kill()
        agent.process.wait()
        await gone(f":{mark}")
    finally:
        agent.close()


@needs_namespaces
async def test_a_contained_daemon_dies_with_the_parent_of_its_init(place):
    mark = mark_of(place)
    agent = Agent(place, True, DAEMON.format(mark=mark))
    try:
        agent.read("posted", "ResourcesStarted")
        (outer,) = children(agent.process.pid)
        # An agent that stands still cannot help: this is the kernel alone.
        agent.process.send_signal(signal.SIGSTOP)
        os.kill(outer, signal.SIGKILL)
        await gone(f":{mark}")
        agent.process.send_signal(signal.SIGCONT)
        agent.read("posted", "ResourceFailed")
    finally:
        agent.close()


async def test_a_plain_daemon_outlives_the_agent_for_the_guard_to_find(place):
    mark = mark_of(place)
    agent = Agent(place, False, DAEMON.format(mark=mark))
    try:
        agent.read("posted", "ResourcesStarted")
    finally:
        agent.close()
    await asyncio.sleep(0.5)
    daemons = runs(f":{mark}")
    assert daemons
    environment = Path(f"/proc/{daemons[0]}/environ").read_bytes().split(b"\0")
    assert b"LEADERD_ELECTION=db" in environment
    for pid in daemons:
        os.kill(pid, signal.SIGKILL)
    await gone(f":{mark}")


@pytest.mark.parametrize("contain", [pytest.param(True, marks=needs_namespaces), False])
async def test_a_running_hook_dies_with_the_agent(place, contain):
    mark = mark_of(place)
    agent = Agent(place, contain, f'echo up; exec sh -c "while :; do sleep 0.05; done; :{mark}"')
    try:
        agent.read("line", "up")
        await until(lambda: runs(f":{mark}"))
    finally:
        agent.close()
    await gone(f":{mark}")


def drop_privileges() -> tuple[str, ...]:
    """The command prefix that really takes all capabilities away; none where there are none.

    The user stays: the interpreter may stand in a directory of that user alone.
    """
    if not may_contain():
        return ()
    return ("setpriv", "--bounding-set=-all", "--inh-caps=-all", "--no-new-privs")


async def test_without_the_privilege_it_falls_back_and_says_so_once(place):
    mark = mark_of(place)
    agent = Agent(place, True, DAEMON.format(mark=mark), *drop_privileges())
    try:
        agent.read("posted", "ResourcesStarted")
        assert runs(f":{mark}")
        agent.tell("states")
        said = agent.read("states")
        assert said["states"] == [["x", "script (not contained)", "started"]]
        assert said["commands"] == [[str(place / "hook"), "stop"]], "no namespace for the guard either"
        agent.tell("stop")
        agent.read("posted", "ResourcesStopped")
        await gone(f":{mark}")
        warnings = [line for line in agent.seen if line.get("level") == "warning"]
        assert len(warnings) == 1
        assert "no PID namespace" in warnings[0]["event"]
        assert "Operation not permitted" in warnings[0]["detail"]
    finally:
        agent.close()


@needs_namespaces
async def test_the_guards_stop_runs_in_a_namespace_of_its_own_and_keeps_its_exit_code(rig):
    text = '[ "$1" = stop ] || exit 0; readlink /proc/self/ns/pid; sleep 1000 & exit 9'
    rig.build(script("x", rig.script("hook", text), contain=True))
    await rig.start()
    (command,) = rig.group.stop_commands()
    done = await asyncio.to_thread(
        subprocess.run, command.argv, capture_output=True, text=True, timeout=20, check=False
    )
    assert done.returncode == 9
    assert done.stdout.strip() != os.readlink("/proc/self/ns/pid")


@needs_namespaces
async def test_the_guards_stop_can_be_ended_by_its_process_group(rig):
    mark = mark_of(rig.directory)
    text = f"""
[ "$1" = stop ] || exit 0
trap "echo ended; exit 4" TERM
echo up
sh -c "sleep 1000; :{mark}" & wait"""
    rig.build(script("x", rig.script("hook", text), contain=True))
    await rig.start()
    (command,) = rig.group.stop_commands()
    with subprocess.Popen(
        command.argv, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        assert process.stdout.readline() == "up\n"
        os.killpg(process.pid, signal.SIGTERM)
        assert process.stdout.readline() == "ended\n"
        assert process.wait(10) == 4
    await gone(f":{mark}")


def children(parent: int) -> list[int]:
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            fields = Path(f"/proc/{name}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == parent:
            found.append(int(name))
    return found
