"""A switch with hosts at its ports: three of etcd, three of each team, and a client that watches."""

import json
import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.netns import inside, ip

ETCD = {f"e{number}": f"10.77.0.{10 + number}" for number in (1, 2, 3)}
CLIENT, CLIENT_V4, CLIENT_V6 = "client", "10.77.0.250", "2001:db8:77::250"
NODES = "abc"
# Nobody has this hardware address: what is sent there gets lost in silence.
_NOBODY = "02:00:00:00:00:ee"


def addresses(number: int, *, v6: bool = False) -> list[str]:
    """Return the addresses that move between the hosts of a team, the IPv4 one first."""
    return [f"10.77.0.{100 + number}", *([f"2001:db8:77::{100 + number}"] if v6 else [])]


def length(address: str) -> int:
    """Return the prefix length of an address on this network."""
    return 64 if ":" in address else 24


class Switch:
    """The network. Each host's interface is eth0, and that of a host x is at port-x.

    Args:
        teams: Names; each gets a host for each of `NODES`, named by both.
    """

    def __init__(self, teams: Sequence[str]) -> None:
        self.mark = f"leaderd-{os.getpid()}"
        self.hosts = {**ETCD, CLIENT: CLIENT_V4}
        for number, team in enumerate(teams):
            self.hosts |= {f"{team}{node}": f"10.77.0.{31 + 10 * number + place}"
                           for place, node in enumerate(NODES)}
        self.macs: dict[str, str] = {}
        try:
            self._build()
        except BaseException:
            self.close()
            raise

    def _build(self) -> None:
        subprocess.run(["ip", "netns", "add", self.space("switch")], check=True)
        ip(self.space("switch"), "link", "add", "br0", "type", "bridge")
        ip(self.space("switch"), "link", "set", "br0", "up")
        for name, address in self.hosts.items():
            self._plug_in(name, address)
        ip(self.space(CLIENT), "addr", "add", f"{CLIENT_V6}/64", "dev", "eth0", "nodad")

    def space(self, name: str) -> str:
        """Return the name of a host's namespace."""
        return f"{self.mark}-{name}"

    def _plug_in(self, name: str, address: str) -> None:
        here, switch = self.space(name), self.space("switch")
        subprocess.run(["ip", "netns", "add", here], check=True)
        with inside(here):
            for key in ("conf/default/accept_dad", "conf/default/router_solicitations"):
                Path(f"/proc/sys/net/ipv6/{key}").write_text("0")
        ip(here, "link", "set", "lo", "up")
        ip(here, "link", "add", "eth0", "type", "veth", "peer", "name", f"port-{name}",
           "netns", switch)
        ip(here, "link", "set", "eth0", "up")
        ip(here, "addr", "add", f"{address}/24", "dev", "eth0")
        ip(switch, "link", "set", "dev", f"port-{name}", "master", "br0", "up")
        self.macs[json.loads(ip(here, "-j", "link", "show", "eth0"))[0]["address"]] = name

    # --- faults ---

    @contextmanager
    def cut(self, name: str) -> Iterator[None]:
        """Let a port drop everything in silence for the time of the block; the host's link stays up."""
        self._forward(name, "0")
        try:
            yield
        finally:
            self._forward(name, "3")

    def _forward(self, name: str, state: str) -> None:
        with inside(self.space("switch")):
            subprocess.run(["bridge", "link", "set", "dev", f"port-{name}", "state", state], check=True)

    @contextmanager
    def unplugged(self, name: str) -> Iterator[None]:
        """Take the cable from a port for the time of the block."""
        ip(self.space("switch"), "link", "set", f"port-{name}", "down")
        try:
            yield
        finally:
            ip(self.space("switch"), "link", "set", f"port-{name}", "up")

    @contextmanager
    def down(self, name: str) -> Iterator[None]:
        """Have a host's interface down for the time of the block."""
        ip(self.space(name), "link", "set", "eth0", "down")
        try:
            yield
        finally:
            ip(self.space(name), "link", "set", "eth0", "up")

    @contextmanager
    def without_etcd(self, name: str) -> Iterator[None]:
        """Lose, in silence and both ways, what a host and the hosts of etcd send each other."""
        pairs = [(name, address) for address in ETCD.values()] + [(etcd, self.hosts[name]) for etcd in ETCD]
        for host, address in pairs:
            ip(self.space(host), "neigh", "replace", address, "lladdr", _NOBODY, "nud", "permanent",
               "dev", "eth0")
        try:
            yield
        finally:
            for host, address in pairs:
                ip(self.space(host), "neigh", "del", address, "dev", "eth0")

    # --- looks ---

    def configured(self, name: str) -> set[str]:
        """Return the addresses of a host's interface, those of its link left out."""
        found = json.loads(ip(self.space(name), "-j", "addr", "show", "dev", "eth0"))
        return {entry["local"] for entry in found[0]["addr_info"] if entry["scope"] != "link"}

    def remove(self, name: str, address: str) -> None:
        """Remove an address from a host; one that is not there is fine."""
        if address in self.configured(name):
            ip(self.space(name), "addr", "del", f"{address}/{length(address)}", "dev", "eth0")

    def close(self) -> None:
        """Remove all of it."""
        for name in [*self.hosts, "switch"]:
            if os.path.exists(f"/run/netns/{self.space(name)}"):
                subprocess.run(["ip", "netns", "del", self.space(name)], check=False)
