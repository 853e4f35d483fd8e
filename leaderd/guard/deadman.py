"""Kernel timers that kill the agent a moment after `fence_at`, whatever it is doing.

A POSIX timer that delivers SIGKILL works on a process that is stopped, swapped out or spinning; no
thread of ours takes part. One timer a term, moved by each renewal. It runs on `CLOCK_BOOTTIME`, which
counts suspend; where `CLOCK_MONOTONIC_RAW` runs faster, the difference seen so far is allowed for.

Source: timer_create(2), timer_settime(2), sigevent(7); docs/design.md §3.
"""

import ctypes
import os
import signal

from leaderd.clock import Clock
from leaderd.errors import GuardError
from leaderd.instant import Instant

_CLOCK_BOOTTIME = 7
_SIGEV_SIGNAL = 0
_TIMER_ABSTIME = 1
# Rates are compared over at least so many seconds; over less, reading two clocks in turn is too coarse.
_OBSERVATION = 1.0
# What adjtimex allows (10 %, and 500 ppm): more is a disturbed reading.
_WILDEST = 1.11
# Never early: the pair of clocks is not read at one instant.
_ROUND_UP = 0.001


class _Sigevent(ctypes.Structure):
    _fields_ = (
        ("value", ctypes.c_void_p),
        ("signo", ctypes.c_int),
        ("notify", ctypes.c_int),
        ("rest", ctypes.c_char * 48),
    )


class _Timespec(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


class _Itimerspec(ctypes.Structure):
    _fields_ = (("interval", _Timespec), ("value", _Timespec))


class Deadman:
    """The kernel timers of this process.

    Args:
        clock: The same that deadlines are reckoned on.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._timers: dict[str, ctypes.c_void_p] = {}
        self._first = clock.now()

    def set(self, election: str, kill_at: Instant) -> None:
        """Have this process killed when either clock reaches `kill_at`, instead of an earlier deadline.

        Raises:
            GuardError: The kernel gives no timer; nothing may start.
        """
        # Not `or`: the kernel's first timer has the id 0, and is false.
        timer = self._timers[election] if election in self._timers else self._create(election)
        at = self._on_boottime(kill_at) + _ROUND_UP
        # Zero would switch the timer off; a deadline that has passed must fire.
        whole = max(int(at * 1e9), 1)
        setting = _Itimerspec(_Timespec(0, 0), _Timespec(whole // 10**9, whole % 10**9))
        self._check(self._libc.timer_settime(timer, _TIMER_ABSTIME, ctypes.byref(setting), None))

    def clear(self, election: str) -> None:
        """Switch the timer of an election off; harmless when there is none."""
        timer = self._timers.pop(election, None)
        if timer is not None:
            self._check(self._libc.timer_delete(timer))

    def armed(self, election: str) -> bool:
        """Return whether there is a timer for an election."""
        return election in self._timers

    def _create(self, election: str) -> ctypes.c_void_p:
        event = _Sigevent(signo=int(signal.SIGKILL), notify=_SIGEV_SIGNAL)
        timer = ctypes.c_void_p()
        self._check(self._libc.timer_create(_CLOCK_BOOTTIME, ctypes.byref(event), ctypes.byref(timer)))
        self._timers[election] = timer
        return timer

    def _on_boottime(self, deadline: Instant) -> float:
        now = self._clock.now()
        raw, boot = now.raw - self._first.raw, now.boot - self._first.boot
        # Suspend moves BOOTTIME alone: a jump, not a rate. It only makes the timer later on RAW, which
        # has stood still as well.
        rate = boot / raw if raw >= _OBSERVATION else 1.0
        rate = min(max(rate, 1 / _WILDEST), 1.0)
        return now.boot + min(deadline.boot - now.boot, (deadline.raw - now.raw) * rate)

    @staticmethod
    def _check(result: int) -> None:
        if result:
            raise GuardError(f"kernel timer: {os.strerror(ctypes.get_errno())}")
