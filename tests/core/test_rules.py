"""The rules R1 to R13 of the promise, as far as the core decides them: one dialogue or more for each."""

from dataclasses import replace

import pytest

from leaderd.core import actions as a
from leaderd.core import events as e
from leaderd.core.lease import Lease, Timing
from leaderd.core.records import HolderRecord, fencing_token
from leaderd.core.states import State
from tests.play import TEN, FakeEtcd, Player, at

ENDING = (a.EndSession, a.ReportStopping, a.StopResources)


def follower(etcd: FakeEtcd, raw: float = 0.0) -> Player:
    """Return a candidate that has proven its place behind whoever holds."""
    play = Player(etcd=etcd, node="b", lease=0xB1)
    play.queue_up(raw)
    return play.at(raw, play.renewed()).whatever()


# --- R1, R2: what a start needs ---


def test_r1_nothing_starts_before_the_guard_has_answered() -> None:
    """R1: arming comes first, and only its answer lets the resources start."""
    play = Player().promote(1.0)
    play.at(1.5).nothing()
    play.at(2.2).expect(a.Renew)
    play.at(2.3, play.renewed(2.2)).expect(a.ExtendLease)
    play.at(2.4, e.GuardArmed(play.token)).expect(
        a.StartResources(play.token, play.last(a.ExtendLease).lease, "elected", "z", released=True)
    )


def test_r1_the_answer_to_another_terms_arming_starts_nothing() -> None:
    """R1, R9: only the guard's answer for this very token counts."""
    play = Player().promote(1.0)
    play.at(1.1, e.GuardArmed(play.token - 1)).nothing()
    play.at(1.2, e.GuardArmed(play.token + 1)).nothing()
    play.at(1.3, e.GuardArmed(play.token)).expect(a.StartResources)


def test_r1_an_answer_before_the_question_arms_nothing() -> None:
    """R1: where the lease was too short to arm, a guard that says "armed" is not believed."""
    play = Player().elected(1.0)
    play.at(5.5, play.took_over()).expect(a.Renew)
    play.at(5.6, e.GuardArmed(play.token)).nothing()
    play.at(5.7, play.renewed(5.5)).expect(a.ArmGuard)
    play.at(5.8).nothing()
    play.at(5.9, e.GuardArmed(play.token)).expect(a.StartResources)


def test_r1_the_guard_is_told_all_it_needs_to_act_alone() -> None:
    """R1, R13: token, deadlines, the takeover's record and its own mod revision go to the guard."""
    play = Player().elected(1.0)
    record = play.last(a.TakeOver).record
    play.at(1.1, play.took_over()).expect(
        a.ArmGuard(record.token, Lease(0xA1, TEN, at(1.0)), record, play.etcd.holder_revision, "z")
    )


def test_r2_nothing_is_armed_on_a_lease_with_too_little_left() -> None:
    """R2: with less than retry_period + attempt_timeout left, first another renewal is proven."""
    play = Player().elected(1.0)
    # stop_at is 7.2; from 5.0 on less than 2.2 s are left.
    play.at(5.1, play.took_over()).expect(a.Renew)
    play.at(5.2).nothing()
    play.at(5.3, play.renewed(5.1)).expect(a.ArmGuard)


def test_r2_nothing_starts_on_a_lease_with_too_little_left() -> None:
    """R2: a guard that answers late does not start resources on what is left of the lease."""
    play = Player().promote(1.0)
    play.at(2.2).expect(a.Renew)
    play.at(5.1, e.GuardArmed(play.token)).nothing()
    play.at(5.2, play.renewal_failed()).nothing()
    play.at(5.25).expect(a.Renew)
    play.at(5.3, play.renewed(5.25)).expect(a.ExtendLease, a.StartResources)


def test_r2_exactly_the_budget_is_enough() -> None:
    """R2: the budget itself still suffices, a moment later does not."""
    play = Player().promote(1.0)
    play.at(2.2).expect(a.Renew)
    play.at(4.999, e.GuardArmed(play.token)).expect(a.StartResources)


# --- R3: promotion ---


def test_r3_a_watch_event_alone_promotes_nobody() -> None:
    """R3: that the watch shows us first asks for a proven renewal, nothing else."""
    etcd = FakeEtcd()
    etcd.held_by("z", 0xFF)
    play = follower(etcd)
    etcd.release()
    play.at(0.5, play.queue_changed()).expect(a.Renew)
    play.at(0.6).nothing()
    play.at(0.7, play.renewed(0.5)).expect(a.TakeOver)


