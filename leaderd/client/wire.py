"""What goes over the wire to the daemon and back, and how long an answer may be believed.

No sockets here: `sync` and `aio` send the same bytes, each in its own way. HTTP/1.0, so that an answer
ends with its connection.
"""

import os
import time
from typing import Any, NamedTuple

from leaderd.errors import LeaseLostError, RefusedError, UnreachableError

ADDRESS = "127.0.0.1:4040"
# Seconds after which a stream that says nothing is dead; the daemon says something every 2 s.
SILENCE = 7.0
# More than any answer of the daemon has.
MOST_BYTES = 4_000_000
# `Leaderd-Valid-For` is rounded to milliseconds.
_ROUNDED = 0.001
_OF_NAMES = frozenset("abcdefghijklmnopqrstuvwxyz0123456789._-")


class Moment(NamedTuple):
    """A reading of `CLOCK_MONOTONIC_RAW` and `CLOCK_BOOTTIME`, in seconds."""

    raw: float
    boot: float

    def since(self, earlier: "Moment") -> float:
        """Return the seconds since then on the clock that went further.

        Suspend counts, and slewing cannot shorten it.
        """
        return max(self.raw - earlier.raw, self.boot - earlier.boot)


def now() -> Moment:
    """Read both clocks."""
    return Moment(time.clock_gettime(time.CLOCK_MONOTONIC_RAW), time.clock_gettime(time.CLOCK_BOOTTIME))


class Belief(NamedTuple):
    """What the daemon answered, and from when that counts.

    Attributes:
        leads: Its node led.
        token: Fencing token of the term, or the newest that it knew.
        sent: Just before the question was sent; the answer is not older.
        valid_for: Seconds from then until the node would step down by itself; 0 or less if it does not lead.
    """

    leads: bool
    token: int
    sent: Moment
    valid_for: float

    def left(self, moment: Moment) -> float:
        """Return for how many seconds more it proves leadership; 0 or less when it does not."""
        return self.valid_for - moment.since(self.sent) if self.leads else 0.0

    def proven_token(self) -> int:
        """Return the token of a node that leads.

        Raises:
            LeaseLostError: It holds without etcd, under a guarantee of at least one: there is none.
        """
        if not self.token:
            raise LeaseLostError("this node holds without etcd, at least one: there is no fencing token")
        return self.token


def host_port(address: str | None) -> tuple[str, int]:
    """Return host and port of HOST:PORT; by default `LEADERD_HTTP`, then the daemon's own default.

    Raises:
        ValueError: It is no HOST:PORT.
    """
    text = address or os.environ.get("LEADERD_HTTP") or ADDRESS
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal():
        raise ValueError(f"{text!r} is no HOST:PORT, as {ADDRESS}")
    return host.strip("[]"), int(port)


def question(path: str, election: str | None) -> bytes:
    """Return the bytes that ask for a path.

    Raises:
        ValueError: No election can have such a name.
    """
    if election is not None and (not election or set(election) - _OF_NAMES):
        raise ValueError(f"{election!r} is no name of an election")
    query = f"?election={election}" if election else ""
    return f"GET {path}{query} HTTP/1.0\r\nAccept: application/json\r\n\r\n".encode()


def belief(data: bytes, sent: Moment) -> Belief:
    """Read the answer to a question for `/leader`.

    Raises:
        RefusedError: The daemon does not know the election, or wants one named.
        UnreachableError: What came is no whole answer of a daemon.
    """
    code, headers, body = _parts(data)
    if code in (400, 404):
        raise RefusedError(_error(body))
    try:
        token, valid_for = int(headers["leaderd-token"]), float(headers["leaderd-valid-for"])
    except (KeyError, ValueError) as error:
        raise UnreachableError(f"no answer of leaderd's: HTTP {code}") from error
    return Belief(code == 200, token, sent, valid_for - _ROUNDED)


def check_stream(head: bytes) -> None:
    """Check that the head of an answer begins a stream of events.

    Raises:
        RefusedError: The daemon does not know the election.
        UnreachableError: It does not serve the stream.
    """
    code, _, _ = _parts(head)
    if code == 404:
        raise RefusedError("the daemon is in no such election")
    if code != 200:
        raise UnreachableError(f"no stream of events: HTTP {code}")


class Events:
    """Takes a stream of server-sent events apart."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[dict[str, Any]]:
        """Return the events that are whole with these bytes."""
        import json

        *lines, self._rest = (self._rest + data).split(b"\n")
        return [json.loads(line[6:]) for line in lines if line.startswith(b"data: ")]


def _parts(data: bytes) -> tuple[int, dict[str, str], bytes]:
    head, _, body = data.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    words = first.split()
    if len(words) < 2 or not words[0].startswith("HTTP/1.") or not words[1].isdecimal():
        raise UnreachableError("no answer in HTTP")
    headers = {}
    for line in lines:
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
    length = headers.get("content-length", "")
    if length.isdecimal() and len(body) < int(length):
        raise UnreachableError("the answer was cut off")
    return int(words[1]), headers, body


def _error(body: bytes) -> str:
    import json

    try:
        return str(json.loads(body)["error"])
    except (ValueError, KeyError, TypeError):
        return "the daemon refuses the question"
