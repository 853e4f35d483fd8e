"""Switches that turn one rule of docs/design.md §2 off, for tests alone: production code has none."""

import math
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any
from unittest.mock import patch

from leaderd.core import actions as a
from leaderd.core import events as e
from leaderd.core import history, session
from leaderd.core.election import Election
from leaderd.core.lease import Lease, Timing
from leaderd.core.proof import KeepaliveAnswer, Verdict, judge_renewal
from leaderd.core.records import HolderRecord, Known, Snapshot
from leaderd.core.remains import Remains
from leaderd.core.session import Session
from leaderd.core.states import State
from leaderd.core.takeover import Takeover
from leaderd.core.term import Term
from leaderd.instant import Instant
from tests.sim import calls, world
from tests.sim.agent import Agent
from tests.sim.calls import Renewal
from tests.sim.deadman import Deadman
from tests.sim.guard import Guard
from tests.sim.store import Store

Patch = tuple[Any, str, Any]

_AT_ONCE = Instant(-math.inf, -math.inf)
_handle = Election.handle
_deadlines = Election._deadlines
_session_timer = Session.next_timer
_begin = Remains.begin
_budget = world.budget
_recover = Guard._recover
_acknowledged = Renewal._acknowledged


def _starts_unarmed(term: Term) -> bool:
    return not term.starting


def _always(*_: Any) -> bool:
    return True


def _never(*_: Any) -> bool:
    return False


def _nothing(*_: Any) -> None:
    return None


def _takes_over_anyway(store: Store, key: str, lease: int, create_revision: int, holder_revision: int,
                       epoch_revision: int, record: HolderRecord) -> int:
    store.put_holder(record)
    store.on_takeover(record)
    return store.holder_revision


def _begins_clean(remains: Remains, event: e.Started) -> None:
    _begin(remains, event)
    remains._cleaned = True


def _trusts_the_last_run(guard: Guard) -> None:
    if guard.host.journal is not None:
        guard.host.journal = guard.host.journal._replace(phase="stopped")
    _recover(guard)


def _calls_failed_stops_clean(election: Election, event: e.Event, now: Instant) -> list[a.Action]:
    if isinstance(event, e.ResourcesStopped):
        event = replace(event, clean=True)
    return _handle(election, event, now)


def _releases_any_record(store: Store, key: str, record: HolderRecord, holder_revision: int) -> None:
    store.put_holder(replace(record, state="released"))
    store.delete(key)


def _opens_when_first(takeover: Takeover, own_token: int) -> Instant:
    return _AT_ONCE


def _opens_when_gone(takeover: Takeover, holder: HolderRecord, own_token: int) -> Instant | None:
    released = holder.state == "released" or holder.token == own_token
    return _AT_ONCE if released or takeover._gone_at is not None else None


def _opens_soon_after_gone(takeover: Takeover, holder: HolderRecord, own_token: int) -> Instant | None:
    """Wait only as long as a leader needs that notices the loss of its key at once."""
    if holder.state == "released" or holder.token == own_token:
        return _AT_ONCE
    return takeover._gone_at and takeover._gone_at.plus(0.6 * holder.stop)


def _learns_too_much(takeover: Takeover, event: e.EvidenceGathered) -> None:
    """Take any remaining time for evidence, whether or not the holder is past its stop."""
    holder = takeover._holder
    if holder is not None and holder.token == event.token:
        pace = 1 - takeover._timing.clock_drift
        x = event.ended_at.plus(-(event.granted - event.remaining) * pace)
        takeover._closes_at = x.plus(holder.stop)
        takeover.look_at = None


def _ignores_the_loss(election: Election, event: e.Event, now: Instant) -> list[a.Action]:
    if election._term is not None:
        if isinstance(event, e.QueueChanged):
            event = e.Tick()
        if isinstance(event, e.SessionGone):
            event = e.RenewalFailed(event.serial, event.detail)
    return _handle(election, event, now)


def _sees_no_regression(snapshot: Any, known: Known) -> str:
    return ""


def _pause(agent: Agent) -> None:
    agent.paused = True
    agent.read_before = agent.clock()  # type: ignore[attr-defined]


