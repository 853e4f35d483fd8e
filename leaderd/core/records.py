"""What stands in etcd, as values: candidate keys, the holder and epoch records, one snapshot.

    <root>/election/<name>/<lease id, hex>   CandidateKey, attached to the node's lease
    <root>/control/<name>/holder             HolderRecord, no lease
    <root>/control/<name>/epoch              {"epoch": int, "by": str, "since": RFC 3339}, no lease
    <root>/control/<name>/…                  ControlKey: what operators and nodes have to say

Source: docs/interfaces.md §8; the candidate keys follow `NewElection` in etcd's
client/v3/concurrency/election.go.
"""

import json
import math
from dataclasses import dataclass
from typing import Literal

from leaderd.core.lease import MAX_DRIFT, Timing
from leaderd.instant import Instant

_REVISION_BITS = 40
_REVISION_MASK = (1 << _REVISION_BITS) - 1


def fencing_token(epoch: int, create_revision: int) -> int:
    """Return the fencing token of the leader whose key has this create revision (rule R8)."""
    return epoch << _REVISION_BITS | create_revision


def token_epoch(token: int) -> int:
    """Return the epoch of a fencing token."""
    return token >> _REVISION_BITS


def token_revision(token: int) -> int:
    """Return the create revision of the key that a fencing token was made from."""
    return token & _REVISION_MASK


@dataclass(frozen=True, slots=True)
class CandidateKey:
    """One key in the queue, ours or anybody's who follows etcd's election recipe.

    Attributes:
        key: The whole key.
        lease: The lease the key is attached to; 0 for none.
        create_revision: Its place in the queue: the smallest leads.
        node: Node name, or the value's text where it is not leaderd's.
        priority: Larger is preferred; 0 for foreign keys.
        window: V that the candidate would hold with, in seconds; 0 for foreign keys.
        ready_for: Mod revision of the switchover intent that the candidate is ready for; 0 for none.
    """

    key: str
    lease: int
    create_revision: int
    node: str
    priority: int = 0
    window: float = 0.0
    ready_for: int = 0


@dataclass(frozen=True, slots=True)
class ControlKey:
    """One key under `<root>/control/<name>/`, other than holder and epoch. Anybody may have written it.

    Attributes:
        name: What follows the prefix.
        text: Its value.
        revision: Its mod revision.
    """

    name: str
    text: str
    revision: int


@dataclass(frozen=True, slots=True)
class HolderRecord:
    """Who held last, with how long a window, and whether it let go. Durations in seconds.

    Attributes:
        token: Fencing token of the term.
        node: Node name of the holder.
        lease: Its lease id.
        state: "held" from the takeover on, "released" after a clean stop.
        ttl: Whole seconds that etcd granted.
        window: V, from the sending of a keepalive to the end of the hold.
        stop: From the sending of a keepalive to `stop_at`.
        clock_drift: The drift that the holder allows for.
    """

    token: int
    node: str
    lease: int
    state: Literal["held", "released"]
    ttl: int
    window: float
    stop: float
    clock_drift: float

    @staticmethod
    def held(token: int, node: str, lease: int, timing: Timing) -> "HolderRecord":
        """Return the record that the takeover transaction of a term writes."""
        return HolderRecord(token, node, lease, "held", timing.ttl, timing.window,
                            timing.stop_after, timing.clock_drift)

    def encode(self) -> str:
        """Return the JSON text that stands in etcd; milliseconds there, rounded so that they err long."""
        return json.dumps({
            "token": self.token, "node": self.node, "lease": f"{self.lease:x}",
            "state": self.state, "ttl": self.ttl, "window_ms": _milliseconds(self.window),
            "stop_ms": _milliseconds(self.stop), "clock_drift": self.clock_drift,
        })

    @staticmethod
    def decode(text: str) -> "HolderRecord":
        """Read a record back.

        Raises:
            ValueError: The text is not a holder record; nobody may promote over it.
        """
        try:
            fields = json.loads(text)
            if fields["state"] not in ("held", "released"):
                raise ValueError(f"state {fields['state']!r}")
            return HolderRecord(
                int(fields["token"]), str(fields["node"]), int(fields["lease"], 16), fields["state"],
                int(fields["ttl"]), _seconds(fields["window_ms"]), _seconds(fields["stop_ms"]),
                _drift(fields.get("clock_drift", 0.10)),
            )
        except (KeyError, TypeError, ValueError, OverflowError, RecursionError) as error:
            raise ValueError(f"holder record {text[:200]!r} is not readable: {error}") from error


def _milliseconds(seconds: float) -> int:
    # Up, but not for the last bits of a product: what was read back is written as it stood.
    return math.ceil(round(seconds * 1000, 6))


def _seconds(milliseconds: float) -> float:
    # JSON as Python reads it has NaN and Infinity, and a wait for NaN seconds is over at once.
    if not 0 < milliseconds < math.inf:
        raise ValueError(f"{milliseconds} ms is no duration")
    return milliseconds / 1000


def _drift(value: float) -> float:
    if not 0 <= value < MAX_DRIFT:
        raise ValueError(f"clock_drift {value} does not lie in 0 … 0.5")
    return float(value)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One linearizable read of an election's keys, all at one revision.

    Attributes:
        cluster_id: From the response header.
        member_id: The etcd member that answered.
        raft_term: From the response header, filled after the quorum-confirmed read.
        revision: Store revision of the read.
        sent_at: Before the request left.
        received_at: After the answer came.
        queue: The keys under the election prefix, smallest create revision first.
        holder: The holder record, or None when there is none.
        holder_revision: Its mod revision, 0 when there is none.
        epoch: The current epoch, 0 when no epoch key stands.
        epoch_revision: Its mod revision, 0 when there is none.
        broken: Why the holder or epoch record cannot be read, or "".
        controls: The other keys under `<root>/control/<name>/`; `core.control` reads them.
    """

    cluster_id: int
    member_id: int
    raft_term: int
    revision: int
    sent_at: Instant
    received_at: Instant
    queue: tuple[CandidateKey, ...] = ()
    holder: HolderRecord | None = None
    holder_revision: int = 0
    epoch: int = 0
    epoch_revision: int = 0
    broken: str = ""
    controls: tuple[ControlKey, ...] = ()


@dataclass(frozen=True, slots=True)
class Known:
    """What a node knows of etcd's history, kept in `state_dir` across restarts (rule R8).

    Attributes:
        cluster_id: 0 before the first read.
        revision: Highest revision of a linearizable read.
        holder_revision: Highest mod revision of the holder record.
        token: Highest fencing token seen in a holder record.
        epoch: Highest epoch seen.
    """

    cluster_id: int = 0
    revision: int = 0
    holder_revision: int = 0
    token: int = 0
    epoch: int = 0
