"""Lease arithmetic: the examples of docs/design.md's time budget, and what holds for every budget."""

from dataclasses import replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from leaderd.core.lease import MAX_TTL, Lease, Timing, default_parts
from leaderd.errors import InvariantError, LeaseLostError
from leaderd.instant import Instant
from tests.play import TEN, at

PARTS = ("retry_period", "attempt_timeout", "hedge_after", "stop_timeout", "kill_time", "start_timeout",
         "margin")


@st.composite
def timings(draw: st.DrawFn) -> Timing:
    """Return any budget that adds up."""
    ttl = draw(st.integers(2, MAX_TTL))
    drift = draw(st.floats(0, 0.3))
    margin = draw(st.floats(0.01, 0.5))
    window = ttl * (1 - drift) - margin
    assume(window > 0.5)
    shares = [draw(st.floats(0.01, 1.0)) for _ in range(5)]
    unit = draw(st.floats(0.2, 1.0)) * window / (shares[0] + 2 * shares[1] + shares[2] + shares[3])
    retry, attempt, stop, kill = (share * unit for share in shares[:4])
    return Timing(ttl, retry, attempt, attempt * shares[4], stop, kill, margin=margin, clock_drift=drift)


# --- examples ---


def test_the_default_budget_of_a_ttl_of_ten() -> None:
    """V = 10·0.9 − 0.3 = 8.7; fence after 8.2; stop after 6.2; retry 1.2, attempt 1.0, hedge 0.35."""
    assert TEN.window == pytest.approx(8.7)
    assert TEN.fence_after == pytest.approx(8.2)
    assert TEN.stop_after == pytest.approx(6.2)
    assert (TEN.retry_period, TEN.attempt_timeout, TEN.hedge_after) == pytest.approx((1.2, 1.0, 0.35))
    assert TEN.start_budget == pytest.approx(2.2)
    assert TEN.warnings() == []


def test_a_ttl_of_five_is_valid_and_warned_about() -> None:
    """V = 4.2, stop after 2.7 ≥ 0.6 + 2·0.5; an etcd leader change of 3 s would cost the leadership."""
    five = Timing.scaled(5)
    assert five.window == pytest.approx(4.2)
    assert five.stop_after == pytest.approx(2.7)
    assert [text for text in five.warnings() if "leader change" in text]


def test_a_ttl_of_five_with_a_vip_is_valid_too() -> None:
    """With a kill_time of 1.5: stop after 1.7 ≥ 1.6, and ⌊4.2 − 1.25 − 0.5⌋ = 2 s of lifetime cover it."""
    five = Timing.scaled(5, vip=True)
    assert five.stop_after == pytest.approx(1.7)
    assert five.kill_time == 1.5


def test_a_vip_below_five_needs_hand_set_parts() -> None:
    """With ttl 4: 0.9·4 − 0.3 − 1.5 − 0.8 = 1.0 s is less than 0.48 + 0.8 s."""
    with pytest.raises(InvariantError, match="raise ttl or shorten a part"):
        Timing.scaled(4, vip=True)


def test_a_ttl_of_two_works_with_hand_set_parts_and_without_a_vip() -> None:
    """Etcd's own minimum at its default election timeout."""
    with pytest.raises(InvariantError):
        Timing.scaled(2, vip=True)
    two = Timing(2, retry_period=0.2, attempt_timeout=0.2, hedge_after=0.07, stop_timeout=0.3,
                 kill_time=0.3)
    assert two.stop_after == pytest.approx(0.9)


@pytest.mark.parametrize("ttl", range(5, MAX_TTL + 1, 7))
@pytest.mark.parametrize("vip", [True, False])
def test_every_larger_ttl_is_valid_with_its_defaults(ttl: int, vip: bool) -> None:
    """Nobody needs to set more than the ttl."""
    assert Timing.scaled(ttl, vip=vip).problems() == []


def test_short_and_very_long_ttls_are_warned_about() -> None:
    """From 8 on (10 with a vip) a leader change of etcd is survived; above 60 a failover is slow."""
    assert [ttl for ttl in range(5, 12) if not Timing.scaled(ttl).warnings()] == [8, 9, 10, 11]
    assert [ttl for ttl in range(5, 12) if not Timing.scaled(ttl, vip=True).warnings()] == [10, 11]
    assert [text for text in Timing.scaled(61).warnings() if "nobody leads" in text]


# --- what is refused ---


def test_a_budget_that_does_not_add_up_names_every_term() -> None:
    """Who reads it must see which number to change."""
    with pytest.raises(InvariantError) as caught:
        replace(TEN, stop_timeout=6.0)
    for text in ("10·(1 − 0.1)", "0.3", "0.5", "6", "2.20 s", "1.2", "2·1", "3.20 s"):
        assert text in str(caught.value)


@pytest.mark.parametrize("name", PARTS)
@pytest.mark.parametrize("value", [0.0, -1.0, float("nan")])
def test_a_part_that_is_no_duration_is_named(name: str, value: float) -> None:
    """Zero, negative and not-a-number alike."""
    with pytest.raises(InvariantError, match=f"{name} = .* must be greater than 0"):
        replace(TEN, **{name: value})  # type: ignore[arg-type]  # every part is a float


