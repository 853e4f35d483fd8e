"""How long the kernel may keep an address: the whole seconds of proven lease that are left.

The kernel takes whole seconds, counts from when it is told, and removes an address up to 1 s late
(measured: never early, at most 0.94 s late, as its checks are at least 1 s apart). 0 is refused by it and
2³² − 1 means for ever; neither can come out of here, as no lease is longer than `MAX_TTL`.

Source: docs/design.md §2 and §3; `check_lifetime` in net/ipv4/devinet.c and
`addrconf_verify_rtnl` in net/ipv6/addrconf.c.
"""

from threading import Lock

from leaderd.core.lease import MAX_TTL, Lease
from leaderd.instant import Instant

# How late the kernel may be, and what may pass between our look at the clock and the kernel's, seconds.
LATE = 1.0
SLACK = 0.25
# Of the slack: how long one computed lifetime serves all addresses, and how long telling may take.
SPREAD = 0.1
TELLING = 0.1


def whole_seconds(lease: Lease, now: Instant) -> int:
    """Return the lifetime of an address that is told to the kernel now; 0 when none is possible."""
    return max(0, int(min(now.left_until(lease.expires_at) - LATE - SLACK, MAX_TTL)))


class Lifetimes:
    """Gives all addresses of an election that are told at one time the same lifetime.

    Else some would end a whole second before the others, whenever a second's boundary lies in between.
    Used from several threads.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._told: tuple[Lease, Instant, int] | None = None

    def seconds(self, lease: Lease, now: Instant) -> int:
        """Return the lifetime of an address that is told to the kernel now; 0 when none is possible."""
        with self._lock:
            if self._told is not None:
                told, at, seconds = self._told
                if told == lease and 0 <= now.held_since(at) <= SPREAD:
                    return seconds
            seconds = whole_seconds(lease, now)
            self._told = (lease, now, seconds)
            return seconds
