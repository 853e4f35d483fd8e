"""Hosts in network namespaces of their own: two joined by a cable, of which tests run as the first."""

import ctypes
import json
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


def why_not() -> str:
    """Return why no namespaces can be made here; "" when they can."""
    if os.geteuid() != 0:
        return "needs root for network namespaces"
    if shutil.which("ip") is None:
        return "needs iproute2"
    if subprocess.run(["unshare", "-n", "true"], capture_output=True, check=False).returncode:
        return "network namespaces are not permitted here"
    return ""


needs_netns = pytest.mark.skipif(bool(why_not()), reason=why_not() or "never")


def ip(name: str, *words: str) -> str:
    """Run `ip` in a namespace."""
    return subprocess.run(["ip", "-n", name, *words], check=True, capture_output=True, text=True).stdout


@contextmanager
def inside(name: str) -> Iterator[None]:
    """Have this thread, and the threads and sockets that it makes, be in a namespace."""
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    away = os.open(f"/run/netns/{name}", os.O_RDONLY)
    try:
        assert _libc.setns(away, CLONE_NEWNET) == 0, os.strerror(ctypes.get_errno())
        yield
    finally:
        assert _libc.setns(home, CLONE_NEWNET) == 0
        os.close(home)
        os.close(away)


class Lan:
    """`here` and `there`, each with an interface eth0; the kernel's own IPv6 addresses are quiet."""

    def __init__(self) -> None:
        self.here, self.there = (f"leaderd-{os.getpid()}-{name}" for name in ("here", "there"))
        for name in (self.here, self.there):
            subprocess.run(["ip", "netns", "add", name], check=True)
            with inside(name):
                for key in ("conf/default/accept_dad", "conf/default/router_solicitations"):
                    Path(f"/proc/sys/net/ipv6/{key}").write_text("0")
            ip(name, "link", "set", "lo", "up")
        ip(self.here, "link", "add", "eth0", "type", "veth", "peer", "name", "eth0", "netns", self.there)
        for name in (self.here, self.there):
            ip(name, "link", "set", "eth0", "up")
        self.macs = {name: bytes.fromhex(self._link(name)["address"].replace(":", ""))
                     for name in (self.here, self.there)}

    def close(self) -> None:
        """Remove both."""
        for name in (self.here, self.there):
            subprocess.run(["ip", "netns", "del", name], check=False)

    def _link(self, name: str) -> Any:
        return json.loads(ip(name, "-j", "link", "show", "eth0"))[0]

    def addresses(self, name: str = "") -> dict[str, dict[str, Any]]:
        """Return the addresses on eth0 by "address/length", with what the kernel says of them."""
        found = json.loads(ip(name or self.here, "-j", "addr", "show", "dev", "eth0"))
        return {f"{entry['local']}/{entry['prefixlen']}": entry for entry in found[0]["addr_info"]}

    def listen(self, protocol: int) -> socket.socket:
        """Return a socket that gets all frames of a protocol at `there`."""
        with inside(self.there):
            kind = socket.SOCK_RAW | socket.SOCK_NONBLOCK
            return socket.socket(socket.AF_PACKET, kind, socket.htons(protocol))


def heard(each: socket.socket) -> list[bytes]:
    """Return the frames that have come so far."""
    frames = []
    with suppress(BlockingIOError):
        while True:
            frames.append(each.recv(2048))
    return frames
