"""One fault that tells rules from none: the disk of etcd's leader stalls, and the holder asks nobody else."""

from tests.cluster import Cluster
from tests.faults.actions import kill, move_leader, stalled
from tests.faults.trio import Trio

# The holder's lease is renewed for its last time as the stall begins; others see it expire after an etcd
# leader change and one TTL (docs/etcd.md §2), while the stalled member acknowledges on.
AFTER_TTL = 10.0


def lead_from(trio: Trio, index: int, tries: int = 8) -> None:
    """Have the node of this number lead, by killing the agents of those before it."""
    node = list(trio.nodes.values())[index]
    for _ in range(tries):
        trio.settle()
        if trio.leader() is node:
            return
        kill(trio.leader(), agent=True)
    raise AssertionError(f"{node.name} does not come to lead")


def stall_under(cluster: Cluster, trios: list[Trio]) -> None:
    """Stall the write-ahead log of etcd's leader, which is the only member that all leaders know."""
    trios[0].settle()
    index = trios[0].index(trios[0].leader())
    for trio in trios:
        lead_from(trio, index)
    move_leader(cluster, index)
    with stalled(cluster, trios[0].ttl + AFTER_TTL, wal_only=True):
        pass
    for trio in trios:
        trio.settle()
