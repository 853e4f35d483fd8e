"""The stances of `core.floor`: every pair decided, and what the network's answers come to."""

import pytest

from leaderd.core.actions import ProbeAddress
from leaderd.core.floor import (
    CONTESTS,
    STAYS,
    STEPS,
    AddressProbed,
    Fact,
    Floor,
    Stance,
    patience,
)
from leaderd.errors import InvariantError
from leaderd.instant import Instant
from tests.play import TEN, at


def _probe(floor: Floor, raw: float, *, sent: bool = True, other: str = "", yields: bool = False,
           led: bool = False) -> None:
    question = floor.ask(at(raw))
    assert isinstance(question, ProbeAddress)
    event = AddressProbed(question.serial, at(raw), sent=sent, other=other, yields=yields)
    floor.probed(event, at(raw + 0.2), led_by_another=led)


def _holding() -> Floor:
    floor = Floor(TEN)
    floor.step(Fact.KEPT, at(0.0))
    return floor


def _looking() -> Floor:
    floor = Floor(TEN)
    floor.step(Fact.SILENT, at(0.0))
    return floor


def test_every_pair_is_decided_exactly_once() -> None:
    """Each stance × fact stands in STEPS or in STAYS, and those that stay say why."""
    assert set(STEPS) | set(STAYS) == {(stance, fact) for stance in Stance for fact in Fact}
    assert not set(STEPS) & set(STAYS)
    assert all(len(why) > 4 for why in STAYS.values())


def test_an_undecided_pair_is_a_bug(monkeypatch: pytest.MonkeyPatch) -> None:
    """It ends the agent instead of being guessed at."""
    monkeypatch.delitem(STAYS, (Stance.IDLE, Fact.FREE))
    with pytest.raises(InvariantError, match="nobody decided FREE while idle"):
        Floor(TEN).step(Fact.FREE, at(0.0))


@pytest.mark.parametrize("fact", [Fact.TAKEN, Fact.OUTVOTED, Fact.LATE, Fact.BARRED, Fact.FAILED])
@pytest.mark.parametrize("stance", [Stance.TAKING, Stance.HOLDING])
def test_whatever_speaks_against_a_hold_ends_it(stance: Stance, fact: Fact) -> None:
    """Whether it is only begun or stands."""
    assert STEPS[stance, fact] is Stance.DROPPING


@pytest.mark.parametrize("stance", Stance)
def test_an_elected_term_takes_over_from_every_stance(stance: Stance) -> None:
    """With a proof nothing is left to the network."""
    assert STEPS.get((stance, Fact.ELECTED), stance) is Stance.IDLE


def test_only_an_elected_term_and_a_free_address_lead_to_a_hold() -> None:
    """Nobody gets an address by anything else."""
    into = {pair for pair, after in STEPS.items() if after in (Stance.TAKING, Stance.HOLDING)}
    assert into == {(Stance.IDLE, Fact.KEPT), (Stance.LOOKING, Fact.FREE), (Stance.TAKING, Fact.STARTED)}


def test_silence_extends_a_hold_from_when_it_was_asked() -> None:
    """As a keepalive does: from the sending, not from the answer."""
    floor = _holding()
    assert floor.lease is not None
    assert floor.lease.stop_at == at(TEN.stop_after)
    _probe(floor, 1.0)
    assert floor.lease.stop_at == at(1.0 + TEN.stop_after)
    assert floor.next_timer(at(1.2)) == pytest.approx(TEN.retry_period - 0.2)


def test_a_hold_that_is_not_asked_for_runs_out() -> None:
    """A link that is down and an agent that was stopped end it by the time of a lease."""
    floor = _holding()
    _probe(floor, 1.0, sent=False)
    assert floor.facts(at(TEN.stop_after - 0.01), 10.0) == []
    assert floor.facts(at(TEN.stop_after), 10.0) == [Fact.LATE]
    # Who was suspended believes the clock that went further.
    assert _holding().facts(at(0.1, suspended=60.0), 10.0) == [Fact.LATE]


def test_a_silence_that_comes_too_late_revives_nothing() -> None:
    """As R12 has it for a lease."""
    floor = _holding()
    question = floor.ask(at(0.0))
    assert question is not None
    floor.probed(AddressProbed(question.serial, at(0.0), sent=True), at(99.0), led_by_another=False)
    assert floor.facts(at(99.0), 10.0) == [Fact.LATE]


def test_the_larger_hardware_address_yields_at_once_and_the_smaller_after_a_few() -> None:
    """So of two without a proof one stays, and of one with a proof and one without it is the former."""
    floor = _holding()
    _probe(floor, 0.0, other="x", yields=True)
    assert Fact.TAKEN in floor.facts(at(0.2), 10.0)
    floor = _holding()
    for number in range(CONTESTS):
        assert Fact.TAKEN not in floor.facts(at(0.5 * number), 10.0)
        _probe(floor, 0.5 * number, other="x")
    assert Fact.TAKEN in floor.facts(at(2.0), 10.0)


def test_a_silence_in_between_ends_a_contest() -> None:
    """The other one has let go."""
    floor = _holding()
    for number in range(CONTESTS - 1):
        _probe(floor, 0.5 * number, other="x")
    _probe(floor, 1.0)
    _probe(floor, 3.0, other="x")
    assert Fact.TAKEN not in floor.facts(at(3.2), 10.0)


def test_who_answers_while_etcd_shows_another_leader_is_that_one() -> None:
    """Then the first answer is enough."""
    floor = _holding()
    _probe(floor, 0.0, other="x", led=True)
    assert Fact.TAKEN in floor.facts(at(0.2), 10.0)


def test_an_address_is_free_after_a_whole_ttl_of_silence_without_a_gap() -> None:
    """An answer, a probe that could not be sent, and a time without probes begin it anew."""
    def free_after(*, spoil: float | None = None, gap: float = 0.0, **how: object) -> float:
        floor, raw = _looking(), 0.0
        while Fact.FREE not in floor.facts(at(raw), 10.0):
            _probe(floor, raw, **(how if raw == spoil else {}))  # type: ignore[arg-type]
            raw += gap if raw == spoil and gap else 2.0
            assert raw < 60.0
        return raw

    assert free_after() == 12.0
    assert free_after(spoil=6.0, other="x") == 20.0
    assert free_after(spoil=6.0, sent=False) == 20.0
    assert free_after(spoil=6.0, gap=9.0) == 27.0


def test_an_answer_to_an_older_question_is_none() -> None:
    """Late ones are dropped, and none is counted twice."""
    floor = _holding()
    question = floor.ask(at(0.0))
    assert question is not None
    floor.probed(AddressProbed(question.serial - 1, at(0.0), sent=True, other="x", yields=True), at(0.1),
                 led_by_another=False)
    assert floor.facts(at(0.1), 10.0) == []
    assert floor.ask(at(0.1)) is None


def test_those_behind_in_the_queue_wait_until_those_before_them_are_heard() -> None:
    """Two never take an address at the same moment when both know the queue."""
    assert patience(TEN, 0) == TEN.ttl
    assert patience(TEN, 2) - patience(TEN, 1) > 2 * TEN.retry_period


def test_nothing_is_asked_while_nothing_is_held_or_wanted() -> None:
    """An election with a proof costs the network nothing."""
    floor = Floor(TEN)
    assert floor.ask(Instant(0.0, 0.0)) is None
    assert floor.next_timer(at(0.0)) is None
