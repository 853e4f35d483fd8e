"""A seeded random mix of all faults on two elections over one etcd cluster."""

import os
import random
import statistics
import tempfile
from collections import defaultdict
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path

from leaderd.demo.journal import Hold, overlaps, tokens_grow
from leaderd.demo.nodes import Node
from tests.cluster import Cluster, why_no_stall
from tests.faults.actions import (
    candidate_key,
    compact,
    kill,
    killed,
    move_leader,
    pause_for,
    paused,
    stalled,
    stopped,
)
from tests.faults.trio import Trio, now, wait_for

ALL = (0, 1, 2)
TTL = 5
# A revocation that failed is repeated by etcd after so many seconds (docs/etcd.md §2).
REVOKE_AGAIN = 7.0
# One fault in so many comes together with another, and so many follow before all nodes are back.
TOGETHER = 0.3
HASTY = 0.25
# A writer counts as running until half a second after its last beat: only then is its end seen.
SETTLED = 1.0

# Does its part at once, or when the stack is entered and left; returns how long it lasts, in seconds.
Fault = Callable[["Mix", ExitStack], float]


@dataclass(slots=True)
class Outcome:
    """What came of a run.

    Attributes:
        faults: How often each kind was tried.
        failovers: By kind, seconds from the fault to the next start hook, where it cost the leadership.
        holds: All terms, by election.
        problems: What broke the promise or the bound, a sentence each.
        seconds: How long it took.
    """

    faults: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    failovers: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    holds: dict[str, list[Hold]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def overlaps(self) -> int:
        """Pairs of terms that ran at the same time."""
        return sum(len(overlaps(holds)) for holds in self.holds.values())

    def table(self) -> list[str]:
        """Return the figures, a line each."""
        lines = [f"{'fault':<34}{'times':>6}{'failovers':>11}{'median s':>10}{'max s':>8}"]
        for kind in sorted(self.faults):
            times = self.failovers.get(kind, [])
            cells = f"{statistics.median(times):>10.2f}{max(times):>8.2f}" if times else f"{'-':>10}{'-':>8}"
            lines.append(f"{kind:<34}{self.faults[kind]:>6}{len(times):>11}{cells}")
        terms = sum(map(len, self.holds.values()))
        lines.append(f"{sum(self.faults.values())} faults in {self.seconds:.0f} s on {len(self.holds)} "
                     f"elections: {terms} terms, {self.overlaps} overlaps")
        return lines


class Mix:
    """One run.

    Args:
        cluster: Etcd.
        trios: The elections; the last one's nodes know one member each.
        dice: Decides everything.
        say: Takes a line for each fault.
    """

    def __init__(
        self, cluster: Cluster, trios: list[Trio], dice: random.Random, say: Callable[[str], None]
    ) -> None:
        self.cluster = cluster
        self.trios = trios
        self.dice = dice
        self.outcome = Outcome()
        self._say = say

    def run(self, faults: int) -> None:
        """Do so many faults."""
        begun = now()
        for trio in self.trios:
            trio.settle()
        while (done := sum(self.outcome.faults.values())) < faults:
            two = done + 1 < faults and self.dice.random() < TOGETHER
            pool = {**ON_NODES, **ON_ETCD}
            kinds = [self.dice.choice(sorted(ON_NODES)), self.dice.choice(sorted(ON_ETCD))] if two else [
                self.dice.choice(sorted(pool))]
            hasty = self.dice.random() < HASTY
            self._step(done, kinds, hasty=hasty)
            self._judge()
        for trio in self.trios:
            settle(trio)
            trio.stop()
        self._judge()
        self.outcome.seconds = now() - begun

    def victim(self, trio: Trio) -> Node:
        """Return the leader, or now and then any node that runs."""
        running = [node for node in trio.nodes.values() if node.running and node.agent]
        leader = trio.leader()
        if (leader in running and self.dice.random() < 0.75) or not running:
            return leader
        return self.dice.choice(running)

    def _step(self, number: int, kinds: list[str], *, hasty: bool) -> None:
        before = {trio.name: trio.last() for trio in self.trios}
        begun = now()
        with ExitStack() as stack:
            seconds = max((ON_NODES.get(kind) or ON_ETCD[kind])(self, stack) for kind in kinds)
            pause_for(seconds)
        pause_for(SETTLED)
        for kind in kinds:
            self.outcome.faults[kind] += 1
        results = [self._recover(trio, before[trio.name], kinds, begun) for trio in self.trios]
        self._say(f"{number + 1:>4}  {' + '.join(kinds):<40} {seconds:>5.1f} s   {'   '.join(results)}")
        if hasty:
            pause_for(self.dice.uniform(0.0, 2.0))
            return
        for trio in self.trios:
            settle(trio)

    def _recover(self, trio: Trio, old: Hold, kinds: list[str], begun: float) -> str:
        """Wait until somebody leads; say who, and note how long the change took."""
        # Restart pauses of agents that were killed again and again come on top where nobody is ready.
        bound = trio.bound + REVOKE_AGAIN

        def leads() -> bool:
            trio.revive()
            return trio.leads()

        try:
            wait_for("a leader", leads, bound)
        except AssertionError:
            agents = sum(node.running and node.agent > 0 for node in trio.nodes.values())
            if agents:
                self.outcome.problems.append(
                    f"{trio.name}: nobody leads {bound:g} s after {' + '.join(kinds)}: {trio.tails()}")
            wait_for("a leader", leads, 60)
        new = trio.last()
        if new.token == old.token:
            return f"{trio.name}: {new.node} stays"
        first = next(hold for hold in trio.holds() if hold.token > old.token)
        self.outcome.failovers[" + ".join(kinds) if len(kinds) == 1 else "two at once"].append(
            first.start_at - begun)
        return f"{trio.name}: {old.node} → {new.node} after {first.start_at - begun:.2f} s"

    def _judge(self) -> None:
        for trio in self.trios:
            holds = self.outcome.holds[trio.name] = trio.holds()
            problems = [trio.describe([each]) for each in overlaps(holds)]
            if not tokens_grow(holds):
                problems.append("tokens do not grow")
            self.outcome.problems += [
                text for each in problems if (text := f"{trio.name}: {each}") not in self.outcome.problems
            ]


def settle(trio: Trio) -> None:
    """Settle a trio; a node whose agent waits for its restart for long is started anew."""
    until = now() + 8.0

    def steady() -> bool:
        trio.revive()
        if now() > until:
            for node in trio.nodes.values():
                if node.running and not node.agent:
                    node.stop()
        states = sorted(trio.report(node).get("state", "") for node in trio.nodes.values())
        return states == ["candidate", "candidate", "leader"] and trio.leads()

    try:
        wait_for("a leader and two candidates", steady, 90)
    except AssertionError as error:
        raise AssertionError(f"{trio.name}: {error}: {trio.tails()}") from None


# --- the faults ---


def _kills(*, guard: bool = False, agent: bool = False) -> Fault:
    def fault(mix: Mix, _: ExitStack) -> float:
        for trio in mix.trios:
            kill(mix.victim(trio), guard=guard, agent=agent)
        return 0.0

    return fault


def _stops(*, guard: bool = False, agent: bool = False) -> Fault:
    def fault(mix: Mix, stack: ExitStack) -> float:
        for trio in mix.trios:
            stack.enter_context(stopped(mix.victim(trio), guard=guard, agent=agent))
        return mix.dice.uniform(0.5, TTL + 4.0)

    return fault


def _kill_node(mix: Mix, _: ExitStack) -> float:
    for trio in mix.trios:
        if (node := mix.victim(trio)).running:
            node.kill()
    return 0.0


def _terminate(mix: Mix, _: ExitStack) -> float:
    for trio in mix.trios:
        with suppress(ProcessLookupError):
            mix.victim(trio).stop()
    return 0.0


def _revoke(mix: Mix, _: ExitStack) -> float:
    for trio in mix.trios:
        if lease := trio.report(trio.leader()).get("lease"):
            mix.cluster.etcdctl("lease", "revoke", lease)
    return 0.0


def _delete(mix: Mix, _: ExitStack) -> float:
    for trio in mix.trios:
        if lease := trio.report(trio.leader()).get("lease"):
            mix.cluster.etcdctl("del", candidate_key(trio, lease))
    return 0.0


def _members(fault: Callable[..., object], which: str) -> Fault:
    def apply(mix: Mix, stack: ExitStack) -> float:
        indexes = {"all": lambda: ALL, "leader": lambda: (mix.cluster.leader(),),
                   "one": lambda: (mix.dice.choice(ALL),), "two": lambda: mix.dice.sample(ALL, 2)}[which]()
        stack.enter_context(fault(mix.cluster, indexes))  # type: ignore[arg-type]
        return mix.dice.uniform(0.3, TTL + 4.0)

    return apply


def _stall(*, wal_only: bool) -> Fault:
    def fault(mix: Mix, stack: ExitStack) -> float:
        # The worst case: the member that a holder depends on leads etcd and stalls.
        local = mix.trios[-1]
        move_leader(mix.cluster, local.index(local.leader()))
        seconds = mix.dice.uniform(TTL, 2 * TTL + 6.0)
        stack.enter_context(stalled(mix.cluster, seconds, wal_only=wal_only))
        return 0.0

    return fault


def _compact(mix: Mix, stack: ExitStack) -> float:
    stack.callback(lambda: compact(mix.cluster, writes=10))
    stack.enter_context(paused(mix.cluster, [mix.cluster.follower()]))
    compact(mix.cluster, writes=10)
    return 1.0


ON_NODES: dict[str, Fault] = {
    "kill agent": _kills(agent=True),
    "kill guard": _kills(guard=True),
    "kill node": _kill_node,
    "stop agent": _stops(agent=True),
    "stop guard": _stops(guard=True),
    "terminate": _terminate,
    "revoke lease": _revoke,
    "delete key": _delete,
}
if os.geteuid() == 0:
    # With nothing contained these are outside the promise.
    ON_NODES |= {"kill guard and agent": _kills(guard=True, agent=True),
                 "stop guard and agent": _stops(guard=True, agent=True)}
ON_ETCD: dict[str, Fault] = {
    "kill member": _members(killed, "one"),
    "kill etcd leader": _members(killed, "leader"),
    "kill two members": _members(killed, "two"),
    "kill all members": _members(killed, "all"),
    "pause member": _members(paused, "one"),
    "pause etcd leader": _members(paused, "leader"),
    "pause two members": _members(paused, "two"),
    "pause all members": _members(paused, "all"),
    "compact": _compact,
}
if not why_no_stall():
    ON_ETCD |= {"stall WAL of etcd leader": _stall(wal_only=True),
                "stall disk of etcd leader": _stall(wal_only=False)}


def run_mix(faults: int, seed: int, say: Callable[[str], None], make: type[Node] = Node) -> Outcome:
    """Run so many faults; the same seed makes the same faults."""
    contain = os.geteuid() == 0
    with tempfile.TemporaryDirectory(prefix="leaderd-chaos-") as name, ExitStack() as stack:
        directory = Path(name)
        cluster = stack.enter_context(Cluster(3, directory=directory / "etcd"))
        trios = [
            Trio(cluster, directory / "every", "every", ttl=TTL, contain=contain, make=make),
            Trio(cluster, directory / "local", "local", ttl=TTL, contain=contain, local=True, make=make),
        ]
        for trio in trios:
            stack.callback(trio.destroy)
        mix = Mix(cluster, trios, random.Random(seed), say)
        mix.run(faults)
        return mix.outcome
