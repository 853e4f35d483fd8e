"""What operators and nodes have written about an election: pause, standby, the wish for another leader.

    <root>/control/<name>/paused           stands while nobody may be newly promoted; no lease
    <root>/control/<name>/standby/<node>   stands while the node shall not compete; no lease
    <root>/control/<name>/switchover       {"token": int, "to": str, "reason": str}; on the leader's lease
    <root>/control/<name>/node/<node>      {"state", "reason", "priority", "version", "token"}; on the node's

Anybody with access to etcd may write anything here, so nothing that is read may break an agent. Marks
count by standing there, whatever their value: the conditions of the takeover transaction see them in the
same way. A wish that cannot be read is none.

Source: docs/interfaces.md §8.
"""

import json
from dataclasses import dataclass
from typing import Any

from leaderd.core.records import ControlKey, Snapshot

PAUSED = "paused"
SWITCHOVER = "switchover"
STANDBY_PREFIX = "standby/"
NODE_PREFIX = "node/"

# Nothing longer than this is looked into (characters).
_LONGEST = 10_000


@dataclass(frozen=True, slots=True)
class Intent:
    """The wish that a certain node leads next.

    Attributes:
        token: Of the leader that is to hand over; for any other the wish is void.
        to: The node.
        reason: "switchover" where an operator wishes it, "preempted" where its priority does.
        revision: Mod revision of the key; the node answers with it.
    """

    token: int
    to: str
    reason: str
    revision: int

    def encode(self) -> str:
        """Return the JSON text that stands in etcd; the revision is etcd's."""
        return json.dumps({"token": self.token, "to": self.to, "reason": self.reason})


@dataclass(frozen=True, slots=True)
class NodeReport:
    """What a node says of itself, in the queue or not.

    Attributes:
        node: Its name.
        state: One of docs/interfaces.md §4.
        reason: Why, or "".
        priority: Its own.
        version: Of leaderd.
        token: Fencing token of its term, 0 without one.
    """

    node: str
    state: str
    reason: str = ""
    priority: int = 0
    version: str = ""
    token: int = 0


@dataclass(frozen=True, slots=True)
class Controls:
    """All of it, read.

    Attributes:
        paused: Nobody may be newly promoted.
        standby: Nodes that shall not compete.
        intent: The wish for another leader, or None.
        nodes: What the nodes say of themselves, by name.
    """

    paused: bool = False
    standby: frozenset[str] = frozenset()
    intent: Intent | None = None
    nodes: tuple[NodeReport, ...] = ()

    @staticmethod
    def read(found: tuple[ControlKey, ...]) -> "Controls":
        """Return what these keys say; never raises."""
        if not found:
            return _NOTHING
        names = {key.name for key in found}
        return Controls(
            PAUSED in names,
            frozenset(name.removeprefix(STANDBY_PREFIX) for name in names if name.startswith(STANDBY_PREFIX)),
            next((_intent(key) for key in found if key.name == SWITCHOVER), None),
            tuple(sorted(
                (report for key in found if key.name.startswith(NODE_PREFIX) and (report := _report(key))),
                key=lambda report: report.node,
            )),
        )


_NOTHING = Controls()


def is_barred(snapshot: Snapshot, node: str) -> bool:
    """Return whether a linearizable read shows that this node may not be promoted: paused, or standby."""
    return any(key.name in (PAUSED, STANDBY_PREFIX + node) for key in snapshot.controls)


def _intent(key: ControlKey) -> Intent | None:
    fields = _fields(key)
    token, to = fields.get("token"), fields.get("to")
    if not isinstance(token, int) or not isinstance(to, str) or not to:
        return None
    reason = "preempted" if fields.get("reason") == "preempted" else "switchover"
    return Intent(token, to, reason, key.revision)


def _report(key: ControlKey) -> NodeReport | None:
    fields = _fields(key)
    state, reason, version = (fields.get(name, "") for name in ("state", "reason", "version"))
    priority, token = (fields.get(name, 0) for name in ("priority", "token"))
    if not all(isinstance(text, str) for text in (state, reason, version)) or not state:
        return None
    if not isinstance(priority, int) or not isinstance(token, int):
        return None
    return NodeReport(key.name.removeprefix(NODE_PREFIX), state, reason, priority, version, token)


def _fields(key: ControlKey) -> dict[str, Any]:
    try:
        found = json.loads(key.text) if len(key.text) <= _LONGEST else None
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
