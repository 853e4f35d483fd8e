"""Turns the status report of docs/interfaces.md §5 into protobuf messages and back."""

import math
from collections.abc import Mapping
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from leaderd.api.pb import leaderd_pb2 as pb

# Seconds.
VALID_STEP = 0.05


def status_message(report: Mapping[str, Any]) -> pb.GetStatusResponse:
    """Return a report as a message.

    Raises:
        ValueError: It has a key that the protocol does not know.
    """
    return pb.GetStatusResponse(**report)


class Changes:
    """Makes the messages of changes: one for all watchers that hear of a change within a moment.

    Making one costs more than sending it, and with a thousand watchers at once that would add up to
    what a renewal may take. For that, the seconds left are told in steps, rounded down: too early is safe.
    """

    def __init__(self) -> None:
        self._last: dict[str, tuple[Mapping[str, Any], pb.WatchStatusResponse]] = {}

    def message(self, node: str, election: Mapping[str, Any]) -> pb.WatchStatusResponse:
        """Return one election of a report as the message of a change; not to be changed.

        Raises:
            ValueError: It has a key that the protocol does not know.
        """
        left = math.floor(election["valid_for"] / VALID_STEP) * VALID_STEP
        election = {**election, "valid_for": round(left, 3)}
        before, message = self._last.get(election["name"], ({}, None))
        if message is None or before != election:
            message = pb.WatchStatusResponse(node=node, election=pb.Election(**election))
            self._last[election["name"]] = election, message
        return message


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
