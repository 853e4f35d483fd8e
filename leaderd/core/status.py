"""The status of one election, as people, API and log see it."""

from dataclasses import dataclass

from leaderd.core.control import NodeReport
from leaderd.core.records import CandidateKey
from leaderd.core.states import State
from leaderd.instant import Instant

AT_MOST_ONE = "at-most-one"
AT_LEAST_ONE = "at-least-one"


@dataclass(frozen=True, slots=True)
class Status:
    """One election seen from this node, at one moment.

    Attributes:
        election: Its name.
        state: Of this node.
        reason: Why the state is this one; the words of docs/interfaces.md §3, or "" where plain.
        detail: One sentence more, for people; may be "".
        leader: Node that is first in the queue and holds, as far as this node knows; "" for none.
        token: Fencing token of the own term, else the newest seen; 0 for none.
        lease: Lease id of the session; 0 without one.
        stop_at: The own session's `stop_at`; None without a session.
        candidates: The queue.
        blocked: Why nobody may be promoted here (`revision-regressed`), or "".
        healthy: The node's own check says that it may lead; True where it has none.
        paused: An operator keeps every node from being newly promoted.
        nodes: What the nodes have last said of themselves, in the queue or not, by name.
        guarantee: "at-most-one" or "at-least-one".
        proven: False while the node holds, takes or drops an address that etcd knows nothing of; then
            there is no token, and `stop_at` is the end of what the node gives itself.
    """

    election: str
    state: State
    reason: str = ""
    detail: str = ""
    leader: str = ""
    token: int = 0
    lease: int = 0
    stop_at: Instant | None = None
    candidates: tuple[CandidateKey, ...] = ()
    blocked: str = ""
    healthy: bool = True
    paused: bool = False
    nodes: tuple[NodeReport, ...] = ()
    guarantee: str = AT_MOST_ONE
    proven: bool = True