def test_r3_the_transaction_names_everything_that_was_judged() -> None:
    """R3: create revision, mod revisions of holder and epoch, and the record are those of the proof."""
    etcd = FakeEtcd()
    etcd.held_by("z", 0xFF)
    etcd.raise_epoch()
    etcd.held_by("y", 0xFE)
    etcd.release()
    etcd.drop(0xFF)
    play = Player(etcd=etcd)
    play.queue_up(1.0)
    token = fencing_token(1, play.key.create_revision)
    play.at(1.1, play.renewed()).expect(a.TakeOver(
        serial=1, create_revision=play.key.create_revision, holder_revision=etcd.holder_revision,
        epoch_revision=etcd.epoch_revision, record=HolderRecord.held(token, "a", 0xA1, TEN),
    ))


def test_r3_a_join_alone_promotes_nobody() -> None:
    """R3: the answer that created our key shows us first, but no keepalive was proven yet."""
    etcd = FakeEtcd()
    etcd.held_by("z", 0xFF)
    etcd.release()
    play = Player(etcd=etcd)
    play.queue_up(1.0)
    play.at(1.5).nothing()
    play.at(2.0, play.renewal_failed()).nothing().is_now(State.CANDIDATE)


def test_r3_a_refused_takeover_is_judged_again_on_a_new_proof() -> None:
    """R3: after a failed compare nothing is sent before another renewal is proven."""
    play = Player().elected(1.0)
    play.at(1.1, e.TakeoverRefused(1)).nothing()
    play.at(1.12).nothing()
    play.at(1.15).expect(a.Renew)
    play.etcd.hold(replace(play.etcd.holder, node="y") if play.etcd.holder else play.last(a.TakeOver).record)
    play.at(1.2, play.renewed()).expect(a.TakeOver)
    assert play.last(a.TakeOver).holder_revision == play.etcd.holder_revision


def test_r3_an_etcd_that_refuses_for_ever_is_not_asked_in_a_loop() -> None:
    """R3: takeovers that fail at once are repeated with growing pauses, at most a retry_period long."""
    play, raw = Player().elected(1.0), 1.0
    for _ in range(40):
        play.at(raw, e.TakeoverFailed(1, "permission denied")).nothing()
        raw += play.timer()
        play.at(raw).expect(a.Renew)
        play.at(raw, play.renewed()).expect(a.TakeOver)
    assert raw > 1.0 + 30 * TEN.retry_period


def test_r3_an_unknown_outcome_that_did_commit_is_recognised() -> None:
    """R3: our own token in the record means promote; the transaction goes again to learn its revision."""
    play = Player().elected(1.0)
    revision = play.etcd.hold(play.last(a.TakeOver).record)
    play.at(2.0, e.TakeoverFailed(1, "no answer")).nothing()
    play.at(2.05).expect(a.Renew)
    play.at(2.1, play.renewed()).expect(a.GatherEvidence, a.TakeOver)
    assert play.last(a.TakeOver).holder_revision == revision
    play.at(2.2, play.took_over()).expect(a.ArmGuard)
    assert play.last(a.ArmGuard).holder_revision == play.etcd.holder_revision > revision


def test_r3_an_answer_to_another_claim_promotes_nobody() -> None:
    """R3, R9: a takeover's answer counts only for the token that was asked for, and only once."""
    play = Player().elected(1.0)
    play.at(1.1, e.TookOver(1, play.token + 1, 999)).nothing().is_now(State.CANDIDATE)
    play.at(1.2, e.TakeoverFailed(1, "no answer")).nothing()
    play.at(1.21, e.TookOver(1, play.token, 999)).nothing().is_now(State.CANDIDATE)


# --- R4, R5: stops and releases ---


def test_r4_everything_is_stopped_once_before_the_node_competes() -> None:
    """R4: the first action is a stop, and nothing joins before it has succeeded."""
    play = Player()
    play.at(0.0, e.Started()).expect(a.StopResources(0, at(2.0), "startup"))
    play.at(5.0).nothing()
    play.at(6.0, play.stopped()).expect(a.Join)


