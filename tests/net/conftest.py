"""One world for the tests of a file, with figures at the end as for the other fault tests."""

from collections.abc import Iterator

import pytest

from tests.faults.conftest import pytest_terminal_summary
from tests.net.peers import Keepalived, why_no_keepalived
from tests.net.world import Entry, World

__all__ = ["pytest_terminal_summary"]

# Two teams for each ttl, each of which gets half of the faults.
TEAMS = (Entry("l5x", 5, v6=True), Entry("l5y", 5), Entry("l10x", 10), Entry("l10y", 10, v6=True))


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Four teams of leaderd, and one of keepalived where there is one."""
    peers = () if why_no_keepalived() else (Entry("k", 3, make=Keepalived),)
    world = World(tmp_path_factory.mktemp("net"), [*TEAMS, *peers])
    yield world
    world.close()
