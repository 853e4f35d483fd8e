"""Pause, standby, and the wish for another leader, as dialogues; and who may be wished for."""

import json

import pytest

from leaderd.core import actions as a
from leaderd.core import events as e
from leaderd.core.control import Controls
from leaderd.core.election import Election
from leaderd.core.handover import INTENT_LIFE, Preference, heirs, refusal
from leaderd.core.records import CandidateKey, ControlKey, HolderRecord
from leaderd.core.states import State
from tests.play import TEN, FakeEtcd, Player

ENDING = (a.EndSession, a.ReportStopping, a.StopResources)


def marked(play: Player, *names: str) -> e.ControlChanged:
    """Let marks stand, and nothing else; show them as the watch does."""
    play.etcd.revision += 1
    play.etcd.controls = tuple(ControlKey(name, "{}", play.etcd.revision) for name in names)
    return e.ControlChanged(play.etcd.revision, play.etcd.controls)


def wished(play: Player, to: str, token: int) -> e.ControlChanged:
    """Let an intent stand, and nothing else; show it."""
    play.etcd.revision += 1
    text = json.dumps({"token": token, "to": to, "reason": "switchover"})
    play.etcd.controls = (ControlKey("switchover", text, play.etcd.revision),)
    return e.ControlChanged(play.etcd.revision, play.etcd.controls)


def preferring(play: Player, priority: int, preempt_delay: float | None = None) -> Player:
    """Give a player that has not begun a priority."""
    play.election = Election("db", play.node, TEN, Preference(priority, preempt_delay))
    return play


def follower(etcd: FakeEtcd, node: str = "b", lease: int = 0xB1) -> Player:
    """Return a candidate behind a leader, with a proof."""
    play = Player(etcd=etcd, node=node, lease=lease)
    play.queue_up(1.0)
    return play.at(1.0, play.renewed()).whatever()


# --- pause ---


def test_while_paused_the_next_one_waits_without_spinning_and_leads_after() -> None:
    """No takeover on a proof that shows the mark; its end is noticed by the watch and proven before use."""
    play = Player()
    play.etcd.held_by("z", 0xFF)
    play.etcd.release()
    play.queue_up(1.0)
    play.at(1.0, marked(play, "paused")).nothing()
    play.at(1.1, play.renewed(1.0)).nothing().is_now(State.CANDIDATE)
    assert play.status is not None
    assert play.status.paused
    assert "paused" in play.status.detail
    assert play.timer() > 0.5
    play.at(1.2, marked(play)).expect(a.Renew)
    play.at(1.3, play.renewed()).expect(a.TakeOver)


def test_a_leader_leads_on_while_paused() -> None:
    """And is not handed over from, whoever is ready."""
    play = Player().lead(1.0)
    play.at(1.1, marked(play, "paused")).nothing().is_now(State.LEADER)
    play.at(2.2).expect(a.Renew)
    play.at(2.2, play.renewed()).expect(a.ExtendLease).is_now(State.LEADER)


# --- standby ---


@pytest.mark.parametrize("by_read", [True, False])
def test_a_leader_in_standby_stops_releases_and_stays_out(by_read: bool) -> None:
    """Whether the watch shows the mark or the read of a renewal; `online` lets it in again."""
    play = Player().lead(1.0)
    news = marked(play, "standby/a")
    if by_read:
        play.at(2.2).expect(a.Renew)
        play.at(2.2, play.renewed()).expect(a.ExtendLease, *ENDING)
    else:
        play.at(1.1, news).expect(*ENDING)
    play.is_now(State.DEMOTING, "standby")
    play.at(2.3, play.stopped()).expect(a.Disarm, a.Release)
    play.at(2.4, play.released()).expect(a.Forget).is_now(State.STANDBY, "standby")
    play.at(9.0).nothing()
    play.at(9.1, marked(play)).expect(a.Join)


def test_a_node_that_starts_with_its_mark_leaves_as_soon_as_it_reads_it() -> None:
    """It cannot know before it has joined; it never renews."""
    play = Player()
    marked(play, "standby/a")
    play.begin(1.0)
    play.at(1.1, play.joined()).expect(a.EndSession).is_now(State.STANDBY, "standby")


