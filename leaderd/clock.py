"""The only module that reads a clock for a deadline."""

import time
from typing import Protocol

from leaderd.instant import Instant


class Clock(Protocol):
    """Something that can be asked what time it is."""

    def now(self) -> Instant:
        """Return the current reading of both clocks."""


class BootClock:
    """The kernel's `CLOCK_MONOTONIC_RAW` and `CLOCK_BOOTTIME`."""

    def now(self) -> Instant:
        """Return the current reading of both clocks."""
        return Instant(
            time.clock_gettime(time.CLOCK_MONOTONIC_RAW), time.clock_gettime(time.CLOCK_BOOTTIME)
        )


def boot_id() -> str:
    """Return the kernel's random id of this boot: instants compare only within one boot.

    Source: random(4), /proc/sys/kernel/random/boot_id.
    """
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        return file.read().strip()
