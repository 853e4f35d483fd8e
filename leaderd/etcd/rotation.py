"""New endpoints and credentials, from a reload or from files that were replaced, without losing a leadership.

The old ones stay in use until the new ones have proved themselves by a login, where there is a user, and a
linearizable read. Until then they are tried again and again: it does not matter whether a certificate or a
password is changed here first or at etcd. What is under way on an old endpoint goes on there; sessions keep
their leases and ask the new ones from their next renewal on.

The files are looked at in a thread: a file system that hangs must not hold up a renewal.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final

from leaderd.errors import ConfigError, EtcdError
from leaderd.etcd.access import Access, check_tls, files_of, read_access
from leaderd.etcd.client import Endpoint, EtcdClient
from leaderd.etcd.ops import Range
from leaderd.plan import EtcdPlan, Plan

# From one look at the files to the next, seconds: with the trial well within what a lease of 10 s allows.
_PERIOD: Final = 1.0
# A wrong password costs etcd's members 0.1 s of work each time, so the next trial comes later.
_PERIOD_AFTER_FAILURE: Final = 2.0
_TIMEOUT: Final = 2.0


class Rotation:
    """Keeps the access of a client as plan and files say.

    Args:
        client: The cluster; its access was read by the same plan.
        plan: Its `etcd`, and the prefix that we may read.
        log: Takes level, event and fields.
    """

    def __init__(self, client: EtcdClient, plan: Plan, log: Callable[..., None]) -> None:
        self._client = client
        self._log = log
        self._wanted = plan.etcd
        self._changed = asyncio.Event()
        # One key that nobody writes: the read is to cost nothing.
        self._probe = Range(f"{plan.root}/", f"{plan.root}/\0")
        self._in_use: tuple[EtcdPlan, tuple[tuple[int, ...], ...]] | None = None
        self._cluster_id = 0
        self._problem = ""

    def change(self, plan: Plan) -> None:
        """Use another access as soon as it has proved itself."""
        self._wanted = plan.etcd
        self._changed.set()

    async def run(self) -> None:
        """Look for what has changed until cancelled."""
        while True:
            await self._look()
            with suppress(TimeoutError):
                async with asyncio.timeout(_PERIOD_AFTER_FAILURE if self._problem else _PERIOD):
                    await self._changed.wait()
            self._changed.clear()

    async def _look(self) -> None:
        wanted = self._wanted
        try:
            # Before they are read: what is written to them meanwhile is then seen by the next look.
            files = await asyncio.to_thread(files_of, wanted)
            if not self._cluster_id:
                answers = await self._ask_all(self._client.endpoints)
                self._cluster_id = next((each for _, each in answers if isinstance(each, int)), 0)
            if (wanted, files) != self._in_use:
                access = await asyncio.to_thread(_whole_access, wanted)
                if access != self._client.access:
                    await self._replace(access)
                self._in_use = wanted, files
        except (ConfigError, EtcdError, OSError) as error:
            if str(error) != self._problem:
                self._log("warning", "etcd access not renewed, the old one stays in use", detail=str(error))
            self._problem = str(error)
        else:
            self._problem = ""

    async def _replace(self, access: Access) -> None:
        candidates = self._client.candidates(access)
        first = None
        try:
            first = await self._proven(candidates)
        finally:
            if first is None:
                fresh = set(candidates) - set(self._client.endpoints)
                await asyncio.gather(*(each.close() for each in fresh))
        self._client.adopt(access, candidates, first)
        self._log("info", "etcd access renewed", endpoints=", ".join(each.url for each in candidates))

    async def _proven(self, candidates: Sequence[Endpoint]) -> Endpoint:
        """Return one that answers.

        Raises:
            EtcdError: None does, or one belongs to another cluster: there this node would lead alone.
        """
        answers = await self._ask_all(candidates)
        found = {endpoint: answer for endpoint, answer in answers if isinstance(answer, int)}
        for endpoint, cluster_id in found.items():
            if self._cluster_id not in (0, cluster_id):
                raise EtcdError(
                    f"{endpoint.url} belongs to etcd cluster {cluster_id:x}, not {self._cluster_id:x}; "
                    "restart to change clusters"
                )
        if not found:
            raise EtcdError("; ".join(str(answer) for _, answer in answers))
        return next(iter(found))

    async def _ask_all(self, endpoints: Sequence[Endpoint]) -> list[tuple[Endpoint, int | EtcdError]]:
        """Return each with the id of its cluster, or what it said instead."""
        answers = await asyncio.gather(*map(self._ask, endpoints))
        return list(zip(endpoints, answers, strict=True))

    async def _ask(self, endpoint: Endpoint) -> int | EtcdError:
        try:
            return (await endpoint.read(self._probe, _TIMEOUT)).header.cluster_id
        except EtcdError as error:
            return error


def _whole_access(plan: EtcdPlan) -> Access:
    check_tls(plan)
    return read_access(plan)
