"""Real daemons, broken while clients poll `/leader` on all of them."""

from pathlib import Path

import pytest

from tests.api.campaign import LONG, campaign
from tests.api.pollers import Yes, wrong
from tests.faults.figures import figure

# One that ends at once, a planned one, and the two in which the old leader could believe in itself too long.
FAULTS = ("kill agent", "stop daemon", "switchover", "cut from etcd")


@pytest.mark.timeout(300)
def test_no_old_leader_says_yes_after_its_successor_has(tmp_path: Path) -> None:
    """A stopped daemon that comes back neither: some questions have been waiting for it since."""
    with campaign(tmp_path) as running:
        for kind in FAULTS:
            running.run(kind, LONG)
    for line in running.table():
        figure(f"/leader: {line}")
    assert running.changes == len(FAULTS)
    assert not wrong(running.pollers.yeses)


def test_the_judge_knows_a_wrong_answer() -> None:
    """It lets pass what was asked before, and what a node says in a later term of its own."""
    old, new = Yes("a", 1, 0.0, 0.1), Yes("b", 2, 5.0, 5.1)
    assert not wrong([old, new, Yes("a", 1, 5.05, 5.11), Yes("a", 3, 6.0, 6.1), Yes("b", 2, 5.5, 5.6)])
    assert len(wrong([old, new, Yes("a", 1, 5.2, 5.3)])) == 1
    assert len(wrong([old, new, Yes("a", 1, 4.0, 9.0)])) == 1
    assert len(wrong([old, new, Yes("c", 3, 6.0, 6.1), Yes("b", 2, 6.2, 6.3), Yes("a", 1, 6.2, 6.3)])) == 2
