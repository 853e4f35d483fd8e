"""How long until somebody else starts: after a crash, the loss of a node, a planned stop."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from statistics import median

from bench.cluster import Cluster, now, running
from leaderd.core.lease import Timing
from leaderd.demo.journal import tokens_grow

TTL = 10


@dataclass(frozen=True, slots=True)
class Figure:
    """Samples of one measurement, in milliseconds, and the bound that is aimed at."""

    name: str
    samples: tuple[float, ...]
    bound: str

    def row(self) -> str:
        """Return it as a row of a Markdown table."""
        return (f"| {self.name} | {len(self.samples)} | {median(self.samples):.0f} "
                f"| {max(self.samples):.0f} | {self.bound} |")


def figures(count: int) -> Iterator[str]:
    """Measure everything on one cluster; yields lines of a Markdown table."""
    yield "| what | runs | median ms | maximum ms | aim |"
    yield "|---|---|---|---|---|"
    with running(TTL) as cluster:
        yield _measure("`kill -9` of the agent → next start hook", "≤ 150 ms", count, cluster, _agent).row()
        hooks = Figure("the two hooks of it alone", tuple(cluster.hooks() * 1000 for _ in range(count)), "")
        aim = f"≤ {50 + median(hooks.samples):.0f} ms"
        yield _measure("SIGTERM → next start hook", aim, count, cluster, _stop).row()
        yield hooks.row()
        yield _measure("old stop hook done → next start hook", "", count, cluster, _gap).row()
        yield _measure("loss of a node: beyond the remaining lease", "≤ 700 ms", count, cluster, _loss).row()
        holds = cluster.holds()
    yield ""
    yield f"{len(holds)} terms, tokens grow: {tokens_grow(holds)}"


def _measure(
    name: str, bound: str, count: int, cluster: Cluster, sample: Callable[[Cluster], float]
) -> Figure:
    samples = []
    for _ in range(count):
        samples.append(sample(cluster) * 1000)
        cluster.start()
    return Figure(name, tuple(samples), bound)


def _agent(cluster: Cluster) -> float:
    old, node = cluster.holds()[-1], cluster.leader()
    before = now()
    node.kill_agent()
    return cluster.next_hold(old).start_at - before


def _stop(cluster: Cluster) -> float:
    old, node = cluster.holds()[-1], cluster.leader()
    before = now()
    node.stop()
    after = cluster.next_hold(old).start_at - before
    node.wait(20)
    return after


def _gap(cluster: Cluster) -> float:
    old, node = cluster.holds()[-1], cluster.leader()
    node.stop()
    new = cluster.next_hold(old)
    node.wait(20)
    stopped = next(hold for hold in cluster.holds() if hold.token == old.token)
    return new.start_at - stopped.end_at


def _loss(cluster: Cluster) -> float:
    """Kill right after a renewal: one that is under way would lengthen the lease, and nobody would know."""
    old, node = cluster.holds()[-1], cluster.leader()
    seen = [float(cluster.report(node)["valid_for"])]

    def renewed() -> bool:
        seen.append(float(cluster.report(node)["valid_for"]))
        return seen[-1] > seen[-2]

    cluster.wait(renewed)
    before, valid_for = now(), seen[-1]
    node.kill()
    remaining = valid_for + cluster.ttl - Timing.scaled(cluster.ttl).stop_after
    return cluster.next_hold(old).start_at - before - remaining
