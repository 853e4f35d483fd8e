"""A switch with hosts at its ports: three of etcd, three of leaderd, and one that watches."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from leaderd.demo.nodes import Node
from leaderd.etcd.embedded import find_etcd, tied
from tests.faults.trio import wait_for
from tests.netns import inside, ip

VIP = "10.77.0.100"
ETCD = {f"e{number}": f"10.77.0.{10 + number}" for number in (1, 2, 3)}
NODES = {name: f"10.77.0.{21 + number}" for number, name in enumerate("abc")}
WATCHER = Path(__file__).with_name("watcher.py")
ROOT = Path(__file__).parents[2]


class Switch:
    """The network. Each host's interface is eth0, and that of a host x is at port-x."""

    def __init__(self) -> None:
        self.mark = f"leaderd-{os.getpid()}"
        self.hosts = {**ETCD, **NODES, "watcher": "10.77.0.50"}
        self.macs: dict[str, str] = {}
        self._build()

    def _build(self) -> None:
        subprocess.run(["ip", "netns", "add", self.space("switch")], check=True)
        ip(self.space("switch"), "link", "add", "br0", "type", "bridge")
        ip(self.space("switch"), "link", "set", "br0", "up")
        for name, address in self.hosts.items():
            self._plug_in(name, address)

    def space(self, name: str) -> str:
        """Return the name of a host's namespace."""
        return f"{self.mark}-{name}"

    def _plug_in(self, name: str, address: str) -> None:
        here, switch = self.space(name), self.space("switch")
        subprocess.run(["ip", "netns", "add", here], check=True)
        ip(here, "link", "set", "lo", "up")
        ip(here, "link", "add", "eth0", "type", "veth", "peer", "name", f"port-{name}",
           "netns", switch)
        ip(here, "link", "set", "eth0", "up")
        ip(here, "addr", "add", f"{address}/24", "dev", "eth0")
        ip(switch, "link", "set", "dev", f"port-{name}", "master", "br0", "up")
        self.macs[json.loads(ip(here, "-j", "link", "show", "eth0"))[0]["address"]] = name

    def cut(self, name: str, *, off: bool = True) -> None:
        """Let a port drop everything in silence, or forward again; the host's link stays up."""
        with inside(self.space("switch")):
            command = ["bridge", "link", "set", "dev", f"port-{name}", "state", "0" if off else "3"]
            subprocess.run(command, check=True)

    def close(self) -> None:
        """Remove all of it."""
        for name in [*self.hosts, "switch"]:
            subprocess.run(["ip", "netns", "del", self.space(name)], check=False)


class EtcdHosts:
    """Three members of etcd on hosts of their own."""

    def __init__(self, switch: Switch, directory: Path) -> None:
        cluster = ",".join(f"{name}=http://{address}:2380" for name, address in ETCD.items())
        self.endpoints = [f"http://{address}:2379" for address in ETCD.values()]
        self._members = []
        for name, address in ETCD.items():
            peer, client = f"http://{address}:2380", f"http://{address}:2379"
            command = [
                str(find_etcd()), "--name", name, "--data-dir", str(directory / name),
                "--initial-cluster", cluster,
                "--initial-advertise-peer-urls", peer, "--listen-peer-urls", peer,
                "--advertise-client-urls", client, "--listen-client-urls", client,
            ]
            with inside(switch.space(name)), (directory / f"{name}.log").open("ab") as log:
                self._members.append(subprocess.Popen(
                    tied(command, signal.SIGKILL), stdout=log, stderr=log, env={"PATH": os.environ["PATH"]},
                ))

    def close(self) -> None:
        """Kill them."""
        for member in self._members:
            member.kill()
            member.wait()


class NetNode(Node):
    """A daemon on a host of its own."""

    space = ""

    def start(self) -> None:
        """Start it there."""
        with inside(self.space):
            super().start()


class Watcher:
    """Who had the address when, and who answered the client; see `watcher.py`."""

    def __init__(self, switch: Switch, directory: Path) -> None:
        self._macs = switch.macs
        self._path = directory / "seen"
        spaces = [f"{name}={switch.space(name)}" for name in NODES]
        command = [sys.executable, str(WATCHER), VIP, str(self._path), switch.space("watcher"), *spaces]
        self._process = subprocess.Popen(tied(command, signal.SIGKILL), cwd=ROOT)
        wait_for("the watcher", self._path.exists, 20)

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait()

    def seen(self) -> list[dict[str, Any]]:
        """Return all that was seen, in the order of time."""
        lines = self._path.read_text().splitlines(keepends=True)
        found = [json.loads(line) for line in lines if line.endswith("\n")]
        return [
            {**each, "node": self._macs.get(each["mac"], "?")} if "mac" in each else each for each in found
        ]

    def holds(self) -> list[tuple[str, float, float]]:
        """Return node, begin and end of each time that a node had the address; infinite while it has."""
        holds: list[tuple[str, float, float]] = []
        begun: dict[str, float] = {}
        for each in self.seen():
            if each["kind"] == "add":
                begun.setdefault(each["node"], each["at"])
            elif each["kind"] == "del" and each["node"] in begun:
                holds.append((each["node"], begun.pop(each["node"]), each["at"]))
        holds += [(node, at, float("inf")) for node, at in begun.items()]
        return sorted(holds, key=lambda hold: hold[1])

    def replies(self, since: float = 0.0) -> list[tuple[float, str]]:
        """Return when whose reply came."""
        return [
            (each["at"], each["node"]) for each in self.seen()
            if each["kind"] == "reply" and each["at"] > since
        ]

    def holder(self) -> str:
        """Return who answers just now, "" for nobody."""
        replies = self.replies(now() - 0.3)
        return replies[-1][1] if replies else ""


def now() -> float:
    """Return the watcher's clock."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)
