"""Instants on two clocks at once, so that neither suspend nor slewing can stretch a lease.

`CLOCK_MONOTONIC_RAW` is never slewed but stands still in suspend; `CLOCK_BOOTTIME` counts suspend
but is slewed. An instant keeps both readings. Who *holds* something believes the clock that went
further, who *waits* to take something over believes the one that went less far.

Source: docs/design.md, "The time budget of a lease"; clock_gettime(2).
"""

from typing import NamedTuple


class Instant(NamedTuple):
    """One reading of both clocks, in seconds since boot."""

    raw: float
    boot: float

    def plus(self, seconds: float) -> "Instant":
        """Return the instant that lies `seconds` later on both clocks."""
        return Instant(self.raw + seconds, self.boot + seconds)

    def held_since(self, earlier: "Instant") -> float:
        """Return the seconds since `earlier` for somebody who holds: the larger advance."""
        return max(self.raw - earlier.raw, self.boot - earlier.boot)

    def waited_since(self, earlier: "Instant") -> float:
        """Return the seconds since `earlier` for somebody who waits: the smaller advance."""
        return min(self.raw - earlier.raw, self.boot - earlier.boot)

    def left_until(self, deadline: "Instant") -> float:
        """Return the seconds a holder has left until `deadline`; 0 or less once it has come."""
        return min(deadline.raw - self.raw, deadline.boot - self.boot)

    def wait_until(self, opening: "Instant") -> float:
        """Return the seconds a waiter must still wait for `opening`; 0 or less once it has come."""
        return max(opening.raw - self.raw, opening.boot - self.boot)


def earlier_opening(now: Instant, first: Instant | None, second: Instant | None) -> Instant | None:
    """Return whichever opening a waiter reaches first as seen from `now`; None stands for never."""
    if first is None or second is None:
        return first if second is None else second
    return first if now.wait_until(first) <= now.wait_until(second) else second
