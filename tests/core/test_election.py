"""Whole lives of a node in an election, as dialogues."""

from collections.abc import Callable

import pytest

from leaderd.core import actions as a
from leaderd.core import events as e
from leaderd.core.election import Election
from leaderd.core.lease import Timing
from leaderd.core.records import HolderRecord
from leaderd.core.states import State
from leaderd.errors import InvariantError
from tests.play import TEN, FakeEtcd, Player, at

ENDING = (a.EndSession, a.ReportStopping, a.StopResources)
STATES: dict[State, Callable[[Player], Player]] = {
    State.STANDBY: lambda play: play.begin(1.0),
    State.CANDIDATE: lambda play: play.elected(1.0),
    State.PROMOTING: lambda play: play.start(1.0),
    State.LEADER: lambda play: play.lead(1.0),
    State.DEMOTING: lambda play: play.demote(1.0),
    State.FENCED: lambda play: play.fence(1.0),
}


# --- from the first election to a handover ---


def test_the_first_election_of_all_waits_a_full_window_and_then_leads() -> None:
    """With no record in etcd somebody may still hold: 1.001·V + margin, then everything in order."""
    play = Player()
    play.begin(0.0)
    play.at(0.1, play.joined()).expect(a.Renew)
    play.at(0.2, play.renewed()).nothing().is_now(State.CANDIDATE)
    assert play.status is not None
    assert play.status.detail.startswith("no holder record")
    play.at(5.0).expect(a.Renew)
    play.at(5.0, play.renewed()).nothing()
    # The join's own read was answered at 0.0 and looked at at 0.1.
    opening = 1.001 * 8.7 + 0.3
    play.at(9.0).expect(a.Renew)
    play.at(9.0, play.renewed()).nothing()
    assert 9.0 + play.timer() == pytest.approx(opening)
    play.at(opening + 1e-6).expect(a.TakeOver)
    play.at(9.2, play.took_over()).expect(a.ArmGuard).is_now(State.PROMOTING, "elected")
    play.at(9.3, e.GuardArmed(play.token)).expect(a.StartResources)
    play.at(9.4, e.ResourcesStarted(play.token)).nothing().is_now(State.LEADER, "elected")
    assert play.status.leader == "a"
    assert play.status.token == play.key.create_revision


def test_a_clean_handover_costs_two_round_trips() -> None:
    """The old leader releases; the next one proves, takes over and starts without any wait."""
    etcd = FakeEtcd()
    old, new = Player(etcd=etcd), Player(etcd=etcd, node="b", lease=0xB1)
    old.lead(1.0)
    new.queue_up(1.5)
    new.at(1.5, new.renewed()).expect(a.GatherEvidence)
    old.at(2.0, e.Shutdown()).expect(*ENDING)
    new.at(2.1, new.queue_changed()).nothing()
    old.at(2.2, old.stopped()).expect(a.Disarm, a.Release)
    old.at(2.3, old.released()).expect(a.Forget, a.Finish(clean=True))
    new.at(2.3, new.queue_changed()).expect(a.Renew)
    new.at(2.4, new.renewed()).expect(a.TakeOver)
    new.at(2.5, new.took_over()).expect(a.ArmGuard)
    assert new.token > old.token
    new.at(2.6, e.GuardArmed(new.token)).expect(a.StartResources)
    assert new.last(a.StartResources).previous == "a"


def test_whoever_is_not_next_asks_a_moment_later() -> None:
    """The third in line keeps out of the way of a takeover, and learns from one renewal who leads."""
    etcd = FakeEtcd()
    old, new, third = (Player(etcd=etcd, node=node, lease=lease)
                       for node, lease in (("a", 0xA1), ("b", 0xB1), ("c", 0xC1)))
    old.lead(1.0)
    for waiting in (new, third):
        waiting.queue_up(1.5)
        waiting.at(1.5, waiting.renewed()).expect(a.GatherEvidence)
    etcd.release()
    third.at(2.0, third.queue_changed()).nothing()
    assert third.timer() == pytest.approx(0.1)
    new.at(2.0, new.queue_changed()).expect(a.Renew)
    new.at(2.01, new.renewed()).expect(a.TakeOver)
    new.at(2.02, new.took_over()).expect(a.ArmGuard)
    third.at(2.1 + 1e-6).expect(a.Renew)
    third.at(2.11, third.renewed()).whatever()
    assert third.status is not None
    assert third.status.leader == "b"


