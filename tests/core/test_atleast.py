"""An election at least one, as a dialogue: what becomes of the address when etcd does not answer."""

from dataclasses import replace

import pytest

from leaderd.core import actions as a
from leaderd.core import events as e
from leaderd.core.atleast import AtLeastOne
from leaderd.core.election import Election
from leaderd.core.floor import AddressProbed, Fact, Floor, Stance
from leaderd.core.states import State
from leaderd.core.status import Status
from tests.play import TEN, FakeEtcd, Player, at

STOP_AT = TEN.stop_after


class Loose(Player):
    """A player whose election is at least one."""

    def __init__(self, etcd: FakeEtcd | None = None) -> None:
        super().__init__(etcd=etcd)
        self.election = AtLeastOne("db", self.node, TEN)

    def silent(self, raw: float, other: str = "", *, yields: bool = False) -> "Loose":
        """Answer the newest question."""
        serial = self.last(a.ProbeAddress).serial
        self.at(raw, AddressProbed(serial, at(raw), sent=True, other=other, yields=yields))
        return self

    def keep(self) -> "Loose":
        """Lead from 1.0, lose etcd, and hold on."""
        self.lead(1.0)
        self.at(1.0 + STOP_AT).expect(
            a.EndSession, a.ReportStopping, a.KeepOn, a.Disarm, a.Release, a.ProbeAddress)
        return self

    def say(self) -> Status:
        """Return what is published."""
        assert self.status is not None
        return self.status


def test_a_leader_without_etcd_keeps_the_address_and_claims_no_proof() -> None:
    """The guard is told that the term is over, the resources are told to go on; the status says so."""
    play = Loose().keep()
    status = play.say()
    assert (status.state, status.proven, status.token, status.leader) == (State.LEADER, False, 0, "a")
    assert status.guarantee == "at-least-one"
    assert status.reason == "store-lost"
    assert "without etcd" in status.detail
    assert play.last(a.KeepOn).lease.left(at(1.0 + STOP_AT)) == pytest.approx(STOP_AT)
    end = play.last(a.RecordEnd)
    assert (end.reason, end.clean) == ("store-lost", False)
    play.silent(8.0).expect(a.KeepOn)
    assert play.last(a.KeepOn).lease.sent_at == at(8.0)
    assert play.election.status().stop_at == play.last(a.KeepOn).lease.stop_at


def test_an_election_at_most_one_stops() -> None:
    """The same events, and the address goes."""
    Player().lead(1.0).at(1.0 + STOP_AT).expect(a.EndSession, a.ReportStopping, a.StopResources)


def test_whoever_is_elected_anew_starts_where_the_address_stands() -> None:
    """Release, join, takeover, guard, start: no stop in between, and a new token."""
    play = Loose().keep()
    play.at(8.0, play.released()).expect(a.Forget, a.Join)
    play.at(8.0, play.joined()).expect(a.Renew)
    assert not play.say().proven
    play.at(8.1, play.renewed()).expect(a.TakeOver)
    play.at(8.1, play.took_over()).expect(a.ArmGuard)
    play.at(8.1, e.GuardArmed(play.token)).expect(a.StartResources)
    play.at(8.2, e.ResourcesStarted(play.token)).nothing().is_now(State.LEADER)
    status = play.say()
    assert status.proven
    assert status.token == play.token
    assert play.count(a.StopResources) == 1, "the one at the start of the daemon"


@pytest.mark.parametrize("event", [e.Shutdown(), e.GuardLost(), e.HealthChanged(healthy=False, detail="ill")])
def test_a_node_that_must_not_hold_lets_go(event: e.Event) -> None:
    """A node that ends, is ill or has lost its guard keeps nothing; it ends only when the address is gone."""
    play = Loose().keep()
    play.at(8.0, event).expect(a.StopResources)
    assert play.say().state is State.DEMOTING
    play.at(8.0, e.ReleaseFailed(play.last(a.Release).token, "no answer")).whatever()
    assert not play.count(a.Finish)
    play.at(8.1, play.stopped()).whatever()
    assert play.count(a.Finish) == (not isinstance(event, e.HealthChanged))


def test_an_ill_leader_stops_as_ever() -> None:
    """What ends a term while etcd answers is performed, not answered."""
    play = Loose()
    play.lead(1.0)
    play.at(2.0, e.HealthChanged(healthy=False, detail="ill")).expect(
        a.EndSession, a.ReportStopping, a.StopResources)
    play = Loose()
    play.lead(1.0).at(2.0, play.gone()).expect(a.EndSession, a.ReportStopping, a.StopResources)


