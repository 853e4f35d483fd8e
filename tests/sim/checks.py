"""What must never happen, and what must: watched in true time."""

from collections import Counter
from collections.abc import Callable

from leaderd.core.control import PAUSED, STANDBY_PREFIX
from leaderd.core.records import HolderRecord
from tests.sim.engine import Engine


class Monitor:
    """Sees every hold, takeover and renewal of a schedule."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.violations: list[str] = []
        self.counts: Counter[str] = Counter()
        self.holders: dict[str, int] = {}
        self.last_token = 0
        self.last_takeover = (0, "")
        self.last_start = 0
        self.quiet_at: float | None = None
        self.led_at: float | None = None
        self.priorities: dict[str, int] = {}
        self.stands: Callable[[str], int] = lambda name: 0

    def violate(self, what: str) -> None:
        """Note a broken promise and end the schedule."""
        self.engine.note("CHECK", f"*** {what}")
        self.violations.append(f"{self.engine.now:.3f} {what}")
        self.engine.drop()

    # --- holds ---

    def hold_begins(self, node: str, token: int) -> None:
        """A start hook begins: from now on something of the term may run."""
        self.counts["holds"] += 1
        if token <= self.last_start:
            self.violate(f"tokens: {node} starts with {token:x} after {self.last_start:x}")
        self.last_start = max(self.last_start, token)
        others = [other for other in self.holders if other != node]
        self.holders[node] = token
        self.engine.note(node, f"HOLD begins, token {token:x}")
        if others:
            self.violate(f"overlap: {node} starts while {others[0]} holds")

    def hold_ends(self, node: str, how: str) -> None:
        """Everything of the term is verified stopped or killed."""
        if self.holders.pop(node, None) is not None:
            self.engine.note(node, f"HOLD ends: {how}")
            self.counts["ended: " + how] += 1

    # --- tokens ---

    def took_over(self, record: HolderRecord) -> None:
        """A takeover transaction has committed.

        The same node may send it again with the same token when the answer was lost: it is one term.
        """
        self.engine.note("etcd", f"holder := {record.node} token {record.token:x}")
        again = (record.token, record.node) == self.last_takeover
        self.last_takeover = (record.token, record.node)
        if record.token <= self.last_token and not again:
            self.violate(f"tokens: {record.node} takes over with {record.token:x} "
                         f"after {self.last_token:x}")
        if not again and (self.stands(PAUSED) or self.stands(STANDBY_PREFIX + record.node)):
            self.violate(f"barred: {record.node} is promoted although paused or in standby")
        self.last_token = max(self.last_token, record.token)

    # --- preference ---

    def preempts(self, node: str, to: str) -> None:
        """A leader wishes that another follows it: only ever up, or leaderships would go back and forth."""
        self.counts["preemptions wished for"] += 1
        if self.priorities[to] <= self.priorities[node]:
            self.violate(f"ping-pong: {node} ({self.priorities[node]}) preempted by {to}")

    # --- somebody leads again ---

    def leads(self) -> None:
        """A leader has proven a renewal: if the faults are over, the schedule is done."""
        if self.quiet_at is not None:
            self.led_at = self.engine.now
            self.engine.drop()