def test_r4_a_node_whose_first_stop_fails_does_not_compete() -> None:
    """R4: it is fenced and tries again with growing delay until the stop succeeds."""
    play = Player()
    play.at(0.0, e.Started()).expect(a.StopResources)
    play.at(1.0, play.stopped("exit 1")).nothing().is_now(State.FENCED, "startup")
    assert play.timer() == pytest.approx(1.0)
    play.at(2.0).expect(a.StopResources(0, at(4.0), "startup"))
    play.at(2.0, play.stopped("exit 1")).nothing()
    assert play.timer() == pytest.approx(2.0)
    play.at(4.0).expect(a.StopResources)
    play.at(4.1, play.stopped()).expect(a.Join).is_now(State.STANDBY)


def test_r5_the_release_waits_for_the_stop() -> None:
    """R5: renewing ends first; the release goes out when all is stopped, the queue again after it."""
    play = Player().lead(1.0)
    revision = play.etcd.holder_revision
    play.at(1.5, e.Shutdown()).expect(
        a.EndSession(1, give_up=False),
        a.ReportStopping(play.token),
        a.StopResources(play.token, at(3.5), "shutdown"),
    )
    released = replace(play.last(a.TakeOver).record, state="released")
    play.at(2.0, play.stopped()).expect(
        a.Disarm(play.token), a.Release(play.token, released, revision)
    ).is_now(State.STANDBY)
    play.at(2.1, play.released()).expect(a.Forget(play.token), a.Finish(clean=True))


def test_r5_a_candidate_that_never_held_leaves_the_record_alone() -> None:
    """R5: it only deletes its key and lease."""
    etcd = FakeEtcd()
    etcd.held_by("z", 0xFF)
    play = follower(etcd)
    play.at(1.0, e.Shutdown()).expect(a.EndSession(1, give_up=True), a.Finish(clean=True))
    assert play.count(a.Release) == 0


def test_r5_a_failed_stop_releases_nothing() -> None:
    """R5: nothing is released or renewed, the guard fences; only a clean end of that leads on."""
    play = Player().fence(1.0).is_now(State.FENCED, "lease-lost")
    play.at(2.0, e.Fenced(play.token, clean=False, detail="still there")).nothing()
    assert play.timer() == pytest.approx(1.0)
    play.at(3.0).expect(a.Fence(play.token))
    play.at(3.1, e.Fenced(play.token, clean=True, detail="")).expect(a.Disarm(play.token), a.Release)
    play.is_now(State.STANDBY)
    play.at(3.2, play.released()).expect(a.Forget, a.Join)


def test_r5_a_pending_release_goes_before_the_node_queues_again() -> None:
    """R5: a release that could not be sent is repeated every second, and nothing joins meanwhile."""
    play = Player().demote(1.0)
    play.at(1.5, play.stopped()).expect(a.Disarm, a.Release)
    for raw in (2.0, 3.0, 4.0):
        play.at(raw, e.ReleaseFailed(play.token, "no answer")).nothing()
        play.at(raw + 0.9).nothing()
        play.at(raw + 1.0).expect(a.Release)
    play.at(5.5, play.released()).expect(a.Forget, a.Join)


def test_r5_what_an_earlier_run_left_is_stopped_then_released_then_forgotten() -> None:
    """R5, R13: first the guard stops the unclean term, then everything is stopped, then released."""
    record = HolderRecord.held(77, "a", 0x77, TEN)
    play = Player()
    play.at(0.0, e.Started(pending=e.PendingRelease(77, 90, record), unclean=77)).expect(a.Fence(77))
    play.is_now(State.FENCED, "startup")
    play.at(0.5, e.Fenced(77, clean=True, detail="")).expect(a.StopResources).is_now(State.STANDBY)
    play.at(0.6, play.stopped()).expect(a.Release(77, replace(record, state="released"), 90))
    play.at(0.7, play.released()).expect(a.Forget(77), a.Join)


# --- R6: takeover, by the record alone ---


def test_r6a_a_released_holder_costs_nothing() -> None:
    """R6a: after a clean stop the next in line takes over with its first proof."""
    etcd = FakeEtcd()
    etcd.held_by("z", 0xFF)
    play = follower(etcd)
    etcd.release()
    play.at(0.5, play.queue_changed()).expect(a.Renew)
    play.at(0.5, play.renewed()).expect(a.TakeOver)


