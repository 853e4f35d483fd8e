"""What a node remembers of etcd across its own restarts (rule R8).

`<state_dir>/known/<election>.json` → the fields of `core.records.Known`.
"""

import asyncio
import json
import os
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from leaderd.core.records import Known


class Memory:
    """Keeps the newest `Known` of one election on disk, beside the loop: a slow disk must not delay it.

    Args:
        state_dir: The node's state directory.
        election: Name of the election.
    """

    def __init__(self, state_dir: str, election: str) -> None:
        self._path = Path(state_dir) / "known" / f"{election}.json"
        self._newest: Known | None = None
        self._changed = asyncio.Event()

    def load(self) -> Known:
        """Return what an earlier run has kept; nothing at all where the file is missing or damaged.

        Damage is treated as a fresh `state_dir`: a node that knows nothing may still compete, it
        only cannot notice a restore that happened before.
        """
        with suppress(OSError, ValueError, TypeError):
            fields = json.loads(self._path.read_text(encoding="utf-8"))
            return Known(**{name: int(value) for name, value in fields.items()})
        return Known()

    def remember(self, known: Known) -> None:
        """Have it written soon; only the newest counts."""
        self._newest = known
        self._changed.set()

    async def run(self) -> None:
        """Write whatever is newest, for ever."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            if self._newest is not None:
                with suppress(OSError):
                    await asyncio.to_thread(self._write, self._newest)

    def _write(self, known: Known) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        draft = self._path.with_suffix(".new")
        with draft.open("w", encoding="utf-8") as file:
            json.dump(asdict(known), file)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(self._path)
