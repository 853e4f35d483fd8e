"""What a node remembers of etcd across its own restarts (rule R8).

`<state_dir>/known/<election>` → the fields of `core.records.Known`; see `leaderd.slots`.
"""

import asyncio
import json
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from leaderd.core.records import Known
from leaderd.resources.contain import Log
from leaderd.slots import SlotFile

# After a write that failed, seconds.
RETRY_PERIOD = 10.0
# A takeover gives news twice within milliseconds, and waits for the same disk: the guard's journal, and
# etcd's where it is there, must not queue behind this. Seconds.
LULL = 0.1


class Memory:
    """Keeps the newest `Known` of one election on disk, beside the loop: a slow disk must not delay it.

    Args:
        state_dir: The node's state directory.
        election: Name of the election.
        log: Told of what cannot be read or written.
    """

    def __init__(self, state_dir: str, election: str, log: Log) -> None:
        self._path = Path(state_dir) / "known" / election
        self._election = election
        self._log = log
        self._newest: Known | None = None
        self._changed = asyncio.Event()
        self._problem = ""

    def load(self) -> Known:
        """Return what an earlier run has kept; nothing at all where the file is missing or damaged.

        Damage is treated as a fresh `state_dir`: a node that knows nothing may still compete, it
        only cannot notice a restore that happened before.
        """
        try:
            text = SlotFile(str(self._path)).read()
            fields = json.loads(text) if text else {}
            return Known(**{name: int(value) for name, value in dict(fields).items()})
        except (OSError, ValueError, TypeError, OverflowError, RecursionError) as error:
            self._warn("what was known of etcd is not readable; a restore would go unnoticed", error)
            return Known()

    def remember(self, known: Known) -> None:
        """Have it written soon; only the newest counts."""
        self._newest = known
        self._changed.set()

    async def run(self) -> None:
        """Write what is newest a moment after it changed, and again some time after a failure, for ever."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(RETRY_PERIOD if self._problem else None):
                    await self._changed.wait()
            with suppress(TimeoutError):
                async with asyncio.timeout(LULL):
                    await asyncio.get_running_loop().create_future()
            self._changed.clear()
            if self._newest is None:
                continue
            try:
                await asyncio.to_thread(self._write, self._newest)
                self._problem = ""
            except OSError as error:
                if repr(error) != self._problem:
                    self._warn("what is known of etcd is not written", error)
                self._problem = repr(error)

    def _warn(self, event: str, error: Exception) -> None:
        self._log("warning", event, election=self._election, file=str(self._path), detail=repr(error))

    def _write(self, known: Known) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        SlotFile(str(self._path)).write(json.dumps(asdict(known)))