def test_r6b_evidence_opens_at_the_computed_instant() -> None:
    """R6b: holder sent at 0, dies; r = 2 of 10 seen at 7.5 gives x = 1.2, closing at x + 1.001·V."""
    etcd = FakeEtcd()
    etcd.held_by("z", 0xFF)
    play = follower(etcd)
    play.at(0.0, play.evidence(9, 0.0)).nothing()
    play.at(1.2).expect(a.Renew)
    play.at(1.2, play.renewed()).nothing()
    play.at(6.0).expect(a.Renew, a.GatherEvidence(1, 101, 0xFF))
    play.at(6.0, play.renewed()).nothing()
    play.at(6.0, play.evidence(3, 6.0)).nothing()
    assert play.timer() == pytest.approx(0.1)
    play.at(7.2).expect(a.Renew, a.GatherEvidence)
    play.at(7.2, play.renewed()).nothing()
    play.at(7.5, play.evidence(2, 7.5)).nothing()
    etcd.drop(0xFF)
    play.at(7.6, play.queue_changed()).expect(a.Renew)
    play.at(7.6, play.renewed()).nothing()
    opening = 7.5 - 7 * 0.9 + 1.001 * 8.7
    play.at(8.8).expect(a.Renew)
    play.at(8.8, play.renewed()).nothing()
    play.at(9.8).expect(a.Renew)
    assert 9.8 + play.timer() == pytest.approx(opening)
    play.at(opening + 1e-6).expect(a.TakeOver)


@pytest.mark.parametrize(("remaining", "granted"), [(-1, 10), (2, 0), (11, 10), (2, -1)])
def test_r6b_a_lease_that_is_not_found_is_no_evidence(remaining: int, granted: int) -> None:
    """R6b: −1 may be a wrong revocation; only 0 ≤ r ≤ granted with granted > 0 counts."""
    etcd = FakeEtcd()
    etcd.held_by("z", 0xFF)
    play = follower(etcd)
    look = replace(play.evidence(0, 0.1), remaining=remaining, granted=granted)
    etcd.drop(0xFF)
    play.at(0.1, look).nothing()
    play.at(1.2).expect(a.Renew)
    play.at(1.2, play.renewed()).nothing()
    play.at(1.31).expect(a.Renew, a.GatherEvidence)
    assert play.election.status().detail.startswith("z left without releasing")


def test_r6b_a_look_that_failed_is_repeated_after_a_retry_period() -> None:
    """R6b: no answer, another member or raft term: nothing follows, and nobody is asked in a loop."""
    etcd = FakeEtcd()
    etcd.held_by("z", 0xFF)
    play = follower(etcd)
    play.at(0.1, e.EvidenceFailed(1, "the raft term changed")).nothing()
    play.at(1.2).expect(a.Renew)
    play.at(1.29).nothing()
    play.at(1.31).expect(a.GatherEvidence(1, 101, 0xFF))


def test_r6b_a_holder_within_its_stop_time_gives_no_evidence() -> None:
    """R6b: a slow look counts from when it began: 3 s of it leave the holder time to come back."""
    etcd = FakeEtcd()
    etcd.held_by("z", 0xFF)
    play = follower(etcd)
    # x = 7.5 − 6.3 = 1.2; at 4.5 the holder was 3.3 s past its last renewal, not 1.001·6.2.
    slow = play.evidence(2, 4.5, 7.5)
    for raw in (1.2, 5.0):
        play.at(raw).expect(a.Renew)
        play.at(raw, play.renewed()).nothing()
    etcd.drop(0xFF)
    play.at(6.2).expect(a.Renew)
    play.at(6.2, play.renewed()).nothing()
    play.at(7.5, slow).expect(a.Renew)
    play.at(7.5, play.renewed()).nothing()
    play.at(10.1).expect(a.Renew, a.GatherEvidence)
    play.at(10.1, play.renewed()).nothing()
    # Not at x + 1.001·V = 9.9 but a full window after 6.2.
    play.at(15.2).expect(a.Renew)
    play.at(15.2, play.renewed()).nothing()
    play.at(6.2 + 1.001 * 8.7 + 0.3 + 1e-6).expect(a.TakeOver)


def test_r6c_without_evidence_one_whole_window_is_waited_for() -> None:
    """R6c: 1.001·V + margin after the read that first showed the holder's key gone."""
    etcd = FakeEtcd()
    etcd.held_by("z", 0xFF)
    play = follower(etcd)
    etcd.drop(0xFF)
    play.at(1.0, play.queue_changed()).expect(a.Renew)
    play.at(1.3, play.renewed(1.0, 1.25)).nothing()
    opening = 1.25 + 1.001 * 8.7 + 0.3
    play.at(6.0).expect(a.Renew)
    play.at(6.0, play.renewed()).nothing()
    play.at(opening - 0.01).expect(a.Renew)
    play.at(opening - 0.01, play.renewed()).nothing()
    play.at(opening + 1e-6).expect(a.TakeOver)