def test_who_sees_everybody_go_learns_the_leader_from_the_record() -> None:
    """A follower's status names the holder that stands first, and nobody while a takeover is waited for."""
    etcd = FakeEtcd()
    leader, follower = Player(etcd=etcd), Player(etcd=etcd, node="b", lease=0xB1)
    leader.lead(1.0)
    follower.queue_up(1.0)
    follower.at(1.0, follower.renewed()).whatever()
    assert follower.status is not None
    assert follower.status.leader == "a"
    etcd.drop(leader.lease)
    follower.at(1.1, follower.queue_changed()).whatever()
    assert follower.status.leader == ""


def test_a_leader_that_renews_leads_for_ever() -> None:
    """A renewal every retry_period, counted from the sending of the last, and nothing else happens."""
    play, raw = Player().lead(1.0), 1.0
    for _ in range(100):
        assert raw + play.timer() == pytest.approx(raw + 1.2)
        raw += play.timer() + 1e-9
        play.at(raw).expect(a.Renew)
        play.at(raw, play.renewed()).expect(a.ExtendLease)
    play.is_now(State.LEADER)
    assert play.count(a.Publish) < 10


def test_failed_attempts_are_repeated_at_once_but_not_in_a_loop() -> None:
    """The next attempt follows 50 ms after one that proved nothing, until `stop_at`."""
    play, raw = Player().lead(1.0), 2.2
    play.at(raw).expect(a.Renew)
    while raw < 7.0:
        play.at(raw + 0.02, play.renewal_failed()).nothing()
        assert play.timer() == pytest.approx(0.05)
        raw += 0.07 + 1e-9
        play.at(raw).expect(a.Renew)
    play.at(7.2).expect(*ENDING)


def test_two_leaders_in_a_row_on_one_node() -> None:
    """After a lost session the node releases, queues with a new key and gets a larger token."""
    play = Player().demote(1.0)
    first = play.token
    play.at(1.1, play.stopped()).expect(a.Disarm, a.Release)
    play.at(1.2, play.released()).expect(a.Forget, a.Join)
    play.at(1.3, play.joined()).expect(a.Renew)
    play.at(1.4, play.renewed()).expect(a.TakeOver)
    play.at(1.5, play.took_over()).expect(a.ArmGuard)
    assert play.token > first
    assert play.last(a.ArmGuard).lease.id == 0xA2


def test_the_same_head_of_the_queue_asks_for_no_renewal() -> None:
    """The watch re-lists every 5 s; only a head that the last proof did not show is worth a renewal."""
    etcd = FakeEtcd()
    etcd.held_by("z", 0xFF)
    play = Player(etcd=etcd, node="b", lease=0xB1)
    play.queue_up(0.0)
    play.at(0.0, play.renewed()).whatever()
    etcd.add("c", 0xC1)
    play.at(0.5, play.queue_changed()).nothing()
    etcd.drop(0xFF)
    play.at(0.6, play.queue_changed()).expect(a.Renew)
    play.at(0.7, play.queue_changed()).nothing()
    play.at(0.8, play.renewed()).expect(a.Renew)


# --- starts and resources that fail ---


def test_start_failures_back_off_and_grow() -> None:
    """A node that cannot start lets others lead, for 1 s, 2 s, 4 s … at most 60 s."""
    play, raw, pauses = Player().start(1.0), 1.0, []
    for _ in range(8):
        play.at(raw, e.StartFailed(play.token, "exit 1")).expect(*ENDING)
        play.is_now(State.DEMOTING, "start-failed")
        play.at(raw, play.stopped()).expect(a.Disarm, a.Release)
        play.at(raw, play.released()).expect(a.Forget)
        pauses.append(play.timer())
        raw += play.timer() + 1e-6
        play.at(raw).expect(a.Join)
        play.at(raw, play.joined()).expect(a.Renew)
        play.at(raw, play.renewed()).expect(a.TakeOver)
        play.at(raw, play.took_over()).expect(a.ArmGuard)
        play.at(raw, e.GuardArmed(play.token)).expect(a.StartResources)
    assert pauses == pytest.approx([1, 2, 4, 8, 16, 32, 60, 60])


