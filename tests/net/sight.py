"""What the watcher has seen: who had an address when, and who answered the client."""

import json
import signal
import subprocess
import sys
import threading
from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

from leaderd.etcd.embedded import tied
from tests.faults.trio import now, wait_for
from tests.net.switch import CLIENT, Switch

WATCHER = Path(__file__).with_name("watcher.py")
ROOT = Path(__file__).parents[2]
# Who has answered within so many seconds is taken to be there.
LATELY = 0.3

# Host, begin, end; the end is infinite while it has the address.
Hold = tuple[str, float, float]


def shared(holds: Sequence[Hold], until: float) -> float:
    """Return for how long at least two hosts had an address at the same time."""
    edges = sorted([(begin, 1) for _, begin, _ in holds] + [(min(end, until), -1) for _, _, end in holds])
    total, count = 0.0, 0
    for (at, step), (later, _) in pairwise([*edges, (until, 0)]):
        count += step
        total += (later - at) * (count > 1)
    return total


class Sight:
    """Reads on what the watcher writes. Any thread may ask.

    Args:
        switch: Its hosts.
        directory: For the watcher's file.
        watched: The addresses.
        hosts: That may have them.
    """

    def __init__(self, switch: Switch, directory: Path, watched: Sequence[str], hosts: Sequence[str]) -> None:
        self._macs = switch.macs
        self._path = directory / "seen"
        self._lock = threading.Lock()
        self._offset = 0
        self._replies: dict[str, list[tuple[float, str]]] = defaultdict(list)
        self._closed: dict[str, list[Hold]] = defaultdict(list)
        self._open: dict[str, dict[str, float]] = defaultdict(dict)
        command = [sys.executable, str(WATCHER), str(self._path), switch.space(CLIENT), ",".join(watched),
                   *(f"{host}={switch.space(host)}" for host in hosts)]
        self._process = subprocess.Popen(tied(command, signal.SIGKILL), cwd=ROOT)
        try:
            wait_for("the watcher", self._path.exists, 30)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait()

    def _read(self) -> None:
        with self._path.open("rb") as file:
            file.seek(self._offset)
            text, _, _ = file.read().rpartition(b"\n")
        self._offset += len(text) + bool(text)
        for line in text.splitlines():
            note = json.loads(line)
            self._take_in(note["kind"], note["address"], note)

    def _take_in(self, kind: str, address: str, note: dict[str, str]) -> None:
        at = float(note["at"])
        if kind == "reply":
            self._replies[address].append((at, self._macs.get(note["mac"], "?")))
        elif kind == "add":
            self._open[address].setdefault(note["node"], at)
        else:
            with suppress(KeyError):
                self._closed[address].append((note["node"], self._open[address].pop(note["node"]), at))

    def holds(self, address: str, since: float = 0.0) -> list[Hold]:
        """Return, in the order of their begins, the times a host had the address that end after `since`."""
        with self._lock:
            self._read()
            found = [*self._closed[address],
                     *((host, at, float("inf")) for host, at in self._open[address].items())]
        return sorted((hold for hold in found if hold[2] > since), key=lambda hold: hold[1])

    def overlap(self, address: str, since: float = 0.0) -> float:
        """Return for how long two hosts had the address at the same time, by their kernels."""
        return shared(self.holds(address, since), now())

    def replies(self, address: str, since: float = 0.0) -> list[tuple[float, str]]:
        """Return when whose reply came."""
        with self._lock:
            self._read()
            all_replies = self._replies[address]
            first = len(all_replies)
            while first and all_replies[first - 1][0] > since:
                first -= 1
            return all_replies[first:]

    def holder(self, address: str) -> str:
        """Return which host answers just now, "" for none."""
        replies = self.replies(address, now() - LATELY)
        return replies[-1][1] if replies else ""

    def outage(self, address: str, since: float, until: float) -> float:
        """Return for how long at most the client got no answer between two instants.

        What had begun before counts from the last answer before.
        """
        times = [at for at, _ in self.replies(address, since - LATELY) if at < until]
        gaps = [later - at for at, later in pairwise([*times, until]) if later > since]
        return max(gaps, default=until - since)
