"""Clocks that run at their own rates.

Rates are against true time. A node's RAW clock is off by at most 0.0004, so that two nodes stay within
0.001 of each other; its BOOTTIME is slewed, and so are the clocks of etcd's members, by at most the
`clock_drift` that the election allows for (assumption A2 of docs/design.md).
"""

import random

from leaderd.instant import Instant

RAW_ERROR = 0.0004


class NodeClock:
    """The two clocks of one node."""

    __slots__ = ("_boot_at", "_raw_at", "boot_rate", "fastest", "raw_rate")

    def __init__(self, rng: random.Random, drift: float) -> None:
        self.raw_rate = 1 + rng.choice((-RAW_ERROR, 0.0, RAW_ERROR))
        self.boot_rate = 1 + rng.choice((-drift, 0.0, 0.0, drift)) * 0.999
        self.fastest = max(self.raw_rate, self.boot_rate)
        self._raw_at = rng.uniform(10, 1000)
        self._boot_at = self._raw_at + rng.uniform(0, 500)

    def at(self, true: float) -> Instant:
        """Return what both clocks show at a true time."""
        return Instant(self._raw_at + true * self.raw_rate, self._boot_at + true * self.boot_rate)

    def reached(self, deadline: Instant, true: float) -> float:
        """Return the true seconds from `true` until a holder finds `deadline` reached; 0 when it is."""
        now = self.at(true)
        left = min((deadline.raw - now.raw) / self.raw_rate, (deadline.boot - now.boot) / self.boot_rate)
        return max(0.0, left)


def member_rate(rng: random.Random, drift: float) -> float:
    """Return the clock rate of an etcd member: mostly the fast extreme, which ends leases early."""
    return 1 + rng.choice((drift, drift, 0.0, -drift)) * 0.99
