"""What the demo's writers have noted: who held when, and whether two ever did."""

import json
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path


@dataclass(slots=True)
class Hold:
    """One term as its hook and writer saw it; instants in seconds of CLOCK_BOOTTIME.

    Attributes:
        node: Who held.
        token: The fencing token.
        start_at: The start hook began.
        end_at: The stop hook had finished, or the last beat where nobody stopped the writer.
    """

    node: str
    token: int
    start_at: float
    end_at: float


def read_holds(journal: Path) -> list[Hold]:
    """Return all terms in the order of their starts; an unfinished last line is left out."""
    holds: dict[tuple[str, int], Hold] = {}
    text = journal.read_text(encoding="utf-8") if journal.exists() else ""
    for line in text.splitlines(keepends=True):
        if not line.endswith("\n"):
            continue
        note = json.loads(line)
        key = (note["node"], note["token"])
        if note["event"] == "start":
            holds[key] = Hold(note["node"], note["token"], note["at"], note["at"])
        elif key in holds:
            holds[key].end_at = max(holds[key].end_at, note["at"])
    return sorted(holds.values(), key=lambda hold: hold.start_at)


def overlaps(holds: list[Hold]) -> list[tuple[Hold, Hold, float]]:
    """Return every pair of terms that ran at the same time, with the seconds they shared."""
    found = []
    running: list[Hold] = []
    for hold in sorted(holds, key=lambda hold: hold.start_at):
        running = [other for other in running if other.end_at > hold.start_at]
        found += [(other, hold, min(other.end_at, hold.end_at) - hold.start_at) for other in running]
        running.append(hold)
    return found


def tokens_grow(holds: list[Hold]) -> bool:
    """Return whether every term has a larger fencing token than the one before it."""
    return all(first.token < second.token for first, second in pairwise(holds))