def test_marks_of_others_change_nothing() -> None:
    """Of a node whose name begins alike, too."""
    play = Player().lead(1.0)
    play.at(1.1, marked(play, "standby/aa", "standby/b", "node/a")).nothing().is_now(State.LEADER)


# --- another leader ---


def test_a_leader_hands_over_once_the_wanted_node_is_next_and_has_answered() -> None:
    """Not before; and what the wanted one answered to another intent does not count."""
    etcd = FakeEtcd()
    leader = Player(etcd=etcd).lead(1.0)
    etcd.add("b", 0xB1)
    c = etcd.add("c", 0xC1)
    leader.at(1.1, leader.queue_changed()).nothing()
    intent = wished(leader, "c", leader.token)
    leader.at(1.2, intent).nothing()
    etcd.ready("c", intent.revision)
    leader.at(1.3, leader.queue_changed()).nothing()
    etcd.drop(0xB1)
    etcd.ready("c", intent.revision - 1)
    leader.at(1.4, leader.queue_changed()).nothing()
    etcd.ready("c", intent.revision)
    leader.at(1.5, leader.queue_changed()).expect(*ENDING).is_now(State.DEMOTING, "switchover")
    assert c.node == "c"


def test_those_before_the_wanted_node_requeue_and_the_wanted_node_answers() -> None:
    """The one behind it stays where it is."""
    etcd = FakeEtcd()
    leader = Player(etcd=etcd).lead(0.5)
    b, c, d = (follower(etcd, node, lease) for node, lease in (("b", 0xB1), ("c", 0xC1), ("d", 0xD1)))
    for each in (b, c, d):
        each.at(1.1, each.queue_changed()).whatever()
    intent = wished(leader, "c", leader.token)
    b.at(1.2, intent).expect(a.EndSession, a.Join)
    c.at(1.2, intent).expect(a.AnswerIntent(c.last(a.Renew).serial, intent.revision))
    d.at(1.2, intent).nothing()
    c.at(1.3).nothing()
    c.at(2.3).expect(a.AnswerIntent, a.Renew)
    etcd.ready("c", intent.revision)
    c.at(2.4, c.queue_changed()).nothing()
    c.at(3.4).whatever()
    assert c.count(a.AnswerIntent) == 2


def test_an_intent_in_vain_is_dropped_and_nothing_has_changed() -> None:
    """After ten seconds, and again while it still stands; an answer that comes then is too late."""
    leader = Player().lead(1.0)
    leader.etcd.add("b", 0xB1)
    intent = wished(leader, "b", leader.token)
    leader.at(1.1, intent).nothing()
    raw = 1.1
    while raw + 1.0 < 1.1 + INTENT_LIFE:
        raw += 1.0
        leader.at(raw).whatever()
        leader.at(raw, leader.renewed()).whatever()
    assert not leader.count(a.DropIntent)
    leader.at(1.1 + INTENT_LIFE + 0.01).expect(a.DropIntent(intent.revision))
    leader.etcd.ready("b", intent.revision)
    leader.at(11.3, leader.queue_changed()).expect(a.Renew).is_now(State.LEADER)


def test_an_intent_for_another_term_is_void() -> None:
    """It stood on the lease of a leader that is gone."""
    leader = Player().lead(1.0)
    leader.etcd.add("b", 0xB1)
    intent = wished(leader, "b", leader.token - 1)
    leader.etcd.ready("b", intent.revision)
    leader.at(1.1, leader.queue_changed()).nothing()
    leader.at(1.2, intent).nothing().is_now(State.LEADER)


# --- priority ---


def test_a_candidate_requeues_behind_a_preferred_one_only_while_somebody_leads() -> None:
    """Once: behind nobody that is preferred it stays."""
    etcd = FakeEtcd()
    leader = Player(etcd=etcd).lead(0.5)
    b = follower(etcd)
    etcd.add("c", 0xC1, priority=200)
    etcd.drop(leader.lease)
    b.at(1.1, b.queue_changed()).expect(a.Renew)
    b.is_now(State.CANDIDATE)
    etcd = FakeEtcd()
    Player(etcd=etcd).lead(0.5)
    b = follower(etcd)
    etcd.add("c", 0xC1, priority=200)
    b.at(1.1, b.queue_changed()).expect(a.EndSession, a.Join)
    b.at(1.2, b.joined()).expect(a.Renew)
    b.at(1.3, b.renewed()).whatever().is_now(State.CANDIDATE)
    b.at(1.4, b.queue_changed()).nothing()


