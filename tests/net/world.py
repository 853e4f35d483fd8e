"""All of it: the switch, etcd, the teams and who watches them; each team lives in a thread of its own."""

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from tests.net.hosts import EtcdHosts
from tests.net.measure import Competitors
from tests.net.sight import Sight
from tests.net.switch import NODES, Switch, addresses
from tests.net.team import Team

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Entry:
    """A team that is to compete.

    Attributes:
        name: At most six letters, as hosts and ports are named by it.
        ttl: Whole seconds.
        v6: Whether it has an IPv6 address as well.
        make: A class like `Team`.
    """

    name: str
    ttl: int
    v6: bool = False
    make: Callable[..., Any] = Team


class World:
    """Teams that compete, each for its own address.

    Processes end with the thread that started them, so whatever a team does is done in its own.

    Args:
        directory: For everything.
        entries: The teams.
    """

    def __init__(self, directory: Path, entries: Sequence[Entry]) -> None:
        self._threads = {entry.name: ThreadPoolExecutor(1, entry.name) for entry in entries}
        self._ends = ExitStack()
        with ExitStack() as undo:
            self.switch = undo.enter_context(closing(Switch([entry.name for entry in entries])))
            self.etcd = undo.enter_context(closing(EtcdHosts(self.switch, directory)))
            self.teams: list[Any] = []
            for number, entry in enumerate(entries):
                wanted = addresses(number, v6=entry.v6)
                self.teams.append(
                    entry.make(entry.name, directory, self.switch, self.etcd, wanted, ttl=entry.ttl)
                )
            watched = [address for team in self.teams for address in team.addresses]
            hosts = [f"{entry.name}{node}" for entry in entries for node in NODES]
            self.sight = undo.enter_context(closing(Sight(self.switch, directory, watched, hosts)))
            self._ends = undo.pop_all()
        for team in self.teams:
            team.sight = self.sight

    def run(
        self, team: Competitors, work: Callable[..., T], *arguments: object, **settings: Any
    ) -> "Future[T]":
        """Do something in a team's thread."""
        return self._threads[team.name].submit(work, *arguments, **settings)

    def each(self, work: Callable[[Any], T], teams: Sequence[Any] | None = None) -> list[T]:
        """Do the same for all teams, or some, at the same time; return what came of it."""
        futures = [self.run(team, work, team) for team in (self.teams if teams is None else teams)]
        return [future.result() for future in futures]

    def close(self) -> None:
        """Kill everything."""
        try:
            for team in self.teams:
                self.run(team, team.destroy).result()
        finally:
            for thread in self._threads.values():
                thread.shutdown()
            self._ends.close()
