"""What the observer has seen, in the names of the nodes."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import groupby, pairwise
from pathlib import Path

from leaderd.demo.nodes import tied
from tests.faults.trio import wait_for

_ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer: to which question, when, and whose."""

    number: int
    at: float
    node: str


class Observer:
    """Runs `observer.py` on a bridge.

    Args:
        interface: The bridge of the network.
        address: That is asked for.
        path: Where it writes.
        name_of: Whose hardware address this is.
    """

    def __init__(self, interface: str, address: str, path: Path, name_of: Callable[[str], str]) -> None:
        self._path = path
        self._name_of = name_of
        self._names: dict[str, str] = {}
        command = [sys.executable, "-m", "tests.compose.observer", interface, address, str(path)]
        self._process = subprocess.Popen(tied(command, signal.SIGKILL), cwd=_ROOT)
        wait_for("the observer", path.exists, 20)

    def close(self) -> None:
        self._process.kill()
        self._process.wait()

    def _lines(self) -> list[list[str]]:
        assert self._process.poll() is None, "the observer has ended"
        whole, _, _ = self._path.read_text().rpartition("\n")
        return [line.split() for line in whole.splitlines()]

    def answers(self, since: float = 0.0) -> list[Answer]:
        """Return who answered, oldest first."""
        return [
            Answer(int(words[1]), float(words[2]), self._node(words[3]))
            for words in self._lines() if words[0] == "answer" and float(words[2]) >= since
        ]

    def _node(self, mac: str) -> str:
        if mac not in self._names:
            self._names[mac] = self._name_of(mac)
        return self._names[mac]

    def holder(self) -> str:
        """Return who answers just now; "" for nobody."""
        found = self.answers(now() - 0.3)
        return found[-1].node if found else ""

    def both(self) -> list[Answer]:
        """Return the answers to questions that two nodes have answered: there must be none."""
        answers = self.answers()
        first: dict[int, str] = {}
        for each in answers:
            first.setdefault(each.number, each.node)
        return [each for each in answers if first[each.number] != each.node]

    def turns(self, since: float) -> list[str]:
        """Return who answered, each change once."""
        return [node for node, _ in groupby(each.node for each in self.answers(since))]

    def outage(self, since: float) -> float:
        """Return for how long nobody answered, at the longest, in seconds."""
        times = [since, *(each.at for each in self.answers(since)), now()]
        return max(later - earlier for earlier, later in pairwise(times))

    def slowness(self, since: float) -> float:
        """Return the longest time between two questions: what was shorter may have been missed."""
        asked = [float(words[2]) for words in self._lines() if words[0] == "asked"]
        return max((b - a for a, b in pairwise(asked) if a >= since), default=0.0)


def now() -> float:
    """Return the observer's clock."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)
