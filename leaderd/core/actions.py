"""What an election wants done: the only outputs of `core.election`, to be performed in order.

None of these may block: each starts something whose completion comes back as an event.
"""

from dataclasses import dataclass

from leaderd.core.lease import Lease
from leaderd.core.records import HolderRecord, Known
from leaderd.core.status import Status
from leaderd.instant import Instant


@dataclass(frozen=True, slots=True)
class Action:
    """Root of all actions."""


# --- etcd ---


@dataclass(frozen=True, slots=True)
class Join(Action):
    """Grant a lease, create our key, list the queue → `Joined` or `JoinFailed`."""

    serial: int
    """Number of the new session."""
    known: Known
    """To be handed back with the answer."""


@dataclass(frozen=True, slots=True)
class Renew(Action):
    """Make one attempt at a proven renewal → `Renewed`, `RenewalFailed` or `SessionGone`."""

    serial: int
    """The session."""
    known: Known
    """To be handed back with the answer."""


@dataclass(frozen=True, slots=True)
class GatherEvidence(Action):
    """Look at the holder's lease → `EvidenceGathered` or `EvidenceFailed`."""

    serial: int
    """Our session."""
    token: int
    """The holder's token, which both reads must show."""
    lease: int
    """The holder's lease id."""


@dataclass(frozen=True, slots=True)
class TakeOver(Action):
    """Send the takeover transaction → `TookOver`, `TakeoverRefused` or `TakeoverFailed` (rule R3).

    *If* our key has `create_revision` and our lease, no key of the prefix is older, the mod revisions
    of `holder` and `epoch` are these, and no mark keeps us from it (paused, or our node in standby),
    *then* put `record`.
    """

    serial: int
    """Our session."""
    create_revision: int
    """Of our key."""
    holder_revision: int
    """Mod revision of the holder record that R6 was judged on; 0 for none."""
    epoch_revision: int
    """Mod revision of the epoch key; 0 for none."""
    record: HolderRecord
    """What to put."""


@dataclass(frozen=True, slots=True)
class Release(Action):
    """Set the holder record to released, delete our key, revoke the lease → `Released` or `ReleaseFailed`.

    Guarded by the record's mod revision being this term's own (rule R5).
    """

    token: int
    """Of the term."""
    record: HolderRecord
    """What to put: the term's record, released. Its lease id names the key and the lease."""
    holder_revision: int
    """Mod revision that the record must have."""


@dataclass(frozen=True, slots=True)
class EndSession(Action):
    """Stop renewing and forget the session's late answers."""

    serial: int
    """The session."""
    give_up: bool
    """Also delete its key and revoke its lease: it never held, so that is safe (rule R5)."""


# --- etcd: the wish for another leader, and the history ---


@dataclass(frozen=True, slots=True)
class WriteIntent(Action):
    """Put the intent on the leader's lease, unless the record is no longer the leader's or one stands."""

    token: int
    """Of the term that is to end."""
    lease: int
    """Its lease."""
    to: str
    """Node that shall lead."""
    reason: str
    """For the history: "switchover" or "preempted"."""


@dataclass(frozen=True, slots=True)
class DropIntent(Action):
    """Delete an intent that has come to nothing, unless it is another by now."""

    revision: int
    """Its mod revision."""


@dataclass(frozen=True, slots=True)
class AnswerIntent(Action):
    """Put `ready_for` into our candidate key, which keeps its lease and its place."""

    serial: int
    """Our session."""
    intent: int
    """Mod revision of the intent that we are ready for."""


@dataclass(frozen=True, slots=True)
class RecordStart(Action):
    """Write into the history that the term's first start begins now."""

    token: int
    """Of the term."""
    previous: int
    """Token of the term before, 0 for none."""
    released: bool
    """That one has let go cleanly."""


@dataclass(frozen=True, slots=True)
class RecordEnd(Action):
    """Write into the history that all of the term is down now, or that a stop has failed."""

    token: int
    """Of the term."""
    reason: str
    """Why it ended."""
    clean: bool
    """Every stop succeeded."""


# --- the guard ---


@dataclass(frozen=True, slots=True)
class ArmGuard(Action):
    """Tell guard and kernel the deadlines of a term → `GuardArmed` (rules R1, R13)."""

    token: int
    """Of the term."""
    lease: Lease
    """Its deadlines."""
    record: HolderRecord
    """The term's record as the takeover put it, for the guard's own release."""
    holder_revision: int
    """Its mod revision, for the same."""
    previous: str = ""
    """Node that led before, for the stop hooks that the guard may run."""


@dataclass(frozen=True, slots=True)
class ExtendLease(Action):
    """Move the deadlines of guard, kernel timer and resources."""

    token: int
    """Of the term."""
    lease: Lease
    """The new deadlines."""


@dataclass(frozen=True, slots=True)
class ReportStopping(Action):
    """Tell the guard that the stop has begun, so that it waits until `fence_at`."""

    token: int
    """Of the term."""


@dataclass(frozen=True, slots=True)
class Disarm(Action):
    """Tell guard and kernel timer that nothing of the term runs; its release is still pending."""

    token: int
    """Of the term."""


@dataclass(frozen=True, slots=True)
class Forget(Action):
    """Tell the guard that the term is released and needs nothing more."""

    token: int
    """Of the term."""


@dataclass(frozen=True, slots=True)
class Fence(Action):
    """Have the guard kill what is left of the term, stop it and escalate → `Fenced`."""

    token: int
    """Of the term."""


# --- resources ---


@dataclass(frozen=True, slots=True)
class StartResources(Action):
    """Start the group in order → `ResourcesStarted` or `StartFailed`."""

    token: int
    """Of the term."""
    lease: Lease
    """Deadlines at this moment."""
    reason: str
    """For the hooks."""
    previous: str
    """Node that led before, or ""."""
    released: bool = False
    """It has let go cleanly, so nobody can hold any more; for kinds that would look first."""


@dataclass(frozen=True, slots=True)
class StopResources(Action):
    """Kill starts that still run, stop the group in reverse → `ResourcesStopped`."""

    token: int
    """Of the term; 0 for the clean-up at daemon start."""
    until: Instant
    """All stops must be over by then."""
    reason: str
    """For the hooks."""


# --- an address without etcd (`core.floor`) ---


@dataclass(frozen=True, slots=True)
class ProbeAddress(Action):
    """Ask the network whether another host has an address of the group → `AddressProbed`."""

    serial: int
    """Number of the question, to be handed back."""


@dataclass(frozen=True, slots=True)
class KeepOn(Action):
    """Let the kernel keep the addresses as long as this: no lease of etcd's, and no guard is told."""

    lease: Lease
    """What the node gives itself."""


# --- news ---


@dataclass(frozen=True, slots=True)
class Remember(Action):
    """Keep this in `state_dir` (rule R8)."""

    known: Known
    """What is known of etcd's history."""


@dataclass(frozen=True, slots=True)
class Publish(Action):
    """The status changed in a way that people should see: log line, API, history."""

    status: Status
    """The whole new status."""


@dataclass(frozen=True, slots=True)
class Finish(Action):
    """Nothing is left to do; the agent may exit."""

    clean: bool
    """Every stop succeeded."""
