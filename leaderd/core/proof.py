"""Proven renewals: what makes a keepalive's answer believable (rule R11).

An etcd leader that was paused, stalled or deposed goes on acknowledging keepalives of leases that its
successor has deleted. A linearizable read *after* the answer that still shows our key, with the same
raft term in both headers, rules that out; docs/etcd.md §1 has the argument.
"""

from dataclasses import dataclass
from enum import Enum

from leaderd.core.records import Snapshot
from leaderd.instant import Instant


@dataclass(frozen=True, slots=True)
class KeepaliveAnswer:
    """One answer on a keepalive stream.

    Attributes:
        sent_at: Just before the request left.
        received_at: After the answer came.
        ttl: Whole seconds; 0 or less when etcd does not know the lease.
        raft_term: From the response header.
    """

    sent_at: Instant
    received_at: Instant
    ttl: int
    raft_term: int


class Verdict(Enum):
    """What one renewal attempt has shown."""

    PROVEN = "proven"
    UNKNOWN = "unknown"
    GONE = "gone"


def judge_renewal(
    key: str, lease: int, create_revision: int, answer: KeepaliveAnswer, snapshot: Snapshot
) -> Verdict:
    """Judge a keepalive by the linearizable read that followed it in the same hedge leg.

    Args:
        key: Our candidate key.
        lease: The lease it must be attached to.
        create_revision: The create revision it must have.
        answer: The keepalive's answer.
        snapshot: A linearizable read that was *sent after* the answer came.

    Returns:
        GONE when the read shows that the key is no longer ours or the lease is unknown: a fact,
        whatever the terms. PROVEN when the key stands and both headers carry one raft term.
        UNKNOWN otherwise: try again, extend nothing.

    Source: docs/design.md R11; LeaseKeepAliveResponse.TTL and ResponseHeader.raft_term in rpc.proto.
    """
    ours = next((entry for entry in snapshot.queue if entry.key == key), None)
    if ours is None or ours.create_revision != create_revision or ours.lease != lease:
        return Verdict.GONE
    if answer.ttl <= 0 and answer.raft_term == snapshot.raft_term:
        return Verdict.GONE
    if answer.ttl <= 0 or answer.raft_term != snapshot.raft_term:
        return Verdict.UNKNOWN
    sent_after = snapshot.sent_at.raw >= answer.received_at.raw
    return Verdict.PROVEN if sent_after else Verdict.UNKNOWN
