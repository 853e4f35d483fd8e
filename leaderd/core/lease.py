"""Lease arithmetic: the time budget of one lease, and the lease that a holder believes in.

     s                                                       expires_at      etcd may expire: s + ttl
     |--retry_period--|--retry_period--| …   |stop_at  |fence_at  |                |
     keepalive sent    keepalive       silence|stop …   |kill …    | drift, margin  |

Every deadline counts from `s`, when the keepalive was *sent*: etcd restarts the TTL later.

Source: docs/design.md §2, "The time budget of a lease", rules R2 and R12.
"""

from dataclasses import dataclass, replace

from leaderd.errors import InvariantError, LeaseLostError
from leaderd.instant import Instant

# The rates of two nodes' raw clocks differ by less than this (assumption A2 of docs/design.md).
WAITER_FACTOR = 1.001
# Etcd checkpoints leases longer than this, and may bring them back short (docs/etcd.md §2).
MAX_TTL = 300
# With clocks that run so differently no budget is worth its name.
MAX_DRIFT = 0.5
# An etcd leader change takes about this long at etcd's default election timeout of 1 s.
ETCD_LEADER_CHANGE = 3.0


@dataclass(frozen=True, slots=True)
class Timing:
    """The time budget of an election. Durations in seconds, `ttl` in whole seconds.

    Raises:
        InvariantError: The parts do not add up; `problems` lists why. The configuration reports
            the same list to the user before it comes to that.
    """

    ttl: int
    retry_period: float
    attempt_timeout: float
    hedge_after: float
    stop_timeout: float
    kill_time: float
    start_timeout: float = 30.0
    margin: float = 0.3
    clock_drift: float = 0.10
    vip: bool = False

    def __post_init__(self) -> None:
        if problems := self.problems():
            raise InvariantError("; ".join(problems))

    @staticmethod
    def scaled(ttl: int, *, vip: bool = False) -> "Timing":
        """Return the default budget for a TTL in whole seconds; see `default_parts`."""
        return Timing(ttl=ttl, vip=vip, **default_parts(ttl, vip=vip))

    @property
    def window(self) -> float:
        """V: how long after a keepalive was sent the holder may still hold, in seconds."""
        return self.ttl * (1 - self.clock_drift) - self.margin

    @property
    def fence_after(self) -> float:
        """Seconds from a keepalive's sending to `fence_at`."""
        return self.window - self.kill_time

    @property
    def stop_after(self) -> float:
        """Seconds from a keepalive's sending to `stop_at`."""
        return self.fence_after - self.stop_timeout

    @property
    def start_budget(self) -> float:
        """Seconds of lease that must be left before anything is started (rule R2)."""
        return self.retry_period + self.attempt_timeout

    def granted(self, ttl: int) -> "Timing":
        """Return the budget with the TTL that etcd granted, which may be longer than asked.

        Raises:
            InvariantError: The granted TTL does not leave room for the parts.
        """
        return self if ttl == self.ttl else replace(self, ttl=ttl)

    def problems(self) -> list[str]:
        """Return what is wrong with the budget, a sentence each; empty when it adds up."""
        found = [
            f"{name} = {value:g} must be greater than 0"
            for name in ("retry_period", "attempt_timeout", "hedge_after", "stop_timeout",
                         "kill_time", "start_timeout", "margin")
            if not (value := getattr(self, name)) > 0
        ]
        if not 0 <= self.clock_drift < MAX_DRIFT:
            found.append(f"clock_drift = {self.clock_drift:g} must lie in 0 … 0.5")
        if not 2 <= self.ttl <= MAX_TTL:
            found.append(f"ttl = {self.ttl} must lie in 2 … {MAX_TTL}")
        if self.hedge_after > self.attempt_timeout:
            found.append(
                f"hedge_after = {self.hedge_after:g} must not exceed "
                f"attempt_timeout = {self.attempt_timeout:g}"
            )
        return found or self._budget_problems()

    def _budget_problems(self) -> list[str]:
        found = []
        need = self.retry_period + 2 * self.attempt_timeout
        if self.stop_after < need - 1e-9:
            found.append(
                f"the time budget does not add up: ttl·(1 − clock_drift) − margin − kill_time − "
                f"stop_timeout = {self.ttl}·(1 − {self.clock_drift:g}) − {self.margin:g} − "
                f"{self.kill_time:g} − {self.stop_timeout:g} = {self.stop_after:.2f} s must be at "
                f"least retry_period + 2·attempt_timeout = {self.retry_period:g} + "
                f"2·{self.attempt_timeout:g} = {need:.2f} s; raise ttl or shorten a part"
            )
        if self.vip and int(self.window - 1.25 - self.attempt_timeout) < self.stop_after - 1e-9:
            found.append(
                f"with a vip the whole seconds of {self.window:.2f} − 1.25 − attempt_timeout = "
                f"{self.window - 1.25 - self.attempt_timeout:.2f} s of address lifetime must not "
                f"be less than the {self.stop_after:.2f} s before the node steps down; raise "
                f"kill_time or stop_timeout"
            )
        return found

    def warnings(self) -> list[str]:
        """Return what is allowed but may surprise, a sentence each."""
        found = []
        need = self.retry_period + ETCD_LEADER_CHANGE + self.attempt_timeout
        if self.stop_after < need - 1e-9:
            found.append(
                f"an etcd leader change may cost the leadership: {self.stop_after:.2f} s before "
                f"the node steps down is less than retry_period + {ETCD_LEADER_CHANGE:g} s + "
                f"attempt_timeout = {need:.2f} s; a ttl of 10 or more is safe at the defaults"
            )
        if self.ttl > 60:
            found.append(f"ttl = {self.ttl}: after the loss of a node nobody leads for that long")
        return found


