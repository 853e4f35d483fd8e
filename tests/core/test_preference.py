"""A node that is told another priority goes by it at once, and lets go of nothing for it."""

from dataclasses import replace

from leaderd.core import actions as a
from leaderd.core import events as e
from leaderd.core.states import State
from tests.play import FakeEtcd, Player


def ranked(etcd: FakeEtcd, priority: int, node: str) -> None:
    """Give a node's key another priority, as its own daemon does."""
    etcd.queue = [replace(key, priority=priority) if key.node == node else key for key in etcd.queue]
    etcd.revision += 1


def test_a_leader_that_begins_to_preempt_waits_the_whole_delay() -> None:
    """Counted from the change, however long the other has stood there."""
    etcd = FakeEtcd()
    play = Player(etcd=etcd).lead(1.0)
    etcd.add("b", 0xB1)
    ranked(etcd, 200, "b")
    play.at(1.5, play.queue_changed()).nothing()
    play.at(2.0, e.PreferenceChanged(100, 0.5)).nothing().is_now(State.LEADER)
    play.at(2.4).whatever()
    assert not play.count(a.WriteIntent)
    play.at(2.5).whatever().is_now(State.LEADER)
    assert play.last(a.WriteIntent) == a.WriteIntent(play.token, play.key.lease, "b", "preempted")


def test_a_leader_that_is_preferred_by_now_keeps_what_it_has() -> None:
    """The wish is not sent any more."""
    etcd = FakeEtcd()
    play = Player(etcd=etcd).lead(1.0)
    etcd.add("b", 0xB1)
    ranked(etcd, 200, "b")
    play.at(1.5, play.queue_changed()).nothing()
    play.at(1.6, e.PreferenceChanged(100, 0.5)).nothing()
    play.at(1.7, e.PreferenceChanged(300, 0.5)).nothing()
    play.at(3.0).whatever().is_now(State.LEADER)
    assert not play.count(a.WriteIntent)


def test_a_candidate_yields_as_soon_as_it_is_the_lesser_one() -> None:
    """It goes to the end of the queue while somebody leads."""
    etcd = FakeEtcd()
    Player(etcd=etcd).lead(1.0)
    second = Player(etcd=etcd, node="b", lease=0xB1)
    second.queue_up(1.2)
    etcd.add("c", 0xC1)
    ranked(etcd, 100, "b")
    ranked(etcd, 100, "c")
    second.at(1.3, second.queue_changed()).nothing().is_now(State.CANDIDATE)
    second.at(1.4, e.PreferenceChanged(50, None)).expect(a.EndSession(1, give_up=True), a.Join)


def test_without_a_session_there_is_nothing_to_do() -> None:
    """At the start, and over and over."""
    play = Player()
    play.at(0.0, e.Started()).expect(a.StopResources)
    play.at(0.1, e.PreferenceChanged(1, 1.0)).nothing().is_now(State.STANDBY)