def test_r6c_the_holders_own_window_counts_not_ours() -> None:
    """R6c: the record says how long the holder may still hold, whatever this node is configured to."""
    etcd = FakeEtcd()
    slow = TEN.granted(30)
    etcd.held_by("z", 0xFF, slow)
    play = follower(etcd)
    etcd.drop(0xFF)
    play.at(1.0, play.queue_changed()).expect(a.Renew)
    play.at(1.0, play.renewed()).nothing()
    raw = 1.0
    opening = 1.0 + 1.001 * slow.window + 0.3
    while raw + 5.0 < opening:
        raw += 5.0
        play.at(raw).expect(a.Renew)
        play.at(raw, play.renewed()).nothing()
    play.at(opening - 1e-3).whatever()
    assert play.count(a.TakeOver) == 0
    play.at(opening + 1e-3).expect(a.TakeOver)


def test_r6_a_foreign_candidate_in_front_is_respected_and_changes_no_window() -> None:
    """R6, A5: while a plain key stands first nobody of ours promotes; when it goes, the record decides."""
    etcd = FakeEtcd()
    etcd.held_by("z", 0xFF)
    etcd.release()
    etcd.add("etcdctl", 0xEE, window=0.0)
    play = follower(etcd)
    assert play.status is not None
    assert play.status.leader == "etcdctl"
    play.at(1.2).expect(a.Renew)
    play.at(1.2, play.renewed()).nothing()
    etcd.drop(0xEE)
    play.at(1.3, play.queue_changed()).expect(a.Renew)
    play.at(1.3, play.renewed()).expect(a.TakeOver)


def test_r6_no_record_costs_one_full_window_once_and_queueing_counts() -> None:
    """R6: the first election waits the largest V known, counted from the first read, sessions aside."""
    etcd = FakeEtcd()
    etcd.add("y", 0xEE, window=20.0)
    play = follower(etcd)
    etcd.drop(0xEE)
    opening = 1.001 * 20.0 + 0.3
    play.at(0.5, play.queue_changed()).expect(a.Renew)
    play.at(0.5, play.renewed()).nothing()
    play.at(3.0).expect(a.Renew)
    play.at(3.0, play.gone()).expect(a.EndSession)
    play.at(3.2).expect(a.Join)
    play.at(3.2, play.joined()).expect(a.Renew)
    play.at(3.2, play.renewed()).nothing()
    for raw in (8.0, 13.0, 18.0, 20.0):
        play.at(raw).expect(a.Renew)
        play.at(raw, play.renewed()).nothing()
    play.at(opening - 0.01).nothing()
    play.at(opening + 1e-6).expect(a.TakeOver)


def test_r6_a_new_epoch_costs_one_full_window() -> None:
    """R6: even where the restored record says released, one window passes after the raise was seen."""
    etcd = FakeEtcd()
    etcd.held_by("z", 0xFF)
    etcd.release()
    etcd.raise_epoch()
    play = follower(etcd)
    play.at(4.0).expect(a.Renew)
    play.at(4.0, play.renewed()).nothing()
    play.at(8.9).expect(a.Renew)
    play.at(8.9, play.renewed()).nothing()
    play.at(1.001 * 8.7 + 0.3 + 1e-6).expect(a.TakeOver)
    assert play.token == fencing_token(1, play.key.create_revision)


def test_r6_a_blank_record_under_a_new_epoch_waits_from_the_newer_of_both() -> None:
    """R6: a node that saw no record long ago, then missed a term and a restore, waits anew."""
    etcd = FakeEtcd()
    etcd.add("y", 0xEE)
    play = follower(etcd)
    play.at(3.0).expect(a.Renew)
    play.at(3.0, play.gone()).expect(a.EndSession)
    etcd.drop(0xEE)
    etcd.raise_epoch()
    play.at(100.0).expect(a.Join)
    play.at(100.0, play.joined()).expect(a.Renew)
    play.at(100.0, play.renewed()).nothing()
    play.at(104.0).expect(a.Renew)
    play.at(104.0, play.renewed()).nothing()
    play.at(108.9).expect(a.Renew)
    play.at(108.9, play.renewed()).nothing()
    play.at(100.0 + 1.001 * 8.7 + 0.3 + 1e-6).expect(a.TakeOver)


