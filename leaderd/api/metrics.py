"""What the daemon measures, for Prometheus; docs/metrics.md lists it.

State is read from the status report when asked. What happens is counted where it passes by: the ports
of the agent hand it to the methods here, each of which only adds to a number and may be called from any
thread.
"""

import threading
from collections.abc import Callable, Iterable

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.exposition import choose_encoder

from leaderd.api.metrics_http import HttpMetrics
from leaderd.clock import Clock
from leaderd.core.events import Event, Renewed
from leaderd.core.status import Status
from leaderd.instant import Instant

# Half of the series for what `leaderd_agent_start_time_seconds` says once.
disable_created_metrics()  # type: ignore[no-untyped-call] # prometheus_client leaves it out

OUTCOMES = ("proven", "failed", "gone", "abandoned")
_BUDGET = (0.1, 0.25, 0.5, 1, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10, 15, 20, 30, 60, 120, 300)
_KEEPALIVE = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5)
_HOOK = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class Metrics:
    """All counters of the agent.

    Args:
        clock: For how long there was no leader.

    Attributes:
        registry: What `/metrics` shows.
        http: Those of the HTTP interface itself.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.registry = registry = CollectorRegistry()
        self.http = HttpMetrics(registry)
        self._last: dict[str, Status] = {}
        self._looked_at: dict[str, Instant] = {}
        self._looking = threading.Lock()
        ProcessCollector(registry=registry)
        self._budget = Histogram(
            "leaderd_renewal_budget_seconds", "Left until stop_at when a proven renewal came.",
            ["election"], registry=registry, buckets=_BUDGET,
        )
        self._renewals = Counter(
            "leaderd_renewals", "Renewals as tried at one endpoint.",
            ["election", "endpoint", "outcome"], registry=registry,
        )
        self._keepalive = Histogram(
            "leaderd_keepalive_duration_seconds", "From sending a keepalive to its answer.",
            ["endpoint"], registry=registry, buckets=_KEEPALIVE,
        )
        self._transitions = Counter(
            "leaderd_transitions", "States entered.", ["election", "state", "reason"], registry=registry
        )
        self._leaderless = Counter(
            "leaderd_leaderless_seconds", "Time in which this node knew of no leader.",
            ["election"], registry=registry,
        )
        self._vanished = Counter(
            "leaderd_lease_vanished", "Own keys or leases gone from etcd before their time.",
            ["election"], registry=registry,
        )
        self._hooks = Histogram(
            "leaderd_hook_duration_seconds", "One run of a hook.",
            ["election", "resource", "action"], registry=registry, buckets=_HOOK,
        )
        self._hook_failures = Counter(
            "leaderd_hook_failures", "Runs of a hook that failed.",
            ["election", "resource", "action"], registry=registry,
        )
        self._announcements = Counter(
            "leaderd_announcements", "Addresses announced to the neighbours.",
            ["election", "resource"], registry=registry,
        )

    def add(self, status: Status) -> None:
        """Begin to measure an election; what never happens is shown as 0 from now on."""
        for metric in (self._budget, self._leaderless, self._vanished):
            metric.labels(status.election)
        self._last[status.election] = status
        self._looked_at[status.election] = self._clock.now()

    def published(self, status: Status) -> None:
        """Count what a new status says."""
        self._pass_time(status.election)
        old = self._last[status.election]
        self._last[status.election] = status
        if old.state is status.state:
            return
        self._transitions.labels(status.election, status.state.value, status.reason).inc()
        if status.reason == "lease-lost" and old.stop_at and self._clock.now().left_until(old.stop_at) > 0:
            self._vanished.labels(status.election).inc()

    def _pass_time(self, election: str) -> None:
        """Add the time since the last look to that without a leader, if there was none."""
        with self._looking:
            now = self._clock.now()
            since, self._looked_at[election] = self._looked_at[election], now
            if not self._last[election].leader:
                self._leaderless.labels(election).inc(now.held_since(since))

    def tap(self, read: Callable[[], Status], post: Callable[[Event], None]) -> Callable[[Event], None]:
        """Return `post` with a look at the renewals that pass.

        Args:
            read: Gives the status as it is before the event is taken in.
            post: Where the events go.
        """

        def measured(event: Event) -> None:
            status = read()
            if isinstance(event, Renewed) and status.stop_at is not None:
                left = self._clock.now().left_until(status.stop_at)
                self._budget.labels(status.election).observe(max(0.0, left))
            post(event)

        return measured

    def renewals(self, election: str, endpoints: Iterable[str]) -> "RenewalMeter":
        """Return what counts the renewals of one election."""
        self.expect(election, endpoints)
        return RenewalMeter(election, self._renewals, self._keepalive)

    def expect(self, election: str, endpoints: Iterable[str]) -> None:
        """Show what renewals at these endpoints come to from now on, though it be 0: a rate begins there."""
        for endpoint in endpoints:
            for outcome in OUTCOMES:
                self._renewals.labels(election, endpoint, outcome)

    def hook(self, election: str, resource: str, action: str, seconds: float, *, failed: bool) -> None:
        """Note one run of a hook."""
        self._hooks.labels(election, resource, action).observe(seconds)
        failures = self._hook_failures.labels(election, resource, action)
        if failed:
            failures.inc()

    def announced(self, election: str, resource: str) -> None:
        """Count an announcement of an address."""
        self._announcements.labels(election, resource).inc()

    def expose(self, accept: str) -> tuple[bytes, str]:
        """Return everything in the format that an Accept header asks for, and its content type."""
        for election in self._last:
            self._pass_time(election)
        encode, kind = choose_encoder(accept)
        return encode(self.registry), kind


class RenewalMeter:
    """The renewals of one election, as its session reports them.

    Args:
        election: Its name.
        renewals: Counts legs.
        keepalives: Takes durations.
    """

    def __init__(self, election: str, renewals: Counter, keepalives: Histogram) -> None:
        self._election = election
        self._renewals = renewals
        self._keepalives = keepalives

    def renewal(self, endpoint: str, outcome: str) -> None:
        """Count one leg: proven, failed, gone or abandoned."""
        self._renewals.labels(self._election, endpoint, outcome).inc()

    def keepalive(self, endpoint: str, seconds: float) -> None:
        """Note how long an answered keepalive took."""
        self._keepalives.labels(endpoint).observe(seconds)
