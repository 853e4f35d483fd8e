"""Begins the long run of the simulation with the session, so that it is done when its turn comes."""

import os

import pytest

from tests.sim.campaign import Campaign

SCHEDULES = int(os.environ.get("LEADERD_SIM_SCHEDULES", "20000"))
JOBS = max(1, min(8, os.cpu_count() or 1))

_running = pytest.StashKey[Campaign]()


def pytest_collection_finish(session: pytest.Session) -> None:
    """Begin it if somebody is going to ask for it."""
    wanted = any("campaign" in getattr(item, "fixturenames", ()) for item in session.items)
    if wanted and not session.config.option.collectonly:
        session.config.stash[_running] = Campaign(SCHEDULES, JOBS)


def pytest_unconfigure(config: pytest.Config) -> None:
    """End it, whether somebody has asked for it or not."""
    if campaign := config.stash.get(_running, None):
        campaign.cancel()


@pytest.fixture
def campaign(request: pytest.FixtureRequest) -> Campaign:
    """The run of this session."""
    return request.config.stash[_running]
