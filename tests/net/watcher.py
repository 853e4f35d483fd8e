"""Watches an address as a client does, and as the kernels of the nodes report it.

Run as `watcher.py ADDRESS FILE CLIENT-NAMESPACE NODE=NAMESPACE…`. Every 20 ms it sends an echo request
from the client's namespace, by that kernel's ARP cache. Lines of the file, all with `at` in seconds on
CLOCK_BOOTTIME:

    {"kind": "reply", "mac": …}                a reply came, from this hardware address
    {"kind": "add" | "del", "node": …}         a node's kernel says that the address came, or went
"""

import json
import os
import select
import socket
import struct
import sys
import time

from tests.netns import inside

PERIOD = 0.02
RTM_NEWADDR, RTM_DELADDR = 20, 21
GROUP_IPV4 = 0x10


def clock() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def echo(number: int) -> bytes:
    """An ICMP echo request."""
    rest = struct.pack("!HH", 0x1EAD, number & 0xFFFF)
    total = sum(struct.unpack("!4H", b"\x08\0\0\0" + rest))
    total = (total & 0xFFFF) + (total >> 16)
    return struct.pack("!BBH", 8, 0, ~total & 0xFFFF) + rest


def changes(packet: bytes, address: bytes) -> list[str]:
    """What a packet of events says about the address."""
    found = []
    while len(packet) >= 24:
        length, kind = struct.unpack_from("=IH", packet)
        if kind in (RTM_NEWADDR, RTM_DELADDR) and address in packet[24:length]:
            found.append("add" if kind == RTM_NEWADDR else "del")
        packet = packet[length + 3 & ~3:]
    return found


def main(address: str, path: str, client: str, *nodes: str) -> None:
    packed = socket.inet_aton(address)
    with inside(client):
        asking = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
        wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0800))
    asking.setblocking(False)
    names = {}
    for entry in nodes:
        name, _, space = entry.partition("=")
        with inside(space):
            events = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
        events.bind((0, GROUP_IPV4))
        names[events] = name
    out = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)

    def note(**fields: object) -> None:
        os.write(out, (json.dumps({"at": clock(), **fields}) + "\n").encode())

    number, due = 0, clock()
    while True:
        ready, _, _ = select.select([wire, asking, *names], [], [], max(0.0, due - clock()))
        for each in ready:
            packet = each.recv(65536)
            if each in names:
                for kind in changes(packet, packed):
                    note(kind=kind, node=names[each])
            elif each is wire and packet[26:30] == packed and packet[34] == 0:
                note(kind="reply", mac=packet[6:12].hex(":"))
        if clock() >= due:
            number, due = number + 1, max(due + PERIOD, clock())
            try:
                asking.sendto(echo(number), (address, 0))
            except OSError:
                continue  # Nobody answers for the address, and the kernel knows.


if __name__ == "__main__":
    main(*sys.argv[1:])
