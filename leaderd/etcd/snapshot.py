"""One linearizable read of everything that an election decides on."""

import json

from leaderd.core.lease import MAX_TTL
from leaderd.core.records import CandidateKey, ControlKey, HolderRecord, Snapshot
from leaderd.etcd.client import Endpoint
from leaderd.etcd.ops import Header, KeyValue, Range
from leaderd.instant import Instant
from leaderd.keys import ElectionKeys


def snapshot_ranges(keys: ElectionKeys) -> tuple[Range, Range]:
    """Return the ranges that a snapshot is made of: the queue, and the records."""
    return Range(keys.prefix, keys.range_end), Range(keys.control, keys.control_end)


async def take_snapshot(endpoint: Endpoint, keys: ElectionKeys, timeout: float) -> Snapshot:
    """Read an election's keys through one member, at one revision, without a raft proposal.

    The queue is read after the member has confirmed with a quorum how far it must have come
    (ReadIndex); the records then as they were at that same revision, which the member has. One
    transaction of two reads would do as well, but etcd 3.5 refuses even that one when it is out of
    space, and every leader would step down.

    Args:
        endpoint: Which member.
        keys: The election.
        timeout: Seconds for each of the two requests.

    Raises:
        EtcdError: No answer.
    """
    queue_range, control_range = snapshot_ranges(keys)
    sent_at = endpoint.clock.now()
    queue = await endpoint.read(queue_range, timeout)
    controls = await endpoint.read(control_range, timeout, revision=queue.header.revision)
    return build_snapshot(
        keys, queue.header, (queue.found, controls.found), sent_at, endpoint.clock.now()
    )


def build_snapshot(
    keys: ElectionKeys,
    header: Header,
    ranges: tuple[tuple[KeyValue, ...], ...],
    sent_at: Instant,
    received_at: Instant,
) -> Snapshot:
    """Return the snapshot that the results of `snapshot_ranges`, read at one revision, make."""
    queue, controls = ranges
    records = {each.key: each for each in controls}
    holder, epoch = records.pop(keys.holder, None), records.pop(keys.epoch, None)
    broken, record, number = "", None, 0
    try:
        record = HolderRecord.decode(holder.value) if holder else None
        number = _epoch(epoch.value) if epoch else 0
    except ValueError as error:
        broken = str(error)
    return Snapshot(
        cluster_id=header.cluster_id,
        member_id=header.member_id,
        raft_term=header.raft_term,
        revision=header.revision,
        sent_at=sent_at,
        received_at=received_at,
        queue=tuple(candidate(each) for each in queue),
        holder=record,
        holder_revision=holder.mod_revision if holder else 0,
        epoch=number,
        epoch_revision=epoch.mod_revision if epoch else 0,
        broken=broken,
        controls=control_keys(keys, list(records.values())),
    )


def control_keys(keys: ElectionKeys, found: list[KeyValue]) -> tuple[ControlKey, ...]:
    """Return the records but holder and epoch, by name."""
    others = [each for each in found if each.key not in (keys.holder, keys.epoch)]
    return tuple(sorted(
        (ControlKey(each.key.removeprefix(keys.control), each.value, each.mod_revision) for each in others),
        key=lambda key: key.name,
    ))


def candidate(found: KeyValue) -> CandidateKey:
    """Return what a key of the queue says; anybody may have written it, in any form."""
    node, priority, window, ready_for = found.value, 0, 0.0, 0
    try:
        fields = json.loads(found.value)
        named, wanted, held = str(fields["node"]), int(fields["priority"]), float(fields["window_ms"]) / 1000
        # NaN and Infinity are numbers to Python's JSON, and everybody would wait for them.
        if 0 < held <= MAX_TTL:
            node, priority, window, ready_for = named, wanted, held, int(fields.get("ready_for", 0))
    except (ValueError, KeyError, TypeError, OverflowError):
        # Not leaderd's: shown as it is.
        pass
    return CandidateKey(found.key, found.lease, found.create_revision, node, priority, window, ready_for)


def _epoch(text: str) -> int:
    try:
        number = int(json.loads(text)["epoch"])
    except (ValueError, KeyError, TypeError, OverflowError) as error:
        raise ValueError(f"epoch record {text[:200]!r} is not readable") from error
    if number < 0:
        raise ValueError(f"epoch record {text[:200]!r} is not readable: negative")
    return number