@pytest.mark.parametrize(("priority", "asks"), [(200, True), (100, False), (50, False)])
def test_a_leader_that_preempts_waits_for_stability_and_asks_for_a_larger_priority_only(
    priority: int, asks: bool
) -> None:
    """By the same intent as an operator's; equal priorities never move anything."""
    leader = preferring(Player(), 100, preempt_delay=3.0).lead(1.0)
    leader.etcd.add("b", 0xB1, priority=priority)
    leader.at(1.0, leader.queue_changed()).nothing()
    for raw in (2.0, 3.0):
        leader.at(raw).whatever()
        leader.at(raw, leader.renewed()).whatever() if leader.count(a.Renew) > 1 else None
    assert not leader.count(a.WriteIntent)
    leader.at(4.1).whatever()
    assert leader.count(a.WriteIntent) == asks
    if asks:
        order = leader.last(a.WriteIntent)
        assert (order.token, order.lease, order.to) == (leader.token, leader.lease, "b")


# --- who may be wished for ---


def keys(*nodes: str) -> tuple[CandidateKey, ...]:
    """Return a queue; `x:200` gives a priority, `!x` is foreign."""
    return tuple(
        CandidateKey(f"k{place}", place, place, name.lstrip("!").split(":")[0],
                     int(name.partition(":")[2] or 100), 0.0 if name.startswith("!") else 8.7)
        for place, name in enumerate(nodes, 1)
    )


HELD = HolderRecord.held(1, "a", 1, TEN)


def test_heirs_come_by_priority_then_by_age() -> None:
    """Foreign candidates and those in standby are none."""
    queue = keys("a", "b", "!e", "c:200", "d:200")
    order = [key.node for key in heirs(queue, "k1", Controls(standby=frozenset({"b"})))]
    assert order == ["c", "d"]


REFUSED = [
    (Controls(paused=True), "b", "paused"),
    (Controls(standby=frozenset({"b"})), "b", "b is in standby"),
    (Controls(standby=frozenset({"b", "c"})), "", "no other node is fit"),
    (Controls.read((ControlKey("node/d", '{"state": "standby", "reason": "unhealthy"}', 1),)), "d",
     "d does not compete: standby, unhealthy"),
    (Controls.read((ControlKey("switchover", '{"token": 1, "to": "c"}', 1),)), "b", "to c is under way"),
    (Controls(), "a", "a leads already"),
    (Controls(), "x", "no node x is known in this election; there are: a, b, c"),
]


@pytest.mark.parametrize(("controls", "to", "why"), REFUSED)
def test_what_cannot_be_is_refused_with_the_reason(controls: Controls, to: str, why: str) -> None:
    """One line, for whoever asked."""
    assert why in refusal(keys("a", "b", "c"), HELD, controls, to)


def test_without_a_leader_there_is_nothing_to_hand_over() -> None:
    """No record, a released one, or a leader whose key is gone."""
    for queue, holder in ((keys("a", "b"), None), (keys("a", "b")[1:], HELD)):
        assert "nobody leads" in refusal(queue, holder, Controls(), "b")
    assert not refusal(keys("a", "b"), HELD, Controls(), "b")
    assert not refusal(keys("a", "b"), HELD, Controls(), "")


@pytest.mark.parametrize("text", [
    "", "x", "null", "[]", "7", "{}", '{"token": "1", "to": "b"}', '{"token": 1}', '{"token": 1, "to": 2}',
    '{"token": Infinity, "to": "b"}', '{"state": 7}', '{"state": "leader", "priority": "x"}', "[" * 9_000,
    "{" + " " * 20_000 + "}",
])
def test_garbage_is_no_wish_and_no_report_and_breaks_nothing(text: str) -> None:
    """But a mark counts by standing there: the takeover transaction sees no more of it either."""
    found = tuple(ControlKey(name, text, 1) for name in ("switchover", "node/b", "standby/c", "paused", "?"))
    controls = Controls.read(found)
    assert (controls.intent, controls.nodes) == (None, ())
    assert (controls.paused, controls.standby) == (True, {"c"})
