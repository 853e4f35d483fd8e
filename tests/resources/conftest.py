"""Real hooks, real processes: an election's resources as the agent builds them."""

import asyncio
import os
import stat
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from leaderd.clock import BootClock
from leaderd.core.actions import StartResources, StopResources
from leaderd.core.events import Event
from leaderd.core.lease import Lease, Timing
from leaderd.plan import CheckPlan, ElectionPlan, NotifyPlan, ResourcePlan
from leaderd.resources.build import Site, build
from leaderd.resources.check import HealthCheck
from leaderd.resources.contain import Pods
from leaderd.resources.group import ResourceGroup
from leaderd.resources.notify import Notifier

CLOCK = BootClock()
TOKEN = 7
LEASE = 0x694D8A


def may_contain() -> bool:
    """Whether this process may make PID namespaces."""
    with open("/proc/self/status", encoding="ascii") as file:
        effective = next(int(line.split()[1], 16) for line in file if line.startswith("CapEff"))
    return bool(effective >> 21 & 1)


@dataclass
class Rig:
    """One election's resources, what they posted, and what they logged."""

    directory: Path
    lines: list[tuple[str, str, dict[str, Any]]] = field(default_factory=list)
    events: "asyncio.Queue[Event]" = field(default_factory=asyncio.Queue)
    pods: Pods = field(init=False)
    group: ResourceGroup = field(init=False)
    notifier: Notifier = field(init=False)
    check: HealthCheck = field(init=False)

    def log(self, level: str, event: str, **fields: object) -> None:
        self.lines.append((level, event, fields))

    def output(self) -> list[str]:
        return [fields["line"] for _, event, fields in self.lines if event == "hook output"]

    def script(self, name: str, text: str) -> tuple[str, ...]:
        path = self.directory / name
        path.write_text(f"#!/bin/sh\ncd {self.directory}\n{text}\n")
        path.chmod(path.stat().st_mode | stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH)
        return (str(path),)

    def build(
        self,
        *resources: ResourcePlan,
        notify: NotifyPlan | None = None,
        check: CheckPlan | None = None,
        start_timeout: float = 20.0,
    ) -> ResourceGroup:
        plan = ElectionPlan(
            name="db", ttl=10, retry_period=1.2, attempt_timeout=1.0, hedge_after=0.35, stop_timeout=2.0,
            kill_time=0.5, start_timeout=start_timeout, margin=0.3, clock_drift=0.1,
            resources=resources, notify=notify, check=check,
        )
        timing = Timing(
            ttl=10, retry_period=1.2, attempt_timeout=1.0, hedge_after=0.35, stop_timeout=2.0,
            kill_time=0.5, start_timeout=start_timeout,
        )
        self.pods = Pods("db", CLOCK, self.log)
        site = Site("a", str(self.directory), CLOCK, self.log, self.pods)
        parts = build(plan, timing, site, self.events.put_nowait)
        self.group, self.notifier, self.check = parts.group, parts.notifier, parts.check
        return self.group

    def begin_start(self, token: int = TOKEN) -> None:
        lease = Lease(LEASE, Timing.scaled(10), CLOCK.now())
        self.group.perform(StartResources(token, lease, "elected", "b"))

    def begin_stop(self, token: int = TOKEN, within: float = 20.0, reason: str = "shutdown") -> None:
        self.group.perform(StopResources(token, CLOCK.now().plus(within), reason))

    async def event(self) -> Event:
        async with asyncio.timeout(60):
            return await self.events.get()

    async def start(self) -> Event:
        self.begin_start()
        return await self.event()

    async def stop(self, within: float = 20.0) -> Event:
        self.begin_stop(within=within)
        return await self.event()

    async def close(self) -> None:
        await self.notifier.close(CLOCK.now())
        await self.check.close(CLOCK.now().plus(10))
        await self.group.close(CLOCK.now().plus(10))

    async def text(self, name: str, lines: int = 1) -> str:
        """Wait until a file of the rig has so many lines."""
        path = self.directory / name
        await until(lambda: path.exists() and path.read_text().count("\n") >= lines)
        return path.read_text()


def script(name: str, command: tuple[str, ...], **settings: Any) -> ResourcePlan:
    """A script resource called with start, stop and monitor."""
    return ResourcePlan(name, "script", {"command": list(command), "monitor_interval": 0.0, **settings})


async def until(condition: Callable[[], object], seconds: float = 30.0) -> None:
    """Wait until a condition holds."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)


needs_namespaces = pytest.mark.skipif(not may_contain(), reason="needs CAP_SYS_ADMIN for PID namespaces")


def runs(mark: str) -> list[int]:
    """Pids on this host whose command line holds `mark`, ended ones left out."""
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            command = Path(f"/proc/{name}/cmdline").read_bytes()
            state = Path(f"/proc/{name}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            continue
        if mark.encode() in command and state != "Z" and int(name) != os.getpid():
            found.append(int(name))
    return found


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    rig = Rig(tmp_path)
    yield rig
    await rig.close()
