"""Asks a whole network, every 20 ms, who has an address, and notes whoever answers.

Run as `observer.py INTERFACE ADDRESS FILE`, the interface being the network's bridge. Each question is an
ARP broadcast, so that two holders would both answer the same one. Lines of the file, with the number of the
question and seconds on CLOCK_BOOTTIME:

    asked NUMBER AT
    answer NUMBER AT MAC
"""

import os
import select
import socket
import sys
import time
from ipaddress import IPv4Address

from leaderd.resources.announce import ETH_P_ARP, claim, question

PERIOD = 0.02


def clock() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def main(interface: str, address: str, path: str) -> None:
    wanted = IPv4Address(address)
    wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ARP))
    wire.bind((interface, ETH_P_ARP))
    frame = question(wanted, wire.getsockname()[4])
    out = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    number, due = 0, clock()
    while True:
        if select.select([wire], [], [], max(0.0, due - clock()))[0]:
            packet, (_, _, kind, *_rest) = wire.recvfrom(2048)
            # Only replies: a gratuitous request claims as well, but answers nobody.
            reply = kind != socket.PACKET_OUTGOING and packet[20:22] == b"\0\2"
            if reply and (found := claim(packet)) and found[0] == wanted:
                os.write(out, f"answer {number} {clock():.4f} {found[1].hex(':')}\n".encode())
        if clock() >= due:
            number, due = number + 1, max(due + PERIOD, clock())
            wire.send(frame)
            os.write(out, f"asked {number} {clock():.4f}\n".encode())


if __name__ == "__main__":
    main(*sys.argv[1:])
