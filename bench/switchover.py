"""Planned, targeted changes of leader: how long nobody holds, and whether the named node is the next."""

from collections.abc import Iterator
from itertools import cycle
from statistics import median

from bench.cluster import running
from leaderd.api.client import switch_over
from leaderd.demo.journal import tokens_grow


def figures(count: int) -> Iterator[str]:
    """Hand over `count` times, asked at any of the nodes; yields lines of a Markdown table.

    The first gap is the daemons' own, from the end of the last stop to the beginning of the first start; the
    second also holds what the start hook, a shell, takes until its first line.
    """
    gaps, hooks, missed = [], [], 0
    with running(10) as cluster:
        asked = cycle(cluster.nodes.values())
        for _ in range(count):
            old, leader = cluster.holds()[-1], cluster.leader().name
            to = next(name for name in "abcab" if name > leader or leader == "c")
            *_, last = switch_over(str(next(asked).socket), "bench", to, timeout=30)
            new = cluster.next_hold(old)
            stopped = next(hold for hold in cluster.holds() if hold.token == old.token)
            gaps.append(last["gap"] * 1000)
            hooks.append((new.start_at - stopped.end_at) * 1000)
            missed += new.node != to
            cluster.wait(lambda: cluster.states() == ["candidate", "candidate", "leader"])
        holds = cluster.holds()
    yield "| from … to | runs | median ms | maximum ms | aim |"
    yield "|---|---|---|---|---|"
    yield f"| stopped → start begun | {count} | {median(gaps):.0f} | {max(gaps):.0f} | ≤ 30 ms |"
    yield f"| stop hook done → start hook's first line | {count} | {median(hooks):.0f} | {max(hooks):.0f} | |"
    yield ""
    yield f"{missed} of {count} landed elsewhere; {len(holds)} terms, tokens grow: {tokens_grow(holds)}"
