"""The loss of etcd's leader alone never costs the leadership at the defaults."""

import os
import random

import pytest

from tests.cluster import Cluster
from tests.faults.actions import pause_for
from tests.faults.conftest import MakeTrio
from tests.faults.figures import figure
from tests.faults.steady import lose_leaders
from tests.faults.trio import Trio

# `LEADERD_LONG=1` for all of what the promise was measured with.
TIMES = 20 if os.environ.get("LEADERD_LONG") else 3

pytestmark = pytest.mark.timeout(120 + 30 * TIMES)


@pytest.fixture(scope="module")
def defaults(make_trio: MakeTrio) -> Trio:
    """A trio with the default ttl of 10, settled."""
    trio = make_trio("steady", ttl=10)
    trio.settle()
    return trio


@pytest.mark.parametrize("kind", ["kill", "pause"])
def test_etcd_leader_loss_costs_nothing(cluster: Cluster, defaults: Trio, kind: str) -> None:
    """So many kills, or pauses of up to 2 s, of etcd's leader: 0 demotions."""
    before = defaults.last().token
    lost = lose_leaders(cluster, defaults, kind, TIMES, random.Random(kind))
    pause_for(1.0)
    figure(f"etcd's leader: {TIMES} × {kind}: {lost} demotions")
    assert lost == 0
    assert defaults.last().token == before
