"""Who should lead instead, and how the leadership gets there without ever being anybody's by force.

The wish for another leader is one key, the *intent*: it names the leader's token and stands on the
leader's lease, so that it is void with the term. An operator's daemon writes it, or the leader itself where
a node of higher priority has been stable for long enough. Then:

1. Candidates that stand before the wanted node re-queue: they delete their key and join again, behind it.
2. The wanted node answers with the intent's revision in its own candidate key: it lives, and has seen it.
3. When it is next and has answered, the leader stops, releases, and the wanted node takes over (rule R6a).
   An intent that has come to nothing after `INTENT_LIFE` is dropped, and nothing has changed.

None of this bears on the promise. A leader that hands over is one that stops in order; the next one takes
over by R3 and R6 like any other, and who that is decides the order of the queue, as ever. What is read here
may be stale or forged: the worst that comes of it is a leader that steps down, or a place in the queue.

Re-queueing is for times with a leader only: while there is none, whoever stands first is about to take
over, and all others wait to step in for it.

Source: docs/design.md §4.
"""

from dataclasses import dataclass

from leaderd.core.actions import Action, AnswerIntent, DropIntent, WriteIntent
from leaderd.core.control import Controls
from leaderd.core.queue import Queue, is_foreign, key_of_token
from leaderd.core.records import CandidateKey, HolderRecord
from leaderd.core.session import Session
from leaderd.core.view import View
from leaderd.instant import Instant

# An intent that has come to nothing is dropped after so long (seconds).
INTENT_LIFE = 10.0
# What was sent into the void is sent again (seconds).
_RETRY = 1.0
PREEMPTED = "preempted"


@dataclass(frozen=True, slots=True)
class StepDown:
    """The leader is to stop and release now."""

    reason: str


@dataclass(frozen=True, slots=True)
class Requeue:
    """The candidate is to go to the end of the queue."""

    reason: str


@dataclass(frozen=True, slots=True)
class Preference:
    """What the configuration says of this node.

    Attributes:
        priority: Larger is preferred.
        preempt_delay: Seconds for which a preferred node must be stable until this one, leading, hands
            over to it; None where it never does.
    """

    priority: int = 100
    preempt_delay: float | None = None


Step = Action | StepDown | Requeue


