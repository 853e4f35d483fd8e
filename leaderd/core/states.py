"""The transition table. Every pair of state and event is decided here, and only here.

`TRANSITIONS` names the states that an event may lead to; `IGNORED` names the pairs in which an event
changes nothing, with the reason. A pair that stands in neither is a bug, and so is a step to a state
that its row does not name: `core.election` raises on both. Passing deadlines are `Tick`s.

Theory of operation. A node is *standby* until the remains of its last run are stopped and released;
then it joins the queue as *candidate*. First in the queue, with the previous window closed, it takes
over and is *promoting* while guard and resources start, then *leader*. Whatever ends the term leads
through *demoting*, in which everything stops, back to *standby*, which releases and joins again. A stop
that fails leads to *fenced*, and only a stop that succeeds leads out.
"""

from enum import Enum

from leaderd.core import events as e


class State(Enum):
    """The words of docs/interfaces.md §4."""

    STANDBY = "standby"
    CANDIDATE = "candidate"
    PROMOTING = "promoting"
    LEADER = "leader"
    DEMOTING = "demoting"
    FENCED = "fenced"


Pair = tuple[State, type[e.Event]]

_S, _C, _P, _L, _D, _F = State
# A deadline that has passed is noticed at any event, before the event itself is looked at; what a
# candidate or leader does about the wish for another leader (`core.handover`) follows after any event.
_LATE = {_S: {_S}, _C: {_C, _S}, _P: {_P, _D, _S}, _L: {_L, _D}, _D: {_D}, _F: {_F}}

_ROWS: dict[Pair, set[State]] = {
    # The remains of the last run are stopped first (R4), unless its stop is known to have failed.
    (_S, e.Started): {_S, _F},
    (_S, e.ResourcesStopped): {_S, _F},
    (_S, e.Released): {_S},
    (_S, e.ReleaseFailed): {_S},
    (_S, e.Joined): {_S, _C},
    (_S, e.JoinFailed): {_S},
    (_C, e.Renewed): {_C, _S},
    (_C, e.RenewalFailed): {_C},
    (_C, e.SessionGone): {_S},
    (_C, e.EvidenceGathered): {_C},
    (_C, e.EvidenceFailed): {_C},
    # Between the takeover and the first start there is nothing to stop.
    (_C, e.TookOver): {_P, _S},
    (_C, e.TakeoverRefused): {_C},
    (_C, e.TakeoverFailed): {_C},
    (_P, e.Renewed): {_P, _D, _S},
    (_P, e.RenewalFailed): {_P},
    (_P, e.SessionGone): {_D, _S},
    (_P, e.GuardArmed): {_P},
    (_P, e.ResourcesStarted): {_L},
    (_P, e.StartFailed): {_D},
    (_L, e.Renewed): {_L, _D},
    (_L, e.RenewalFailed): {_L},
    (_L, e.SessionGone): {_D},
    (_L, e.ResourceFailed): {_D},
    (_D, e.ResourcesStopped): {_S, _F},
    (_F, e.Fenced): {_S, _F},
    (_F, e.ResourcesStopped): {_S, _F},
}
for _state in State:
    _ROWS[_state, e.Tick] = {_state}
    _ROWS[_state, e.PreferenceChanged] = {_state}
    _ROWS[_state, e.QueueChanged] = {_state} | {_C: {_S}, _P: {_D, _S}, _L: {_D}}.get(_state, set())
    for _last in (e.Shutdown, e.GuardLost):
        _ROWS[_state, _last] = {
            _C: {_S}, _P: {_D, _S}, _L: {_D}
        }.get(_state, {_state})
    # Health that returns, or news about an illness already known, leaves every state as it is; so do
    # marks and wishes that are not about this node.
    for _news in (e.HealthChanged, e.ControlChanged):
        _ROWS[_state, _news] = {_state} | _ROWS[_state, e.Shutdown]

TRANSITIONS: dict[Pair, frozenset[State]] = {
    pair: frozenset(states | _LATE[pair[0]]) for pair, states in _ROWS.items()
}

_OVER = "R9: its session is over"
_DONE = "R9: its term is over"
_WHY: dict[type[e.Event], str] = {
    e.Started: "comes once, first",
    e.Joined: _OVER, e.JoinFailed: _OVER, e.Renewed: _OVER, e.RenewalFailed: _OVER, e.SessionGone: _OVER,
    e.EvidenceGathered: "somebody has taken over meanwhile", e.EvidenceFailed: "nothing to look for any more",
    e.TookOver: "R9: answered already, or its session is over",
    e.TakeoverRefused: "R9: answered already, or its session is over",
    e.TakeoverFailed: "R9: answered already, or its session is over",
    e.Released: _DONE, e.ReleaseFailed: _DONE, e.GuardArmed: "armed twice, or R9: its term is over",
    e.Fenced: _DONE, e.ResourcesStarted: "R9: the stop has begun, or the term is over",
    e.StartFailed: "the stop has begun, and stops a half-started group as well",
    e.ResourceFailed: "the stop has begun, or not all is started: the start reports it",
    e.ResourcesStopped: _DONE,
}

IGNORED: dict[Pair, str] = {
    (state, event): why
    for event, why in _WHY.items()
    for state in State
    if (state, event) not in TRANSITIONS
}
