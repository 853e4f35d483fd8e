"""Real daemons, broken while clients poll `/leader` on all of them."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.api.campaign import LONG, Campaign, HttpNode, campaign
from tests.api.pollers import Yes, ask, wrong
from tests.faults.actions import stopped
from tests.faults.figures import figure
from tests.faults.trio import wait_for

pytestmark = pytest.mark.timeout(300)
# One that ends at once, a planned one, and the two in which the old leader could believe in itself too long.
FAULTS = ("kill agent", "stop daemon", "switchover", "cut from etcd")


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Campaign]:
    """Three nodes and their pollers, started once."""
    with campaign(tmp_path_factory.mktemp("faults")) as started:
        yield started


def test_no_old_leader_says_yes_after_its_successor_has(running: Campaign) -> None:
    """A stopped daemon that comes back neither: some questions have been waiting for it since."""
    for kind in FAULTS:
        running.run(kind, LONG)
    for line in running.table():
        figure(f"/leader: {line}")
    assert running.changes == len(FAULTS)
    assert not wrong(running.pollers.yeses)


def test_a_stopped_candidate_that_comes_back_is_neither_fit_nor_ready(running: Campaign) -> None:
    """Its session has run out meanwhile; etcd is kept from it, so that it has no time to get another."""
    leader = running.trio.leader()
    node = next(each for each in running.trio.nodes.values() if each is not leader)
    assert isinstance(node, HttpNode)
    paths = ("/candidate", "/replica", "/readyz", "/leader")
    assert [code(node.port, path) for path in paths] == [200, 200, 200, 503]
    with ThreadPoolExecutor(len(paths)) as pool, node.cut():
        with stopped(node, guard=True, agent=True):
            # One thread takes the signal, and until it has had its turn the others go on answering.
            wait_for("the stop of every thread", lambda: states(node.agent) == {"T"}, 10)
            waiting = [pool.submit(code, node.port, path) for path in paths]
            # Longer than a proven renewal lasts, and shorter than etcd's patience with the lease.
            time.sleep(3.0)
        assert [answer.result() for answer in waiting] == [503] * len(paths)
    running.trio.settle()


def states(pid: int) -> set[str]:
    """Return the states of a process's threads, by proc(5)."""
    stats = [stat.read_text() for stat in Path(f"/proc/{pid}/task").glob("*/stat")]
    return {stat.rpartition(")")[2].split()[0] for stat in stats}


def code(port: int, path: str) -> int:
    """Ask, and wait for the answer as long as it takes."""
    return int(ask(port, path, 30.0).split()[1])


def test_the_judge_knows_a_wrong_answer() -> None:
    """It lets pass what was asked before, and what a node says in a later term of its own."""
    old, new = Yes("a", 1, 0.0, 0.1), Yes("b", 2, 5.0, 5.1)
    assert not wrong([old, new, Yes("a", 1, 5.05, 5.11), Yes("a", 3, 6.0, 6.1), Yes("b", 2, 5.5, 5.6)])
    assert len(wrong([old, new, Yes("a", 1, 5.2, 5.3)])) == 1
    assert len(wrong([old, new, Yes("a", 1, 4.0, 9.0)])) == 1
    assert len(wrong([old, new, Yes("c", 3, 6.0, 6.1), Yes("b", 2, 6.2, 6.3), Yes("a", 1, 6.2, 6.3)])) == 2
