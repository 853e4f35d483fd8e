"""A daemon's status without the daemon."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from leaderd.api.control import SwitchoverStep
from leaderd.errors import RefusedError, UnreachableError
from leaderd.plan import ApiPlan, EtcdPlan, Plan, ResourcePlan
from tests.config.helpers import good, loaded


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
        "proven": True,
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


class FakeControl:
    """A `Control` without etcd: what reaches it, and what the API makes of each outcome, is looked at here.

    The whole way, daemons and etcd included, is in tests/faults/test_verbs.py.

    Attributes:
        calls: What was asked for, method first.
        error: Raised by every method, where it is set.
        steps: What a switchover yields before it waits for `go`, and then ends with `last`.
    """

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.error: Exception | None = None
        self.steps = [SwitchoverStep("a is asked to hand over to b", leader="a", token=1234)]
        self.last = SwitchoverStep("b leads", leader="b", token=1240, gap=0.012, done=True)
        self.go = asyncio.Event()
        self.go.set()
        self.ended = asyncio.Event()

    async def switchover(self, election: str, to: str) -> AsyncIterator[SwitchoverStep]:
        try:
            await self._asked("switchover", election, to)
            for step in self.steps:
                yield step
            await self.go.wait()
            yield self.last
        finally:
            self.ended.set()

    async def set_standby(self, election: str, node: str, *, standby: bool, force: bool) -> None:
        await self._asked("standby" if standby else "online", election, node, force)

    async def set_paused(self, election: str, *, paused: bool) -> None:
        await self._asked("pause" if paused else "resume", election)

    async def history(self, election: str, limit: int) -> list[dict[str, Any]]:
        await self._asked("history", election, limit)
        return [
            {"token": 1240, "node": "b", "from": "2026-11-22T20:00:09Z", "to": "", "reason": "",
             "gap": 0.012, "clean": False},
            {"token": 1234, "node": "a", "from": "2026-11-22T20:00:00Z", "to": "2026-11-22T20:00:09Z",
             "reason": "switchover", "gap": None, "clean": True},
        ]

    async def newest_token(self, election: str) -> int:
        await self._asked("newest_token", election)
        return 1234

    async def raise_epoch(self, election: str) -> int:
        await self._asked("raise_epoch", election)
        return 2

    async def _asked(self, *call: Any) -> None:
        self.calls.append(call)
        if self.error is not None:
            raise self.error


REFUSED = RefusedError("nobody is fit to take over: b is on standby; bring it back with leaderd online")
UNREACHABLE = UnreachableError("etcd cannot say: http://127.0.0.1:1: no answer within 2 s")


def plan(socket: Path, group: str = "") -> Plan:
    """Return a plan whose API listens at `socket`, with elections of every name that tests use."""
    app = ResourcePlan("app", "script", {"command": ["/bin/true"], "contain": False})
    one = replace(loaded(good()).plan.elections[0], resources=(app,))
    return Plan(
        node="a",
        root="/leaderd",
        state_dir="/nowhere",
        log="json",
        log_level="info",
        etcd=EtcdPlan(("http://127.0.0.1:1",)),
        api=ApiPlan(str(socket), group),
        elections=tuple(replace(one, name=name) for name in ("db", "web")),
    )
