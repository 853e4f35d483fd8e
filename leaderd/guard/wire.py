"""What guard and agent say to each other: one JSON object a packet on a SEQPACKET socket pair.

Messages of a term carry its token and absolute instants, never durations (rule R13): a message that
lay in the socket while its reader was stopped still means what it meant. End of file says that the
other side is dead.

    agent → guard   arm, extend, stopping, disarm, forget, fence, alive
    guard → agent   armed, fencing, fenced, shutdown, reload

Source: docs/design.md R13 and §3; unix(7) on SOCK_SEQPACKET.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from leaderd.changes import Change
from leaderd.errors import GuardError
from leaderd.instant import Instant

# More than the kernel's default send buffer takes at once; a longer packet would be cut, so it is refused.
MAX_PACKET = 256 * 1024
# An agent whose stop lasts until `fence_at` has this long to say how it ended before it is killed for it,
# in seconds, and at most this share of the time that the killing may take.
LAST_WORD = 0.1
LAST_WORD_SHARE = 0.25


class Deadlines(NamedTuple):
    """The three instants of a lease; each has come as soon as either clock has reached it."""

    stop_at: Instant
    fence_at: Instant
    expires_at: Instant

    @property
    def kill_at(self) -> Instant:
        """When the agent itself is killed, with everything it leads: neither heard of by the guard nor done.

        By guard and kernel alike. What is left of `kill_time` is enough for it to be dead.
        """
        kill_time = self.expires_at.raw - self.fence_at.raw
        return self.fence_at.plus(min(LAST_WORD, LAST_WORD_SHARE * kill_time))


@dataclass(frozen=True, slots=True)
class Stop:
    """One stop command. `timeout` in seconds; `fine` are the exit codes that mean stopped; `env` is added."""

    resource: str
    argv: tuple[str, ...]
    timeout: float
    fine: tuple[int, ...] = (0, 7)
    env: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ReleaseKeys:
    """What the release transaction of a term needs (rule R5).

    Attributes:
        holder_key: Key of the holder record.
        holder_value: The term's record, set to released.
        key: The candidate key of the term.
        lease: Its lease id, lower-case hex.
    """

    holder_key: str
    holder_value: str
    key: str
    lease: str


@dataclass(frozen=True, slots=True)
class Arm:
    """A term begins: all that the guard needs to stop and release it alone.

    Attributes:
        election: Name of the election.
        token: Fencing token of the term.
        deadlines: Of the lease.
        holder_revision: Mod revision of the record that the term's own takeover wrote.
        release: Keys and values of the release.
        record: The holder record as the takeover put it, JSON text.
        stops: Stop commands in the order in which they are run.
        env: `LEADERD_*` variables for the hooks.
    """

    election: str
    token: int
    deadlines: Deadlines
    holder_revision: int
    release: ReleaseKeys
    record: str
    stops: tuple[Stop, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)

    def fields(self) -> dict[str, Any]:
        """Return it as JSON values; the journal keeps the same."""
        return {
            "election": self.election,
            "token": self.token,
            **_deadline_fields(self.deadlines),
            "holder_revision": self.holder_revision,
            "release": {name: getattr(self.release, name) for name in ReleaseKeys.__slots__},
            "record": self.record,
            "stops": [{name: getattr(stop, name) for name in Stop.__slots__} for stop in self.stops],
            "env": dict(self.env),
        }

    @staticmethod
    def read(fields: Mapping[str, Any]) -> "Arm":
        """Read what `fields` gave.

        Raises:
            KeyError, TypeError, ValueError: It is something else.
        """
        return Arm(
            str(fields["election"]),
            int(fields["token"]),
            _deadlines(fields),
            int(fields["holder_revision"]),
            ReleaseKeys(**fields["release"]),
            str(fields["record"]),
            tuple(_stop(stop) for stop in fields["stops"]),
            {str(name): str(value) for name, value in fields["env"].items()},
        )


@dataclass(frozen=True, slots=True)
class Extend:
    """A proven renewal has moved the deadlines of a term."""

    election: str
    token: int
    deadlines: Deadlines


@dataclass(frozen=True, slots=True)
class Stopping:
    """The agent stops the term by itself: wait for it until `kill_at`."""

    election: str
    token: int


@dataclass(frozen=True, slots=True)
class Disarm:
    """Nothing of the term runs; its release is pending."""

    election: str
    token: int


@dataclass(frozen=True, slots=True)
class Forget:
    """The term is released."""

    election: str
    token: int


@dataclass(frozen=True, slots=True)
class Fence:
    """A stop has failed: escalate, or try the stops of an unclean term again."""

    election: str
    token: int


@dataclass(frozen=True, slots=True)
class Armed:
    """The term is written down and watched."""

    election: str
    token: int


@dataclass(frozen=True, slots=True)
class Fencing:
    """The term is the guard's from now on: the agent must not be killed for it any more."""

    election: str
    token: int


