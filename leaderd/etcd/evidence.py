"""Evidence that a silent holder's window has closed for good (rule R6b)."""

from dataclasses import dataclass

from leaderd.core.records import Snapshot
from leaderd.etcd.client import Endpoint
from leaderd.etcd.ops import TimeToLive
from leaderd.etcd.snapshot import take_snapshot
from leaderd.instant import Instant
from leaderd.keys import ElectionKeys


@dataclass(frozen=True, slots=True)
class Evidence:
    """What was seen between two linearizable reads of one member in one raft term.

    Attributes:
        remaining: Whole seconds that the holder's lease has left.
        granted: Whole seconds granted to it.
        started_at: Before the first read was sent.
        ended_at: After the time-to-live answer came.
    """

    remaining: int
    granted: int
    started_at: Instant
    ended_at: Instant


async def gather_evidence(
    endpoint: Endpoint, keys: ElectionKeys, token: int, lease: int, timeout: float
) -> Evidence | str:
    """Look at the holder's lease between two looks at its record, all through one member.

    Args:
        endpoint: Which member.
        keys: The election.
        token: The holder's, which both reads must show.
        lease: The holder's lease id.
        timeout: Seconds for each of the three requests; the caller bounds the whole.

    Returns:
        The evidence, or in one line why there is none.

    Raises:
        EtcdError: No answer.
    """
    before = await take_snapshot(endpoint, keys, timeout)
    left = await endpoint.time_to_live(lease, timeout)
    ended_at = endpoint.clock.now()
    after = await take_snapshot(endpoint, keys, timeout)
    if problem := why_no_evidence(before, left, after, token):
        return problem
    return Evidence(left.ttl, left.granted, before.sent_at, ended_at)


def why_no_evidence(before: Snapshot, left: TimeToLive, after: Snapshot, token: int) -> str:
    """Return why three answers are no evidence, or "" when they are.

    A time-to-live of -1 means "not found": the lease may have been revoked wrongly, under a
    holder that goes on holding. A lease that was just being lost shows values out of range while
    etcd's leader changes.
    """
    members = {before.member_id, left.header.member_id, after.member_id}
    terms = {before.raft_term, left.header.raft_term, after.raft_term}
    holders = [(each.holder.token, each.holder.state) if each.holder else None for each in (before, after)]
    checks = (
        (len(members) == 1, "the answers came from different members"),
        (len(terms) == 1, "the raft term changed in between"),
        (not before.broken and not after.broken, before.broken or after.broken),
        (holders == [(token, "held")] * 2, f"token {token} is no longer the holder"),
        (left.granted > 0 and left.ttl >= 0, "etcd does not know the holder's lease"),
        (left.ttl <= left.granted, f"a time to live of {left.ttl} s of {left.granted} s makes no sense"),
    )
    return next((problem for fine, problem in checks if not fine), "")
