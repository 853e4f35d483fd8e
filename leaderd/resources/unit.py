"""The helper program that stops a systemd unit, for agent and guard alike: its argument is the unit.

`systemctl stop` may take as long as the unit's own TimeoutStopSec, 90 s by default: when most of our time
is over, its processes are killed. Then systemd itself is asked whether it runs no more; that alone counts.
Standard library only. Exit code 0 means that the unit is inactive or failed, or that there is none.
"""

import os
import select
import sys

from leaderd.clock import BootClock
from leaderd.instant import Instant

# Who calls by hand has this long, seconds.
_DEFAULT_TIME = 100.0
# Of the time: until when the unit may stop by itself, and when to give up.
_STOP_SHARE, _LAST_SHARE = 0.6, 0.9
_STOPPED = ("inactive", "failed")
_CLOCK = BootClock()
_SYSTEMCTL = ("systemctl", "--no-ask-password")


def main() -> int:
    """Stop the unit."""
    unit = sys.argv[-1]
    seconds = float(os.environ.get("LEADERD_TIMEOUT") or _DEFAULT_TIME)
    now = _CLOCK.now()
    until = now.plus(seconds * _LAST_SHARE)
    try:
        stopping = _begin("stop", "--", unit)
        if _wait(stopping, now.plus(seconds * _STOP_SHARE)) is None:
            _say(f"{unit} takes long to stop: its processes are killed")
            _wait(_begin("kill", "--signal=SIGKILL", "--", unit), until)
            _wait(stopping, until)
        state = _state(unit, until)
    except OSError as error:
        _say(f"systemctl: {error.strerror}")
        return 1
    if state not in _STOPPED:
        _say(f"{unit} is {state or 'in a state that systemctl does not tell'}")
        return 1
    return 0


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)  # noqa: T201 - agent and guard log it


def _begin(*words: str) -> int:
    return os.posix_spawnp(_SYSTEMCTL[0], [*_SYSTEMCTL, *words], os.environ)


def _state(unit: str, until: Instant) -> str:
    reading, writing = os.pipe()
    child = os.posix_spawnp(
        _SYSTEMCTL[0], [*_SYSTEMCTL, "show", "--property=ActiveState", "--value", "--", unit], os.environ,
        file_actions=[(os.POSIX_SPAWN_DUP2, writing, 1)],
    )
    os.close(writing)
    # A word of few letters, which the pipe holds until it is read.
    return os.read(reading, 100).decode(errors="replace").strip() if _wait(child, until) == 0 else ""


def _wait(child: int, until: Instant) -> int | None:
    """Return a child's exit code, None when it has not ended by `until`."""
    ended = os.pidfd_open(child)
    try:
        while (left := _CLOCK.now().left_until(until)) > 0:
            if select.select([ended], [], [], min(left, 0.2))[0]:
                return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        return None
    finally:
        os.close(ended)
