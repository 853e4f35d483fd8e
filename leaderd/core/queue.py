"""Who leads and who is next, decided from the list of keys alone."""

from leaderd.core.records import CandidateKey, HolderRecord, token_revision

Queue = tuple[CandidateKey, ...]


def is_first(queue: Queue, key: str) -> bool:
    """Return whether `key` is the oldest of the queue."""
    return bool(queue) and queue[0].key == key


def contains(queue: Queue, key: str) -> bool:
    """Return whether `key` stands in the queue at all."""
    return any(entry.key == key for entry in queue)


def key_of_token(queue: Queue, token: int) -> CandidateKey | None:
    """Return the key that a fencing token was made from, while it stands."""
    revision = token_revision(token)
    return next((entry for entry in queue if entry.create_revision == revision), None)


def is_foreign(entry: CandidateKey) -> bool:
    """Return whether the key is somebody else's than leaderd's (assumption A5): it names no window."""
    return entry.window <= 0


def leader_of(queue: Queue, holder: HolderRecord | None) -> str:
    """Return the node that leads, or "" while nobody does.

    A foreign candidate leads by standing first. One of ours leads from its takeover on, not while
    it still waits for the previous window to close.
    """
    if not queue:
        return ""
    first = queue[0]
    if is_foreign(first):
        return first.node
    if holder is None or holder.state != "held" or holder.lease != first.lease:
        return ""
    return first.node