def default_parts(ttl: float, *, vip: bool) -> dict[str, float]:
    """Return the parts of the budget that scale with the TTL, in seconds.

    Source: docs/design.md §2, "Defaults".
    """
    attempt_timeout = min(1.0, 0.1 * ttl)
    return {
        "retry_period": 0.12 * ttl,
        "attempt_timeout": attempt_timeout,
        "hedge_after": 0.35 * attempt_timeout,
        "stop_timeout": 0.2 * ttl,
        "kill_time": 1.5 if vip else 0.5,
    }


@dataclass(frozen=True, slots=True)
class Lease:
    """A lease as its holder may believe in it: what was granted, and when it was last proven.

    Attributes:
        id: Etcd's lease id.
        timing: The budget, with the granted TTL.
        sent_at: When the last proven keepalive was sent; before the first, the grant (rule R12).
    """

    id: int
    timing: Timing
    sent_at: Instant

    @property
    def expires_at(self) -> Instant:
        """By then nothing of ours may run."""
        return self.sent_at.plus(self.timing.window)

    @property
    def fence_at(self) -> Instant:
        """From then on we kill."""
        return self.sent_at.plus(self.timing.fence_after)

    @property
    def stop_at(self) -> Instant:
        """From then on we stop by ourselves, etcd or no etcd."""
        return self.sent_at.plus(self.timing.stop_after)

    def left(self, now: Instant) -> float:
        """Return the seconds until `stop_at`; 0 or less when it has come."""
        return self.timing.stop_after - now.held_since(self.sent_at)

    def renewed(self, sent_at: Instant, now: Instant) -> "Lease":
        """Return the lease as extended by one proven renewal.

        Args:
            sent_at: When the keepalive was sent.
            now: When its proof is being looked at.

        Returns:
            A lease whose deadlines never lie before this one's.

        Raises:
            LeaseLostError: `stop_at` has passed (rule R12): nothing may revive this session, or
                the evidence by which others take over would be false.
        """
        if self.left(now) <= 0:
            raise LeaseLostError(f"lease {self.id:x}: proven {-self.left(now):.2f} s after stop_at")
        return replace(self, sent_at=sent_at) if sent_at.raw > self.sent_at.raw else self
