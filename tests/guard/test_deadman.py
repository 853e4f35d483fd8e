"""The kernel kills a process at its deadline, whatever that process is doing, and never early."""

import signal
import subprocess
import sys
import textwrap

import pytest

from leaderd.clock import BootClock
from leaderd.guard.deadman import Deadman
from leaderd.instant import Instant
from tests.guard.harness import CLOCK, HERE

PROGRAM = textwrap.dedent("""
    import json, sys, time
    from leaderd.clock import BootClock
    from leaderd.guard.deadman import Deadman
    clock = BootClock()
    deadman = Deadman(clock)
    at = clock.now().plus(float(sys.argv[1]))
    deadman.set("other", clock.now().plus(60.0))
    deadman.set("db", at)
    exec(sys.argv[2])
    print(json.dumps(at), flush=True)
    exec(sys.argv[3])
""")


def mortal(seconds, then, before=""):
    """Start a process with a deadline; return it and the deadline."""
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(seconds), before, then],
        stdout=subprocess.PIPE,
        cwd=HERE.parent.parent,
        text=True,
    )
    line = process.stdout.readline()
    return process, Instant(*eval(line))


def death(process, patience=10):
    """Return how the process died, and when."""
    code = process.wait(patience)
    now = CLOCK.now()
    process.stdout.close()
    return code, now


@pytest.mark.parametrize("doing", ["time.sleep(60)", "while True: pass", "stopped"])
def test_it_kills_on_time_and_never_early(doing):
    """Sleeping, spinning or stopped: dead at the deadline, within a fraction of a second."""
    process, at = mortal(0.7, "time.sleep(60)" if doing == "stopped" else doing)
    if doing == "stopped":
        process.send_signal(signal.SIGSTOP)
    code, now = death(process)
    assert code == -signal.SIGKILL
    late = -now.left_until(at)
    print(f"\n{doing}: {late * 1000:.1f} ms after the deadline")
    assert 0 <= late < 1.0


def test_a_renewal_moves_it():
    """The old deadline passes without harm, the new one kills."""
    process, at = mortal(0.3, "time.sleep(60)", "at = clock.now().plus(1.2); deadman.set('db', at)")
    code, now = death(process)
    assert code == -signal.SIGKILL
    assert 0 <= -now.left_until(at) < 1.0


def test_it_can_be_switched_off():
    """A cleared timer does not fire, and clearing twice is harmless."""
    process, _ = mortal(0.3, "time.sleep(0.8)", "deadman.clear('db'); deadman.clear('db')")
    assert death(process)[0] == 0


def test_a_deadline_that_has_passed_kills_at_once():
    """Arming late is no way to live longer."""
    process, _ = mortal(
        60,
        "time.sleep(60)",
        "print(json.dumps(at), flush=True); deadman.set('db', Instant(-1.0, -1.0))".replace(
            "Instant", "type(at)"
        ),
    )
    assert death(process)[0] == -signal.SIGKILL


class Slewed:
    """A clock whose BOOTTIME runs slower than its RAW."""

    def __init__(self, rate):
        self.rate = rate
        self.real = BootClock().now()
        self.passed = 0.0

    def now(self):
        return Instant(100.0 + self.passed, self.real.boot + self.passed * self.rate)


def test_a_slow_boottime_is_allowed_for():
    """When BOOTTIME is slewed down, the timer is set earlier on it: RAW comes first."""
    clock = Slewed(0.95)
    deadman = Deadman(clock)
    clock.passed = 10.0
    now = clock.now()
    assert deadman._on_boottime(now.plus(10.0)) == pytest.approx(now.boot + 9.5)


def test_a_fast_boottime_needs_no_scaling():
    """It reaches the deadline first by itself; a jump (suspend) is no rate."""
    clock = Slewed(1.05)
    deadman = Deadman(clock)
    clock.passed = 10.0
    now = clock.now()
    assert deadman._on_boottime(now.plus(10.0)) == pytest.approx(now.boot + 10.0)


def test_the_first_timer_of_a_process_is_moved_like_any_other():
    """The kernel gives it the id 0; a renewal must not leave it behind with its old deadline."""
    program = textwrap.dedent("""
        from leaderd.clock import BootClock
        from leaderd.guard.deadman import Deadman
        clock = BootClock()
        deadman = Deadman(clock)
        first = clock.now().plus(0.3)
        deadman.set("db", first)
        deadman.set("db", clock.now().plus(60.0))
        while clock.now().left_until(first) > -0.3:
            pass
        deadman.clear("db")
    """)
    subprocess.run([sys.executable, "-c", program], cwd=HERE.parent.parent, timeout=30, check=True)