class Handover:
    """What one node does about the wish for another leader.

    Args:
        node: Of this node.
        preference: Of this node.
    """

    def __init__(self, node: str, preference: Preference) -> None:
        self._node = node
        self._preference = preference
        self._revision = 0
        self._lapsed = False
        self._favourite = ""
        self._at: Instant | None = None

    def prefer(self, preference: Preference) -> None:
        """Go by another preference from now on; who has waited long enough for a handover waits once more."""
        self._preference = preference
        self._favourite = ""

    def next_timer(self, now: Instant) -> float | None:
        """Return the seconds until this wants to be asked again; None while only an event helps."""
        return None if self._at is None else now.wait_until(self._at)

    # --- the leader ---

    def as_leader(self, view: View, session: Session, token: int, now: Instant) -> Step | None:
        """Return what a leader is to do; called after every event and when the timer has run down."""
        intent = view.controls.intent
        if intent is None or intent.token != token:
            return self._prefer(view, session, token, now)
        self._favourite = ""
        if self._is_new(intent.revision) or self._at is None:
            self._at = now.plus(INTENT_LIFE)
        if now.wait_until(self._at) <= 0:
            self._lapsed, self._at = True, now.plus(_RETRY)
            return DropIntent(intent.revision)
        # A paused election has no room for a handover: the next one could not be promoted.
        if self._lapsed or view.controls.paused or len(view.queue) < 2:
            return None
        own, heir = view.queue[:2]
        ready = heir.node == intent.to and heir.ready_for == intent.revision
        return StepDown(intent.reason) if ready and own.key == session.key else None

    def _prefer(self, view: View, session: Session, token: int, now: Instant) -> WriteIntent | None:
        """Wish for a node of higher priority once it has stood in the queue for long enough."""
        own, delay = self._preference.priority, self._preference.preempt_delay
        best = next(iter(heirs(view.queue, session.key, view.controls)), None)
        if delay is None or view.controls.paused or best is None or best.priority <= own:
            self._favourite, self._at = "", None
        elif best.key != self._favourite:
            self._favourite, self._at = best.key, now.plus(delay)
        elif self._at is not None and now.wait_until(self._at) <= 0:
            self._at = now.plus(max(delay, _RETRY))
            return WriteIntent(token, session.lease.id, best.node, PREEMPTED)
        return None

    # --- a candidate ---

    def as_candidate(self, view: View, session: Session, now: Instant) -> Step | None:
        """Return what a candidate is to do; called after every event and when the timer has run down."""
        leader = standing_leader(view.queue, view.holder)
        behind = _behind(view.queue, session.key)
        if leader is None or leader.key == session.key or session.claim is not None or behind is None:
            self._at = None
            return None
        intent = view.controls.intent
        if intent is not None and view.holder is not None and intent.token == view.holder.token:
            if intent.to == self._node:
                return self._answer(view, session, intent.revision, now)
            return Requeue(intent.reason) if any(key.node == intent.to for key in behind) else None
        self._at = None
        if view.controls.paused or not any(self._yields_to(key, view.controls) for key in behind):
            return None
        return Requeue(PREEMPTED)

    def _answer(self, view: View, session: Session, revision: int, now: Instant) -> AnswerIntent | None:
        if any(key.key == session.key and key.ready_for == revision for key in view.queue):
            self._at = None
            return None
        if not self._is_new(revision) and self._at is not None and now.wait_until(self._at) > 0:
            return None
        self._at = now.plus(_RETRY)
        return AnswerIntent(session.serial, revision)

    def _yields_to(self, other: CandidateKey, controls: Controls) -> bool:
        fit = not is_foreign(other) and other.node not in controls.standby
        return fit and other.priority > self._preference.priority

    def _is_new(self, revision: int) -> bool:
        if revision == self._revision:
            return False
        self._revision, self._lapsed = revision, False
        return True


def standing_leader(queue: Queue, holder: HolderRecord | None) -> CandidateKey | None:
    """Return the key of the leader, None while nobody leads: its record held, its key first."""
    if holder is None or holder.state != "held":
        return None
    key = key_of_token(queue, holder.token)
    return key if key is not None and key == queue[0] else None


def heirs(queue: Queue, leader: str, controls: Controls) -> list[CandidateKey]:
    """Return who could lead instead of the key `leader`, the preferred first: by priority, then by age."""
    fit = [key for key in queue
           if key.key != leader and not is_foreign(key) and key.node not in controls.standby]
    return sorted(fit, key=lambda key: (-key.priority, key.create_revision))


def refusal(queue: Queue, holder: HolderRecord | None, controls: Controls, to: str) -> str:
    """Return why the leadership cannot go to node `to` ("" for anybody) now, in one line; "" when it can."""
    leader = standing_leader(queue, holder)
    if controls.paused:
        return "the election is paused: leaderd resume it first"
    if leader is None or holder is None:
        return "nobody leads, so that there is nothing to hand over"
    if controls.intent is not None and controls.intent.token == holder.token:
        return f"a switchover to {controls.intent.to} is under way"
    if to == leader.node:
        return f"{to} leads already"
    fit = heirs(queue, leader.key, controls)
    if not to:
        return "" if fit else "no other node is fit to take over"
    return "" if any(key.node == to for key in fit) else _why_unfit(to, queue, controls)


def _why_unfit(node: str, queue: Queue, controls: Controls) -> str:
    if node in controls.standby:
        return f"{node} is in standby: leaderd online --node {node} first"
    reports = {report.node: report for report in controls.nodes}
    if node in reports:
        report = reports[node]
        return f"{node} does not compete: {report.state}{report.reason and ', ' + report.reason}"
    known = sorted({*reports, *(key.node for key in queue if not is_foreign(key))})
    return f"no node {node} is known in this election; there are: {', '.join(known)}"


def _behind(queue: Queue, key: str) -> Queue | None:
    """Return the keys behind ours, None while ours is not seen in the queue."""
    place = next((place for place, entry in enumerate(queue) if entry.key == key), None)
    return None if place is None else queue[place + 1:]