@dataclass(frozen=True, slots=True)
class Fenced:
    """The escalation has ended. `clean`: every stop succeeded; `detail` is one line for people."""

    election: str
    token: int
    clean: bool
    detail: str


@dataclass(frozen=True, slots=True)
class Shutdown:
    """Stop everything, release, exit."""


@dataclass(frozen=True, slots=True)
class Reload:
    """The configuration has changed, in what is safe to change; the guard has taken it over already."""

    changes: tuple[Change, ...]


@dataclass(frozen=True, slots=True)
class Alive:
    """The agent's loop runs; said now and then where a service manager wants to know."""


Message = Arm | Extend | Stopping | Disarm | Forget | Fence
Answer = Armed | Fencing | Fenced | Shutdown | Reload

_PLAIN: dict[str, type[Stopping | Disarm | Forget | Fence | Armed | Fencing]] = {
    "stopping": Stopping, "disarm": Disarm, "forget": Forget, "fence": Fence, "armed": Armed,
    "fencing": Fencing,
}
_BARE: dict[str, type[Alive | Shutdown]] = {"alive": Alive, "shutdown": Shutdown}
_NAMES = {kind: name for name, kind in _PLAIN.items()}


def encode(message: Message | Alive | Answer) -> bytes:
    """Return the packet of a message.

    Raises:
        GuardError: It is too long for one packet; give the election fewer or shorter stop commands.
    """
    packet = json.dumps(_fields(message)).encode()
    if len(packet) > MAX_PACKET:
        raise GuardError(f"a message of {len(packet)} bytes to the guard is too long")
    return packet


def decode(packet: bytes) -> Message | Alive | Answer:
    """Read a packet.

    Raises:
        GuardError: It is no message of this protocol.
    """
    try:
        fields = json.loads(packet)
        kind = fields["type"]
        if kind == "arm":
            return Arm.read(fields)
        if kind in _BARE:
            return _BARE[kind]()
        if kind == "reload":
            return Reload(tuple(Change(tuple(map(str, path)), value) for path, value in fields["changes"]))
        election, token = str(fields["election"]), int(fields["token"])
        if kind == "extend":
            return Extend(election, token, _deadlines(fields))
        if kind == "fenced":
            return Fenced(election, token, bool(fields["clean"]), str(fields["detail"]))
        return _PLAIN[kind](election, token)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise GuardError(f"not a message: {packet[:200]!r}: {error!r}") from error


def _fields(message: Message | Alive | Answer) -> dict[str, Any]:
    if isinstance(message, Alive | Shutdown):
        return {"type": type(message).__name__.lower()}
    if isinstance(message, Reload):
        return {"type": "reload", "changes": message.changes}
    if isinstance(message, Arm):
        return {"type": "arm", **message.fields()}
    head = {"election": message.election, "token": message.token}
    if isinstance(message, Extend):
        return {"type": "extend", **head, **_deadline_fields(message.deadlines)}
    if isinstance(message, Fenced):
        return {"type": "fenced", **head, "clean": message.clean, "detail": message.detail}
    return {"type": _NAMES[type(message)], **head}


def _deadline_fields(deadlines: Deadlines) -> dict[str, list[float]]:
    return {name: list(getattr(deadlines, name)) for name in Deadlines._fields}


def _deadlines(fields: Mapping[str, Any]) -> Deadlines:
    return Deadlines(*(Instant(*map(float, fields[name])) for name in Deadlines._fields))


def _stop(fields: Mapping[str, Any]) -> Stop:
    return Stop(
        str(fields["resource"]), tuple(map(str, fields["argv"])), float(fields["timeout"]),
        tuple(map(int, fields["fine"])), {str(name): str(value) for name, value in fields["env"].items()},
    )