def test_r6_a_broken_record_promotes_nobody() -> None:
    """R6: a record that cannot be read may hide a holder, however long it stands."""
    etcd = FakeEtcd(broken="holder record 'x' is not readable")
    play = follower(etcd)
    for raw in (4.0, 8.0, 12.0, 16.0, 20.0, 24.0):
        play.at(raw).expect(a.Renew)
        play.at(raw, play.renewed()).nothing()
    assert play.status is not None
    assert "not readable" in play.status.detail


def test_r6_a_leader_whose_record_was_taken_away_stops() -> None:
    """R6: successors judge by the record alone, so a holder that it does not name must not hold."""
    play = Player().lead(1.0)
    play.at(2.2).expect(a.Renew)
    play.etcd.holder, play.etcd.holder_revision = None, 0
    play.etcd.revision += 1
    play.at(2.3, play.renewed(2.2)).expect(a.ExtendLease, *ENDING).is_now(State.DEMOTING, "lease-lost")


def test_r6_a_leader_under_a_restored_record_stops_although_the_epoch_was_raised_at_once() -> None:
    """R6, R8: a restore and a raise between two renewals leave a record of somebody else behind."""
    play = Player().lead(1.0)
    play.at(2.2).expect(a.Renew)
    play.etcd.revision = 50
    play.etcd.hold(HolderRecord.held(40, "z", 0xFF, TEN))
    play.etcd.raise_epoch()
    play.at(2.3, play.renewed(2.2)).expect(a.ExtendLease, *ENDING)


def test_r6_a_read_from_before_the_own_takeover_disowns_nobody() -> None:
    """R6: a renewal that was under way during the takeover still shows the record of before."""
    play = Player().elected(1.0)
    play.at(2.2).expect(a.Renew)
    early = play.renewed(2.2)
    play.at(2.3, play.took_over()).expect(a.ArmGuard)
    play.at(2.4, early).expect(a.ExtendLease).is_now(State.PROMOTING)


# --- R7, R8: loss and history ---


@pytest.mark.parametrize("by_watch", [True, False])
def test_r7_a_leader_that_sees_its_key_gone_stops_at_once(by_watch: bool) -> None:
    """R7: watch and renewal alike."""
    play = Player().lead(1.0)
    gone = play.gone()
    event = play.queue_changed() if by_watch else gone
    play.at(1.5, event).expect(*ENDING).is_now(State.DEMOTING, "lease-lost")


def test_r7_a_queue_from_before_our_key_is_no_loss() -> None:
    """R7: an old watch event that does not show the key yet takes nothing away."""
    play = Player().lead(1.0)
    old = e.QueueChanged(play.key.create_revision - 1, ())
    play.at(1.5, old).nothing().is_now(State.LEADER)


def test_r7_a_candidate_that_sees_its_key_gone_queues_again() -> None:
    """R7: a waiting node notices as well; the phantom leaders of etcd's own Campaign do not exist here."""
    etcd = FakeEtcd()
    etcd.held_by("z", 0xFF)
    play = follower(etcd)
    etcd.drop(play.lease)
    play.at(0.5, play.queue_changed()).expect(a.EndSession(1, give_up=True)).is_now(State.STANDBY)
    play.at(0.5 + play.timer()).expect(a.Join)


def test_r8_a_regression_stops_the_leader_and_blocks_the_node() -> None:
    """R8: a read behind what was known when it was asked ends the term; nobody promotes until a raise."""
    play = Player().lead(1.0)
    play.at(2.2).expect(a.Renew)
    play.etcd.revision = 60
    play.at(2.3, play.renewed(2.2)).expect(a.ExtendLease, *ENDING)
    play.is_now(State.DEMOTING, "revision-regressed")
    play.at(2.4, play.stopped()).expect(a.Disarm, a.Release)
    play.at(2.5, play.released()).expect(a.Forget, a.Join)
    play.at(2.6, play.joined()).expect(a.Renew)
    for raw in (2.6, 6.0, 11.0, 16.0):
        play.at(raw).whatever()
        play.at(raw, play.renewed()).nothing().is_now(State.CANDIDATE, "revision-regressed")
    assert play.status is not None
    assert "revision went back" in play.status.blocked
    play.etcd.raise_epoch()
    play.at(18.0).expect(a.Renew)
    play.at(18.0, play.renewed()).nothing().is_now(State.CANDIDATE, "")
    play.at(22.0).expect(a.Renew)
    play.at(22.0, play.renewed()).nothing().is_now(State.CANDIDATE, "")
    play.at(26.9).expect(a.Renew)
    play.at(26.9, play.renewed()).nothing().is_now(State.CANDIDATE, "")
    play.at(18.0 + 1.001 * 8.7 + 0.3 + 1e-6).expect(a.TakeOver)
    assert play.token > 1 << 40


