"""Messages survive the wire, and nothing else is taken for one."""

import pytest

from leaderd.changes import Change
from leaderd.errors import GuardError
from leaderd.guard import wire
from tests.guard.harness import deadlines, order, shell

MESSAGES = [
    order([shell("true"), shell("false", "other", 1.5, (0,))]),
    wire.Extend("db", 1 << 45, deadlines()),
    wire.Stopping("db", 1),
    wire.Disarm("db", 1),
    wire.Forget("db", 1),
    wire.Fence("db", 1),
    wire.Armed("db", 1),
    wire.Fencing("db", 1),
    wire.Fenced("db", 1, True, "ü"),
    wire.Shutdown(),
    wire.Reload((Change(("log",), "json"), Change(("election", "db", "check"), {"command": ["x"]}))),
    wire.Reload(()),
    wire.Alive(),
]


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_a_message_is_read_as_it_was_written(message):
    """Instants keep both clocks to the last bit."""
    assert wire.decode(wire.encode(message)) == message


@pytest.mark.parametrize(
    "packet",
    [
        b"",
        b"x",
        b"[]",
        b"1",
        b"{}",
        b'{"type": "arm"}',
        b'{"type": "none", "election": "db", "token": 1}',
        b'{"type": "stopping", "election": "db", "token": "x"}',
        b'{"type": "extend", "election": "db", "token": 1}',
        b'{"type": "extend", "election": "db", "token": 1, "stop_at": [1], "fence_at": 1, "expires_at": 1}',
        b'{"type": null, "election": "db", "token": 1}',
        b"\xff\xfe",
        b'{"type": ["stopping"], "election": "db", "token": 1}',
    ],
)
def test_what_is_no_message_is_refused(packet):
    """With an error of ours, whatever it is."""
    with pytest.raises(GuardError):
        wire.decode(packet)


def test_a_packet_that_would_be_cut_is_refused():
    """An arm message that does not arrive whole must not be sent at all."""
    with pytest.raises(GuardError):
        wire.encode(order([shell("x" * wire.MAX_PACKET)]))
