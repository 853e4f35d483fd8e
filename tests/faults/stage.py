"""A stage for hooks: nodes of one election that need not be alike, on which the first leads at once."""

import json
from pathlib import Path
from typing import Any

from leaderd.demo.nodes import Node
from tests.cluster import Cluster
from tests.faults.trio import MARK, WRITER, Trio, election, python, wait_for

MISBEHAVE = Path(__file__).with_name("misbehave.py")


class Stage(Trio):
    """One election, and nodes that come to it one by one."""

    def __init__(self, cluster: Cluster, directory: Path, name: str, ttl: int = 5) -> None:
        super().__init__(cluster, directory, name, ttl=ttl)
        self.nodes = {}

    @property
    def notes(self) -> Path:
        """The writers' journal."""
        return self.directory / "journal"

    def add(self, name: str, command: str | None = None, *, contain: bool = False, more: str = "") -> Node:
        """Start a node with this hook, by default the writer's; return when its agent answers."""
        text = election(
            self.name, self.ttl, command or python(WRITER, str(self.notes)), contain=contain, more=more
        )
        return self.add_text(name, text)

    def add_text(self, name: str, text: str) -> Node:
        """Start a node with this election; return when its agent answers."""
        node = self.nodes[name] = Node(
            name, self.directory / name, self.cluster.endpoints, text,
            environment={MARK: str(self.directory)},
        )
        node.start()
        wait_for(f"an answer of {name}", lambda: bool(self.report(node)), 20)
        return node

    def misbehaves(self, begin: str, end: str = "ok") -> str:
        """Return the command of a misbehaving hook as TOML."""
        return python(MISBEHAVE, begin, end, str(self.notes))

    def wait_state(self, node: Node, *states: str, timeout: float = 20.0) -> dict[str, Any]:
        """Wait until a node is in one of these states; return its report."""
        report: dict[str, Any] = {}

        def there() -> bool:
            nonlocal report
            report = self.report(node)
            return report.get("state") in states

        try:
            wait_for(f"{node.name} to be {' or '.join(states)}", there, timeout)
        except AssertionError as error:
            raise AssertionError(f"{error}: {report}; {self.tails(8)}") from None
        return report

    def wait_held_by(self, node: Node, timeout: float = 0.0) -> None:
        """Wait until a node's writer runs."""
        def held() -> bool:
            return self.leads() and self.last().node == node.name

        try:
            wait_for(f"{node.name} to hold", held, timeout or self.bound)
        except AssertionError as error:
            raise AssertionError(f"{error}: {self.tails(8)}") from None

    def revoke(self, node: Node) -> None:
        """Take a leader's lease away."""
        self.cluster.etcdctl("lease", "revoke", self.report(node)["lease"])

    def record(self) -> dict[str, Any]:
        """Return the holder record."""
        found: dict[str, Any] = json.loads(
            self.cluster.etcdctl("get", f"/leaderd/control/{self.name}/holder", "--print-value-only")
        )
        return found
