"""Where an election's keys stand in etcd. Standard library only: guard and agent both need it.

    <root>/election/<name>/<lease id, hex>     the queue: one key per candidate, on its lease
    <root>/control/<name>/holder | epoch | …   records without a lease
    <root>/history/<name>/<token, 20 digits>   past leaderships

Source: docs/interfaces.md §8. The queue's keys follow `NewElection` and `Campaign` in etcd's
client/v3/concurrency/election.go, so that `etcdctl elect` reads and joins the same queue.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ElectionKeys:
    """The keys of one election.

    Attributes:
        root: Key prefix of the installation, e.g. `/leaderd`.
        name: Name of the election.
    """

    root: str
    name: str

    @property
    def prefix(self) -> str:
        """Every key that begins with this counts as a candidate."""
        return f"{self.root}/election/{self.name}/"

    @property
    def range_end(self) -> str:
        """First key behind the queue: `0` follows `/` in ASCII."""
        return f"{self.root}/election/{self.name}0"

    def key(self, lease: int) -> str:
        """Return the candidate key of a lease: hex without padding, as Go's `%x`."""
        return f"{self.prefix}{lease:x}"

    @property
    def control(self) -> str:
        """Prefix of the records."""
        return f"{self.root}/control/{self.name}/"

    @property
    def control_end(self) -> str:
        """First key behind the records."""
        return f"{self.root}/control/{self.name}0"

    @property
    def holder(self) -> str:
        """Key of the holder record."""
        return f"{self.control}holder"

    @property
    def epoch(self) -> str:
        """Key of the epoch."""
        return f"{self.control}epoch"

    @property
    def paused(self) -> str:
        """Key of the mark that keeps everybody from being newly promoted."""
        return f"{self.control}paused"

    @property
    def switchover(self) -> str:
        """Key of the wish for another leader."""
        return f"{self.control}switchover"

    def standby(self, node: str) -> str:
        """Return the key of the mark that keeps a node from competing; all of them for ""."""
        return f"{self.control}standby/{node}"

    @property
    def standby_end(self) -> str:
        """First key behind the marks of nodes."""
        return f"{self.control}standby0"

    def node(self, node: str) -> str:
        """Return the key under which a node says how it is."""
        return f"{self.control}node/{node}"

    @property
    def history(self) -> str:
        """Prefix of past leaderships."""
        return f"{self.root}/history/{self.name}/"

    @property
    def history_end(self) -> str:
        """First key behind the past leaderships."""
        return f"{self.root}/history/{self.name}0"

    def leadership(self, token: int) -> str:
        """Return the key of one leadership; in the order of the tokens."""
        return f"{self.history}{token:020d}"
