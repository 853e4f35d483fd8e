"""What a resource is, and what a term tells it."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from leaderd.core.lease import Lease
from leaderd.instant import Instant


@dataclass(frozen=True, slots=True)
class Term:
    """What a hook is told about the term it works for; see docs/interfaces.md §3 for the words.

    Attributes:
        token: Fencing token; 0 for the clean-up at daemon start.
        lease: Lease id; 0 for the clean-up at daemon start.
        reason: Why leadership was won or lost.
        previous: Node that led before, or "".
        released: It has let go cleanly, so nobody can hold any more.

    A negative token stands for no term at all: an address that is taken while etcd does not answer.
    """

    token: int
    lease: int
    reason: str
    previous: str = ""
    released: bool = False


@dataclass(frozen=True, slots=True)
class StopCommand:
    """One command by which the guard stops a resource when the agent cannot.

    Attributes:
        resource: Its name.
        argv: Program and arguments, run without a shell.
        timeout: Seconds.
        fine: Exit codes that mean stopped.
        env: Variables beside those of the hook contract.
    """

    resource: str
    argv: tuple[str, ...]
    timeout: float
    fine: tuple[int, ...] = (0, 7)
    env: Mapping[str, str] = field(default_factory=dict)


@runtime_checkable
class Expecting(Protocol):
    """A resource that can prepare for a start which may come soon."""

    def expect(self, opens_at: Instant | None) -> None:
        """Note when the last holder's window will have closed, None while unknown; called often."""


@dataclass(frozen=True, slots=True)
class Probe:
    """What the network has answered.

    Attributes:
        sent: It could be asked at all.
        other: Who else has an address, for people; "" for nobody.
        yields: That one's hardware address is the smaller.
    """

    sent: bool
    other: str = ""
    yields: bool = False


@runtime_checkable
class Probing(Protocol):
    """A resource whose network can be asked whether another host has it."""

    async def probe(self) -> Probe:
        """Ask; whatever goes wrong is "not sent"."""


class Resource(Protocol):
    """A thing that only the leader may run. start and stop may be repeated and are then harmless."""

    name: str
    monitor_interval: float
    """Seconds between two monitors; 0 for none."""
    restarts: int
    """How often it may be restarted in place before the node steps down."""

    @property
    def kind(self) -> str:
        """Return its kind, for people; may say what of it is not to be had on this machine."""

    async def start(self, term: Term, lease: Lease, timeout: float) -> None:
        """Start it within `timeout` seconds.

        Raises:
            ResourceError: It does not run; stop it.
        """

    async def stop(self, term: Term, until: Instant) -> None:
        """Stop it by `until`, however far a start has come.

        Raises:
            ResourceError: It may still run; fence.
        """

    async def monitor(self, term: Term) -> None:
        """Look whether it runs.

        Raises:
            ResourceError: It does not, or cannot tell.
        """

    def ended(self) -> "asyncio.Future[Any] | None":
        """Return what is done as soon as it has failed by itself; None where only a monitor can tell.

        `monitor` then says why.
        """

    def extend(self, lease: Lease) -> None:
        """Note the new deadlines, where the kernel enforces them for this kind."""

    def stop_commands(self) -> tuple[StopCommand, ...]:
        """Return what the guard runs to stop it; empty where the kernel does it."""
