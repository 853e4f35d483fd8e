"""Growing delays."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leaderd.core.backoff import Backoff


def test_delays_double_up_to_the_longest_and_start_again() -> None:
    """0.1, 0.2, 0.4 … 2.0, and 0.1 after a success."""
    backoff = Backoff(0.1, 2.0)
    assert [backoff.failed() for _ in range(7)] == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.6, 2.0, 2.0])
    backoff.reset()
    assert backoff.failed() == pytest.approx(0.1)


@given(st.floats(0.001, 10), st.floats(0.001, 1000), st.integers(1, 5000))
def test_no_number_of_failures_exceeds_the_longest(first: float, longest: float, failures: int) -> None:
    """Nor overflows."""
    backoff = Backoff(first, longest)
    delays = [backoff.failed() for _ in range(failures)]
    assert max(delays) <= longest
    assert delays == sorted(delays)
