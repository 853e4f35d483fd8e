"""`make takeovers`: one after the other, by random faults; nothing overlaps, and nothing is left behind."""

import random
import statistics
import tempfile
import threading
from collections import defaultdict
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from tests.faults.actions import pause_for
from tests.faults.trio import now
from tests.net.faults import FAULTS
from tests.net.leaks import Ledger, growth, remains
from tests.net.measure import SLACK, Row, suffer
from tests.net.team import Team
from tests.net.world import Entry, World

# Each fault comes at any phase of the renewals; so many seconds of waiting are enough for that.
PHASE = 1.2
TEAMS = (Entry("t0", 5, v6=True), Entry("t1", 5), Entry("t2", 10))


@dataclass(slots=True)
class Takeovers:
    """A run over the teams of a world.

    Attributes:
        wanted: How many takeovers.
        seed: Decides what is done to each team.
        say: Takes a line for each.
        rows: What came of each fault.
        problems: What was broken, in words.
    """

    wanted: int
    seed: int
    say: Callable[[str], None]
    rows: list[Row] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    ledgers: list[Ledger] = field(default_factory=list)
    seconds: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _taken: int = 0

    def run(self, world: World) -> None:
        """Do them all; then stop the teams and look what is left."""
        begun = now()
        teams = [team for team in world.teams if isinstance(team, Team)]
        world.each(self._one_team, teams)
        self.problems += [each for found in world.each(remains, teams) for each in found]
        self.seconds = now() - begun

    def _next(self) -> int:
        """Return the number of the next takeover, 0 when there are enough."""
        with self._lock:
            if self._taken >= self.wanted:
                return 0
            self._taken += 1
            return self._taken

    def _one_team(self, team: Team) -> None:
        dice = random.Random(f"{self.seed}/{team.name}")
        ledger = Ledger()
        kinds = sorted(kind for kind, fault in FAULTS.items() if fault.bound is not None)
        while number := self._next():
            kind = dice.choice(kinds)
            team.steady()
            ledger.look(team)
            pause_for(dice.uniform(0.0, PHASE))
            row = suffer(team, kind, FAULTS[kind], patience=team.ttl + SLACK + 20)
            self.rows.append(row)
            moved = "nobody" if row.another is None else f"{row.another:.2f} s"
            self.say(f"{number:>4}  {team.name}  {kind:<28} {moved}")
            if row.another is None:
                self.problems.append(f"{team.name}: nobody else answered after {kind}: {team.tails()}")
        team.steady()
        ledger.look(team)
        self.ledgers.append(ledger)
        self.problems += [*team.promise(), *ledger.problems()]

    def table(self) -> list[str]:
        """Return the figures as Markdown."""
        outages: dict[str, list[float]] = defaultdict(list)
        for row in self.rows:
            outages[row.fault].append(row.outage_v4)
        lines = ["| fault | takeovers | client without an answer, median s | maximum s |",
                 "|---|---|---|---|"]
        lines += [f"| {fault} | {len(found)} | {statistics.median(found):.2f} | {max(found):.2f} |"
                  for fault, found in sorted(outages.items())]
        two = sum(row.overlap > 0 for row in self.rows), sum(row.work > 0 for row in self.rows)
        total = (f"{len(self.rows)} takeovers in {self.seconds:.0f} s, seed {self.seed}: "
                 f"{two[0]} overlaps of an address, {two[1]} of a daemon")
        return [*lines, "", total, *growth(self.ledgers)]


def run_takeovers(wanted: int, seed: int, say: Callable[[str], None]) -> list[str]:
    """Do so many; return Markdown, and what was broken."""
    with tempfile.TemporaryDirectory(prefix="leaderd-net-") as name, closing(
            World(Path(name), TEAMS)) as world:
        run = Takeovers(wanted, seed, say)
        run.run(world)
    return [*run.table(), *(f"PROBLEM: {each}" for each in run.problems)]