@pytest.mark.parametrize(("change", "text"), [
    ({"ttl": 1}, "ttl = 1 must lie in 2 … 300"),
    ({"ttl": 301}, "ttl = 301 must lie in 2 … 300"),
    ({"clock_drift": 0.5}, "clock_drift = 0.5 must lie in"),
    ({"clock_drift": -0.01}, "clock_drift = -0.01 must lie in"),
    ({"clock_drift": float("nan")}, "clock_drift = nan must lie in"),
    ({"hedge_after": 1.1}, "hedge_after = 1.1 must not exceed attempt_timeout = 1"),
])
def test_what_lies_outside_its_range_is_named(change: dict[str, float], text: str) -> None:
    """One sentence with the field, its value and the bound."""
    with pytest.raises(InvariantError, match=text):
        replace(TEN, **change)  # type: ignore[arg-type]  # a wrong value is the point


def test_all_problems_are_reported_together() -> None:
    """Not one a run."""
    with pytest.raises(InvariantError) as caught:
        replace(TEN, ttl=0, margin=0.0, clock_drift=2.0)
    assert str(caught.value).count(";") == 2


def test_a_vip_whose_address_would_vanish_under_a_healthy_leader_is_refused() -> None:
    """⌊V − 1.25 − attempt⌋ must cover the time until the node steps down."""
    with pytest.raises(InvariantError, match="address lifetime"):
        replace(Timing.scaled(10, vip=True), kill_time=0.5, stop_timeout=0.5)


# --- granted TTLs ---


def test_a_larger_granted_ttl_lengthens_the_window_alone() -> None:
    """The parts stay as configured."""
    granted = TEN.granted(75)
    assert granted == replace(TEN, ttl=75)
    assert granted.stop_timeout == TEN.stop_timeout
    assert TEN.granted(10) is TEN


def test_a_smaller_granted_ttl_that_leaves_no_room_is_refused() -> None:
    """Etcd never grants less; if it did, the budget would be judged anew."""
    with pytest.raises(InvariantError):
        TEN.granted(3)


# --- leases ---


def test_deadlines_count_from_the_sending() -> None:
    """Namely expires_at = s + V, fence_at and stop_at before it."""
    lease = Lease(7, TEN, at(100.0))
    assert lease.expires_at == at(100.0).plus(TEN.window)
    assert lease.left(at(100.0)) == pytest.approx(6.2)
    assert lease.left(at(100.0, suspended=6.3)) < 0


def test_a_proof_after_stop_at_revives_nothing() -> None:
    """R12, to the very instant."""
    lease = Lease(7, TEN, at(0.0))
    assert lease.renewed(at(6.0), at(6.1)).sent_at == at(6.0)
    with pytest.raises(LeaseLostError, match="lease 7"):
        lease.renewed(at(6.0), at(6.2))
    with pytest.raises(LeaseLostError):
        lease.renewed(at(1.0), at(1.0, suspended=10.0))


def test_an_older_proof_takes_nothing_away() -> None:
    """Deadlines never move back."""
    lease = Lease(7, TEN, at(5.0))
    assert lease.renewed(at(4.0), at(5.5)) is lease


@given(timings())
def test_the_deadlines_stand_in_order(timing: Timing) -> None:
    """In order: stop_at, fence_at, expires_at, the earliest expiry in etcd; a start fits before stop_at."""
    lease = Lease(1, timing, at(0.0))
    stop, fence, expires = lease.stop_at.raw, lease.fence_at.raw, lease.expires_at.raw
    assert 0 < timing.start_budget < stop < fence < expires
    assert expires < timing.ttl * (1 - timing.clock_drift)


@given(timings())
def test_two_attempts_fit_between_a_proof_and_stop_at(timing: Timing) -> None:
    """One lost attempt does not cost the leadership."""
    assert timing.retry_period + 2 * timing.attempt_timeout <= timing.stop_after + 1e-9


@given(timings(), st.floats(0, 400), st.floats(0, 400), st.floats(0, 100))
def test_a_renewal_never_moves_a_deadline_back(
    timing: Timing, sent: float, now: float, asleep: float
) -> None:
    """Whatever was proven whenever: later or equal deadlines, or the session is over."""
    lease = Lease(1, timing, at(0.0))
    present = at(now, suspended=asleep)
    if lease.left(present) <= 0:
        with pytest.raises(LeaseLostError):
            lease.renewed(at(sent), present)
    else:
        assert lease.renewed(at(sent), present).expires_at.raw >= lease.expires_at.raw


@given(timings(), st.floats(0, 400), st.floats(-100, 100))
def test_left_agrees_with_stop_at(timing: Timing, raw: float, skew: float) -> None:
    """Two ways to say when a holder stops."""
    lease = Lease(1, timing, at(0.0))
    now = Instant(raw, raw + 1000 + skew)
    assert lease.left(now) == pytest.approx(now.left_until(lease.stop_at), abs=1e-6)


@given(st.integers(2, MAX_TTL), st.booleans())
def test_default_parts_scale_with_the_ttl(ttl: int, vip: bool) -> None:
    """0.12, 0.1 (at most 1 s), 0.35 of that, 0.2; kill_time alone is fixed."""
    parts = default_parts(ttl, vip=vip)
    assert parts["retry_period"] == pytest.approx(0.12 * ttl)
    assert parts["attempt_timeout"] == pytest.approx(min(1.0, 0.1 * ttl))
    assert parts["hedge_after"] == pytest.approx(0.35 * parts["attempt_timeout"])
    assert parts["stop_timeout"] == pytest.approx(0.2 * ttl)
    assert parts["kill_time"] == (1.5 if vip else 0.5)
