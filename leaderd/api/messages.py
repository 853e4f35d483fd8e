"""Turns the status report of docs/interfaces.md §5 into protobuf messages and back."""

from collections.abc import Mapping
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from leaderd.api.pb import leaderd_pb2 as pb


def status_message(report: Mapping[str, Any]) -> pb.GetStatusResponse:
    """Return a report as a message.

    Raises:
        ValueError: It has a key that the protocol does not know.
    """
    return pb.GetStatusResponse(**report)


def change_message(node: str, election: Mapping[str, Any]) -> pb.WatchStatusResponse:
    """Return one election of a report as the message of a change.

    Raises:
        ValueError: It has a key that the protocol does not know.
    """
    return pb.WatchStatusResponse(node=node, election=pb.Election(**election))


def as_dict(message: Message) -> dict[str, Any]:
    """Return a message as plain values: every field of the protocol, set or not, in its order.

    Google's own JSON format will not do: it writes 64-bit numbers as texts and leaves out zeros. What the
    protocol calls optional is None where it is not set.
    """
    return {field.name: _value(message, field) for field in message.DESCRIPTOR.fields}


def _value(message: Message, field: Any) -> Any:
    value = getattr(message, field.name)
    if field.type == FieldDescriptor.TYPE_MESSAGE:
        return [as_dict(item) for item in value] if field.is_repeated else as_dict(value)
    if field.is_repeated:
        return list(value)
    return None if field.has_presence and not message.HasField(field.name) else value