def test_a_contradicted_holder_lets_go_and_looks_again() -> None:
    """And takes nothing while somebody answers."""
    play = Loose().keep()
    play.silent(8.0, "10.0.0.1 is in use by x", yields=True).expect(a.StopResources)
    play.at(8.1, play.stopped()).expect(a.ProbeAddress)
    assert play.say().state is State.STANDBY
    play.silent(8.3, "10.0.0.1 is in use by x").nothing()
    assert "in use by x" in play.say().detail


def test_a_hold_without_an_answer_of_the_network_ends_in_time() -> None:
    """A stopped agent that comes back drops the address at the first event, and extends nothing."""
    play = Loose().keep()
    play.silent(60.0).expect(a.StopResources)


def test_a_candidate_takes_an_address_that_nobody_has() -> None:
    """After a whole ttl of silence; then with a start of its own that is no term."""
    play = Loose()
    play.queue_up(0.0)
    play.at(STOP_AT).expect(a.EndSession, a.ProbeAddress)
    raw = STOP_AT
    while not play.count(a.StartResources):
        raw += TEN.retry_period
        play.silent(raw).whatever().at(raw).whatever()
        assert raw < 40.0
    start = play.last(a.StartResources)
    assert raw - STOP_AT >= TEN.ttl
    assert start.token < 0
    assert start.lease.sent_at == at(raw)
    play.at(raw + 0.3, e.ResourcesStarted(start.token)).whatever()
    assert (play.say().state, play.say().proven, play.say().token) == (State.LEADER, False, 0)
    play.at(raw + 0.4, e.ResourceFailed(start.token, "gone")).expect(a.StopResources)


def test_a_candidate_with_a_session_takes_nothing() -> None:
    """While etcd answers the election alone decides."""
    play = Loose()
    play.queue_up(0.0).at(0.1, play.renewed()).whatever()
    assert not play.count(a.ProbeAddress)
    play.at(STOP_AT).whatever()
    play.at(STOP_AT + 0.5, e.JoinFailed(2, "no answer")).whatever()
    assert play.count(a.ProbeAddress) == 1


def _rivalled(*, since: str) -> Loose:
    """Return who holds without a proof and sees another lead: of a term from before, or after."""
    etcd = FakeEtcd()
    play = Loose(etcd)
    play.keep()
    play.at(8.0, play.released()).expect(a.Forget, a.Join)
    key = etcd.held_by("b", 0xB1)
    if since == "before":
        # A term that was known when etcd fell silent: its node may have died since.
        assert isinstance(play.election, AtLeastOne)
        play.election._before = key.create_revision
    play.at(8.0, play.joined()).expect(a.Renew)
    return play


def test_a_leader_that_took_over_since_ends_the_hold() -> None:
    """It lives, so a moment is enough, heard or not."""
    play = _rivalled(since="after")
    assert play.say().leader == "b"
    play.at(8.0 + TEN.attempt_timeout + 0.01).expect(a.StopResources)


def test_a_leader_of_before_ends_the_hold_only_when_it_must_live() -> None:
    """Its lease may stand although it is dead: the address must not go for that."""
    play = _rivalled(since="before")
    raw = 8.0
    while not (play.count(a.StopResources) > 1):
        raw += 1.0
        play.at(raw, play.renewed(raw)).whatever().at(raw).whatever()
        play.silent(raw).whatever()
        assert raw < 60.0
    assert raw - 8.0 >= 2 * TEN.ttl


def test_the_status_of_a_proven_leader_is_that_of_any_election() -> None:
    """But for the name of the guarantee."""
    play, strict = Loose(), Player()
    play.lead(1.0)
    strict.lead(1.0)
    assert strict.status is not None
    assert play.say() == replace(strict.status, guarantee="at-least-one")
    assert type(strict.election) is Election


def test_while_etcd_answers_both_do_the_same() -> None:
    """Action by action, from the start of the daemon to a stop for a lost key."""
    play, strict = Loose(), Player()
    play.demote(1.0)
    strict.demote(1.0)
    assert [type(each) for each in play.history if not isinstance(each, a.Publish)] == [
        type(each) for each in strict.history if not isinstance(each, a.Publish)]


def test_the_floor_of_a_fresh_election_is_idle() -> None:
    """Nothing is asked of the network before etcd is known to be silent."""
    play = Loose()
    play.begin(0.0)
    assert isinstance(play.election, AtLeastOne)
    floor: Floor = play.election._floor
    assert floor.stance is Stance.IDLE
    assert floor.step(Fact.ANSWERED, at(0.0)) is None
