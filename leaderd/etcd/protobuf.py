"""Between `etcd.ops` and etcd's protobuf messages."""

from typing import Any

import etcd3.etcdrpc as rpc

from leaderd.etcd import ops


def compare(each: ops.Compare) -> Any:
    """Return a condition of a transaction."""
    value = each.value.encode() if isinstance(each.value, str) else each.value
    return rpc.Compare(
        key=each.key.encode(), range_end=each.range_end.encode(), target=each.target.name,
        result=each.relation.value, **{each.target.value: value},
    )


def op(each: ops.Op) -> Any:
    """Return an operation of a transaction."""
    match each:
        case ops.Put(key, value, lease):
            put = rpc.PutRequest(key=key.encode(), value=value.encode(), lease=lease)
            return rpc.RequestOp(request_put=put)
        case ops.Delete(key, range_end):
            delete = rpc.DeleteRangeRequest(key=key.encode(), range_end=range_end.encode())
            return rpc.RequestOp(request_delete_range=delete)
        case ops.Range():
            return rpc.RequestOp(request_range=range_request(each))


def range_request(span: ops.Range) -> Any:
    """Return the request for a range."""
    return rpc.RangeRequest(
        key=span.key.encode(), range_end=span.range_end.encode(), sort_target="CREATE", sort_order="ASCEND",
        keys_only=span.keys_only,
    )


def header(head: Any) -> ops.Header:
    """Read the head of an answer."""
    return ops.Header(int(head.cluster_id), int(head.member_id), int(head.revision), int(head.raft_term))


def key_values(answer: Any) -> tuple[ops.KeyValue, ...]:
    """Read the keys of a range's answer."""
    return tuple(_key_value(kv) for kv in answer.kvs)


def _key_value(kv: Any) -> ops.KeyValue:
    return ops.KeyValue(
        kv.key.decode(errors="replace"), kv.value.decode(errors="replace"),
        int(kv.create_revision), int(kv.mod_revision), int(kv.lease),
    )


def change(event: Any) -> ops.Change:
    """Read an event of a watch."""
    # PUT is 0, DELETE is 1: Event.EventType in etcd's kv.proto.
    found = _key_value(event.kv)
    return ops.Change(found.key, found.mod_revision, None if event.type else found)
