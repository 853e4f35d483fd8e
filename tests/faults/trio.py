"""Three real daemons over real etcd, and what the writers of their hooks have seen."""

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from leaderd.api.client import fetch_status
from leaderd.core.records import HolderRecord
from leaderd.demo.journal import Hold, overlaps, tokens_grow
from leaderd.demo.nodes import Node, descendants
from leaderd.errors import LeaderdError
from tests.cluster import Cluster

ROOT = Path(__file__).resolve().parents[2]
WRITER = Path(__file__).with_name("writer.py")
# Whatever a node starts inherits this variable, so that nothing of it can hide.
MARK = "FAULTS_OF"
_LOOK = 0.03
# Machines that run tests are busy: a node has this long to come back after whatever was done to it.
SETTLE = 60.0


def now() -> float:
    """Return the clock that the writers note, in seconds."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def python(program: Path, *arguments: str) -> str:
    """Return a hook's command as TOML."""
    return json.dumps([sys.executable, "-I", "-S", str(program), *arguments])


def election(name: str, ttl: int, command: str, *, contain: bool = False, more: str = "") -> str:
    """Return the configuration of an election with one script resource; `more` goes into the election."""
    return (f'[[election]]\nname = "{name}"\nttl = {ttl}\n{more}\n'
            f'[[election.resource]]\nname = "writer"\ntype = "script"\n'
            f"command = {command}\ncontain = {str(contain).lower()}\n")


def nobody_holds(cluster: Cluster, name: str, ttl: int = 5, *flags: str) -> None:
    """Leave a record that says so in an election, as no first window need be waited for then.

    Args:
        cluster: Etcd.
        name: Of the election.
        ttl: Of the holder that there was not, whole seconds.
        flags: Of etcdctl.
    """
    record = HolderRecord(1, "nobody", 1, "released", ttl, float(ttl), float(ttl), 0.1)
    cluster.etcdctl(*flags, "put", f"/leaderd/control/{name}/holder", record.encode())


def wait_for(what: str, done: Callable[[], bool], timeout: float) -> None:
    """Look until it is so; AssertionError when it is not within `timeout` seconds."""
    until = now() + timeout
    while not done():
        assert now() < until, f"waited {timeout:g} s for {what} in vain"
        time.sleep(_LOOK)


