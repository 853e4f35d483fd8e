"""The table of `core.states`: complete, free of contradictions, and drawn in docs/states.md."""

import re
from pathlib import Path

import pytest

from leaderd.core import events as e
from leaderd.core import states
from leaderd.core.election import Election
from leaderd.core.states import IGNORED, TRANSITIONS, Pair, State
from leaderd.errors import InvariantError
from tests.play import TEN, Player, at

PAGE = Path(__file__).parents[2] / "docs" / "states.md"


def kinds() -> list[type[e.Event]]:
    """Return every event that can happen."""
    roots = (e.Event, e.SessionEvent, e.TermEvent)
    return [each for each in vars(e).values()
            if isinstance(each, type) and issubclass(each, e.Event) and each not in roots]


ALL_PAIRS = [(state, kind) for state in State for kind in kinds()]


def mermaid() -> str:
    """Return the state diagram of the table: every step that leaves its state, with its events.

    What a passed deadline does before any event is looked at stands once, as the Tick.
    """
    arrows: dict[tuple[State, State], list[str]] = {}
    for (state, kind), targets in TRANSITIONS.items():
        own = targets if kind is e.Tick else states._ROWS[state, kind]
        for target in own - {state}:
            arrows.setdefault((state, target), []).append(kind.__name__)
    order = list(State)
    lines = ["stateDiagram-v2", f"    [*] --> {State.STANDBY.value}"]
    for source, target in sorted(arrows, key=lambda pair: (order.index(pair[0]), order.index(pair[1]))):
        events = ", ".join(sorted(arrows[source, target]))
        lines.append(f"    {source.value} --> {target.value}: {events}")
    return "\n".join(lines)


def test_every_pair_is_decided_exactly_once() -> None:
    """Each state × event pair stands in TRANSITIONS or in IGNORED, never in both or in neither."""
    decided: list[Pair] = [*TRANSITIONS, *IGNORED]
    assert len(decided) == len(set(decided))
    assert set(decided) == set(ALL_PAIRS)


def test_an_undecided_pair_is_a_bug() -> None:
    """An event that the table does not know ends the agent instead of being guessed at."""
    with pytest.raises(InvariantError, match="nobody decided"):
        Election("db", "a", TEN).handle(e.Event(), at(0.0))


def test_every_ignored_pair_says_why() -> None:
    """A pair that changes nothing has a reason for people."""
    assert all(len(why) > 10 for why in IGNORED.values())


def test_every_state_can_be_reached_and_left() -> None:
    """No state is a dead end and none is unreachable from the start."""
    seen, todo = set(), [State.STANDBY]
    while todo:
        state = todo.pop()
        if state not in seen:
            seen.add(state)
            todo += [target for (source, _), targets in TRANSITIONS.items() if source is state
                     for target in targets]
    assert seen == set(State)
    for state in State:
        assert any(targets - {state} for (source, _), targets in TRANSITIONS.items() if source is state)


def test_only_a_finished_start_leads_to_leader() -> None:
    """A node calls itself leader for one reason only: all its resources run."""
    into = {pair for pair, targets in TRANSITIONS.items() if State.LEADER in targets}
    assert {pair for pair in into if pair[0] is not State.LEADER} == {(State.PROMOTING, e.ResourcesStarted)}


def test_only_a_takeover_leads_to_promoting() -> None:
    """Nothing but the committed transaction of R3 begins a term."""
    into = {pair for pair, targets in TRANSITIONS.items() if State.PROMOTING in targets}
    assert {pair for pair in into if pair[0] is not State.PROMOTING} == {(State.CANDIDATE, e.TookOver)}


def test_a_term_that_has_started_ends_only_through_its_stop() -> None:
    """From leader follows demoting; only stops that were answered lead out of demoting and fenced."""
    for (state, kind), targets in TRANSITIONS.items():
        if state is State.LEADER:
            assert targets <= {State.LEADER, State.DEMOTING}
        if state is State.DEMOTING:
            assert kind is e.ResourcesStopped or targets == {State.DEMOTING}
        if state is State.FENCED:
            assert kind in (e.Fenced, e.ResourcesStopped) or targets == {State.FENCED}


@pytest.mark.parametrize("state", State)
def test_ignored_events_change_nothing(state: State) -> None:
    """In each state every ignored event, with the very newest number and token, leaves all as it is."""
    play = Player()
    reach = {State.STANDBY: play.begin, State.CANDIDATE: play.queue_up, State.PROMOTING: play.start,
             State.LEADER: play.lead, State.DEMOTING: play.demote, State.FENCED: play.fence}
    reach[state](1.0)
    token = 0 if state in (State.STANDBY, State.CANDIDATE) else play.token
    for ignored, kind in [pair for pair in IGNORED if pair[0] is state]:
        if kind in (e.Started, e.Joined, e.Renewed):
            continue
        fields: list[object] = [1] if issubclass(kind, e.SessionEvent) else [token]
        more: dict[type[e.Event], list[object]] = {
            e.JoinFailed: [""], e.RenewalFailed: [""], e.SessionGone: [""], e.EvidenceFailed: [""],
            e.EvidenceGathered: [token, 1, 10, at(1.0), at(1.0)], e.TookOver: [token, 1],
            e.TakeoverFailed: [""], e.ReleaseFailed: [""], e.Fenced: [True, ""], e.StartFailed: [""],
            e.ResourceFailed: [""], e.ResourcesStopped: [True, ""],
        }
        play.at(1.0, kind(*fields, *more.get(kind, []))).nothing().is_now(ignored)


def test_the_page_shows_the_table() -> None:
    """docs/states.md holds the diagram of the table as it is."""
    drawn = re.search(r"```mermaid\n(.*?)\n```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert drawn is not None
    assert drawn.group(1) == mermaid(), f"replace the block in docs/states.md by:\n{mermaid()}"
