"""What the daemon tells of itself: the status report of docs/interfaces.md §5, the log line, the news."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

from leaderd.clock import Clock
from leaderd.core.queue import is_foreign
from leaderd.core.states import State
from leaderd.core.status import Status
from leaderd.plan import Plan
from leaderd.version import VERSION
from leaderd.wall import wall_time

States = Callable[[], list[tuple[str, str, str]]]


@dataclass(slots=True)
class _Entry:
    read: Callable[[], Status]
    resources: States
    last: Status
    since: str


class Report:
    """Keeps the newest status of every election and wakes whoever follows.

    Args:
        plan: Names the node.
        clock: `valid_for` is computed when asked for, never when the status was published.
        pids: Process ids of guard and agent.
        boot_id: Of this boot.
    """

    def __init__(self, plan: Plan, clock: Clock, pids: dict[str, int], boot_id: str) -> None:
        self._plan = plan
        self._clock = clock
        self._head: dict[str, Any] = {
            "node": plan.node, "version": VERSION, "boot_id": boot_id, "pids": pids,
        }
        self._entries: dict[str, _Entry] = {}
        self._changed = asyncio.Event()

    def add(self, read: Callable[[], Status], resources: States) -> None:
        """Begin to report an election.

        Args:
            read: Gives its status; asked for every report, since a renewal moves the deadline and
                is no news.
            resources: Gives name, kind and state of each resource.
        """
        status = read()
        self._entries[status.election] = _Entry(read, resources, status, wall_time())

    def warn(self, warnings: list[str]) -> None:
        """Report what is allowed but may surprise, a sentence each."""
        self._head = {**self._head, "warnings": warnings}

    def update(self, status: Status) -> bool:
        """Take in a new status.

        Returns:
            Whether it is worth a log line: more than the queue has changed.
        """
        entry = self._entries[status.election]
        old, entry.last = entry.last, status
        if old.state is not status.state:
            entry.since = wall_time()
        self._changed.set()
        self._changed = asyncio.Event()
        return _news(old) != _news(status)

    def report(self) -> dict[str, Any]:
        """Return the JSON of docs/interfaces.md §5, true at this moment."""
        return {**self._head, "elections": [self._election(entry) for entry in self._entries.values()]}

    async def subscribe(self) -> AsyncIterator[dict[str, Any]]:
        """Yield the report now and after every change; a slow reader misses what is in between."""
        while True:
            changed = self._changed
            yield self.report()
            await changed.wait()

    def lease_left(self, status: Status) -> float:
        """Return the seconds until `stop_at`; 0 without a session."""
        return round(self._clock.now().left_until(status.stop_at), 3) if status.stop_at else 0.0

    def _election(self, entry: _Entry) -> dict[str, Any]:
        status = entry.read()
        left = self.lease_left(status)
        return {
            "name": status.election,
            "state": status.state.value,
            "reason": status.reason,
            "detail": status.detail,
            "leader": status.leader,
            "token": status.token,
            # A session ends at its `stop_at` (R12), also when whoever would end it was stopped meanwhile.
            "lease": f"{status.lease:x}" if status.lease and left > 0 else "",
            "guarantee": status.guarantee,
            "proven": status.proven,
            # Only a leader's remaining lease says anything about leading.
            "valid_for": left if status.state is State.LEADER else 0.0,
            "paused": status.paused,
            "healthy": status.healthy and status.state is not State.FENCED,
            "since": entry.since,
            "blocked": status.blocked,
            "candidates": [
                {"node": key.node, "priority": key.priority, "revision": key.create_revision,
                 "foreign": is_foreign(key)}
                for key in status.candidates
            ],
            "nodes": self._nodes(status),
            "resources": [
                {"name": name, "type": kind, "state": state} for name, kind, state in entry.resources()
            ],
        }

    def _nodes(self, status: Status) -> list[dict[str, str]]:
        """Return every node that is known of: this one, those in the queue, those that say how they are."""
        found = {report.node: {"node": report.node, "state": report.state, "reason": report.reason}
                 for report in status.nodes}
        for key in status.candidates:
            state = State.LEADER if key.node == status.leader else State.CANDIDATE
            found[key.node] = {"node": key.node, "state": state.value, "reason": ""}
        own = self._plan.node
        found[own] = {"node": own, "state": status.state.value, "reason": status.reason}
        return [found[node] for node in sorted(found)]


def _news(status: Status) -> tuple[object, ...]:
    return (status.state, status.reason, status.detail, status.leader, status.token, status.blocked,
            status.paused)


def presence_text(status: Status, priority: int) -> str:
    """Return what a node says of itself in etcd: docs/interfaces.md §8, `node/<node>`."""
    own = status.state in (State.PROMOTING, State.LEADER, State.DEMOTING)
    return json.dumps({
        "state": status.state.value, "reason": status.reason, "priority": priority, "version": VERSION,
        "token": status.token if own else 0,
    })
