"""No lifetime reaches beyond the deadline, whatever the clocks do."""

from hypothesis import given
from hypothesis import strategies as st

from leaderd.core.lease import Lease, Timing
from leaderd.instant import Instant
from leaderd.resources.lifetime import LATE, SLACK, SPREAD, TELLING, Lifetimes, whole_seconds

SENT = Instant(1000.0, 5000.0)
ages = st.floats(0, 400)
suspends = st.sampled_from([0.0, 0.0, 0.3, 7.0])
ttls = st.integers(5, 300)


def lease(ttl: int = 10, sent_at: Instant = SENT) -> Lease:
    return Lease(1, Timing.scaled(ttl, vip=True), sent_at)


def later(age: float, suspended: float = 0.0) -> Instant:
    return Instant(SENT.raw + age, SENT.boot + age + suspended)


@given(ttls, ages, suspends)
def test_it_ends_before_the_deadline_if_the_kernel_is_late(ttl: int, age: float, suspended: float) -> None:
    """Neither 0 to the kernel nor for ever can come out of it: 0 means none, and the most is a ttl."""
    now, held = later(age, suspended), lease(ttl)
    seconds = whole_seconds(held, now)
    assert isinstance(seconds, int)
    assert 0 <= seconds <= 300
    if seconds:
        assert now.left_until(held.expires_at) >= seconds + LATE + SLACK


@given(ttls, ages)
def test_no_second_is_given_away(ttl: int, age: float) -> None:
    """What is left unused is the rest of a second."""
    seconds, left = whole_seconds(lease(ttl), later(age)), later(age).left_until(lease(ttl).expires_at)
    assert seconds > left - LATE - SLACK - 1


@given(ttls, st.floats(0, 1))
def test_a_healthy_leader_keeps_its_address(ttl: int, late: float) -> None:
    """Extended as late as a slow renewal may be, it lasts until the node would step down by itself."""
    timing = Timing.scaled(ttl, vip=True)
    age = late * timing.attempt_timeout
    assert age + whole_seconds(lease(ttl), later(age)) >= timing.stop_after - 1e-6


@given(ttls, ages, st.lists(st.floats(0, 0.3), max_size=8))
def test_all_that_are_told_at_one_time_get_the_same(ttl: int, age: float, steps: list[float]) -> None:
    """And none of them more than it may have with what telling may take on top."""
    lifetimes, held = Lifetimes(), lease(ttl)
    first = lifetimes.seconds(held, later(age))
    at = age
    for step in steps:
        at += step
        seconds = lifetimes.seconds(held, later(at))
        if at - age <= SPREAD - 1e-6:
            assert seconds == first
        if seconds:
            assert later(at + TELLING).left_until(held.expires_at) >= seconds + LATE


def test_a_renewal_counts_at_once() -> None:
    """What was computed for the old lease serves nobody any more; nor does what is old, or from a suspend."""
    lifetimes = Lifetimes()
    assert lifetimes.seconds(lease(), later(4.0)) == 3
    assert lifetimes.seconds(lease(sent_at=later(3.9)), later(4.0)) == 7
    assert lifetimes.seconds(lease(), later(4.0)) == 3
    assert lifetimes.seconds(lease(), later(4.6)) == 2
    assert lifetimes.seconds(lease(), later(4.65, suspended=2.0)) == 0