def test_r8_a_takeover_that_is_answered_after_a_regression_starts_nothing() -> None:
    """R8: a read went back while the transaction's answer was on its way; the term ends unstarted."""
    play = Player().elected(1.0)
    play.at(2.2).expect(a.Renew)
    committed = play.took_over()
    play.etcd.revision = 60
    play.at(2.3, play.renewed(2.2)).nothing().is_now(State.CANDIDATE, "revision-regressed")
    play.at(2.4, committed).expect(a.EndSession(1, give_up=False), a.Release)
    play.is_now(State.STANDBY, "revision-regressed")


def test_r8_a_slow_answer_is_no_restore() -> None:
    """R8: an answer is compared with what was known before its request left, not with what came since."""
    play = Player().elected(1.0)
    play.at(2.2).expect(a.Renew)
    slow = play.renewed(2.2)
    play.at(2.3, play.took_over()).expect(a.ArmGuard)
    assert slow.snapshot.revision < play.election.history.known.revision
    play.at(2.4, slow).expect(a.ExtendLease)
    assert not play.election.history.blocked


def test_r8_a_node_that_remembers_nothing_takes_over_no_larger_token() -> None:
    """R8: a lost epoch key would let tokens shrink; the record still shows the larger one."""
    etcd = FakeEtcd()
    etcd.hold(HolderRecord(fencing_token(2, 50), "z", 0xFF, "released", 10, 8.7, 6.2, 0.1))
    play = follower(etcd)
    for raw in (5.0, 10.0, 15.0):
        play.at(raw).expect(a.Renew)
        play.at(raw, play.renewed()).nothing()
    assert play.status is not None
    assert "raise the epoch" in play.status.detail


def test_r8_the_queue_of_a_new_history_is_believed() -> None:
    """R8: after a restore with a raised epoch the smaller revisions are the newer ones."""
    etcd = FakeEtcd()
    etcd.held_by("z", 0xFF)
    play = follower(etcd)
    play.at(3.0).expect(a.Renew)
    play.at(3.0, play.gone()).expect(a.EndSession)
    etcd.revision = 40
    etcd.raise_epoch()
    play.at(50.0).expect(a.Join)
    play.at(50.0, play.joined()).whatever()
    etcd.drop(play.lease)
    play.at(50.5, play.queue_changed()).expect(a.EndSession).is_now(State.STANDBY, "lease-lost")


def test_r8_the_own_token_is_remembered_before_anything_starts() -> None:
    """R8: what goes to `state_dir` names the new token as soon as the takeover is known."""
    play = Player().elected(1.0)
    play.at(1.1, play.took_over()).expect(a.ArmGuard)
    assert play.remembered[-1].token == play.token
    kinds = [type(each) for each in play.history]
    assert kinds.index(a.ArmGuard) > len(kinds) - 1 - kinds[::-1].index(a.Remember)


# --- R9 to R13 ---


def test_r9_late_completions_of_an_older_session_change_nothing() -> None:
    """R9: answers that carry an older session's number are dropped, whatever they say."""
    etcd = FakeEtcd()
    etcd.held_by("z", 0xFF)
    play = follower(etcd)
    old = (play.renewed(), play.renewal_failed(), e.SessionGone(1, ""), e.EvidenceFailed(1, ""),
           e.TookOver(1, 102, 200), e.TakeoverRefused(1), e.TakeoverFailed(1, ""), e.JoinFailed(1, ""))
    play.at(0.5, play.gone()).expect(a.EndSession)
    play.at(0.6).expect(a.Join)
    play.at(0.6, play.joined()).expect(a.Renew)
    for event in old:
        play.at(0.7, event).nothing().is_now(State.CANDIDATE)


def test_r9_late_completions_of_an_older_term_change_nothing() -> None:
    """R9: answers that carry an older term's token are dropped, whatever they say."""
    play = Player().demote(1.0)
    old = play.token
    play.at(1.1, play.stopped()).expect(a.Disarm, a.Release)
    play.at(1.2, play.released()).expect(a.Forget, a.Join)
    play.at(1.3, play.joined()).expect(a.Renew)
    play.at(1.3, play.renewed()).expect(a.TakeOver)
    play.at(1.3, play.took_over()).expect(a.ArmGuard)
    play.at(1.3, e.GuardArmed(play.token)).expect(a.StartResources)
    for event in (e.GuardArmed(old), e.ResourcesStarted(old), e.StartFailed(old, ""),
                  e.ResourceFailed(old, ""), e.ResourcesStopped(old, True, ""), e.Released(old),
                  e.ReleaseFailed(old, ""), e.Fenced(old, True, "")):
        play.at(1.4, event).nothing().is_now(State.PROMOTING)


