"""A hook that misbehaves: `python -I -S misbehave.py START STOP JOURNAL start|stop|monitor`.

START and STOP are each one of: ok, as the writer's hook; idle, nothing and success; fail, exit 1; fail-if,
exit 1 while <JOURNAL>.fail exists, else ok; hang, for ever; deaf, for ever, without an ear for SIGTERM, nor
its daemons; flood, 1 GB of output; slow, ok after 95 % of the time that it has.
"""

import os
import signal
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import writer

FLOOD = 1 << 30


def hang() -> None:
    """Never return."""
    while True:
        time.sleep(3600)


def deaf() -> None:
    """Never return, and leave a daemon behind that does not either."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if os.fork() == 0:
        os.setsid()
        if os.fork():
            os._exit(0)
    hang()


def flood() -> None:
    """Write a gigabyte of lines."""
    lines = b"the hook talks on and on and on, and nobody should have to remember it\n" * 1000
    left = FLOOD
    while left > 0:
        left -= os.write(1, lines)


def slow() -> None:
    """Sleep until 95 % of the time-out are over, counted from the start of this process."""
    with open("/proc/self/stat", encoding="ascii") as file:
        begun = int(file.read().rpartition(")")[2].split()[19]) / os.sysconf("SC_CLK_TCK")
    until = begun + 0.95 * float(os.environ["LEADERD_TIMEOUT"])
    time.sleep(max(0.0, until - time.clock_gettime(time.CLOCK_BOOTTIME)))


def main() -> int:
    """Misbehave."""
    begin, end, journal, action = sys.argv[1:5]
    if action == "monitor":
        return 0
    if action == "stop" and os.environ["LEADERD_REASON"] == "startup":
        return 0
    mode = begin if action == "start" else end
    if mode == "fail" or (mode == "fail-if" and os.path.exists(f"{journal}.fail")):
        return 1
    special = {"hang": hang, "deaf": deaf, "flood": flood, "slow": slow}.get(mode)
    if special is not None:
        special()
    if mode != "idle":
        (writer.start if action == "start" else writer.stop)(journal)
    return 0


if __name__ == "__main__":
    sys.exit(main())
