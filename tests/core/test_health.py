"""A node whose own check fails does not compete, and leads no longer than its stop takes."""

import pytest

from leaderd.core import actions as a
from leaderd.core import events as e
from leaderd.core.states import State
from tests.play import FakeEtcd, Player

ILL = e.HealthChanged(healthy=False, detail="check failed with exit code 1")
WELL = e.HealthChanged(healthy=True, detail="")
ENDING = (a.EndSession, a.ReportStopping, a.StopResources)


def test_a_node_with_a_check_waits_for_its_first_success() -> None:
    """It stops what was left, as ever, but joins only when it is known to be well."""
    play = Player()
    play.at(0.0, e.Started(healthy=False)).expect(a.StopResources).is_now(State.STANDBY, "startup")
    play.at(0.1, play.stopped()).nothing().is_now(State.STANDBY, "unhealthy")
    assert play.status is not None
    assert (play.status.healthy, play.status.detail) == (False, "no check has succeeded yet")
    play.at(0.2, WELL).expect(a.Join).is_now(State.STANDBY, "")
    assert play.status.healthy


def test_a_node_that_is_well_before_it_is_clean_joins_without_delay() -> None:
    """The check runs beside the first stop."""
    play = Player()
    play.at(0.0, e.Started(healthy=False)).expect(a.StopResources)
    play.at(0.1, WELL).nothing()
    play.at(0.2, play.stopped()).expect(a.Join)


def test_an_ill_candidate_leaves_the_queue_and_comes_back_when_it_is_well() -> None:
    """It never held, so key and lease are given up at once; no back-off follows."""
    play = Player().elected(1.0)
    play.at(1.1, ILL).expect(a.EndSession(1, give_up=True)).is_now(State.STANDBY, "unhealthy")
    assert play.status is not None
    assert play.status.detail == "check failed with exit code 1"
    play.at(50.0).nothing()
    play.at(50.0, ILL).nothing()
    play.at(51.0, WELL).expect(a.Join)


def test_a_join_under_way_is_taken_back() -> None:
    """Its answer, when it comes, is of a session that is over."""
    play = Player()
    play.begin(1.0)
    joined = play.joined()
    play.at(1.1, ILL).expect(a.EndSession(1, give_up=True)).is_now(State.STANDBY, "unhealthy")
    play.at(1.2, joined).nothing().is_now(State.STANDBY, "unhealthy")


def test_an_ill_leader_steps_down_in_order_and_another_leads() -> None:
    """Stop, release, and no new key: the next in line takes over from a released record."""
    etcd = FakeEtcd()
    old, new = Player(etcd=etcd), Player(etcd=etcd, node="b", lease=0xB1)
    old.lead(1.0)
    new.queue_up(1.5)
    new.at(1.5, new.renewed()).expect(a.GatherEvidence)
    old.at(2.0, ILL).expect(*ENDING).is_now(State.DEMOTING, "unhealthy")
    assert old.last(a.StopResources).reason == "unhealthy"
    old.at(2.1, old.stopped()).expect(a.Disarm, a.Release).is_now(State.STANDBY, "unhealthy")
    old.at(2.2, old.released()).expect(a.Forget).is_now(State.STANDBY, "unhealthy")
    new.at(2.3, new.queue_changed()).expect(a.Renew)
    new.at(2.4, new.renewed()).expect(a.TakeOver)
    old.at(9.0).nothing()
    old.at(9.1, WELL).expect(a.Join)


@pytest.mark.parametrize("started", [False, True])
def test_an_ill_node_breaks_its_promotion_off(started: bool) -> None:
    """Before the first start there is only the guard to tell; after it, there are stops to run."""
    play = Player()
    if started:
        play.start(1.0).at(1.1, ILL).expect(*ENDING).is_now(State.DEMOTING, "unhealthy")
    else:
        play.promote(1.0).at(1.1, ILL).expect(a.EndSession, a.Disarm, a.Release)
        play.is_now(State.STANDBY, "unhealthy")


def test_health_that_returns_during_the_stop_keeps_nobody_out() -> None:
    """The stop and the release go on; then the node queues again."""
    play = Player().lead(1.0)
    play.at(2.0, ILL).expect(*ENDING)
    play.at(2.1, WELL).nothing().is_now(State.DEMOTING, "unhealthy")
    play.at(2.2, play.stopped()).expect(a.Disarm, a.Release)
    play.at(2.3, play.released()).expect(a.Forget, a.Join)


def test_illness_that_begins_during_another_stop_is_told_when_it_matters() -> None:
    """First the reason why leadership was lost, then the reason why the node does not compete."""
    play = Player().demote(1.0)
    play.at(1.1, ILL).nothing().is_now(State.DEMOTING, "lease-lost")
    play.at(1.2, play.stopped()).expect(a.Disarm, a.Release).is_now(State.STANDBY, "lease-lost")
    play.at(1.3, play.released()).expect(a.Forget).is_now(State.STANDBY, "unhealthy")


def test_health_does_not_cut_a_back_off_short() -> None:
    """A resource that has just failed is not tried at once because a check succeeds."""
    play = Player().lead(1.0)
    play.at(2.0, e.ResourceFailed(play.token, "died")).expect(*ENDING)
    play.at(2.1, play.stopped()).expect(a.Disarm, a.Release)
    play.at(2.1, play.released()).expect(a.Forget)
    play.at(2.2, ILL).nothing().is_now(State.STANDBY, "unhealthy")
    play.at(2.3, WELL).nothing()
    play.at(3.1).expect(a.Join)


def test_an_ill_node_that_is_fenced_stays_fenced() -> None:
    """A failed stop matters more than a failed check."""
    play = Player().fence(1.0)
    play.at(1.1, ILL).nothing().is_now(State.FENCED)
    play.at(1.2, e.Fenced(play.token, clean=True, detail="")).expect(a.Disarm, a.Release)
    play.at(1.3, play.released()).expect(a.Forget).is_now(State.STANDBY, "unhealthy")


def test_an_ill_node_can_be_shut_down() -> None:
    """Nothing is left to do, so it ends at once, with the reason of the end."""
    play = Player().elected(1.0)
    play.at(1.1, ILL).expect(a.EndSession)
    play.at(1.2, e.Shutdown()).expect(a.Finish(clean=True)).is_now(State.STANDBY, "shutdown")
