"""Runs many schedules on several processes and adds up what happened."""

import gc
import multiprocessing
import time
from collections import Counter
from dataclasses import dataclass, field

from tests.sim.world import World

CHUNK = 100


@dataclass
class Summary:
    """What many schedules came to."""

    schedules: int = 0
    seconds: float = 0.0
    simulated: float = 0.0
    events: int = 0
    longest_wait: float = 0.0
    counts: Counter[str] = field(default_factory=Counter)
    violations: list[tuple[int, str]] = field(default_factory=list)

    def add(self, other: "Summary") -> None:
        """Add another part of the same run."""
        self.schedules += other.schedules
        self.simulated += other.simulated
        self.events += other.events
        self.longest_wait = max(self.longest_wait, other.longest_wait)
        self.counts.update(other.counts)
        self.violations.extend(other.violations)


def run_chunk(span: tuple[int, int]) -> Summary:
    """Run the schedules of one range of seeds."""
    summary = Summary()
    gc.disable()
    for seed in range(*span):
        result = World(seed).run()
        summary.schedules += 1
        summary.simulated += result.duration
        summary.events += result.events
        summary.longest_wait = max(summary.longest_wait, result.waited)
        summary.counts.update(result.counts)
        summary.violations.extend((seed, violation) for violation in result.violations)
        if seed % 20 == 0:
            gc.collect()
    gc.enable()
    return summary


def run_many(first: int, count: int, *, jobs: int = 2) -> Summary:
    """Run `count` schedules from seed `first` on."""
    spans = [(start, min(start + CHUNK, first + count)) for start in range(first, first + count, CHUNK)]
    total = Summary()
    begun = time.perf_counter()
    if jobs > 1:
        with multiprocessing.get_context("spawn").Pool(jobs) as pool:
            for part in pool.imap_unordered(run_chunk, spans):
                total.add(part)
    else:
        for span in spans:
            total.add(run_chunk(span))
    total.seconds = time.perf_counter() - begun
    total.violations.sort()
    return total


def report(summary: Summary) -> str:
    """Return the summary as text."""
    rate = summary.schedules / max(summary.seconds, 1e-9)
    lines = [(f"{summary.schedules} schedules in {summary.seconds:.1f} s: {rate:.1f} a second, "
             f"{summary.events / max(1, summary.schedules):.0f} events and "
             f"{summary.simulated / max(1, summary.schedules):.1f} simulated seconds each; "
             f"longest wait for a leader {summary.longest_wait:.1f} s")]
    lines += [f"  {count:8d}  {what}" for what, count in sorted(summary.counts.items())]
    lines += [f"  VIOLATION seed {seed}: {what}" for seed, what in summary.violations[:40]]
    lines.append(f"{len(summary.violations)} violations")
    return "\n".join(lines)
