"""Fixtures of the guard's tests."""

import pytest

from tests.guard.harness import GuardRun


@pytest.fixture
def guarded(tmp_path):
    """Return a function that makes guards and cleans up after them."""
    made = []

    def make(*elections, **settings):
        made.append(run := GuardRun(tmp_path, *elections, **settings))
        return run

    yield make
    for run in made:
        run.close()
