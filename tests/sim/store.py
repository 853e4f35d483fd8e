"""Etcd's key-value store as far as an election uses it: linearizable, with revisions, leases, backups."""

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

from leaderd.core.control import PAUSED, STANDBY_PREFIX
from leaderd.core.records import CandidateKey, ControlKey, HolderRecord

CLUSTER_ID = 0xC1


class Image(NamedTuple):
    """Everything that a backup holds, and everything that a linearizable read shows."""

    revision: int
    queue: tuple[CandidateKey, ...]
    holder: HolderRecord | None
    holder_revision: int
    epoch: int
    epoch_revision: int
    leases: dict[int, int]
    controls: tuple[ControlKey, ...]
    attached: dict[str, int]


class Store:
    """The committed state, and what happens when something commits.

    Args:
        on_queue: Told of each change of the queue: what a watch would show.
        on_lease: Told of each lease that appears (with its ttl) or vanishes (with 0).
        on_control: Told of each change of what operators have written.
    """

    def __init__(self, on_queue: Callable[[], None], on_lease: Callable[[int, int], None],
                 on_control: Callable[[], None] = lambda: None) -> None:
        self.revision = 1
        self.queue: tuple[CandidateKey, ...] = ()
        self.holder: HolderRecord | None = None
        self.holder_revision = 0
        self.epoch = 0
        self.epoch_revision = 0
        self.leases: dict[int, int] = {}
        self.controls: tuple[ControlKey, ...] = ()
        self.attached: dict[str, int] = {}
        self.on_takeover: Callable[[HolderRecord], None] = lambda record: None
        self._on_queue = on_queue
        self._on_lease = on_lease
        self._on_control = on_control
        self._next_lease = 0x1000

    # --- leases ---

    def grant(self, ttl: int) -> int:
        """Grant a lease of `ttl` seconds and return its id; ids are never used again."""
        self._next_lease += 1
        self.leases[self._next_lease] = ttl
        self._on_lease(self._next_lease, ttl)
        return self._next_lease

    def revoke(self, lease: int) -> bool:
        """Revoke a lease with its keys; False when there is none."""
        if self.leases.pop(lease, None) is None:
            return False
        self._on_lease(lease, 0)
        self._remove(lambda entry: entry.lease == lease)
        for name in [name for name, on in self.attached.items() if on == lease]:
            self.drop_control(name)
        return True

    # --- keys ---

    def campaign(self, key: str, lease: int, node: str, priority: int, window: float) -> CandidateKey | None:
        """Create a candidate key if absent; return the entry, or None where the lease is gone."""
        if lease not in self.leases:
            return None
        for entry in self.queue:
            if entry.key == key:
                return entry
        self.revision += 1
        entry = CandidateKey(key, lease, self.revision, node, priority, window)
        self.queue = (*self.queue, entry)
        self._on_queue()
        return entry

    def delete(self, key: str) -> None:
        """Delete a candidate key."""
        self._remove(lambda entry: entry.key == key)

    def _remove(self, gone: Callable[[CandidateKey], bool]) -> None:
        left = tuple(entry for entry in self.queue if not gone(entry))
        if len(left) != len(self.queue):
            self.revision += 1
            self.queue = left
            self._on_queue()

    def takeover(self, key: str, lease: int, create_revision: int, holder_revision: int,
                 epoch_revision: int, record: HolderRecord) -> int:
        """Run the takeover transaction of R3; return the holder's new mod revision, 0 when refused."""
        entry = self.queue[0] if self.queue else None
        if (entry is None or entry.key != key or entry.lease != lease
                or entry.create_revision != create_revision or self.holder_revision != holder_revision
                or self.epoch_revision != epoch_revision or self.bars(record.node)):
            return 0
        self.put_holder(record)
        self.on_takeover(record)
        return self.holder_revision

    def answer(self, key: str, lease: int, create_revision: int, intent: int) -> None:
        """Put `ready_for` into a candidate key, unless it is another's by now."""
        queue = tuple(
            replace(entry, ready_for=intent)
            if (entry.key, entry.lease, entry.create_revision) == (key, lease, create_revision) else entry
            for entry in self.queue
        )
        if queue != self.queue:
            self.revision += 1
            self.queue = queue
            self._on_queue()

    # --- what operators write ---

    def bars(self, node: str) -> bool:
        """Return whether a mark keeps a node from being promoted."""
        return bool(self.control(PAUSED) or self.control(STANDBY_PREFIX + node))

    def control(self, name: str) -> int:
        """Return the mod revision of a key, 0 where it does not stand."""
        return next((key.revision for key in self.controls if key.name == name), 0)

    def put_control(self, name: str, text: str = "{}", lease: int = 0) -> None:
        """Put a key; on a lease unless that is 0."""
        if lease and lease not in self.leases:
            return
        self.revision += 1
        others = [key for key in self.controls if key.name != name]
        self.controls = (*others, ControlKey(name, text, self.revision))
        if lease:
            self.attached[name] = lease
        self._on_control()

    def drop_control(self, name: str) -> None:
        """Delete a key."""
        if self.control(name):
            self.revision += 1
            self.controls = tuple(key for key in self.controls if key.name != name)
            self.attached.pop(name, None)
            self._on_control()

    def put_holder(self, record: HolderRecord) -> None:
        """Put the holder record as its JSON text would bring it back."""
        self.revision += 1
        self.holder = HolderRecord.decode(record.encode())
        self.holder_revision = self.revision

    def release(self, key: str, record: HolderRecord, holder_revision: int) -> None:
        """Run the release transaction of R5: the record under its guard, the key in any case."""
        held = HolderRecord.decode(replace(record, state="held").encode())
        if self.holder_revision == holder_revision and self.holder == held:
            self.put_holder(replace(record, state="released"))
        self.delete(key)

    def raise_epoch(self) -> None:
        """Do what `leaderd epoch raise` does."""
        self.revision += 1
        self.epoch += 1
        self.epoch_revision = self.revision

    # --- backups ---

    def image(self) -> Image:
        """Return a backup."""
        return Image(self.revision, self.queue, self.holder, self.holder_revision, self.epoch,
                     self.epoch_revision, dict(self.leases), self.controls, dict(self.attached))

    def restore(self, image: Image) -> None:
        """Go back to a backup: old keys and leases return, newer ones are gone."""
        self.leases = dict(image.leases)
        (self.revision, self.queue, self.holder, self.holder_revision,
         self.epoch, self.epoch_revision) = image[:6]
        self.controls, self.attached = image.controls, dict(image.attached)
