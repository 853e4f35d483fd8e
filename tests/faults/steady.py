"""Taking etcd's leader away, again and again, from an election at the defaults."""

import random

from tests.cluster import Cluster
from tests.faults.actions import killed, pause_for, paused
from tests.faults.trio import Trio

# A short pause is at most this long, seconds: the cluster has barely chosen another leader.
SHORT = 2.0


def lose_leaders(cluster: Cluster, trio: Trio, kind: str, times: int, dice: random.Random) -> int:
    """Kill (and restart) or pause etcd's leader so many times; return how many terms that has cost."""
    lost = 0
    for _ in range(times):
        token = trio.last().token
        # At any phase of the renewals.
        pause_for(dice.uniform(0.2, 1.5))
        leader = cluster.leader()
        if kind == "kill":
            with killed(cluster, [leader]):
                cluster.leader()
                pause_for(dice.uniform(0.0, 1.0))
        else:
            with paused(cluster, [leader]):
                pause_for(dice.uniform(0.2, SHORT))
        cluster.leader()
        lost += trio.last().token != token
    return lost
