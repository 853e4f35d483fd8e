"""What the daemon tells of itself: the status report of docs/interfaces.md §5, the log line, the news."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from leaderd.clock import Clock
from leaderd.core.queue import is_foreign
from leaderd.core.states import State
from leaderd.core.status import Status
from leaderd.plan import Plan
from leaderd.version import VERSION

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
        self._entries[status.election] = _Entry(read, resources, status, _wall_time())

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
            entry.since = _wall_time()
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
        return {
            "name": status.election,
            "state": status.state.value,
            "reason": status.reason,
            "detail": status.detail,
            "leader": status.leader,
            "token": status.token,
            "lease": f"{status.lease:x}" if status.lease else "",
            "guarantee": "at-most-one",
            # Only a leader's remaining lease says anything about leading.
            "valid_for": self.lease_left(status) if status.state is State.LEADER else 0.0,
            "paused": False,
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
        own = {"node": self._plan.node, "state": status.state.value, "reason": status.reason}
        others = [
            {"node": key.node, "reason": "",
             "state": State.LEADER.value if key.node == status.leader else State.CANDIDATE.value}
            for key in status.candidates
            if key.node != self._plan.node
        ]
        return sorted([own, *others], key=lambda node: node["node"])


def _news(status: Status) -> tuple[object, ...]:
    return (status.state, status.reason, status.detail, status.leader, status.token, status.blocked)


def _wall_time() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
