"""The guard's decisions about one term, without processes."""

from dataclasses import replace

import pytest

from leaderd.guard.term import (
    LATE_AFTER,
    Duty,
    Phase,
    Step,
    Term,
    Verdict,
    feeds,
    heard,
    judge,
    next_deadline,
    orphaned,
    steps,
)
from leaderd.guard.wire import Deadlines, Disarm, Extend, Fence, Forget, Stopping
from leaderd.instant import Instant
from tests.guard.harness import TOKEN, order, shell

T = Instant(1000.0, 2000.0)
TIMES = Deadlines(T.plus(5), T.plus(7), T.plus(7.5))


def term(phase, **changes):
    return Term(order([shell("x"), shell("y")], times=TIMES), TIMES, phase, **changes)


def at(seconds):
    return T.plus(seconds)


EVERY = list(Phase)
LIVE = {Phase.ARMING, Phase.ARMED, Phase.STOPPING}


@pytest.mark.parametrize("phase", EVERY)
@pytest.mark.parametrize("token", [TOKEN - 1, TOKEN + 1])
@pytest.mark.parametrize("kind", [Stopping, Disarm, Forget, Fence])
def test_another_token_changes_nothing(phase, token, kind):
    """Whatever the phase and the message."""
    before = term(phase)
    assert heard(before, kind("db", token)) is before


EXPECTED = {
    Stopping: {Phase.ARMING: Phase.STOPPING, Phase.ARMED: Phase.STOPPING},
    Disarm: dict.fromkeys(LIVE, Phase.STOPPED),
    Forget: {Phase.STOPPED: None},
    Fence: dict.fromkeys(LIVE | {Phase.UNCLEAN}, Phase.CLEANING),
}


@pytest.mark.parametrize("phase", EVERY)
@pytest.mark.parametrize("kind", list(EXPECTED))
def test_what_each_message_does_in_each_phase(phase, kind):
    """The table above, and nothing else."""
    before = term(phase)
    after = heard(before, kind("db", TOKEN))
    if phase in EXPECTED[kind]:
        expected = EXPECTED[kind][phase]
        assert (after and after.phase) == expected
        assert after is None or after.failed == (kind is Fence)
    else:
        assert after is before


@pytest.mark.parametrize("phase", EVERY)
def test_a_renewal_counts_only_while_the_term_is_held(phase):
    """R12: what stops is not revived."""
    later = Deadlines(*(instant.plus(10) for instant in TIMES))
    after = heard(term(phase), Extend("db", TOKEN, later))
    assert (after.deadlines == later) == (phase in {Phase.ARMING, Phase.ARMED})


def test_no_deadline_moves_back():
    """A renewal that overtook another one is ignored."""
    before = term(Phase.ARMED)
    earlier = Deadlines(*(instant.plus(-1) for instant in TIMES))
    assert heard(before, Extend("db", TOKEN, earlier)) is before


@pytest.mark.parametrize("phase", EVERY)
@pytest.mark.parametrize("token", [TOKEN - 1, TOKEN, TOKEN + 1])
def test_a_new_term_is_armed_only_when_the_old_one_is_over(phase, token):
    """And never by an old token; silence means that nothing starts."""
    before = term(phase)
    after = heard(before, order(token=token))
    if phase is Phase.STOPPED and token > TOKEN:
        assert after.phase is Phase.ARMING
        assert after.order.token == token
    else:
        assert after is before


def test_the_first_term_is_armed():
    """There is nothing to be careful of."""
    assert heard(None, order()).phase is Phase.ARMING


def test_messages_without_a_term_mean_nothing():
    """Nothing comes of nothing."""
    assert heard(None, Disarm("db", TOKEN)) is None


def test_an_agent_that_does_not_stop_is_late():
    """From stop_at + 0.1 s on, by either clock, and not before."""
    armed = term(Phase.ARMED)
    assert judge(armed, at(5 + LATE_AFTER - 0.01)) is Verdict.WAIT
    assert judge(armed, at(5 + LATE_AFTER)) is Verdict.LATE
    assert judge(armed, Instant(T.raw, T.boot + 5.2)) is Verdict.LATE
    assert judge(armed, Instant(T.raw + 5.2, T.boot)) is Verdict.LATE


def test_an_agent_that_stops_has_until_fence_at_and_a_moment_to_say_how_it_ended():
    """R13: fence_at is for escalation. What kills takes effect well within kill_time, however short."""
    stopping = term(Phase.STOPPING)
    assert judge(stopping, at(7.09)) is Verdict.WAIT
    assert judge(stopping, at(7.1)) is Verdict.OVERDUE
    hasty = replace(stopping, deadlines=Deadlines(at(5), at(7), at(7.2)))
    assert judge(hasty, at(7.04)) is Verdict.WAIT
    assert judge(hasty, at(7.05)) is Verdict.OVERDUE