def test_a_long_good_term_forgets_earlier_failures() -> None:
    """After 60 s of leadership a failing resource costs the first delay again."""
    play = Player().start(1.0)
    play.at(1.0, e.StartFailed(play.token, "exit 1")).expect(*ENDING)
    play.at(1.0, play.stopped()).whatever()
    play.at(1.0, play.released()).expect(a.Forget)
    play.at(2.001).expect(a.Join)
    play.at(2.001, play.joined()).whatever()
    play.at(2.001, play.renewed()).whatever()
    play.at(2.001, play.took_over()).whatever()
    play.at(2.001, e.GuardArmed(play.token)).whatever()
    raw = 2.001
    play.at(raw, e.ResourcesStarted(play.token)).nothing()
    while raw < 63.0:
        raw += 2.0
        play.at(raw).expect(a.Renew)
        play.at(raw, play.renewed()).expect(a.ExtendLease)
    play.at(raw, e.ResourceFailed(play.token, "died")).expect(*ENDING)
    play.is_now(State.DEMOTING, "resource-failed")
    play.at(raw, play.stopped()).whatever()
    play.at(raw, play.released()).expect(a.Forget)
    assert play.timer() == pytest.approx(1.0)


def test_a_start_that_ends_after_the_stop_began_changes_nothing() -> None:
    """The stop kills it; its late success or failure is no news any more."""
    play = Player().start(1.0)
    play.at(1.5, play.gone()).expect(*ENDING)
    play.at(1.6, e.ResourcesStarted(play.token)).nothing().is_now(State.DEMOTING, "lease-lost")
    play.at(1.7, e.StartFailed(play.token, "killed")).nothing().is_now(State.DEMOTING, "lease-lost")


def test_a_term_that_never_started_is_released_without_a_stop() -> None:
    """Lost between takeover and start: the guard is disarmed and the record released at once."""
    play = Player().promote(1.0)
    play.at(1.5, play.gone()).expect(a.EndSession(1, give_up=False), a.Disarm, a.Release)
    play.is_now(State.STANDBY, "lease-lost")
    play.at(1.6, e.GuardArmed(play.token)).nothing()


def test_a_guard_that_never_answers_lets_others_lead() -> None:
    """A guard that is stopped or whose disk hangs: nothing has started, so release and stand back."""
    play = Player().promote(1.0)
    for second in (2.3, 3.6, 4.9):
        play.at(second).expect(a.Renew)
        play.at(second, play.renewed()).expect(a.ExtendLease)
    play.at(6.1).expect(a.EndSession(1, give_up=False), a.Disarm, a.Release)
    play.is_now(State.STANDBY, "start-failed")
    play.at(6.2, e.GuardArmed(play.token)).nothing()


def test_join_failures_back_off_to_two_seconds() -> None:
    """While etcd is away the node tries again after 0.1 s, 0.2 s, … 2 s; a proof starts over."""
    play, raw, pauses = Player().begin(0.0), 0.0, []
    for _ in range(7):
        play.at(raw, e.JoinFailed(play.last(a.Join).serial, "no answer")).nothing()
        pauses.append(play.timer())
        raw += play.timer() + 1e-6
        play.at(raw).expect(a.Join)
    assert pauses == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.6, 2.0, 2.0])
    play.at(raw, play.joined()).expect(a.Renew)
    play.at(raw, play.renewed()).nothing()
    play.at(raw, play.gone()).expect(a.EndSession)
    assert play.timer() == pytest.approx(0.1)


# --- the end, in every state ---


@pytest.mark.parametrize("event", [e.Shutdown(), e.GuardLost()])
@pytest.mark.parametrize("state", State)
def test_the_end_comes_in_every_state(state: State, event: e.Event) -> None:
    """Shutdown and a lost guard lead to one Finish each, by way of stop and release where needed."""
    play = STATES[state](Player())
    play.at(1.5, event)
    if state in (State.PROMOTING, State.LEADER):
        play.expect(*ENDING)
    if state in (State.PROMOTING, State.LEADER, State.DEMOTING):
        play.at(1.6, play.stopped()).expect(a.Disarm, a.Release)
        play.at(1.7, play.released()).expect(a.Forget, a.Finish(clean=True))
    elif state is State.FENCED:
        play.expect(a.Finish(clean=False))
    else:
        play.expect(a.EndSession(1, give_up=True), a.Finish(clean=True))
    assert play.election.next_timer(play.now) is None
    play.at(9.0, event).nothing()
    assert play.election.reason == ("shutdown" if isinstance(event, e.Shutdown) else "guard-died")


def test_shutdown_before_the_first_stop_has_ended_waits_for_it() -> None:
    """R4's stop is finished even on the way out; nothing joins after it."""
    play = Player()
    play.at(0.0, e.Started()).expect(a.StopResources)
    play.at(0.1, e.Shutdown()).nothing()
    play.at(0.2, play.stopped()).expect(a.Finish(clean=True))


