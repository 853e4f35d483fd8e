"""The newest that a node has seen of queue and holder: for status, never for a promotion."""

from leaderd.core.events import QueueChanged
from leaderd.core.queue import Queue, leader_of
from leaderd.core.records import HolderRecord, Snapshot


class View:
    """What stands in etcd, as far as this node has seen.

    Attributes:
        queue: The keys, smallest create revision first.
    """

    def __init__(self) -> None:
        self.queue: Queue = ()
        self._revision = 0
        self._holder: HolderRecord | None = None

    def read(self, snapshot: Snapshot, *, anew: bool) -> None:
        """Take in a linearizable read.

        Args:
            snapshot: The read.
            anew: It is of another history, so revisions do not say which queue is newer.
        """
        self._holder = snapshot.holder
        if anew or snapshot.revision >= self._revision:
            self.queue, self._revision = snapshot.queue, snapshot.revision

    def changed(self, event: QueueChanged) -> bool:
        """Take in what the watch shows; False when something newer is known."""
        if event.revision < self._revision:
            return False
        self.queue, self._revision = event.queue, event.revision
        return True

    @property
    def leader(self) -> str:
        """Node that leads, or ""."""
        return leader_of(self.queue, self._holder)

    @property
    def token(self) -> int:
        """Fencing token in the holder record, 0 without one."""
        return self._holder.token if self._holder else 0
