"""One member of the etcd model: its process, its lessor, what it has applied and whom it takes for leader."""

from collections.abc import Callable
from typing import Any

from tests.sim.engine import Engine

ET = 1.0
# Etcd retries a failed revocation after ReqTimeout = 5 s + 2·ET (docs/etcd.md §2).
REVOKE_RETRY = 7.0


class Member:
    """The state of one member; `primary` is what its lessor believes, not what is true."""

    __slots__ = ("alive", "applied_term", "behind", "engine", "expiry", "granted", "inbox", "index",
                 "isolated", "not_before", "paused", "primary", "rate", "stalled", "view")

    def __init__(self, engine: Engine, index: int, rate: float) -> None:
        self.engine = engine
        self.index = index
        self.rate = rate
        self.alive = True
        self.paused = False
        self.stalled = False
        self.isolated = False
        self.behind = False
        self.primary = False
        self.view: Member | None = None
        self.applied_term = 0
        self.expiry: dict[int, float] = {}
        self.granted: dict[int, int] = {}
        self.not_before: dict[int, float] = {}
        self.inbox: list[tuple[Callable[..., None], tuple[Any, ...]]] = []

    @property
    def runs(self) -> bool:
        """Return whether its process executes anything."""
        return self.alive and not self.paused

    @property
    def ready(self) -> bool:
        """Return whether it takes part in the quorum."""
        return self.alive and not (self.paused or self.stalled or self.isolated or self.behind)

    def clock(self) -> float:
        """Return the reading of its monotonic clock."""
        return self.engine.now * self.rate

    def promote(self, term: int, leases: dict[int, int]) -> None:
        """Become primary lessor: every lease starts anew, plus ET."""
        self.primary = True
        self.view = self
        self.applied_term = term
        self.not_before.clear()
        self.granted = dict(leases)
        now = self.clock()
        self.expiry = {lease: now + ttl + ET for lease, ttl in leases.items()}

    def renew(self, lease: int, leases: dict[int, int]) -> int:
        """Restart a lease and return its TTL; 0 when this lessor does not know it."""
        if lease not in self.expiry:
            return 0
        ttl = leases.get(lease, self.granted.get(lease, 0)) or self.granted.get(lease, 5)
        self.granted[lease] = ttl
        self.expiry[lease] = self.clock() + ttl
        return ttl

    def expired(self) -> list[int]:
        """Return the leases whose time is up and whose revocation is due."""
        now = self.clock()
        found = [lease for lease, at in self.expiry.items() if at <= now]
        if self.not_before and found:
            true = self.engine.now
            return [lease for lease in found if self.not_before.get(lease, 0.0) <= true]
        return found

    def crash(self) -> None:
        """Lose everything that is not on disk."""
        self.alive = False
        self.paused = self.stalled = self.isolated = self.behind = False
        self.primary = False
        self.view = None
        self.expiry.clear()
        self.inbox.clear()

    def receive(self, failed: Callable[..., None], call: Callable[..., None], *args: Any) -> bool:
        """Return whether a request can be looked at now; else refuse it, or keep it for when we run."""
        if not self.alive:
            failed()
            return False
        if self.paused:
            self.inbox.append((call, args))
            return False
        return True

    def drain(self) -> None:
        """Serve what came in while paused, in order, before learning anything new."""
        waiting, self.inbox = self.inbox, []
        for call, args in waiting:
            call(*args)
