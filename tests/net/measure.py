"""What one fault has cost: the client, and the promise."""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Protocol

from leaderd.demo.journal import Hold, overlaps
from leaderd.demo.nodes import Node
from tests.faults.actions import pause_for
from tests.faults.trio import now, wait_for
from tests.net.sight import Sight
from tests.net.switch import Switch

# After the lease of a dead holder: etcd's own delay, the probe for duplicates, and a busy machine.
SLACK = 3.0


class Competitors(Protocol):
    """Three nodes that compete: of leaderd, or of something else."""

    system: str
    name: str
    ttl: int
    addresses: list[str]
    nodes: dict[str, Any]
    switch: Switch
    sight: Sight

    @property
    def hosts(self) -> dict[str, Any]: ...
    def steady(self) -> Any: ...
    def repair(self, node: Any) -> None: ...
    def work(self, since: float) -> list[Hold]: ...


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that is done to the node that holds.

    Attributes:
        do: Does it; what undoes it is left on the stack.
        bound: Seconds within which another node answers, given the ttl; None where the holder stays.
        lasts: Seconds; longer where nobody else has answered yet.
    """

    do: Callable[[Competitors, Node, ExitStack], None]
    bound: Callable[[int], float] | None
    lasts: float = 0.3


@dataclass(slots=True)
class Row:
    """What came of a fault; seconds.

    Attributes:
        system: What was tested.
        ttl: Of it.
        fault: Which.
        begun: When, on the watcher's clock.
        host: That held.
        another: Until another host answered; None where none did.
        outage: The longest time that the client got no answer, for each address.
        gone: When the holder's kernel had removed the address, from the fault on; None while it has it.
        unheld: For how long no kernel had the address before the next one had it; None without a next.
        overlap: For how long two hosts had an address, by their kernels.
        work: The same for the daemon.
        work_ended: When the holder's daemon had ended, from the fault on.
        lease_left: How long the lease would still have lived, as the fault began.
    """

    system: str
    ttl: int
    fault: str
    begun: float
    host: str
    another: float | None = None
    outage: dict[str, float] = field(default_factory=dict)
    gone: float | None = None
    unheld: float | None = None
    overlap: float = 0.0
    work: float = 0.0
    work_ended: float = 0.0
    lease_left: float = 0.0

    @property
    def outage_v4(self) -> float:
        """That of the IPv4 address."""
        return next(iter(self.outage.values()))


def suffer(team: Competitors, name: str, fault: Fault, *, patience: float, linger: float = 0.0) -> Row:
    """Do one fault to the holder; undo it when another answers, or after so many seconds of patience."""
    node = team.steady()
    left = team.lease_left(node) if hasattr(team, "lease_left") else 0.0
    row = Row(team.system, team.ttl, name, now(), node.host, lease_left=left)
    with ExitStack() as stack:
        fault.do(team, node, stack)
        if fault.bound is not None:
            wait_for_another(team, row, patience)
        pause_for(max(fault.lasts, linger))
        until = now()
    team.repair(node)
    team.steady()
    finish(team, row, until)
    return row


def wait_for_another(team: Competitors, row: Row, patience: float) -> None:
    """Wait until another host answers, for so many seconds at most: whoever reads the row judges."""
    try:
        wait_for("another", lambda: bool(first_other(team, row)), patience)
    except AssertionError:
        return


def first_other(team: Competitors, row: Row) -> float | None:
    """Return when another host answered for the first time, from the fault on; None before."""
    replies = team.sight.replies(team.addresses[0], row.begun)
    return next((at - row.begun for at, host in replies if host != row.host), None)


def finish(team: Competitors, row: Row, until: float) -> None:
    """Fill in what was seen: by the client up to an instant, of the promise up to now."""
    sight = team.sight
    another = first_other(team, row)
    row.another = another if another is not None and row.begun + another < until else None
    for address in team.addresses:
        row.outage[address] = sight.outage(address, row.begun, until)
        row.overlap = max(row.overlap, sight.overlap(address, row.begun))
    holds = sight.holds(team.addresses[0], row.begun)
    ends = [end for host, begin, end in holds if host == row.host and begin < row.begun]
    if ends and ends[0] < float("inf"):
        row.gone = ends[0] - row.begun
    gaps = [later[1] - earlier[2] for earlier, later in pairwise(holds) if later[0] != earlier[0]]
    row.unheld = gaps[0] if gaps and row.another is not None else None
    work = team.work(row.begun)
    row.work = sum(seconds for _, _, seconds in overlaps(work))
    ended = [hold.end_at for hold in team.work(0.0)
             if team.nodes[hold.node].host == row.host and hold.start_at < row.begun]
    row.work_ended = ended[-1] - row.begun if ended else 0.0
