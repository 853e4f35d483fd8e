"""What the API asks of the daemon when an operator wants something changed, or looked up in etcd."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class SwitchoverStep:
    """One piece of news on the way to a new leader.

    Attributes:
        text: A sentence for people.
        leader: Node that leads as of this step; "" while none does.
        token: Its fencing token; 0 while there is none.
        gap: Seconds from the old leader's last stop to the new one's first start; None until measured.
        done: The new leader has started its resources; this is the last step.
    """

    text: str
    leader: str = ""
    token: int = 0
    gap: float | None = None
    done: bool = False


class Control(Protocol):
    """Does what operators ask.

    Every method raises `RefusedError` where nothing was changed, its text being the reason and the
    remedy, and `UnreachableError` where etcd cannot say. An election that this node does not compete
    in is refused too.
    """

    def switchover(self, election: str, to: str) -> AsyncIterator[SwitchoverStep]:
        """Hand the leadership over; yield how it goes, and end after the step that is `done`.

        Args:
            election: Name.
            to: Node that shall lead; "" for the fittest.
        """

    async def set_standby(self, election: str, node: str, *, standby: bool, force: bool) -> None:
        """Take a node out of the competition, or put it back.

        A node that does not leave in time raises `RefusedError` too, though it is marked.

        Args:
            election: Name; "" for all that the node competes in, as far as this one competes in them too.
            node: Name; "" for this one.
            standby: Out, or back.
            force: Also where no leader would be left.
        """

    async def set_paused(self, election: str, *, paused: bool) -> None:
        """Keep every node from being promoted from now on, or let them again."""

    async def history(self, election: str, limit: int) -> list[dict[str, Any]]:
        """Return past leaderships, newest first.

        Args:
            election: Name.
            limit: At most so many.

        Returns:
            `{"token": int, "node": str, "from": RFC 3339, "to": RFC 3339 or "", "reason": str,
            "gap": seconds or None, "clean": bool}` each; `to` is "" while the term lasts. `reason` is why
            it ended, `clean` whether everything was stopped then, `gap` how long nobody held before it.
        """

    async def newest_token(self, election: str) -> int:
        """Return the newest fencing token that etcd knows of, by a linearizable read; 0 for none."""

    async def raise_epoch(self, election: str) -> int:
        """Raise the epoch after a restore of etcd, so that tokens grow on; return the new one."""
