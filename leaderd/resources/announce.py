"""Tells the neighbours where an address is, and asks whether somebody else has it: ARP and ND by hand.

The kernel's own duplicate address detection takes a second for IPv6 and does not exist for IPv4; and it
announces nothing again when a switch has lost what it learnt.

Source: RFC 826 and 5227 (ARP), RFC 4861 and 4862 (ND); `arp_is_garp` in net/ipv4/arp.c, which believes a
reply at once only if sender and target hardware address are the same; packet(7).
"""

import ctypes
import socket
import struct
from collections.abc import Iterator
from contextlib import suppress
from ipaddress import IPv4Address, IPv6Address

Address = IPv4Address | IPv6Address

ETH_P_ARP = 0x0806
ETH_P_IPV6 = 0x86DD
ICMPV6 = 58
NS, NA = 135, 136
_BROADCAST = b"\xff" * 6
_NOBODY = b"\0" * 6
_ALL_NODES = IPv6Address("ff02::1")
_SO_ATTACH_FILTER = 26
# Classic BPF: pass a frame whose IPv6 next header is ICMPv6 and whose ICMPv6 type is an advertisement.
_ADVERTISEMENTS = struct.pack(
    "=" + "HBBI" * 6,
    0x30, 0, 0, 20, 0x15, 0, 3, ICMPV6, 0x30, 0, 0, 54, 0x15, 0, 1, NA, 0x06, 0, 0, 0xFFFF, 0x06, 0, 0, 0,
)  # fmt: skip


def mac_text(mac: bytes) -> str:
    """Return a hardware address as people write it."""
    return mac.hex(":")


# --- frames ---


def announcements(address: Address, mac: bytes, *, router: bool = False) -> list[bytes]:
    """Return the frames that say that `address` is at `mac`.

    Some equipment believes only ARP requests, some only replies: both are sent.

    Args:
        address: To announce.
        mac: Of the interface that has it.
        router: Whether this host forwards IPv6; its neighbours drop it as a gateway if it says no.
    """
    if isinstance(address, IPv4Address):
        return [
            _arp(1, mac, address, _NOBODY, address),
            _arp(2, mac, address, mac, address),
        ]
    # Override what is known; unsolicited.
    flags = 0x20000000 | (0x80000000 if router else 0)
    body = struct.pack("!I16s2B6s", flags, address.packed, 2, 1, mac)
    return [_nd(NA, mac, address, _ALL_NODES, body)]


def question(address: Address, mac: bytes) -> bytes:
    """Return the frame that asks who has `address` without claiming it: sent from no address."""
    if isinstance(address, IPv4Address):
        return _arp(1, mac, IPv4Address(0), _NOBODY, address)
    group = IPv6Address(int(IPv6Address("ff02::1:ff00:0")) | int(address) & 0xFFFFFF)
    return _nd(NS, mac, IPv6Address(0), group, struct.pack("!I16s", 0, address.packed))


def claim(frame: bytes) -> tuple[Address, bytes] | None:
    """Return which address a frame claims for which hardware address; None for any other frame."""
    if len(frame) < 42:
        return None
    kind = int.from_bytes(frame[12:14], "big")
    if kind == ETH_P_ARP and frame[14:20] == b"\0\1\x08\0\6\4":
        return IPv4Address(frame[28:32]), frame[22:28]
    if kind == ETH_P_IPV6 and frame[20] == ICMPV6 and len(frame) >= 78 and frame[54] == NA:
        return IPv6Address(frame[62:78]), frame[6:12]
    return None


def _arp(operation: int, mac: bytes, sender: IPv4Address, target_mac: bytes, target: IPv4Address) -> bytes:
    head = _BROADCAST + mac + struct.pack("!HHHBBH", ETH_P_ARP, 1, 0x0800, 6, 4, operation)
    return head + mac + sender.packed + target_mac + target.packed


def _nd(kind: int, mac: bytes, source: IPv6Address, group: IPv6Address, body: bytes) -> bytes:
    length = 4 + len(body)
    pseudo = source.packed + group.packed + struct.pack("!II", length, ICMPV6)
    checksum = _checksum(pseudo + struct.pack("!BBH", kind, 0, 0) + body)
    # A neighbour drops what has been through a router: the hop limit must still be 255.
    head = struct.pack("!HIHBB", ETH_P_IPV6, 0x60000000, length, ICMPV6, 255)
    ends = source.packed + group.packed
    return b"\x33\x33" + group.packed[-4:] + mac + head + ends + struct.pack("!BBH", kind, 0, checksum) + body


def _checksum(data: bytes) -> int:
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return total ^ 0xFFFF


# --- sockets ---


class Wire:
    """The network behind one Ethernet interface.

    Args:
        interface: Its name.
        mac: Its hardware address.

    Attributes:
        mac: To be announced from now on.
        sockets: To be waited on for claims.

    Raises:
        OSError: No such interface, or CAP_NET_RAW is missing.
    """

    def __init__(self, interface: str, mac: bytes) -> None:
        self.mac = mac
        self._router = _forwards(interface)
        self.sockets: list[socket.socket] = []
        try:
            for protocol in (ETH_P_ARP, ETH_P_IPV6):
                self.sockets.append(_packet_socket(interface, protocol))
        except OSError:
            self.close()
            raise

    def close(self) -> None:
        """Close the sockets."""
        for each in self.sockets:
            each.close()

    def announce(self, address: Address) -> None:
        """Say that `address` is here.

        Raises:
            OSError: It could not be sent.
        """
        for frame in announcements(address, self.mac, router=self._router):
            self._send(address, frame)

    def ask(self, address: Address) -> None:
        """Ask who has `address`; `claims` will tell.

        Raises:
            OSError: It could not be sent.
        """
        self._send(address, question(address, self.mac))

    def claims(self) -> list[tuple[Address, bytes]]:
        """Return who has claimed what since the last call, without waiting."""
        return [claimed for each in self.sockets for frame in _read(each) if (claimed := claim(frame))]

    def _send(self, address: Address, frame: bytes) -> None:
        self.sockets[address.version == 6].send(frame)


def _read(each: socket.socket) -> Iterator[bytes]:
    # Nothing left, or the link went down: then there is nothing to be heard either.
    with suppress(OSError):
        # Bounded: a storm on the network must not keep us here.
        for _ in range(1000):
            yield each.recv(2048)


def _packet_socket(interface: str, protocol: int) -> socket.socket:
    # Protocol 0 until the filter stands, so that nothing unwanted is in the queue.
    each = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC, 0)
    try:
        if protocol == ETH_P_IPV6:
            program = ctypes.create_string_buffer(_ADVERTISEMENTS)
            pointer = struct.pack("HP", len(_ADVERTISEMENTS) // 8, ctypes.addressof(program))
            each.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, pointer)
        each.bind((interface, protocol))
    except OSError:
        each.close()
        raise
    return each


def _forwards(interface: str) -> bool:
    try:
        with open(f"/proc/sys/net/ipv6/conf/{interface}/forwarding", encoding="ascii") as file:
            return file.read().strip() not in ("", "0")
    except OSError:
        return False


