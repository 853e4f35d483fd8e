"""Watches addresses as a client does, and as the kernels of the nodes report them.

Run as `watcher.py FILE CLIENT-NAMESPACE ADDRESS,ADDRESS… NODE=NAMESPACE…`. Every 20 ms it sends an echo
request to each address from the client's namespace, by that kernel's neighbour cache. Lines of the file,
all with `address`, and `at` in seconds on CLOCK_BOOTTIME:

    {"kind": "reply", "mac": …}                a reply came, from this hardware address
    {"kind": "add" | "del", "node": …}         a node's kernel says that the address came, or went

An address that comes carries the kernel's own time, in hundredths of a second; the earlier of that and
of the time of its receipt counts, so that a delay here never hides an overlap.
"""

import json
import os
import select
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress

from tests.netns import inside

PERIOD = 0.02
RTM_NEWADDR, RTM_DELADDR = 20, 21
IFA_ADDRESS, IFA_LOCAL, IFA_CACHEINFO = 1, 2, 6
GROUPS = 0x10 | 0x100
IPV4, IPV6 = 0x0800, 0x86DD
# The kernel's stamp is cut to hundredths and taken at a tick: so much after it, at most, it has happened.
STAMP = 0.015


def clock() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def echo(number: int, *, v6: bool) -> bytes:
    """An echo request; the kernel computes the checksum of ICMPv6."""
    rest = struct.pack("!HH", 0x1EAD, number & 0xFFFF)
    if v6:
        return struct.pack("!BBH", 128, 0, 0) + rest
    total = sum(struct.unpack("!4H", b"\x08\0\0\0" + rest))
    total = (total & 0xFFFF) + (total >> 16)
    return struct.pack("!BBH", 8, 0, ~total & 0xFFFF) + rest


def changes(packet: bytes) -> Iterator[tuple[str, bytes, float]]:
    """What a packet of events says: "add" or "del", which address, and the kernel's stamp, seconds."""
    while len(packet) >= 24:
        length, kind = struct.unpack_from("=IH", packet)
        if kind in (RTM_NEWADDR, RTM_DELADDR):
            found = dict(attributes(packet[24:length]))
            created = struct.unpack_from("=4I", found.get(IFA_CACHEINFO, bytes(16)))[2] / 100
            address = found.get(IFA_LOCAL) or found.get(IFA_ADDRESS, b"")
            yield "add" if kind == RTM_NEWADDR else "del", address, created
        packet = packet[length + 3 & ~3:]


def attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    while len(data) >= 4:
        length, kind = struct.unpack_from("=HH", data)
        yield kind & 0x3FFF, data[4:length]
        data = data[max(4, length + 3 & ~3):]


def reply(frame: bytes) -> tuple[bytes, str] | None:
    """Whose echo reply a frame is, and from which hardware address."""
    kind = int.from_bytes(frame[12:14], "big")
    if kind == IPV4 and frame[23] == 1 and frame[34] == 0:
        return frame[26:30], frame[6:12].hex(":")
    if kind == IPV6 and frame[20] == 58 and frame[54] == 129:
        return frame[22:38], frame[6:12].hex(":")
    return None


def events_of(space: str) -> socket.socket:
    with inside(space):
        events = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
    events.bind((0, GROUPS))
    return events


def kernel_offset(space: str) -> float:
    """Seconds from the kernel's stamps to CLOCK_BOOTTIME, by addresses that are made for it."""
    events, found = events_of(space), []
    for _ in range(5):
        for verb in ("add", "del"):
            subprocess.run(["ip", "-n", space, "addr", verb, "192.0.2.1/32", "dev", "lo"], check=True)
            found += [clock() - at for kind, _, at in changes(events.recv(65536)) if kind == "add"]
    events.close()
    return min(found)


class Watcher:
    """The sockets, and what is written of them."""

    def __init__(self, path: str, client: str, addresses: list[str], nodes: list[str]) -> None:
        self.offset = kernel_offset(client)
        self.packed = {socket.inet_pton(family(each), each): each for each in addresses}
        with inside(client):
            self.wires = [socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(kind))
                          for kind in (IPV4, IPV6)]
            # One each: what waits for a neighbour counts against its socket.
            self.asking = {each: socket.socket(family(each), socket.SOCK_RAW | socket.SOCK_NONBLOCK,
                                               58 if ":" in each else 1) for each in addresses}
        self.names = {events_of(space): name for name, _, space in (each.partition("=") for each in nodes)}
        self.out = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)

    def note(self, at: float, **fields: object) -> None:
        os.write(self.out, (json.dumps({"at": at, **fields}) + "\n").encode())

    def hear(self, each: socket.socket) -> None:
        packet, at = each.recv(65536), clock()
        if each in self.names:
            for kind, address, created in changes(packet):
                if address in self.packed:
                    known = min(at, created + self.offset + STAMP) if kind == "add" else at
                    self.note(known, kind=kind, node=self.names[each], address=self.packed[address])
        elif (found := reply(packet)) and found[0] in self.packed:
            self.note(at, kind="reply", mac=found[1], address=self.packed[found[0]])

    def ask(self, number: int) -> None:
        for address, each in self.asking.items():
            # Replies come here too, and would fill it; errors say that nobody has the address.
            with suppress(OSError):
                while each.recv(2048):
                    pass
            with suppress(OSError):
                each.sendto(echo(number, v6=":" in address), (address, 0))

    def run(self) -> None:
        number, due = 0, clock()
        while True:
            for each in select.select([*self.names, *self.wires], [], [], max(0.0, due - clock()))[0]:
                self.hear(each)
            if clock() >= due:
                number, due = number + 1, max(due + PERIOD, clock())
                self.ask(number)


def family(address: str) -> int:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def main(path: str, client: str, addresses: str, *nodes: str) -> None:
    with suppress(PermissionError):
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(10))
    Watcher(path, client, addresses.split(","), list(nodes)).run()


if __name__ == "__main__":
    main(*sys.argv[1:])
