"""Real etcd and real daemons, started once for a file and healed after every case."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cluster import Cluster
from tests.faults.figures import FIGURES
from tests.faults.stage import Stage
from tests.faults.trio import Trio, wait_for

MakeTrio = Callable[..., Trio]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the figures."""
    if FIGURES:
        terminalreporter.section("measured under faults")
        for line in FIGURES:
            terminalreporter.write_line(line)
        FIGURES.clear()


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Three etcd members."""
    with Cluster(3, directory=tmp_path_factory.mktemp("etcd")) as running:
        yield running


@pytest.fixture(scope="module")
def make_trio(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[MakeTrio]:
    """Makes trios that are looked after: at the end they stop in order and have left nothing behind."""
    made: list[Trio] = []

    def make(name: str, **settings: object) -> Trio:
        directory: Path = tmp_path_factory.mktemp(name) / "nodes"
        made.append(Trio(cluster, directory, name, **settings))
        return made[-1]

    try:
        yield make
        for trio in made:
            trio.stop()
            trio.check()
    finally:
        for trio in made:
            trio.destroy()


@pytest.fixture(scope="module")
def plain(make_trio: MakeTrio) -> Trio:
    """Three nodes whose writer is not contained: with the agent and the guard dead it runs on."""
    return make_trio("plain", ttl=5)


@pytest.fixture(scope="module")
def contained(make_trio: MakeTrio) -> Trio:
    """Three nodes whose writer is contained. Ask for it in tests that need root only."""
    if os.geteuid() != 0:
        pytest.skip("needs root")
    return make_trio("contained", ttl=5, contain=True)


@pytest.fixture(params=["plain", pytest.param("contained", marks=pytest.mark.root)])
def trio(request: pytest.FixtureRequest) -> Iterator[Trio]:
    """One trio, settled before the case and after it: the promise held and nothing is left behind."""
    found: Trio = request.getfixturevalue(request.param)
    found.settle()
    yield found
    found.settle()
    found.check()


@pytest.fixture
def stage(cluster: Cluster, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Stage]:
    """An election for one case; at its end no two have held, and nothing is left behind."""
    name = "".join(c if c.isalnum() else "-" for c in request.node.name.lower()).strip("-")
    made = Stage(cluster, tmp_path / "nodes", name)
    try:
        yield made
        made.check()
        for node in made.nodes.values():
            node.stop()
        for node in made.nodes.values():
            node.wait(30)
        wait_for("the end of all that the nodes have started", lambda: not made.marked(), 10)
    finally:
        made.destroy()
