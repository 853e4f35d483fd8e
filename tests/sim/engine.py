"""The discrete-event engine: a virtual true time, one queue of calls, one source of randomness."""

import random
from collections.abc import Callable
from heapq import heappop, heappush
from typing import Any


class Engine:
    """Runs calls in the order of their true time; the same seed gives the same run."""

    __slots__ = ("_count", "_heap", "events", "lines", "now", "rng", "uniform")

    def __init__(self, seed: int, *, trace: bool = False) -> None:
        self.now = 0.0
        self.rng = random.Random(seed)
        self.uniform = self.rng.uniform
        self.lines: list[str] | None = [] if trace else None
        self.events = 0
        self._heap: list[tuple[float, int, Callable[..., None], tuple[Any, ...]]] = []
        self._count = 0

    def after(self, delay: float, call: Callable[..., None], *args: Any) -> None:
        """Make `call` happen in `delay` seconds of true time."""
        self._count += 1
        heappush(self._heap, (self.now + delay, self._count, call, args))

    def run(self, until: float) -> None:
        """Run everything up to the true time `until`."""
        heap = self._heap
        while heap and heap[0][0] <= until:
            self.now, _, call, args = heappop(heap)
            self.events += 1
            call(*args)
        self.now = max(self.now, until)

    def drop(self) -> None:
        """Forget everything that was still to happen: the schedule is over."""
        self._heap.clear()

    def chance(self, probability: float) -> bool:
        """Return True with this probability."""
        return self.rng.random() < probability

    def note(self, who: str, text: str) -> None:
        """Write one line of the trace, if there is one."""
        if self.lines is not None:
            self.lines.append(f"{self.now:9.3f}  {who:<8} {text}")
