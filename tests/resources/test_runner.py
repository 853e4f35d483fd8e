"""Time-outs, and what is left of a hook that was ended."""

import asyncio
import os

import pytest

from leaderd.core.events import ResourcesStarted, ResourcesStopped, StartFailed
from tests.resources.conftest import CLOCK, TOKEN, runs, script, until

# Deaf to SIGTERM itself, and so is what it starts: in its group, in a session of its own, and orphaned.
DEAF = """
trap '' TERM
mark={mark}
sh -c "trap '' TERM; exec sleep 7771.$mark" &
setsid sh -c "trap '' TERM; exec sleep 7772.$mark" &
(setsid sh -c "trap '' TERM; exec sleep 7773.$mark" &)
echo up > up
while :; do sleep 7774.$mark; done
"""


def deaf(rig, verb="start"):
    mark = str(os.getpid()) + str(abs(hash(rig.directory)))[:6]
    return rig.script("hook", f'[ "$1" = {verb} ] || exit 0\n' + DEAF.format(mark=mark)), mark


@pytest.mark.parametrize("contain", [False, True])
async def test_a_start_that_hangs_and_ignores_sigterm_is_killed_with_all_its_descendants(rig, contain):
    hook, mark = deaf(rig)
    rig.build(script("x", hook, contain=contain), start_timeout=3.0)
    before = CLOCK.now()
    event = await rig.start()
    assert event == StartFailed(TOKEN, "x: start: took longer than 3.0 s and was killed")
    assert CLOCK.now().held_since(before) < 4.0
    assert (rig.directory / "up").exists()
    assert runs(f"777[1234].{mark}") == runs(mark) == []


@pytest.mark.parametrize("contain", [False, True])
async def test_a_stop_that_hangs_is_over_in_time_and_not_clean(rig, contain):
    hook, mark = deaf(rig, "stop")
    rig.build(script("x", hook, contain=contain))
    await rig.start()
    before = CLOCK.now()
    event = await rig.stop(within=2.0)
    assert not event.clean
    assert "x: stop: took longer than 2.0 s and was killed" in event.detail
    assert CLOCK.now().held_since(before) < 3.0
    assert runs(mark) == []


@pytest.mark.parametrize("contain", [False, True])
async def test_a_stop_during_a_start_kills_and_reaps_it_first(rig, contain):
    hook, mark = deaf(rig)
    check = f'[ "$1" != stop ] || pgrep -f "777[1234].{mark}" > left'
    (path,) = hook
    with open(path, "r+", encoding="utf-8") as file:
        lines = file.read().splitlines()
        file.seek(0)
        file.write("\n".join([*lines[:2], check, *lines[2:], ""]))
    rig.build(script("x", hook, contain=contain))
    rig.begin_start()
    await rig.text("up")
    event = await rig.stop(within=5.0)
    assert event == ResourcesStopped(TOKEN, clean=True, detail="")
    assert (rig.directory / "left").read_text() == ""
    assert rig.events.empty(), "the start that was cut off posts nothing"


async def test_sigterm_comes_first_and_leaves_time_to_tidy_up(rig):
    rig.build(
        script("x", rig.script("hook", 'trap "echo tidied; exit 0" TERM; sleep 1000 & wait')),
        start_timeout=5.0,
    )
    event = await rig.start()
    assert isinstance(event, StartFailed), "what ends well only after its time-out has failed"
    assert rig.output() == ["tidied"]


async def test_a_time_out_leaves_the_daemons_of_earlier_hooks_alone(rig):
    mark = f"8{os.getpid()}"
    text = f"""
case $1 in
start) setsid sleep 77{mark} > /dev/null 2>&1 & ;;
monitor) sleep 1000 ;;
esac"""
    rig.build(script("x", rig.script("hook", text), monitor_interval=0.1))
    assert await rig.start() == ResourcesStarted(TOKEN)
    await rig.event()
    (daemon,) = runs(f"77{mark}")
    os.kill(daemon, 9)
    await until(lambda: not runs(f"77{mark}"))


async def test_a_child_that_keeps_the_output_open_does_not_hold_up_the_end_of_its_hook(rig):
    text = """
[ "$1" = start ] || exit 0
(while [ ! -e go ]; do sleep 0.05; done; echo later; echo done > done) &
echo now"""
    rig.build(script("x", rig.script("hook", text)))
    before = CLOCK.now()
    assert await rig.start() == ResourcesStarted(TOKEN)
    assert CLOCK.now().held_since(before) < 5
    assert rig.output() == ["now"]
    (rig.directory / "go").touch()
    await rig.text("done")
    await until(lambda: rig.output() == ["now", "later"])


async def test_no_time_left_means_no_call(rig):
    rig.build(script("x", rig.script("hook", "echo called")))
    event = await rig.stop(within=-0.1)
    assert event == ResourcesStopped(TOKEN, clean=False, detail="x: stop: no time was left for it")
    assert rig.output() == []


async def test_nothing_is_left_open_after_many_hooks(rig):
    rig.build(script("x", rig.script("hook", "echo $1")))
    await rig.stop()
    before = os.listdir("/proc/self/fd")
    for _ in range(10):
        await rig.start()
        await rig.stop()
    await asyncio.sleep(0)
    assert len(os.listdir("/proc/self/fd")) <= len(before)


async def test_the_process_that_runs_hooks_may_die_between_two_of_them(rig):
    rig.build(script("x", rig.script("hook", "exit 0")))
    await rig.start()
    os.kill(rig.pods._plain._process.pid, 9)
    await asyncio.wait({rig.pods._plain.ended}, timeout=10)
    assert await rig.stop() == ResourcesStopped(TOKEN, clean=True, detail="")


async def test_a_hook_dies_with_the_process_that_runs_hooks(rig):
    hook, mark = rig.script("hook", f"echo up > up; exec sleep 66{os.getpid()}"), f"66{os.getpid()}"
    rig.build(script("x", hook))
    rig.begin_start()
    await rig.text("up")
    os.kill(rig.pods._plain._process.pid, 9)
    event = await rig.event()
    assert isinstance(event, StartFailed)
    assert "the process that runs hooks died" in event.detail
    await until(lambda: not runs(mark))


async def test_signals_of_a_service_manager_do_not_end_what_runs_the_hooks(rig):
    rig.build(script("x", rig.script("hook", '[ "$1" != start ] || { echo up > up; sleep 0.5; }')))
    await rig.stop()
    pod = rig.pods._plain._process.pid
    rig.begin_start()
    await rig.text("up")
    for number in (15, 2, 1):
        os.kill(pod, number)
    assert await rig.event() == ResourcesStarted(TOKEN)
    assert rig.pods._plain._process.pid == pod