def test_r9_an_event_cannot_answer_what_its_own_arrival_asked_for() -> None:
    """R9, R10: the deadline that passes with a stray "stopped" begins a stop; that one is not done yet."""
    play = Player().lead(1.0)
    play.at(2.2).expect(a.Renew)
    play.at(7.3, e.ResourcesStopped(play.token, True, "")).expect(*ENDING).is_now(State.DEMOTING)


@pytest.mark.parametrize("late", [True, False])
def test_r10_the_deadline_comes_before_the_news(late: bool) -> None:
    """R10: a renewal that waits in the queue is judged by the time at which it is looked at."""
    play = Player().lead(1.0)
    play.at(2.2).expect(a.Renew)
    proven = play.renewed(2.2)
    answer: tuple[type[a.Action], ...] = ENDING if late else (a.ExtendLease, a.Renew)
    play.at(7.2 if late else 7.19, proven).expect(*answer)


@pytest.mark.parametrize("state", ["candidate", "promoting", "leader"])
def test_r12_a_renewal_proven_after_stop_at_revives_nothing(state: str) -> None:
    """R12: whoever passes `stop_at` has lost the session and queues with a new one."""
    play = Player()
    {"candidate": play.elected, "promoting": play.promote, "leader": play.lead}[state](1.0)
    play.at(2.2).expect(a.Renew)
    play.at(7.2, play.renewed(2.2))
    play.whatever()
    assert play.election.state is not State.LEADER
    assert play.last(a.EndSession) == a.EndSession(1, give_up=state == "candidate")
    assert play.count(a.ExtendLease) == 0


def test_r12_an_unproven_session_counts_from_its_grant() -> None:
    """R12: a join that took longer than the budget gives the session up at once."""
    play = Player().begin(0.0)
    play.at(6.2, play.joined(sent=0.0)).expect(a.EndSession(1, give_up=True), a.Join)


def test_r12_without_proof_the_candidate_leaves_at_the_grants_stop_at() -> None:
    """R12: failed attempts do not move the deadline."""
    play = Player().queue_up(0.0)
    raw = 0.0
    while raw < 6.0:
        play.at(raw + 0.1, play.renewal_failed()).nothing()
        raw += 0.1 + play.timer()
        play.at(raw).expect(a.Renew)
    play.at(6.2).expect(a.EndSession(1, give_up=True)).is_now(State.STANDBY, "store-lost")


def test_r12_a_renewal_counts_from_when_it_was_sent() -> None:
    """Deadlines count from the keepalive's sending, not from its answer."""
    play = Player().lead(1.0)
    play.at(2.2).expect(a.Renew)
    play.at(3.1, play.renewed(2.2, 3.1)).expect(
        a.ExtendLease(play.token, Lease(0xA1, TEN, at(2.2)))
    )
    play.at(3.41).expect(a.Renew)
    play.at(8.39).nothing()
    play.at(8.41).expect(*ENDING)


def test_r13_the_guard_hears_of_the_stop_before_it_begins() -> None:
    """R13: otherwise it would kill the agent 0.1 s after `stop_at`."""
    play = Player().lead(1.0)
    play.at(2.2).expect(a.Renew)
    play.at(7.2).expect(
        a.EndSession(1, give_up=False),
        a.ReportStopping(play.token),
        a.StopResources(play.token, at(9.2), "store-lost"),
    )


def test_a_late_step_down_gets_only_what_is_left_until_fence_at() -> None:
    """The stop ends at `fence_at`, however late it began."""
    play = Player().lead(1.0)
    play.at(2.2).expect(a.Renew)
    play.at(8.7).expect(a.EndSession, a.ReportStopping, a.StopResources(play.token, at(9.2), "store-lost"))


def test_a_ttl_of_five_scales_every_deadline() -> None:
    """With ttl 5: V = 4.2, stop_at = s + 2.7, fence_at = s + 3.7."""
    play = Player(Timing.scaled(5))
    play.begin(0.0)
    play.at(0.0, play.joined(ttl=5)).expect(a.Renew)
    play.at(2.69).nothing()
    play.at(2.71).expect(a.EndSession)
