"""One linearizable read of everything that an election decides on."""

import json

from leaderd.core.records import CandidateKey, HolderRecord, Snapshot
from leaderd.etcd.client import Endpoint
from leaderd.etcd.ops import KeyValue, Range, TxnAnswer
from leaderd.instant import Instant
from leaderd.keys import ElectionKeys


def snapshot_ranges(keys: ElectionKeys) -> tuple[Range, Range]:
    """Return the operations whose results `read_answer` understands."""
    return Range(keys.prefix, keys.range_end), Range(keys.control, keys.control_end)


async def take_snapshot(endpoint: Endpoint, keys: ElectionKeys, timeout: float) -> Snapshot:
    """Read an election's keys through one member, at one revision.

    A transaction of reads alone costs no raft proposal; it is answered after the member has
    confirmed with a quorum how far it must have come (ReadIndex).

    Args:
        endpoint: Which member.
        keys: The election.
        timeout: Seconds.

    Raises:
        EtcdError: No answer.
    """
    sent_at = endpoint.clock.now()
    answer = await endpoint.txn((), snapshot_ranges(keys), (), timeout)
    return read_answer(keys, answer, sent_at, endpoint.clock.now())


def read_answer(
    keys: ElectionKeys, answer: TxnAnswer, sent_at: Instant, received_at: Instant
) -> Snapshot:
    """Return the snapshot in the answer of a transaction that ran `snapshot_ranges`."""
    queue, controls = answer.ranges
    records = {each.key: each for each in controls}
    holder, epoch = records.pop(keys.holder, None), records.pop(keys.epoch, None)
    broken, record, number = "", None, 0
    try:
        record = HolderRecord.decode(holder.value) if holder else None
        number = _epoch(epoch.value) if epoch else 0
    except ValueError as error:
        broken = str(error)
    return Snapshot(
        cluster_id=answer.header.cluster_id,
        member_id=answer.header.member_id,
        raft_term=answer.header.raft_term,
        revision=answer.header.revision,
        sent_at=sent_at,
        received_at=received_at,
        queue=tuple(candidate(each) for each in queue),
        holder=record,
        holder_revision=holder.mod_revision if holder else 0,
        epoch=number,
        epoch_revision=epoch.mod_revision if epoch else 0,
        broken=broken,
        controls=tuple((key.removeprefix(keys.control), each.value) for key, each in records.items()),
    )


def candidate(found: KeyValue) -> CandidateKey:
    """Return what a key of the queue says; anybody may have written it, in any form."""
    node, priority, window = found.value, 0, 0.0
    try:
        fields = json.loads(found.value)
        node, priority, window = (
            str(fields["node"]), int(fields["priority"]), float(fields["window_ms"]) / 1000,
        )
    except (ValueError, KeyError, TypeError, OverflowError):
        # Not leaderd's: shown as it is.
        pass
    return CandidateKey(found.key, found.lease, found.create_revision, node, priority, window)


def _epoch(text: str) -> int:
    try:
        number = int(json.loads(text)["epoch"])
    except (ValueError, KeyError, TypeError, OverflowError) as error:
        raise ValueError(f"epoch record {text[:200]!r} is not readable") from error
    if number < 0:
        raise ValueError(f"epoch record {text[:200]!r} is not readable: negative")
    return number
