"""`make faults`: every fault to every team, the peers beside it, and medians of many."""

import tempfile
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from pathlib import Path
from statistics import median
from typing import Any

from tests.net.faults import ETCD_FAULTS, FAULTS, suffer_etcd
from tests.net.measure import SLACK, Row, suffer
from tests.net.peers import NOT_FOR, Keepalived, Lock, why_no_keepalived
from tests.net.world import Entry, World

LEADERD = (Entry("l5", 5, v6=True), Entry("l10", 10))
PEERS = (Entry("k", 3, make=Keepalived), Entry("e", 10, make=Lock))
# A peer that has two holders has them for as long as the fault lasts, so each lasts so many seconds more.
LINGER = 5.0

Say = Callable[[str], None]


def one_team(team: Any, faults: Iterable[str], say: Say, linger: float = 0.3) -> list[Row]:
    """Do faults to a team, one after the other."""
    rows = []
    for name in faults:
        if name in NOT_FOR.get(team.system, ()):
            continue
        rows.append(suffer(team, name, FAULTS[name], patience=team.ttl + SLACK + 4, linger=linger))
        say(f"{team.system}, ttl {team.ttl}, {name}: {told(rows[-1])}")
    return rows


def all_faults(world: World, say: Say, linger: float) -> list[Row]:
    """Do all faults to all teams at the same time; those to etcd are common."""
    rows = [row for each in world.each(lambda team: one_team(team, FAULTS, say, linger)) for row in each]
    teams = [team for team in world.teams if team.system != "keepalived"]
    for name in ETCD_FAULTS:
        rows += suffer_etcd(world, teams, name, linger)
    return rows


def told(row: Row) -> str:
    """Return a row in words."""
    moved = "nobody else answered" if row.another is None else f"another answered after {row.another:.2f} s"
    outages = ", ".join(f"{seconds:.2f} s" for seconds in row.outage.values())
    return (f"client without an answer for {outages}; {moved}; overlap of the address {row.overlap:.3f} s, "
            f"of the daemon {row.work:.3f} s")


def run_faults(say: Say, *, peers: bool) -> list[str]:
    """Do everything once.

    Returns:
        Markdown, a line each, and what broke leaderd's promise.
    """
    entries = [*LEADERD, *(PEERS if peers else ())]
    if peers and why_no_keepalived():
        say(why_no_keepalived())
        entries = [entry for entry in entries if entry.make is not Keepalived]
    with tempfile.TemporaryDirectory(prefix="leaderd-net-") as name, closing(
            World(Path(name), entries)) as world:
        rows = all_faults(world, say, LINGER if peers else 0.3)
        problems = [each for team in world.teams if team.system == "leaderd" for each in team.promise()]
    lines = table([row for row in rows if row.system == "leaderd"])
    for entry in entries:
        if entry.make in (Keepalived, Lock):
            system = entry.make.system
            lines += ["", *peer_table(system, [row for row in rows if row.system == system])]
    return [*lines, *(f"PROBLEM: {each}" for each in problems)]


# --- tables ---


def table(rows: Sequence[Row]) -> list[str]:
    """Return leaderd's table: both ttls side by side."""
    found = {(row.fault, row.ttl): row for row in rows}
    lines = [
        ("| fault | client without an answer, ttl 5 | ttl 10 | another answers after, ttl 5 | ttl 10 "
         "| nobody had the address, ttl 5 | ttl 10 | two had the address | two ran the daemon |"),
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name in [*FAULTS, *ETCD_FAULTS]:
        five, ten = found[name, 5], found[name, 10]
        cells = [
            *(f"{max(row.outage.values()):.2f}" for row in (five, ten)),
            *("the same" if row.another is None else f"{row.another:.2f}" for row in (five, ten)),
            *("" if row.unheld is None else f"{row.unheld:.2f}" for row in (five, ten)),
            seconds(max(five.overlap, ten.overlap)), seconds(max(five.work, ten.work)),
        ]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return lines


def peer_table(system: str, rows: Sequence[Row]) -> list[str]:
    """Return the table of a peer."""
    found = {row.fault: row for row in rows}
    lines = [
        (f"| {system} | client without an answer | another answers after | two had the address "
         "| two ran the daemon |"),
        "|---|---|---|---|---|",
    ]
    for name in [*FAULTS, *ETCD_FAULTS]:
        if (row := found.get(name)) is None:
            lines.append(f"| {name} | n/a | | | |")
            continue
        another = "the same" if row.another is None else f"{row.another:.2f}"
        lines.append(f"| {name} | {max(row.outage.values()):.2f} | {another} | {seconds(row.overlap)} "
                     f"| {seconds(row.work)} |")
    return lines


def seconds(overlap: float) -> str:
    """Return an overlap for a table."""
    return f"**{overlap:.2f}**" if overlap else "0"


# --- medians ---

# What, what of a row is aimed at, and the aim, in seconds.
AIMS: dict[str, tuple[Callable[[Row], float], float, str]] = {
    "planned stop": (lambda row: row.outage_v4, 0.1, "client without an answer"),
    "kill -9 of the agent": (lambda row: row.outage_v4, 0.25, "client without an answer"),
    "node death": (lambda row: row.outage_v4 - row.lease_left, 0.7,
                   "client without an answer, beyond the remaining lease"),
}


def run_medians(say: Say, count: int) -> list[str]:
    """Do the three faults with an aim so many times at ttl 10; return Markdown."""
    with tempfile.TemporaryDirectory(prefix="leaderd-net-") as name, closing(
            World(Path(name), [Entry("l10", 10)])) as world:
        [team] = world.teams
        rows = {fault: world.run(team, one_team, team, [fault] * count, say).result() for fault in AIMS}
        problems = team.promise()
    lines = ["| fault | figure | runs | median s | maximum s | aim |", "|---|---|---|---|---|---|"]
    for fault, (figure, aim, what) in AIMS.items():
        values = [figure(row) for row in rows[fault]]
        lines.append(f"| {fault} | {what} | {count} | {median(values):.3f} | {max(values):.3f} | ≤ {aim:g} |")
    return [*lines, *(f"PROBLEM: {each}" for each in problems)]
