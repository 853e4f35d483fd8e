"""Whether etcd went back in time, and what a node remembers to tell (rule R8).

A restore from a snapshot sets revisions back while the cluster id may stay the same, so a node keeps
the highest values it has seen. An answer is compared only with what was known *before its request was
sent*: a slow answer that arrives behind a newer one is no restore.
"""

from dataclasses import replace

from leaderd.core.actions import Remember
from leaderd.core.records import Known, Snapshot, token_epoch
from leaderd.instant import Instant

# The bare revision is kept in `state_dir` at most this often (seconds); all else, when it changes.
KEEP_PERIOD = 10.0


class History:
    """What this node knows of etcd's history.

    Args:
        known: What `state_dir` remembers.

    Attributes:
        known: The highest values seen.
        blocked: How etcd went back, or "". While it is set nobody promotes here.
    """

    def __init__(self, known: Known) -> None:
        self.known = known
        self.blocked = ""
        self._kept = known
        self._kept_at: Instant | None = None

    def observe(self, snapshot: Snapshot, known: Known, now: Instant) -> Remember | None:
        """Take in a linearizable read.

        Args:
            snapshot: The read.
            known: What was known before its request left.
            now: The present.

        Returns:
            What to keep in `state_dir`, if that is due.
        """
        if snapshot.epoch > self.known.epoch:
            # An operator has raised the epoch: this history counts from now on. The old token
            # stays, for tokens of the new epoch are larger whatever the revision.
            self.known = _learned(snapshot, Known(token=self.known.token))
            self.blocked = ""
        elif problem := regression(snapshot, known):
            self.blocked = problem
        elif not self.blocked:
            self.known = _learned(snapshot, self.known)
        return self._keep(now)

    def took_over(self, token: int, holder_revision: int) -> Remember:
        """Note the own takeover; it is kept at once, before anything starts."""
        self.known = replace(
            self.known,
            token=max(self.known.token, token),
            holder_revision=max(self.known.holder_revision, holder_revision),
            revision=max(self.known.revision, holder_revision),
        )
        self._kept = self.known
        return Remember(self.known)

    def _keep(self, now: Instant) -> Remember | None:
        if self.known == self._kept:
            return None
        fresh = self._kept_at is not None and now.held_since(self._kept_at) < KEEP_PERIOD
        if fresh and replace(self.known, revision=0) == replace(self._kept, revision=0):
            return None
        self._kept, self._kept_at = self.known, now
        return Remember(self.known)


def regression(snapshot: Snapshot, known: Known) -> str:
    """Return in what way a linearizable read lies behind what was known when it was asked, or ""."""
    if known.cluster_id and snapshot.cluster_id != known.cluster_id:
        return f"the etcd cluster id changed from {known.cluster_id:x} to {snapshot.cluster_id:x}"
    if snapshot.epoch < known.epoch:
        return f"the epoch went back from {known.epoch} to {snapshot.epoch}"
    if snapshot.revision < known.revision:
        return f"the etcd revision went back from {known.revision} to {snapshot.revision}"
    if snapshot.holder is not None and snapshot.holder_revision < known.holder_revision:
        return (f"the holder record went back from revision {known.holder_revision} "
                f"to {snapshot.holder_revision}")
    of_this_epoch = snapshot.holder is not None and token_epoch(snapshot.holder.token) == snapshot.epoch
    if snapshot.holder is not None and of_this_epoch and snapshot.holder.token < known.token:
        return f"the fencing token went back from {known.token} to {snapshot.holder.token}"
    return ""


def _learned(snapshot: Snapshot, known: Known) -> Known:
    token = snapshot.holder.token if snapshot.holder is not None else 0
    return Known(
        cluster_id=snapshot.cluster_id,
        revision=max(known.revision, snapshot.revision),
        holder_revision=max(known.holder_revision, snapshot.holder_revision),
        token=max(known.token, token),
        epoch=max(known.epoch, snapshot.epoch),
    )
