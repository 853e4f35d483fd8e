"""Removes addresses from an interface: the guard's way to stop a vip when the agent cannot.

Run as `python -I -S withdraw.py INTERFACE ADDRESS…`. Standard library only and a file of its own, so that
it starts in milliseconds and needs no iproute2. Exit code 0 means that the kernel has none of them there
any more; an address without a lifetime is not from leaderd, is left alone and is an error.

Source: rtnetlink(7); <linux/if_addr.h>.
"""

import errno
import os
import socket
import struct
import sys

NLM_F_REQUEST, NLM_F_ACK, NLM_F_DUMP = 0x1, 0x4, 0x300
NLMSG_ERROR, NLMSG_DONE = 2, 3
RTM_NEWADDR, RTM_DELADDR, RTM_GETADDR = 20, 21, 22
IFA_ADDRESS, IFA_LOCAL = 1, 2
IFA_F_PERMANENT = 0x80
FAMILIES = {4: socket.AF_INET, 16: socket.AF_INET6}
# An answer of the kernel is there at once, unless it hangs; then the guard ends this program, seconds.
TIMEOUT = 30.0

# Family, prefix length, flags, scope, index of the interface, address.
Entry = tuple[int, int, int, int, int, bytes]


def packed(text: str) -> bytes:
    """Return an address as the kernel has it."""
    return socket.inet_pton(socket.AF_INET6 if ":" in text else socket.AF_INET, text)


class Netlink:
    """A socket to the kernel's routing part."""

    def __init__(self) -> None:
        self._socket = socket.socket(
            socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE
        )
        self._socket.settimeout(TIMEOUT)
        self._number = 0

    def entries(self) -> list[Entry]:
        """Return all addresses of this host."""
        found: list[Entry] = []
        for kind, body in self._ask(RTM_GETADDR, NLM_F_DUMP, struct.pack("=BBBBI", 0, 0, 0, 0, 0)):
            if kind == RTM_NEWADDR:
                family, length, flags, scope, index = struct.unpack_from("=BBBBI", body)
                attributes = dict(_attributes(body[8:]))
                address = attributes.get(IFA_LOCAL) or attributes.get(IFA_ADDRESS, b"")
                found.append((family, length, flags, scope, index, address))
        return found

    def remove(self, entry: Entry) -> None:
        """Remove an address; one that is gone already is fine."""
        family, length, _, _, index, address = entry
        body = struct.pack("=BBBBI", family, length, 0, 0, index)
        body += struct.pack("=HH", 4 + len(address), IFA_LOCAL) + address
        try:
            self._ask(RTM_DELADDR, NLM_F_ACK, body)
        except OSError as error:
            if error.errno not in (errno.EADDRNOTAVAIL, errno.ENODEV):
                raise

    def _ask(self, kind: int, flags: int, body: bytes) -> list[tuple[int, bytes]]:
        """Send a request; return the messages of the answer."""
        self._number += 1
        head = struct.pack("=IHHII", 16 + len(body), kind, NLM_F_REQUEST | flags, self._number, 0)
        self._socket.send(head + body)
        found: list[tuple[int, bytes]] = []
        while True:
            packet = self._socket.recv(1 << 18)
            while len(packet) >= 16:
                length, answer, _, number, _ = struct.unpack_from("=IHHII", packet)
                content, packet = packet[16:length], packet[length + 3 & ~3:]
                if number != self._number:
                    continue
                if answer in (NLMSG_ERROR, NLMSG_DONE):
                    code = -struct.unpack_from("=i", content)[0] if len(content) >= 4 else 0
                    if code:
                        raise OSError(code, os.strerror(code))
                    return found
                found.append((answer, content))


def _attributes(data: bytes) -> list[tuple[int, bytes]]:
    found: list[tuple[int, bytes]] = []
    while len(data) >= 4:
        length, kind = struct.unpack_from("=HH", data)
        found.append((kind & 0x3FFF, data[4:length]))
        data = data[max(4, length + 3 & ~3):]
    return found


def withdraw(interface: str, addresses: list[str]) -> str:
    """Remove the addresses; return "" when the kernel has none of them there any more, else why not."""
    try:
        index = socket.if_nametoindex(interface)
    except OSError:
        return ""  # An interface that is gone has no addresses.
    wanted = {packed(address) for address in addresses}
    netlink = Netlink()

    def here() -> list[Entry]:
        return [entry for entry in netlink.entries() if entry[4] == index and entry[5] in wanted]

    foreign = []
    for entry in here():
        if entry[2] & IFA_F_PERMANENT:
            foreign.append(entry)
        else:
            netlink.remove(entry)
    words = "was configured without a lifetime, so by another tool: left alone"
    left = [(_text(entry), words if entry in foreign else "could not be removed") for entry in here()]
    return "; ".join(f"{address} on {interface} {why}" for address, why in left)


def _text(entry: Entry) -> str:
    return socket.inet_ntop(FAMILIES[len(entry[5])], entry[5])


def main() -> int:
    """Do what the arguments say."""
    try:
        problem = withdraw(sys.argv[1], sys.argv[2:])
    except OSError as error:
        problem = f"{sys.argv[1]}: {error.strerror or error}"
    if problem:
        print(problem, file=sys.stderr)  # noqa: T201 - the guard logs it
    return 1 if problem else 0


if __name__ == "__main__":
    sys.exit(main())