def test_shutdown_whose_first_stop_fails_is_unclean() -> None:
    """The exit code tells that something may still run."""
    play = Player()
    play.at(0.0, e.Started()).expect(a.StopResources)
    play.at(0.1, e.Shutdown()).nothing()
    play.at(0.2, play.stopped("exit 1")).expect(a.Finish(clean=False)).is_now(State.FENCED)


def test_shutdown_whose_stop_fails_lets_the_guard_try_and_reports() -> None:
    """The guard fences; its answer decides whether the end was clean."""
    for clean in (True, False):
        play = Player().lead(1.0)
        play.at(1.5, e.Shutdown()).expect(*ENDING)
        play.at(1.6, play.stopped("exit 1")).expect(a.Fence)
        if clean:
            play.at(1.7, e.Fenced(play.token, True, "")).expect(a.Disarm, a.Release)
            play.at(1.8, play.released()).expect(a.Forget, a.Finish(clean=True))
        else:
            play.at(1.7, e.Fenced(play.token, False, "")).expect(a.Finish(clean=False))


@pytest.mark.parametrize("first", [e.Shutdown(), e.Tick()])
def test_a_failed_stop_without_a_guard_ends_the_agent(first: e.Event) -> None:
    """Nobody is left to fence: waiting for an answer would keep the service manager from helping."""
    play = Player().lead(1.0)
    play.at(1.4, first).whatever()
    play.at(1.5, e.GuardLost()).whatever()
    play.at(1.6, play.stopped("exit 1")).expect(a.Finish(clean=False)).is_now(State.FENCED, "guard-died")


def test_a_release_that_fails_on_the_way_out_is_left_to_the_guard() -> None:
    """Shutdown does not wait for an etcd that is away: the journal keeps the release."""
    play = Player().lead(1.0)
    play.at(1.5, e.Shutdown()).expect(*ENDING)
    play.at(1.6, play.stopped()).expect(a.Disarm, a.Release)
    play.at(1.7, e.ReleaseFailed(play.token, "no answer")).expect(a.Finish(clean=True))
    assert play.count(a.Forget) == 0


# --- clocks ---


def test_a_suspended_leader_steps_down_on_waking() -> None:
    """BOOT has jumped past `stop_at` while RAW stood still: the first thing it does is stop."""
    play = Player().lead(1.0)
    play.suspend(60.0)
    play.at(1.5, e.ResourceFailed(play.token, "monitor timed out")).expect(
        a.EndSession, a.ReportStopping, a.StopResources
    ).is_now(State.DEMOTING, "store-lost")
    # 52.3 s late on the boot clock: no time is left for the stops, the guard will see to it.
    until = play.last(a.StopResources).until
    assert play.now.left_until(until) < 0


def test_a_short_suspend_costs_nothing_but_time() -> None:
    """5 s asleep of 6.2 s: the renewal that is due comes at once, and the leader goes on."""
    play = Player().lead(1.0)
    play.suspend(5.0)
    play.at(1.5).expect(a.Renew)
    play.at(1.6, play.renewed(1.5)).expect(a.ExtendLease).is_now(State.LEADER)


def test_a_slewed_boot_clock_does_not_shorten_a_takeover_wait() -> None:
    """Whoever waits believes the slower clock: a fast BOOT alone opens nothing."""
    etcd = FakeEtcd()
    etcd.held_by("z", 0xFF)
    play = Player(etcd=etcd, node="b", lease=0xB1)
    play.queue_up(0.0)
    play.at(0.0, play.renewed()).whatever()
    etcd.drop(0xFF)
    play.at(0.1, play.queue_changed()).expect(a.Renew)
    play.at(0.1, play.renewed()).nothing()
    opening = 0.1 + 1.001 * 8.7 + 0.3
    for raw in (2.5, 5.0, 7.5, 9.0):
        play.suspend(0.25)
        play.at(raw).expect(a.Renew)
        play.at(raw, play.renewed()).nothing()
    play.at(opening - 0.01).nothing()
    # The renewal: while it waits it looks again and again whether the holder has released meanwhile.
    play.at(opening + 0.01).expect(a.Renew, a.TakeOver)