@pytest.mark.parametrize("phase", [Phase.ARMING, Phase.CLEANING, Phase.STOPPED, Phase.UNCLEAN])
def test_who_holds_nothing_is_not_judged(phase):
    """Before the journal is synced nothing runs; afterwards nothing runs, or the guard is at work itself."""
    assert judge(term(phase), at(1000)) is Verdict.WAIT
    assert next_deadline(term(phase)) is None


@pytest.mark.parametrize(
    ("phase", "duty"),
    [
        (Phase.ARMING, Duty.STOP),
        (Phase.ARMED, Duty.STOP),
        (Phase.STOPPING, Duty.STOP),
        (Phase.CLEANING, Duty.NOTHING),
        (Phase.STOPPED, Duty.RELEASE),
        (Phase.UNCLEAN, Duty.NOTHING),
    ],
)
def test_what_a_dead_agent_leaves_to_do(phase, duty):
    """Stop what may run, release what has stopped."""
    assert orphaned(term(phase)) is duty


@pytest.mark.parametrize("phase", EVERY)
def test_a_watchdog_is_fed_only_before_fence_at(phase):
    """And never for a term whose stop has failed."""
    assert feeds(term(phase), at(6), 1) == (phase is not Phase.UNCLEAN)
    assert feeds(term(phase), at(7), 0.1) == (phase is Phase.STOPPED)
    assert feeds(term(phase, failed=True), at(6), 1) == (phase is Phase.STOPPED)
    assert feeds(term(phase, failed=True, rebooted=True), at(9), 1)


@pytest.mark.parametrize("phase", sorted(LIVE, key=str))
def test_no_feeding_puts_the_reset_off_beyond_expiry(phase):
    """A device counts whole seconds, kill_time may be less: the last feeding is earlier by that."""
    assert feeds(term(phase), at(6.5), 1)
    assert not feeds(term(phase), at(6.501), 1)
    assert feeds(term(phase), at(5.5), 2)
    assert not feeds(term(phase), at(5.501), 2)


def test_with_kill_alone_the_stops_may_take_their_time():
    """Until fence_at first; then the last round gets its time-outs, since nothing follows."""
    assert steps(term(Phase.CLEANING), ("kill",), at(1)) == (Step("stop", at(7)), Step("kill", at(7 + 5)))
    assert steps(term(Phase.CLEANING), ("kill",), at(9)) == (Step("kill", at(9 + 5)),)


def test_hard_steps_share_the_time_up_to_expiry():
    """Each has its deadline; the last ends at expires_at."""
    assert steps(term(Phase.CLEANING), ("kill", "reboot"), at(1)) == (
        Step("stop", at(7)),
        Step("kill", at(7.25)),
        Step("reboot", at(7.5)),
    )


@pytest.mark.parametrize(("now", "ends"), [(7.1, [7.3, 7.5]), (8, [8.25, 8.5])])
def test_hard_steps_end_at_expiry_however_late_they_begin(now, ends):
    """A term that was handed over a moment after fence_at leaves less time to each; past expiry all."""
    found = [step.until.raw - T.raw for step in steps(term(Phase.CLEANING), ("kill", "reboot"), at(now))]
    assert found == pytest.approx(ends)


def test_one_round_of_stops_comes_before_what_cannot_be_undone():
    """Also when the deadline has passed and `kill` is not configured."""
    assert [step.kind for step in steps(term(Phase.CLEANING), ("reboot",), at(8))] == ["kill", "reboot"]
    assert [step.kind for step in steps(term(Phase.CLEANING), ("reboot",), at(1))] == ["stop", "reboot"]


def test_a_retry_only_stops():
    """The machine was fenced as hard as it can be."""
    retried = term(Phase.CLEANING, escalated=True)
    assert [step.kind for step in steps(retried, ("kill", "reboot"), at(20))] == ["kill"]


def test_what_an_earlier_run_left_gets_its_time():
    """Its deadlines are those of the arming; and a boot is never followed by another."""
    left = term(Phase.CLEANING, recovered=True)
    kinds = steps(left, ("kill", "reboot"), at(100))
    assert kinds[0] == Step("stop", at(105))
    assert [step.kind for step in kinds] == ["stop", "kill", "reboot"]
    rebooted = term(Phase.CLEANING, recovered=True, rebooted=True)
    assert [step.kind for step in steps(rebooted, ("kill", "reboot"), at(100))] == ["stop", "kill"]
