"""Instants on two clocks: who holds believes the faster, who waits the slower."""

from hypothesis import given
from hypothesis import strategies as st

from leaderd.instant import Instant, earlier_opening

SECONDS = st.floats(0, 1e6)
INSTANTS = st.builds(Instant, SECONDS, SECONDS)


def test_suspend_counts_for_a_holder_and_not_for_a_waiter() -> None:
    """BOOT ran 60 s further than RAW: a holder has lost that time, a waiter has not waited it."""
    before, after = Instant(10.0, 100.0), Instant(15.0, 165.0)
    assert after.held_since(before) == 65.0
    assert after.waited_since(before) == 5.0
    deadline = before.plus(20.0)
    assert after.left_until(deadline) == -45.0
    assert after.wait_until(deadline) == 15.0


@given(INSTANTS, INSTANTS)
def test_a_holder_never_counts_less_than_a_waiter(now: Instant, other: Instant) -> None:
    """So a hold that ends and a wait that begins together never overlap on one node."""
    assert now.held_since(other) >= now.waited_since(other)
    assert now.left_until(other) <= now.wait_until(other)


@given(INSTANTS, INSTANTS)
def test_left_and_since_are_two_views_of_one_thing(now: Instant, other: Instant) -> None:
    """`left_until` turns negative exactly where `held_since` turns positive; likewise for waiting."""
    assert now.left_until(other) == -now.held_since(other)
    assert now.wait_until(other) == -now.waited_since(other)


@given(INSTANTS, SECONDS)
def test_plus_moves_both_clocks(now: Instant, seconds: float) -> None:
    """A duration is the same on both clocks."""
    assert now.plus(seconds) == (now.raw + seconds, now.boot + seconds)


def test_never_is_later_than_anything() -> None:
    """None stands for an opening that does not come."""
    now, some = Instant(0.0, 0.0), Instant(5.0, 5.0)
    assert earlier_opening(now, None, None) is None
    assert earlier_opening(now, some, None) == some
    assert earlier_opening(now, None, some) == some


@given(INSTANTS, INSTANTS, INSTANTS)
def test_the_earlier_opening_is_the_one_reached_first(now: Instant, first: Instant, second: Instant) -> None:
    """Reached means: on both clocks, as a waiter counts."""
    chosen = earlier_opening(now, first, second)
    assert chosen is not None
    assert now.wait_until(chosen) == min(now.wait_until(first), now.wait_until(second))
