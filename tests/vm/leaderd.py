"""One `leaderd run` inside the guest, with an etcd beside it."""

import json
from typing import Any

from leaderd.core.records import HolderRecord
from tests.vm.machine import Machine, Span

_FOLDER = "/run/leaderd"
TTL = 20


def start_etcd(machine: Machine) -> None:
    """Start an etcd in the guest that says that nobody holds, so that no first window is waited for."""
    machine.run("setsid etcd --data-dir /run/etcd --unsafe-no-fsync >/run/etcd.log 2>&1 &")
    record = HolderRecord(1, "nobody", 1, "released", TTL, float(TTL), float(TTL), 0.1).encode()
    machine.wait_for("etcd", f"ETCDCTL_API=3 etcdctl put /leaderd/control/db/holder '{record}'")


class Guest:
    """The node of one case.

    Args:
        machine: Where it runs.
        election: The `[[election]]` table.
        endpoint: Of etcd.
    """

    def __init__(self, machine: Machine, election: str, endpoint: str = "http://127.0.0.1:2379") -> None:
        self.machine = machine
        machine.run(f"mkdir -p {_FOLDER}")
        machine.write(f"{_FOLDER}/leaderd.toml", (
            f'node = "vm"\nstate_dir = "{_FOLDER}/state"\nlog = "json"\n[etcd]\nendpoints = ["{endpoint}"]\n'
            f'[api]\nsocket = "{_FOLDER}/socket"\nhttp = "127.0.0.1:4040"\n{election}'
        ))

    def start(self) -> None:
        """Start it; it answers some seconds later."""
        run = f"python3 -m leaderd run -c {_FOLDER}/leaderd.toml"
        self.machine.run(f"setsid {run} >>{_FOLDER}/log 2>&1 & echo $! >{_FOLDER}/pid")

    @property
    def guard(self) -> int:
        """Process id of the guard, which `leaderd run` becomes."""
        return int(self.machine.run(f"cat {_FOLDER}/pid"))

    @property
    def agent(self) -> int:
        """Process id of the agent."""
        return int(self.status()["pids"]["agent"])

    def status(self) -> dict[str, Any]:
        """Return what it says over HTTP."""
        found: dict[str, Any] = json.loads(self.machine.run("wget -q -O - http://127.0.0.1:4040/status"))
        return found

    def wait_leads(self, timeout: float = 90.0) -> None:
        """Wait until it leads."""
        try:
            self.machine.wait_for("leadership", (
                f"kill -0 {self.guard} || exit 9\n"
                "wget -q -O /dev/null http://127.0.0.1:4040/leader 2>/dev/null"
            ), timeout)
        except AssertionError as error:
            raise AssertionError(f"{error}; {self.log()[-4000:]}") from None

    def log(self) -> str:
        """Return its log."""
        return self.machine.run(f"cat {_FOLDER}/log")

    def said(self, resource: str) -> list[str]:
        """Return what the helpers of a resource have said."""
        lines = [json.loads(line) for line in self.log().splitlines() if line.startswith("{")]
        return [line["line"] for line in lines if line.get("resource") == resource and "line" in line]

    def wait_logged(self, words: str, timeout: float = 30.0) -> None:
        """Wait for a line of its log."""
        self.machine.wait_for(f"'{words}' in the log", f"grep -qF '{words}' {_FOLDER}/log", timeout)

    def stops_by(self) -> Span:
        """Return when its `stop_at` comes, on the host's clock; exact once no renewal can come any more."""
        before = self.machine.clocks()[1].first
        left = self.status()["elections"][0]["valid_for"]
        return Span(before + left, self.machine.clocks()[1].last + left)
