"""A daemon's status without the daemon."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from leaderd.plan import ApiPlan, EtcdPlan, Plan


def election(
    name: str = "db", state: str = "leader", valid_for: float = 3.9, token: int = 1234
) -> dict[str, Any]:
    """Return one election as docs/interfaces.md §5 has it."""
    return {
        "name": name,
        "state": state,
        "reason": "elected",
        "detail": "",
        "leader": "a",
        "token": token,
        "lease": "694d8a",
        "guarantee": "at-most-one",
        "valid_for": valid_for,
        "paused": False,
        "healthy": True,
        "since": "2026-11-22T20:00:00Z",
        "blocked": "",
        "candidates": [
            {"node": "a", "priority": 100, "revision": 1234, "foreign": False},
            {"node": "b", "priority": 50, "revision": 1240, "foreign": False},
        ],
        "nodes": [
            {"node": "a", "state": state, "reason": ""},
            {"node": "c", "state": "standby", "reason": "unhealthy"},
        ],
        "resources": [{"name": "app", "type": "script", "state": "started"}],
    }


class FakeSource:
    """A `StatusSource` that says what a test sets."""

    def __init__(self, *elections: dict[str, Any]) -> None:
        self.elections = list(elections or [election()])
        self._changed = asyncio.Event()
        self._ended = False

    def report(self) -> dict[str, Any]:
        return {
            "node": "a",
            "version": "0.1.0",
            "boot_id": "b00t",
            "pids": {"guard": 100, "agent": 101},
            "elections": [dict(each) for each in self.elections],
            "warnings": [],
        }

    async def subscribe(self) -> AsyncIterator[dict[str, Any]]:
        while True:
            changed = self._changed
            yield self.report()
            await changed.wait()

    def set(self, *elections: dict[str, Any]) -> None:
        self.elections = list(elections)
        self._changed.set()
        self._changed = asyncio.Event()

    async def turn_over(self, changes: int) -> None:
        """Change the token so many times, each seen by whoever follows."""
        for token in itertools.islice(itertools.count(2000), changes):
            self.set(election(token=token))
            await asyncio.sleep(0)


def plan(socket: Path, group: str = "") -> Plan:
    """Return a plan whose API listens at `socket`."""
    return Plan(
        node="a",
        root="/leaderd",
        state_dir="/nowhere",
        log="json",
        log_level="info",
        etcd=EtcdPlan(("http://127.0.0.1:1",)),
        api=ApiPlan(str(socket), group),
        elections=(),
    )
