"""What the guard writes down before it answers "armed", so that the next run can stop this one's term.

    <state_dir>/terms/<election> → {"boot_id": str, "phase": "armed" | "stopped" | "unclean",
                                    "escalated": bool, "order": <the arm message>}, or nothing

One file an election, see `leaderd.slots`: a term is armed only after the one before it is over. Renewals
do not touch the file, so the deadlines in it are those of the beginning.

Source: docs/design.md R13, R4.
"""

import json
import os
from dataclasses import dataclass
from typing import Any

from leaderd.guard.scribe import Page
from leaderd.guard.wire import Arm
from leaderd.slots import DRAFT, SlotFile

_FOLDER = "terms"


@dataclass(frozen=True, slots=True)
class Entry:
    """One term in the journal.

    Attributes:
        order: What it was armed with.
        phase: "armed": something may run. "stopped": only the release is pending. "unclean": a
            stop has failed.
        boot_id: Of the boot in which it was armed; "" for one before the boot in which it was written.
        escalated: The escalation has been tried.
    """

    order: Arm
    phase: str
    boot_id: str
    escalated: bool = False


class Journal:
    """The journal of one node.

    Args:
        state_dir: Its state directory.
        boot_id: Of this boot.

    Raises:
        OSError: Its folder cannot be made or read.
    """

    def __init__(self, state_dir: str, boot_id: str) -> None:
        self._folder = os.path.join(state_dir, _FOLDER)
        self._boot_id = boot_id
        os.makedirs(self._folder, mode=0o700, exist_ok=True)
        os.listdir(self._folder)

    def is_of_this_boot(self, entry: Entry) -> bool:
        """Return whether the instants of an entry may be compared with today's."""
        return entry.boot_id == self._boot_id

    def page(self, order: Arm, phase: str, *, escalated: bool = False, rebooted: bool = False) -> Page:
        """Return what is to be written of a term.

        Args:
            order: What it was armed with.
            phase: See `Entry`.
            escalated: See `Entry`.
            rebooted: It was armed before the last boot, and stays of another boot than this.
        """
        boot = "" if rebooted else self._boot_id
        fields = {"boot_id": boot, "phase": phase, "escalated": escalated, "order": order.fields()}
        return Page(self._path(order.election), json.dumps(fields))

    def blank(self, election: str) -> Page:
        """Return what forgets a term that needs nothing more.

        Where it cannot be written the term may come back after a crash; its stops are then run once more,
        which is harmless.
        """
        return Page(self._path(election), "")

    def load(self) -> tuple[list[Entry], list[str]]:
        """Return what earlier runs have left, and a line of each file that cannot be read."""
        entries, damaged = [], []
        for name in sorted(os.listdir(self._folder)):
            if name.endswith(DRAFT):
                continue
            try:
                if text := SlotFile(self._path(name)).read():
                    entries.append(_entry(json.loads(text)))
            except (OSError, KeyError, TypeError, ValueError, AttributeError) as error:
                damaged.append(f"{os.path.join(self._folder, name)}: {error!r}")
        return entries, damaged

    def _path(self, election: str) -> str:
        return os.path.join(self._folder, election)


def _entry(fields: dict[str, Any]) -> Entry:
    return Entry(
        Arm.read(fields["order"]), str(fields["phase"]), str(fields["boot_id"]), bool(fields["escalated"])
    )
