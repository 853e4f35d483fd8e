"""The newest that a node has seen of queue and holder: for status, never for a promotion."""

from leaderd.core.control import Controls
from leaderd.core.events import ControlChanged, QueueChanged
from leaderd.core.queue import Queue, leader_of
from leaderd.core.records import ControlKey, HolderRecord, Snapshot


class View:
    """What stands in etcd, as far as this node has seen.

    Attributes:
        queue: The keys, smallest create revision first.
        holder: The record, as of the last linearizable read.
        controls: What operators and nodes have written.
    """

    def __init__(self) -> None:
        self.queue: Queue = ()
        self.holder: HolderRecord | None = None
        self.controls = Controls()
        self._revision = 0
        self._found: tuple[ControlKey, ...] = ()
        self._found_revision = 0

    def read(self, snapshot: Snapshot, *, anew: bool) -> None:
        """Take in a linearizable read.

        Args:
            snapshot: The read.
            anew: It is of another history, so revisions do not say which queue is newer.
        """
        self.holder = snapshot.holder
        if anew or snapshot.revision >= self._found_revision:
            self._take_in(snapshot.controls, snapshot.revision)
        if anew or snapshot.revision >= self._revision:
            self.queue, self._revision = snapshot.queue, snapshot.revision

    def changed(self, event: QueueChanged) -> bool:
        """Take in what the watch shows; False when something newer is known."""
        if event.revision < self._revision:
            return False
        self.queue, self._revision = event.queue, event.revision
        return True

    def controls_changed(self, event: ControlChanged, *, anew: bool) -> bool:
        """Take in what the watch shows; False when something newer is known, or nothing is new.

        Args:
            event: What it shows.
            anew: Believe it even so: a node without a session gets no reads, so that after a restore
                only the watch can tell it.
        """
        before = self.controls
        if anew or event.revision >= self._found_revision:
            self._take_in(event.found, event.revision)
        return self.controls != before

    def _take_in(self, found: tuple[ControlKey, ...], revision: int) -> None:
        self._found_revision = revision
        # Every renewal brings them, and they hardly ever change.
        if found != self._found:
            self._found, self.controls = found, Controls.read(found)

    @property
    def leader(self) -> str:
        """Node that leads, or ""."""
        return leader_of(self.queue, self.holder)

    @property
    def token(self) -> int:
        """Fencing token in the holder record, 0 without one."""
        return self.holder.token if self.holder else 0