class Journal:
    """The writers' journal, read on from where it was left."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0
        self._holds: dict[tuple[str, int], Hold] = {}

    def holds(self) -> list[Hold]:
        """Return all terms so far, in the order of their starts."""
        if self._path.exists():
            with self._path.open("rb") as file:
                file.seek(self._offset)
                text, _, _ = file.read().rpartition(b"\n")
            self._offset += len(text) + bool(text)
            for line in text.splitlines():
                self._take_in(json.loads(line))
        return sorted(self._holds.values(), key=lambda hold: hold.start_at)

    def _take_in(self, note: dict[str, Any]) -> None:
        key = (note["node"], note["token"])
        if note["event"] == "start":
            self._holds[key] = Hold(*key, note["at"], note["at"])
        elif key in self._holds:
            self._holds[key].end_at = max(self._holds[key].end_at, note["at"])


class Trio:
    """Three nodes that compete for one election, which nobody holds at first.

    Args:
        cluster: Etcd.
        directory: For everything of theirs.
        name: Of the election.
        ttl: Whole seconds.
        contain: Whether the writer runs contained.
        local: Every node knows only the member of its own number, as with etcd on the same three hosts.
        make: Makes a node; a class like `Node`.
        more: Further lines of the election, which may be resources that start before the writer.
    """

    def __init__(
        self, cluster: Cluster, directory: Path, name: str, *, ttl: int = 5, contain: bool = False,
        local: bool = False, make: Callable[..., Node] = Node, more: str = "",
    ) -> None:
        self.cluster = cluster
        self.name = name
        self.ttl = ttl
        self.contain = contain
        self.directory = directory
        directory.mkdir(parents=True)
        self.journal = Journal(directory / "journal")
        text = election(name, ttl, python(WRITER, str(directory / "journal")), contain=contain,
                        more=more)
        ends = cluster.endpoints
        self.nodes = {
            node: make(
                node, directory / node, [ends[i % len(ends)]] if local else ends, text,
                environment={MARK: str(directory)},
            )
            for i, node in enumerate("abc")
        }
        self._started_at: dict[str, float] = {}
        self._since = 0.0
        nobody_holds(cluster, name, ttl)

    @property
    def bound(self) -> float:
        """Seconds within which somebody leads again once no fault is left: docs/design.md §8.2, and noise."""
        return 2 * self.ttl + 5.0 + 3.0

    def start(self) -> None:
        """Start all nodes; wait for a leader and two candidates."""
        self.settle()

    def stop(self) -> None:
        """Stop all nodes in order; assert that they ended well and left nothing behind."""
        for node in self.nodes.values():
            if node.running:
                node.stop()
        codes = {name: node.wait(30) for name, node in self.nodes.items()}
        wait_for("the end of all that the nodes have started", lambda: not self.marked(), 10)
        assert set(codes.values()) == {0}, f"exit codes {codes}: {self.tails()}"

    def destroy(self) -> None:
        """Kill whatever is left, whatever state it is in."""
        for node in self.nodes.values():
            if node.running:
                node.kill()
        for pid in self.marked():
            _kill(pid)

    # --- what they say and do ---

    def holds(self) -> list[Hold]:
        """Return all terms so far."""
        return self.journal.holds()

    def last(self) -> Hold:
        """Return the newest term."""
        return self.holds()[-1]

    def leader(self) -> Node:
        """Return the node of the newest term."""
        return self.nodes[self.last().node]

    def index(self, node: Node) -> int:
        """Return a node's number, which with `local` is its member's too."""
        return list(self.nodes).index(node.name)

    def report(self, node: Node, number: int = 0) -> dict[str, Any]:
        """Return a node's view of one of its elections, empty when it does not answer."""
        try:
            found: dict[str, Any] = fetch_status(str(node.socket), timeout=0.5)["elections"][number]
        except LeaderdError:
            return {}
        return found

    def leads(self) -> bool:
        """Whether the writer of the newest term runs."""
        holds = self.holds()
        return bool(holds) and now() - holds[-1].end_at < 0.5

    def settle(self, timeout: float = SETTLE) -> None:
        """Start whatever is down; wait for a leader that holds, two candidates, and nothing astray."""
        why = "nothing was looked at"

        def steady() -> bool:
            nonlocal why
            self.revive()
            reports = {name: self.report(node) for name, node in self.nodes.items()}
            states = sorted(report.get("state", "no answer") for report in reports.values())
            why = f"states {states}"
            if states != ["candidate", "candidate", "leader"] or not self.leads():
                return False
            leading = [name for name, report in reports.items() if report["state"] == "leader"]
            why = f"{leading} lead by their status, {self.last().node} by the journal"
            if leading != [self.last().node]:
                return False
            why = f"astray: {self.strays()}"
            return not self.strays()

        try:
            wait_for("a leader and two candidates", steady, timeout)
        except AssertionError as error:
            raise AssertionError(f"{error}: {why}; {self.tails()}") from None

    def revive(self) -> None:
        """Start whichever node is down, not more often than every second."""
        for name, node in self.nodes.items():
            if not node.running and now() - self._started_at.get(name, 0.0) > 1.0:
                self._started_at[name] = now()
                node.start()

    def next_term(self, old: Hold, bound: float) -> Hold:
        """Wait for a term after `old`.

        Returns:
            The newest.
        """
        try:
            wait_for("the next term", lambda: self.last().token > old.token, bound)
        except AssertionError as error:
            states = {name: self.report(node).get("state") for name, node in self.nodes.items()}
            raise AssertionError(f"{error}: {states}; {self.tails()}") from None
        return self.last()

    # --- what must hold ---

    def forgive(self) -> None:
        """Look at terms from the newest one on only: the case before was outside the promise."""
        self._since = self.last().start_at

    def check(self) -> None:
        """Assert the promise over all terms."""
        holds = [hold for hold in self.holds() if hold.start_at >= self._since]
        found = overlaps(holds)
        assert not found, f"{self.describe(found)}; {self.tails()}"
        assert tokens_grow(holds), f"tokens do not grow: {holds}"

    @staticmethod
    def describe(found: list[tuple[Hold, Hold, float]]) -> str:
        """Return overlaps in words."""
        return "; ".join(
            f"{first.node} ({first.token}) and {second.node} ({second.token}) both held for {seconds:.3f} s"
            for first, second, seconds in found
        )

    def marked(self) -> list[int]:
        """Return all processes that stem from any of the nodes and are no zombies."""
        mark = f"{MARK}={self.directory}\0".encode()
        found = []
        for name in os.listdir("/proc"):
            try:
                if name.isdigit() and mark in Path(f"/proc/{name}/environ").read_bytes() + b"\0":
                    found.append(int(name))
            except OSError:
                continue
        return found

    def strays(self) -> list[tuple[int, str]]:
        """Return what stems from the nodes but hangs below none of the guards that run."""
        kept: set[int] = set()
        for node in self.nodes.values():
            if node.running:
                kept |= {node.guard, *descendants(node.guard)}
        return [(pid, command(pid)) for pid in self.marked() if _below(pid, kept) is False]

    def tails(self, lines: int = 4) -> str:
        """Return the ends of the logs."""
        found = []
        for name, node in self.nodes.items():
            text = node.log.read_text(errors="replace").splitlines() if node.log.exists() else []
            found += [f"\n{name}: {line[:300]}" for line in text[-lines:]]
        return "".join(found)


def command(pid: int) -> str:
    """Return a process's command line, "" when it is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""




def _below(pid: int, kept: set[int]) -> bool | None:
    """Return whether a process hangs below any of these; None when it has ended."""
    while pid > 1:
        if pid in kept:
            return True
        try:
            stat = Path(f"/proc/{pid}/stat").read_text()
        except OSError:
            return None
        pid = int(stat.rpartition(")")[2].split()[1])
    return False


def _kill(pid: int) -> None:
    try:
        os.kill(pid, 9)
    except ProcessLookupError:
        return