def test_a_release_without_a_key_is_noticed_at_once() -> None:
    """A holder whose key was deleted stops and releases the record alone: no watch on the queue tells."""
    etcd = FakeEtcd()
    etcd.held_by("z", 0xFF)
    play = Player(etcd=etcd, node="b", lease=0xB1)
    play.queue_up(0.0)
    play.at(0.0, play.renewed()).whatever()
    etcd.drop(0xFF)
    play.at(0.1, play.queue_changed()).expect(a.Renew)
    play.at(0.1, play.renewed()).nothing()
    assert play.timer() == pytest.approx(0.1)
    etcd.release()
    play.at(0.21).expect(a.Renew)
    play.at(0.21, play.renewed()).expect(a.TakeOver)


def test_it_is_told_early_when_the_way_will_be_free() -> None:
    """For resources that look round before; only as a candidate, and only once it is known."""
    etcd = FakeEtcd()
    etcd.held_by("z", 0xFF)
    play = Player(etcd=etcd, node="b", lease=0xB1)
    assert play.election.opens_at() is None
    play.queue_up(0.0)
    play.at(0.0, play.renewed()).whatever()
    assert play.election.opens_at() is None
    etcd.drop(0xFF)
    play.at(0.1, play.queue_changed()).expect(a.Renew)
    play.at(0.1, play.renewed()).nothing()
    opens_at = play.election.opens_at()
    assert opens_at is not None
    assert opens_at.raw == pytest.approx(0.1 + 1.001 * 8.7 + 0.3)
    assert Player().lead(1.0).election.opens_at() is None


def test_a_slow_raw_clock_does_not_lengthen_a_hold() -> None:
    """Whoever holds believes the faster clock: 10 % slew of BOOT brings `stop_at` forward."""
    play = Player().lead(1.0)
    play.at(2.2).expect(a.Renew)
    play.suspend(0.6)
    play.at(6.5).nothing()
    play.at(6.61).expect(*ENDING)


# --- odds and ends ---


def test_a_larger_granted_ttl_counts_everywhere() -> None:
    """Etcd raised the TTL to its minimum: lease, holder record and deadlines follow what was granted."""
    play = Player()
    play.etcd.held_by("z", 0xFF)
    play.etcd.release()
    play.begin(0.0)
    play.at(0.0, play.joined(ttl=75)).expect(a.Renew)
    play.at(0.0, play.renewed()).expect(a.TakeOver)
    granted = TEN.granted(75)
    assert play.last(a.TakeOver).record == HolderRecord.held(play.token, "a", 0xA1, granted)
    play.at(0.1, play.took_over()).expect(a.ArmGuard)
    assert play.last(a.ArmGuard).lease.stop_at == at(0.0).plus(granted.stop_after)


def test_a_granted_ttl_that_leaves_no_room_is_a_bug_of_the_adapter() -> None:
    """The adapter refuses such a grant before it comes to this; the machine does not go on with it."""
    play = Player(Timing.scaled(5, vip=True)).begin(0.0)
    event = e.Joined(1, 0xA1, 10, at(0.0), "k", 5, play.etcd.snapshot(at(0.0)), play.last(a.Join).known)
    with pytest.raises(InvariantError, match="address lifetime"):
        play.at(0.1, event)


def test_a_step_that_the_table_does_not_know_is_a_bug() -> None:
    """The machine checks each of its own steps against `core.states`."""

    class Confused(Election):
        def _due(self, now: object) -> None:
            self.state = State.LEADER

    with pytest.raises(InvariantError, match="standby to leader by Started is not in the table"):
        Confused("db", "a", TEN).handle(e.Started(), at(0.0))


def test_only_changes_are_published() -> None:
    """A renewal that moves `stop_at` alone is no news; the status carries it all the same."""
    play = Player().lead(1.0)
    seen = len(play.published)
    play.at(2.3).expect(a.Renew)
    play.at(2.4, play.renewed(2.3)).expect(a.ExtendLease)
    assert len(play.published) == seen
    assert play.election.status().stop_at == at(2.3).plus(TEN.stop_after)


def test_the_reasons_that_people_read_follow_the_states() -> None:
    """From startup → candidate → elected → elected → shutdown, each published once."""
    play = Player().lead(1.0)
    play.at(1.5, e.Shutdown()).whatever()
    play.at(1.6, play.stopped()).whatever()
    play.at(1.7, play.released()).whatever()
    words = [(status.state.value, status.reason) for status in play.published]
    assert list(dict.fromkeys(words)) == [
        ("standby", "startup"), ("candidate", ""), ("promoting", "elected"), ("leader", "elected"),
        ("demoting", "shutdown"), ("standby", "shutdown"),
    ]
