"""What can happen to an election: the only inputs of `core.election`.

Events of a session carry its `serial`, events of a term its `token`; late ones of an older session or
term are dropped at one place (rule R9). Every adapter posts these and nothing else.
"""

from dataclasses import dataclass

from leaderd.core.records import CandidateKey, ControlKey, HolderRecord, Known, Snapshot
from leaderd.instant import Instant


@dataclass(frozen=True, slots=True)
class Event:
    """Root of all events."""


@dataclass(frozen=True, slots=True)
class SessionEvent(Event):
    """Belongs to one session."""

    serial: int
    """Number of the session, from the action that this answers."""


@dataclass(frozen=True, slots=True)
class TermEvent(Event):
    """Belongs to one term."""

    token: int
    """Fencing token of the term, from the action that this answers."""


# --- the daemon ---


@dataclass(frozen=True, slots=True)
class Started(Event):
    """The agent runs; the first event."""

    known: Known = Known()
    """What `state_dir` remembers of etcd."""
    pending: "PendingRelease | None" = None
    """A term of an earlier run that is not released yet."""
    unclean: int = 0
    """Token of an earlier term whose stop has not succeeded yet; 0 for none. Not released until it has."""
    healthy: bool = True
    """Whether the node may lead; False where a health check has still to say so."""


@dataclass(frozen=True, slots=True)
class PendingRelease:
    """A term that has stopped and whose key is still to be given up (rule R5).

    Attributes:
        token: Fencing token of the term.
        holder_revision: Mod revision of the holder record that the term's own takeover wrote.
        record: That record; released, it is what takes its place.
    """

    token: int
    holder_revision: int
    record: HolderRecord


@dataclass(frozen=True, slots=True)
class Tick(Event):
    """Time has passed: `next_timer` asked for it, or the shell looks at the clock anyway."""


@dataclass(frozen=True, slots=True)
class Shutdown(Event):
    """Stop the resources, release, and be done."""


@dataclass(frozen=True, slots=True)
class HealthChanged(Event):
    """The node's own check says that it may lead, or that it may not."""

    healthy: bool
    """It may lead."""
    detail: str
    """One line for people, why not."""


@dataclass(frozen=True, slots=True)
class PreferenceChanged(Event):
    """The node was told another priority, or another patience with nodes of a higher one."""

    priority: int
    """Larger is preferred."""
    preempt_delay: float | None
    """Seconds, None where it never hands over by itself; see `handover.Preference`."""


@dataclass(frozen=True, slots=True)
class GuardLost(Event):
    """The pipe to the guard is closed: step down in order, then be done (docs/design.md §3)."""


# --- etcd: the session ---


@dataclass(frozen=True, slots=True)
class Joined(SessionEvent):
    """A lease was granted and our key stands in the queue."""

    lease: int
    """Lease id."""
    ttl: int
    """Whole seconds that etcd granted."""
    sent_at: Instant
    """Just before the grant was sent: an unproven session counts from here (rule R12)."""
    key: str
    """Our candidate key."""
    create_revision: int
    """Its create revision."""
    snapshot: Snapshot
    """The state right after."""
    known: Known
    """What was known before the request left."""


@dataclass(frozen=True, slots=True)
class JoinFailed(SessionEvent):
    """No lease or no key; whatever half of it was made has been given up or runs out."""

    detail: str
    """One line for people."""


@dataclass(frozen=True, slots=True)
class Renewed(SessionEvent):
    """A proven renewal (rule R11)."""

    sent_at: Instant
    """Just before the keepalive was sent."""
    snapshot: Snapshot
    """The linearizable read that proves it."""
    known: Known
    """What was known before the attempt began."""


@dataclass(frozen=True, slots=True)
class RenewalFailed(SessionEvent):
    """An attempt that proved nothing, one way or the other."""

    detail: str
    """One line for people."""


@dataclass(frozen=True, slots=True)
class SessionGone(SessionEvent):
    """A linearizable read shows that our key or lease is gone (rule R7)."""

    detail: str
    """One line for people."""


@dataclass(frozen=True, slots=True)
class QueueChanged(Event):
    """The watch or its re-listing shows a new queue: a hint that promotes nobody."""

    revision: int
    """Store revision up to which `queue` is complete."""
    queue: tuple[CandidateKey, ...]
    """All keys under the election prefix, smallest create revision first."""


@dataclass(frozen=True, slots=True)
class ControlChanged(Event):
    """The watch or its re-listing shows new marks, wishes or reports of nodes: a hint, as the queue is."""

    revision: int
    """Store revision up to which `found` is complete."""
    found: tuple[ControlKey, ...]
    """All keys under the control prefix but holder and epoch, by name."""


# --- etcd: the takeover ---


@dataclass(frozen=True, slots=True)
class EvidenceGathered(SessionEvent):
    """Two linearizable reads around a lease time-to-live, one member, one raft term (rule R6b)."""

    token: int
    """The holder's token in both reads."""
    remaining: int
    """Whole seconds that the holder's lease has left, 0 … granted."""
    granted: int
    """Whole seconds granted to it."""
    started_at: Instant
    """Before the first read was sent."""
    ended_at: Instant
    """After the time-to-live answer came."""


@dataclass(frozen=True, slots=True)
class EvidenceFailed(SessionEvent):
    """Nothing that R6b may use: no answer, a changed term, member or holder, lease not found."""

    detail: str
    """One line for people."""


@dataclass(frozen=True, slots=True)
class TookOver(SessionEvent):
    """The takeover transaction committed: the holder record names us (rule R3)."""

    token: int
    """Our fencing token."""
    holder_revision: int
    """Mod revision of the record that this transaction wrote."""


@dataclass(frozen=True, slots=True)
class TakeoverRefused(SessionEvent):
    """A compare failed: somebody older stands, or a record changed. Judge again."""


@dataclass(frozen=True, slots=True)
class TakeoverFailed(SessionEvent):
    """No answer: it may or may not have committed. The next proven renewal tells."""

    detail: str
    """One line for people."""


@dataclass(frozen=True, slots=True)
class Released(TermEvent):
    """The term is given up in etcd, or somebody else's record stands there by now."""


@dataclass(frozen=True, slots=True)
class ReleaseFailed(TermEvent):
    """The release could not be sent; it stays pending."""

    detail: str
    """One line for people."""


# --- the guard ---


@dataclass(frozen=True, slots=True)
class GuardArmed(TermEvent):
    """The guard has written the term down and watches its deadline (rules R1, R13)."""


@dataclass(frozen=True, slots=True)
class Fenced(TermEvent):
    """The guard has run its escalation or a retry of the stops."""

    clean: bool
    """Every stop command succeeded and nothing of the term runs."""
    detail: str
    """One line for people."""


# --- resources ---


@dataclass(frozen=True, slots=True)
class ResourcesStarted(TermEvent):
    """All of the group run."""


@dataclass(frozen=True, slots=True)
class StartFailed(TermEvent):
    """A start failed or overran; what had started is still to be stopped."""

    detail: str
    """One line for people."""


@dataclass(frozen=True, slots=True)
class ResourceFailed(TermEvent):
    """A monitor failed or a process died."""

    detail: str
    """One line for people."""


@dataclass(frozen=True, slots=True)
class ResourcesStopped(TermEvent):
    """Every stop has been tried."""

    clean: bool
    """Every one succeeded."""
    detail: str
    """One line for people, what failed."""
