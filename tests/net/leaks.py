"""Whether anything is left behind: processes, addresses, mounts, file descriptors, memory."""

import os
from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.faults.trio import wait_for
from tests.net.team import Team

# What a daemon may have more of at the end than when it was first seen in that state. Connections to the
# members of etcd come and go, three to seven files; what is lost with each term is soon more.
MORE_FILES = 8
MORE_MIB = 6.0


@dataclass(frozen=True, slots=True)
class Sample:
    """What a process has: open files, and memory of its own in MiB (PSS)."""

    files: int
    mib: float


def sample(pid: int) -> Sample:
    """Look at a process.

    Raises:
        OSError: It is gone.
    """
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    kib = next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:"))
    return Sample(len(os.listdir(f"/proc/{pid}/fd")), kib / 1024)


@dataclass(slots=True)
class Ledger:
    """What the daemons of a team have had: the first and the last samples by process and state."""

    first: dict[tuple[str, int, str], Sample] = field(default_factory=dict)
    last: dict[tuple[str, int, str], Sample] = field(default_factory=dict)
    looks: dict[tuple[str, int, str], int] = field(default_factory=lambda: defaultdict(int))

    def look(self, team: Team) -> None:
        """Take a sample of every guard and agent."""
        for node in team.nodes.values():
            state = team.report(node).get("state", "")
            for role, pid in (("guard", node.guard), ("agent", node.agent)) if node.running and state else ():
                with suppress(OSError):
                    key = (role, pid, state)
                    self.last[key] = sample(pid)
                    self.first.setdefault(key, self.last[key])
                    self.looks[key] += 1

    def problems(self) -> list[str]:
        """Return who has grown, in words."""
        found = []
        for (role, pid, state), first in self.first.items():
            last = self.last[role, pid, state]
            if last.files - first.files > MORE_FILES or last.mib - first.mib > MORE_MIB:
                found.append(f"{role} {pid} as {state}: {first} has become {last}")
        return found


def growth(ledgers: Sequence[Ledger]) -> list[str]:
    """Return lines for people: how much those have grown that were seen at least twice in a state."""
    lines = []
    for role in ("guard", "agent"):
        pairs = [(each.first[key], each.last[key]) for each in ledgers for key in each.first
                 if key[0] == role and each.looks[key] > 1]
        if pairs:
            files = max(last.files - first.files for first, last in pairs)
            mib = max(last.mib - first.mib for first, last in pairs)
            top = max(last.mib for _, last in pairs)
            lines.append(f"{role}: at most {files:+d} open files and {mib:+.1f} MiB from the first look at a "
                         f"process in a state to the last; the largest has {top:.1f} MiB")
    return lines


def mounts(mark: str) -> list[str]:
    """Return the mounts of this host that somebody with such a directory has made."""
    return [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if mark in line]


def remains(team: Team) -> list[str]:
    """Stop a team in order; return what is left behind, in words."""
    for node in team.nodes.values():
        node.stop()
    found = [f"{node.host} ended with {code}" for node in team.nodes.values() if (code := node.wait(30))]
    with suppress(AssertionError):
        wait_for("the end of everything", lambda: not team.marked(), 10)
    found += [f"process {pid} is left" for pid in team.marked()]
    for host in team.hosts:
        # IPv6 of a node's own is link-local only.
        if left := team.switch.configured(host) - {team.switch.hosts[host]}:
            found.append(f"{host} has {', '.join(left)} left")
    found += [f"mount {line} is left" for line in mounts(str(team.directory))]
    return [f"{team.name}: {each}" for each in found]
