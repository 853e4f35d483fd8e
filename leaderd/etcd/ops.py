"""What is asked of etcd and what it answers, as plain values: protobuf stays inside `etcd.client`."""

from dataclasses import dataclass
from enum import Enum


class Target(Enum):
    """Which property of a key a comparison looks at; the names are etcd's."""

    CREATE = "create_revision"
    MOD = "mod_revision"
    LEASE = "lease"
    VALUE = "value"


class Relation(Enum):
    """How the property must relate to the value; the names are etcd's."""

    EQUAL = "EQUAL"
    GREATER = "GREATER"
    LESS = "LESS"


@dataclass(frozen=True, slots=True)
class Compare:
    """One condition of a transaction. With `range_end` every key of the range must meet it.

    An absent key has 0 in every property.
    """

    key: str
    target: Target
    relation: Relation
    value: int | str
    range_end: str = ""


@dataclass(frozen=True, slots=True)
class Put:
    """Set a key, attached to `lease` unless that is 0."""

    key: str
    value: str
    lease: int = 0


@dataclass(frozen=True, slots=True)
class Delete:
    """Delete a key, or with `range_end` every key up to it; harmless when it is gone already."""

    key: str
    range_end: str = ""


@dataclass(frozen=True, slots=True)
class Range:
    """All keys from `key` up to `range_end`, smallest create revision first, perhaps without their values."""

    key: str
    range_end: str
    keys_only: bool = False


Op = Put | Delete | Range


@dataclass(frozen=True, slots=True)
class KeyValue:
    """One key as it stands in etcd; a value that is not UTF-8 is shown with replacement characters."""

    key: str
    value: str
    create_revision: int
    mod_revision: int
    lease: int


@dataclass(frozen=True, slots=True)
class Header:
    """The head of every answer; see ResponseHeader in etcd's rpc.proto."""

    cluster_id: int
    member_id: int
    revision: int
    raft_term: int


@dataclass(frozen=True, slots=True)
class Reading:
    """What stands in a range; the header's revision is that of the whole store at that moment."""

    header: Header
    found: tuple[KeyValue, ...]


@dataclass(frozen=True, slots=True)
class TxnAnswer:
    """What a transaction did.

    Attributes:
        header: Its revision is that of the transaction's own writes, if it made any.
        succeeded: The conditions held.
        ranges: The results of the `Range`s of the branch that ran, in order.
    """

    header: Header
    succeeded: bool
    ranges: tuple[tuple[KeyValue, ...], ...]


@dataclass(frozen=True, slots=True)
class Grant:
    """A new lease; `ttl` in whole seconds, which may be more than was asked."""

    lease: int
    ttl: int


@dataclass(frozen=True, slots=True)
class TimeToLive:
    """What the etcd leader's memory says of a lease, in whole seconds; `ttl` is -1 when it is unknown."""

    header: Header
    ttl: int
    granted: int


@dataclass(frozen=True, slots=True)
class Change:
    """One change that a watch delivered.

    Attributes:
        key: Which key.
        revision: Store revision of the change.
        now: Its new state, or None when it was deleted.
    """

    key: str
    revision: int
    now: KeyValue | None


@dataclass(frozen=True, slots=True)
class MemberStatus:
    """One endpoint as it answered a status request.

    Attributes:
        url: The endpoint.
        version: Of etcd, e.g. "3.4.23"; "" when it did not answer.
        member_id: Its own id.
        leader_id: The member that it takes for etcd's leader; 0 for none.
        round_trip: Seconds.
        error: Why it did not answer, one line, or "".
    """

    url: str
    version: str = ""
    member_id: int = 0
    leader_id: int = 0
    round_trip: float = 0.0
    error: str = ""
