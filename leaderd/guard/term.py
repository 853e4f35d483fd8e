"""What the guard decides about one term: pure, so that tests and simulation can ask it the same.

A term is what one `arm` message began. Nothing here reads a clock, a file or a socket.

    arm ─► ARMING ─ journal synced ─► ARMED ─ stopping ─► STOPPING ─ disarm ─► STOPPED ─ forget ─► gone
               └──────────┬─────────────┴───────────────────┘                     ▲
                          └─ late, agent dead, fence ─► CLEANING ─ all stopped ───┤
                                                            └─ a stop failed ─► UNCLEAN ─ fence ─► CLEANING

Source: docs/design.md R5 and R13, §3.
"""

from dataclasses import dataclass, replace
from enum import Enum

from leaderd.guard.wire import Arm, Deadlines, Disarm, Extend, Fence, Forget, Message, Stopping
from leaderd.instant import Instant

# An agent that has not reported that it is stopping this long after `stop_at` is late (rule R13), seconds.
LATE_AFTER = 0.1


class Phase(Enum):
    """How far a term has come, as the guard knows."""

    ARMING = "arming"
    """The journal is being written; nothing runs yet (rule R1)."""
    ARMED = "armed"
    """The agent holds."""
    STOPPING = "stopping"
    """The agent stops it."""
    CLEANING = "cleaning"
    """The guard stops it."""
    STOPPED = "stopped"
    """Nothing of it runs; its release is pending."""
    UNCLEAN = "unclean"
    """A stop failed: nothing is released (rule R5)."""


@dataclass(frozen=True, slots=True)
class Term:
    """One term.

    Attributes:
        order: What it was armed with.
        deadlines: As extended since.
        phase: See above.
        failed: A stop has failed; the watchdog device is not fed any more.
        escalated: The whole escalation has been tried once; a further try only stops.
        recovered: It was read from the journal of an earlier run; how far its deadlines had been
            moved is not known.
        rebooted: That run was before the last boot.
    """

    order: Arm
    deadlines: Deadlines
    phase: Phase
    failed: bool = False
    escalated: bool = False
    recovered: bool = False
    rebooted: bool = False

    @property
    def live(self) -> bool:
        """Whether the agent may hold something of it."""
        return self.phase in (Phase.ARMING, Phase.ARMED, Phase.STOPPING)


def heard(term: Term | None, message: Message) -> Term | None:
    """Return the term after a message; the same object when the message changes nothing.

    A message with another token than the term's changes nothing, whatever it says, so that news of an
    old term cannot disarm a new one. The one exception is `arm` with a newer token once the old term
    has stopped; before that it is refused by silence, and without an answer nothing starts (R1).
    """
    if isinstance(message, Arm):
        return _armed(term, message)
    if term is None or term.order.token != message.token:
        return term
    if isinstance(message, Extend):
        return _extended(term, message.deadlines)
    if isinstance(message, Forget):
        return None if term.phase is Phase.STOPPED else term
    match message:
        case Stopping() if term.phase in (Phase.ARMING, Phase.ARMED):
            term = replace(term, phase=Phase.STOPPING)
        case Disarm() if term.live:
            term = replace(term, phase=Phase.STOPPED)
        case Fence() if term.live or term.phase is Phase.UNCLEAN:
            term = replace(term, phase=Phase.CLEANING, failed=True)
    return term


def _armed(term: Term | None, message: Arm) -> Term | None:
    fresh = Term(message, message.deadlines, Phase.ARMING)
    if term is None:
        return fresh
    if message.token > term.order.token and term.phase is Phase.STOPPED:
        return fresh
    return term


def _extended(term: Term, deadlines: Deadlines) -> Term:
    # A term that stops is not revived (R12), and no deadline ever moves back.
    if term.phase not in (Phase.ARMING, Phase.ARMED):
        return term
    if deadlines.expires_at.raw <= term.deadlines.expires_at.raw:
        return term
    return replace(term, deadlines=deadlines)


class Verdict(Enum):
    """Whether the agent may go on."""

    WAIT = "wait"
    LATE = "has not begun to stop in time"
    OVERDUE = "has not finished stopping in time"


def judge(term: Term, now: Instant) -> Verdict:
    """Judge a living agent by one term. Call it after all its messages were heard, with fresh clocks."""
    deadline = next_deadline(term)
    if deadline is None or now.left_until(deadline) > 0:
        return Verdict.WAIT
    return Verdict.LATE if term.phase is Phase.ARMED else Verdict.OVERDUE


def next_deadline(term: Term) -> Instant | None:
    """Return when `judge` will turn against the agent; None while nothing runs."""
    if term.phase is Phase.ARMED:
        return term.deadlines.stop_at.plus(LATE_AFTER)
    return term.deadlines.kill_at if term.phase is Phase.STOPPING else None


class Duty(Enum):
    """What a term needs once the agent and all that it started are dead."""

    NOTHING = "nothing"
    STOP = "stop"
    RELEASE = "release"


def orphaned(term: Term) -> Duty:
    """Return what the guard owes a term whose agent is dead.

    An unclean term is left to the next agent, which asks for a retry when it is ready to wait for it.
    """
    if term.live:
        return Duty.STOP
    return Duty.RELEASE if term.phase is Phase.STOPPED else Duty.NOTHING


def feeds(term: Term, now: Instant, seconds: float) -> bool:
    """Return whether the watchdog device may be fed for this term's sake.

    It may while the reset would come by `expires_at` even if this feeding were the last. For a term
    from before a boot it may anyway: another boot would not help, and other elections share the device.

    Args:
        term: The term.
        now: Fresh clocks.
        seconds: How long after its last feeding the device resets the machine.
    """
    if term.phase is Phase.STOPPED or term.rebooted:
        return True
    if term.failed or term.phase is Phase.UNCLEAN or now.left_until(term.deadlines.fence_at) <= 0:
        return False
    return now.left_until(term.deadlines.expires_at) >= seconds


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a clean-up.

    Attributes:
        kind: stop, kill, watchdog, reboot or command. stop and kill both kill what is left of the
            term and run its stop commands; they differ in the time that they have.
        until: When the next step is taken if this one has not succeeded.
    """

    kind: str
    until: Instant


def steps(term: Term, fence: tuple[str, ...], now: Instant) -> tuple[Step, ...]:
    """Return the steps by which the guard brings a term down, each with its deadline.

    The stop commands have until `fence_at`; from there the configured steps share the time up to
    `expires_at`, or `kill_time` from now when that is past. When nothing stronger than `kill` follows, the
    last round of stops may take what its time-outs allow: giving up earlier would help nobody. So may the
    first round of a term that an earlier run has left. A boot has done all that fencing can do.
    """
    harder = () if term.escalated or term.rebooted else tuple(kind for kind in fence if kind != "kill")
    patience = sum(stop.timeout for stop in term.order.stops) + 1.0
    ahead = patience if term.recovered else now.left_until(term.deadlines.fence_at)
    begin = now.plus(max(ahead, 0.0))
    first = (Step("stop", begin),) if ahead > 0 else ()
    if not harder:
        return (*first, Step("kill", begin.plus(patience)))
    # At least one round of stops comes before anything that cannot be taken back.
    kinds = fence if first else tuple(dict.fromkeys(("kill", *fence)))
    kill_time = term.deadlines.expires_at.raw - term.deadlines.fence_at.raw
    left = begin.left_until(term.deadlines.expires_at)
    share = (left if left > 0 else kill_time) / len(kinds)
    return (*first, *(Step(kind, begin.plus(share * (i + 1))) for i, kind in enumerate(kinds)))
