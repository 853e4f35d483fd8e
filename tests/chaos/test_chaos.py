"""A seeded random mix of faults does not make two nodes hold, and the run could tell if it did."""

import os
from pathlib import Path

import pytest

from leaderd.demo.journal import overlaps
from tests.chaos.control import stall_under
from tests.chaos.mix import run_mix
from tests.chaos.naive import NaiveNode
from tests.cluster import Cluster, why_no_stall
from tests.faults.figures import figure
from tests.faults.trio import Trio

FAULTS = 12
SEED = 2


@pytest.mark.timeout(600)
def test_random_mix() -> None:
    """So many faults: 0 overlaps, tokens grow, somebody leads again within the bound after each."""
    lines: list[str] = []
    outcome = run_mix(FAULTS, SEED, lines.append)
    for line in outcome.table():
        figure(line)
    assert not outcome.problems, "\n".join([*outcome.problems, *lines])


@pytest.mark.skipif(bool(why_no_stall()), reason=why_no_stall())
@pytest.mark.timeout(300)
def test_control(tmp_path: Path) -> None:
    """With R6 and R11 switched off two nodes hold under a fault that costs nothing with them."""
    contain = os.geteuid() == 0
    with Cluster(3, directory=tmp_path / "etcd") as cluster:
        honest = Trio(cluster, tmp_path / "honest", "honest", contain=contain, local=True)
        naive = Trio(cluster, tmp_path / "naive", "naive", contain=contain, local=True, make=NaiveNode)
        try:
            stall_under(cluster, [honest, naive])
            found = overlaps(naive.holds())
            figure(f"control without R6 and R11: {naive.describe(found)}")
            assert found, naive.tails(20)
            honest.check()
            honest.stop()
            naive.stop()
        finally:
            honest.destroy()
            naive.destroy()
