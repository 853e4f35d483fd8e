"""One schedule: a world made from a seed, run under faults and then in quiet, and judged."""

import random
from collections import Counter
from dataclasses import dataclass, field

from leaderd.core.handover import Preference
from leaderd.core.lease import Timing
from leaderd.core.states import State
from tests.sim.checks import Monitor
from tests.sim.clocks import member_rate
from tests.sim.engine import Engine
from tests.sim.etcd import Etcd
from tests.sim.faults import Faults
from tests.sim.host import Host
from tests.sim.mix import Mix

BACKING_OFF = ("start-failed", "resource-failed")


@dataclass(slots=True)
class Result:
    """How a schedule went."""

    seed: int
    violations: list[str]
    counts: Counter[str]
    lines: list[str] | None = None
    duration: float = 0.0
    events: int = 0
    waited: float = field(default=0.0)


def budget(ttl: int, drift: float, kill_time: float, stop_share: float) -> Timing:
    """Return a budget that spends as much of a short lease as the rules allow."""
    window = ttl * (1 - drift) - 0.3
    stop_timeout = stop_share * ttl
    attempt = 0.1 * ttl
    retry = min(0.25 * ttl, window - kill_time - stop_timeout - 2 * attempt)
    return Timing(ttl=ttl, retry_period=retry, attempt_timeout=attempt, hedge_after=0.35 * attempt,
                  stop_timeout=stop_timeout, kill_time=kill_time, start_timeout=2.5, clock_drift=drift)


def _preference(rng: random.Random, preferred: float) -> Preference:
    """Return a node's priority, and whether it would preempt."""
    priority = rng.choice((50, 200)) if rng.random() < preferred else 100
    return Preference(priority, rng.uniform(0.5, 4.0) if rng.random() < 0.2 + 0.5 * preferred else None)


class World:
    """Everything that one seed decides."""

    kind_of_host: type[Host] = Host
    kind_of_monitor: type[Monitor] = Monitor

    def __init__(self, seed: int, mix: Mix | None = None, *, trace: bool = False) -> None:
        self.engine = engine = Engine(seed, trace=trace)
        rng = engine.rng
        self.seed = seed
        self.mix = mix or Mix()
        drift = rng.choice(self.mix.drifts)
        self.monitor = self.kind_of_monitor(engine)
        self.etcd = Etcd(engine, [member_rate(rng, drift) for _ in range(3)])
        self.etcd.counts = self.monitor.counts
        self.etcd.store.on_takeover = self.monitor.took_over
        self.monitor.stands = self.etcd.store.control
        contained = rng.random() < self.mix.contained
        more = 1 if rng.random() < 0.05 else 0
        ttl = rng.choice(self.mix.ttls)
        self.hosts: list[Host] = []
        for index in range(rng.choice((2, 2, 3))):
            own = rng.choice(self.mix.ttls) if rng.random() < 0.2 else ttl
            timing = budget(own, drift, rng.choice((0.3, 0.5)), self.mix.stop_share)
            self.hosts.append(self.kind_of_host(
                engine, self.etcd, self.monitor, "abc"[index], timing, contained=contained,
                reboots=not contained or rng.random() < 0.3, preference=_preference(rng, self.mix.preferred),
                granted=own + more, drift=drift))
        self.contained = contained
        for host in self.hosts:
            engine.after(engine.uniform(0.0, 0.6), host.boot)
        self.faults = Faults(self)

    def run(self) -> Result:
        """Run the faults, then wait until somebody leads."""
        engine, monitor = self.engine, self.monitor
        self.faults.plan()
        engine.run(self.mix.length)
        if not monitor.violations:
            self._quiet()
        return Result(self.seed, monitor.violations, monitor.counts, engine.lines, engine.now, engine.events,
                      engine.now - (monitor.quiet_at or engine.now))

    def _quiet(self) -> None:
        engine, monitor = self.engine, self.monitor
        self.faults.stop()
        for _ in range(20):
            if self.faults.settled():
                break
            engine.run(engine.now + 0.5)
        if monitor.violations:
            return
        monitor.quiet_at = engine.now
        bound = self._bound()
        engine.run(engine.now + bound)
        if monitor.led_at is not None or monitor.violations:
            return
        if self._excused():
            monitor.counts["nobody leads: every node fenced or backing off"] += 1
            return
        monitor.violate(f"nobody leads {bound:.1f} s after the last fault: " + ", ".join(
            f"{host.name} {host.agent.election.state.value} {host.agent.election.reason}"
            if host.agent else f"{host.name} down" for host in self.hosts))

    def _bound(self) -> float:
        ttl = max(host.ttl for host in self.hosts)
        bound = 2 * ttl + 5.0 + 0.2
        if self.engine.now - self.etcd.failed_revoke_at < 7.0:
            bound += 7.0
        return bound

    def _excused(self) -> bool:
        """Return whether every node is fenced or backing off."""
        return all(
            host.agent is not None and (
                host.agent.election.state is State.FENCED
                or (host.agent.election.state is State.STANDBY
                    and host.agent.election.reason in BACKING_OFF))
            for host in self.hosts)
