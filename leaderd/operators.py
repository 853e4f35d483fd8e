"""What operators may ask of this daemon: their requests, for all of its elections."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import asdict
from typing import Any

from leaderd.api.control import SwitchoverStep
from leaderd.errors import RefusedError
from leaderd.etcd.control import ElectionControl


class Operators:
    """Implements `api.control.Control`.

    Args:
        node: Of this node.
    """

    def __init__(self, node: str) -> None:
        self._node = node
        self._elections: dict[str, ElectionControl] = {}
        self._epochs: dict[str, Callable[[], int]] = {}

    def add(self, election: str, control: ElectionControl, epoch: Callable[[], int]) -> None:
        """Take requests for an election; `epoch` gives the highest that this node knows of."""
        self._elections[election], self._epochs[election] = control, epoch

    async def switchover(self, election: str, to: str) -> AsyncIterator[SwitchoverStep]:
        """Hand the leadership over; see `Control`."""
        async for step in self._one(election).switchover(to):
            yield SwitchoverStep(**asdict(step))

    async def set_standby(self, election: str, node: str, *, standby: bool, force: bool) -> None:
        """Take a node out of the competition, or put it back; see `Control`."""
        node = node or self._node
        chosen = [self._one(election)] if election else await self._elections_of(node, force=force)
        if not standby:
            for control in chosen:
                await control.go_online(node)
            return
        # All are asked before any is told: refused means that nothing has changed.
        seen = [await control.check_standby(node, force=force) for control in chosen]
        for control, snapshot in zip(chosen, seen, strict=True):
            await control.stand_by(node, snapshot)
        await asyncio.gather(*(control.until_left(node) for control in chosen))

    async def set_paused(self, election: str, *, paused: bool) -> None:
        """Keep every node from being promoted, or let them again; see `Control`."""
        await self._one(election).set_paused(paused=paused)

    async def history(self, election: str, limit: int) -> list[dict[str, Any]]:
        """Return past leaderships, newest first; see `Control`."""
        return await self._one(election).history(limit)

    async def newest_token(self, election: str) -> int:
        """Return the newest fencing token; see `Control`."""
        return await self._one(election).newest_token()

    async def raise_epoch(self, election: str) -> int:
        """Raise the epoch; see `Control`."""
        return await self._one(election).raise_epoch(self._epochs[election]())

    async def _elections_of(self, node: str, *, force: bool) -> list[ElectionControl]:
        """Return the elections that a node competes in; nodes need not all compete in the same ones.

        Raises:
            RefusedError: It is known in none. With `force` it is meant in all.
        """
        every = list(self._elections.values())
        known = await asyncio.gather(*(control.known() for control in every))
        found = [control for control, names in zip(every, known, strict=True) if node in names]
        if not found and not force:
            names = ", ".join(sorted(set().union(*known)))
            raise RefusedError(f"no node {node} is known in any election of this node; there are: {names}")
        return found or every

    def _one(self, election: str) -> ElectionControl:
        if election not in self._elections:
            known = ", ".join(sorted(self._elections)) or "none"
            raise RefusedError(f"no election {election!r} on this node; there are: {known}")
        return self._elections[election]