def _resume_with_old_clocks(agent: Agent) -> None:
    agent.paused = False
    waiting, agent.waiting = agent.waiting, []
    before = agent.read_before  # type: ignore[attr-defined]
    with patch.object(agent, "clock", lambda: before):
        for call, args in waiting:
            agent.do(call, *args)
    agent._set_timer()


def _believes_the_answer(renewal: Renewal, endpoint: int, joined: e.Joined, sent_at: Instant,
                         term: int, ttl: int) -> None:
    """Let a leader's keepalive count as soon as it is acknowledged, as every other tool does."""
    client = renewal.client
    seen = client.seen
    if ttl > 0 and seen is not None and client.process.election.state is State.LEADER:  # type: ignore[attr-defined]
        renewal.finish(e.Renewed(renewal.serial, sent_at, seen, Known()))
    else:
        _acknowledged(renewal, endpoint, joined, sent_at, term, ttl)


def _renews_at_any_time(lease: Lease, sent_at: Instant, now: Instant) -> Lease:
    return replace(lease, sent_at=sent_at) if sent_at.raw > lease.sent_at.raw else lease


def _deadlines_of_leaders(election: Election, now: Instant) -> None:
    if election.state is State.LEADER:
        _deadlines(election, now)


def _waits_past_the_end(session: Session, now: Instant, takeover: Takeover | None) -> float:
    wait = _session_timer(session, now, takeover)
    return max(wait, 0.05) if session.lease.left(now) <= 0 else wait


def _budget_without_margin(ttl: int, drift: float, kill_time: float, stop_share: float) -> Timing:
    return replace(_budget(ttl, drift, kill_time, stop_share), margin=1e-9)


def _budget_without_drift(ttl: int, drift: float, kill_time: float, stop_share: float) -> Timing:
    return replace(_budget(ttl, drift, kill_time, stop_share), clock_drift=0.0)


def _judges_without_terms(key: str, lease: int, create_revision: int, answer: KeepaliveAnswer,
                          snapshot: Snapshot) -> Verdict:
    answer = replace(answer, raft_term=snapshot.raft_term)
    return judge_renewal(key, lease, create_revision, answer, snapshot)


PATCHES: dict[str, list[Patch]] = {
    "R1": [(Term, "may_start", _starts_unarmed)],
    "kernel timer": [(Deadman, "arm", _nothing)],
    "R2": [(Term, "has_budget", _always)],
    "R3": [(Store, "takeover", _takes_over_anyway)],
    "R4": [(Remains, "begin", _begins_clean), (Guard, "_recover", _trusts_the_last_run)],
    "R5": [(Election, "handle", _calls_failed_stops_clean)],
    "R5 guard": [(Store, "release", _releases_any_record)],
    "R6": [(Takeover, "opens_at", _opens_when_first)],
    "R6c": [(Takeover, "_holder_opens_at", _opens_when_gone)],
    "R6c, most of it": [(Takeover, "_holder_opens_at", _opens_soon_after_gone)],
    "R6b": [(Takeover, "learn", _learns_too_much)],
    "R7": [(Election, "handle", _ignores_the_loss)],
    "R8": [(history, "regression", _sees_no_regression)],
    "R9": [(Election, "_is_stale", _never)],
    "R10": [(Agent, "pause", _pause), (Agent, "resume", _resume_with_old_clocks)],
    "R11": [(Renewal, "_acknowledged", _believes_the_answer)],
    "R11, terms": [(calls, "judge_renewal", _judges_without_terms)],
    "R12": [(Lease, "renewed", _renews_at_any_time), (Election, "_deadlines", _deadlines_of_leaders),
            (Session, "next_timer", _waits_past_the_end)],
    "R13": [(Guard, "_watch", _nothing)],
    "marks": [(session, "is_barred", _never), (Store, "bars", _never)],
    "marks, in the takeover": [(Store, "bars", _never)],
    "margin": [(world, "budget", _budget_without_margin)],
    "drift": [(world, "budget", _budget_without_drift)],
}


@contextmanager
def switched_off(*rules: str) -> Iterator[None]:
    """Run without these rules."""
    with ExitStack() as stack:
        for rule in rules:
            for target, name, replacement in PATCHES[rule]:
                stack.enter_context(patch.object(target, name, replacement))
        yield
