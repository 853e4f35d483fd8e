"""Addresses as the kernel has them, over netlink. Everything here may block; call it in a thread.

The only module that imports pyroute2, which takes a while: import this one only where there is a vip.

Source: rtnetlink(7); <linux/if_addr.h>, <linux/if.h>.
"""

import errno
import socket
import struct
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Interface, IPv6Interface, ip_address
from typing import Any

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from leaderd.errors import ResourceError
from leaderd.resources.announce import Address

Interface = IPv4Interface | IPv6Interface

_IFF_UP = 0x1
_IFF_NOARP = 0x80
_IFF_LOWER_UP = 0x10000
_ARPHRD_ETHER = 1
_IFA_F_NODAD = 0x02
_IFA_F_PERMANENT = 0x80
_RTM_NEWLINK, _RTM_DELLINK, _RTM_NEWADDR, _RTM_DELADDR = 16, 17, 20, 21
_RTMGRP_LINK, _RTMGRP_IPV4_IFADDR, _RTMGRP_IPV6_IFADDR = 0x1, 0x10, 0x100
_GONE = (errno.EADDRNOTAVAIL, errno.ENODEV)


@dataclass(frozen=True, slots=True)
class Port:
    """An interface that is up and has a link.

    Attributes:
        name: As configured.
        index: Kernel's number; an interface that is made anew has another.
        mac: Its hardware address; b"" where neighbours do not use any.
    """

    name: str
    index: int
    mac: bytes


@dataclass(frozen=True, slots=True)
class Found:
    """An address that stands on this host.

    Attributes:
        address: Without its prefix.
        length: Of its prefix.
        index: Of its interface.
        permanent: Without a lifetime, so not from us.
    """

    address: Address
    length: int
    index: int
    permanent: bool


class Kernel:
    """The kernel's addresses and interfaces, for one thread."""

    def __init__(self) -> None:
        self._route: IPRoute | None = None

    def close(self) -> None:
        """Close the socket; the next call opens another."""
        if self._route is not None:
            self._route.close()
            self._route = None

    def port(self, interface: str) -> Port:
        """Return the interface.

        Raises:
            ResourceError: It is not there, is down, or has no link.
        """
        try:
            index = socket.if_nametoindex(interface)
        except OSError as error:
            raise ResourceError(f"there is no interface {interface}") from error
        with _told(interface):
            link = self._open().link("get", index=index)[0]
        if not (flags := link["flags"]) & _IFF_UP:
            raise ResourceError(f"interface {interface} is down; ip link set {interface} up")
        if not flags & _IFF_LOWER_UP:
            raise ResourceError(f"interface {interface} has no link (no carrier)")
        speaks = link["ifi_type"] == _ARPHRD_ETHER and not flags & _IFF_NOARP
        return Port(interface, index, _mac(link) if speaks else b"")

    def macs(self) -> frozenset[bytes]:
        """Return all hardware addresses of this host: it may answer itself by another interface.

        Raises:
            ResourceError: The kernel refuses.
        """
        with _told("interfaces"):
            return frozenset(mac for link in self._open().get_links() if (mac := _mac(link)))

    def found(self, addresses: Collection[Interface]) -> list[Found]:
        """Return which of these stand on this host, on any interface and with any prefix length."""
        wanted = {address.ip for address in addresses}
        return [entry for entry in self.all() if entry.address in wanted]

    def all(self) -> list[Found]:
        """Return all addresses of this host."""
        with _told("addresses"):
            return [_found(entry) for entry in self._open().get_addr()]

    def put(self, address: Interface, index: int, seconds: int) -> None:
        """Install an address, or give it another lifetime.

        Args:
            address: With its prefix.
            index: Of the interface.
            seconds: Lifetime, from now on.

        Raises:
            ResourceError: The kernel refuses.
        """
        with _told(f"{address}"):
            self._open().addr(
                "replace", index=index, address=str(address.ip), prefixlen=address.network.prefixlen,
                family=_family(address.ip), valid_lft=seconds, preferred_lft=seconds,
                # The kernel's duplicate detection would keep an IPv6 address silent for a second.
                **({"flags": _IFA_F_NODAD} if address.version == 6 else {}),
            )

    def remove(self, entry: Found) -> None:
        """Remove an address; one that is gone already is fine.

        Raises:
            ResourceError: The kernel refuses.
        """
        with _told(f"{entry.address}"):
            try:
                self._open().addr(
                    "del", index=entry.index, address=str(entry.address), prefixlen=entry.length,
                    family=_family(entry.address),
                )
            except NetlinkError as error:
                if error.code not in _GONE:
                    raise

    def _open(self) -> IPRoute:
        if self._route is None:
            self._route = IPRoute()
        return self._route


def _mac(link: Any) -> bytes:
    return bytes.fromhex((link.get("IFLA_ADDRESS") or "").replace(":", ""))


def _found(entry: Any) -> Found:
    # On a point-to-point interface IFA_ADDRESS is the other end; IPv6 has IFA_LOCAL only there.
    address = ip_address(entry.get("IFA_LOCAL") or entry.get("IFA_ADDRESS"))
    flags = entry.get("IFA_FLAGS") or entry["flags"]
    return Found(address, entry["prefixlen"], entry["index"], bool(flags & _IFA_F_PERMANENT))


def _family(address: Address) -> int:
    return socket.AF_INET if address.version == 4 else socket.AF_INET6


@contextmanager
def _told(what: str) -> Iterator[None]:
    """Turn what the kernel refuses into an error of ours."""
    try:
        yield
    except NetlinkError as error:
        raise ResourceError(f"{what}: {_words(error.code)}") from error
    except OSError as error:
        raise ResourceError(f"{what}: {_words(error.errno or 0)}") from error


def _words(code: int) -> str:
    remedy = {errno.EPERM: "; CAP_NET_ADMIN is needed", errno.EACCES: "; is IPv6 switched off there?"}
    return f"the kernel says: {errno.errorcode.get(code, code)}{remedy.get(code, '')}"


class Changes:
    """Tells when something may have happened to the addresses or the link of one interface.

    Only that: whoever is told looks for himself, so an event that was lost to a full buffer costs nothing.

    Args:
        index: Of the interface.
        happened: Called in `drain`.

    Raises:
        OSError: No socket to be had.
    """

    def __init__(self, index: int, happened: Callable[[], None]) -> None:
        self._index = index
        self._happened = happened
        flags = socket.SOCK_RAW | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
        self.socket = socket.socket(socket.AF_NETLINK, flags, socket.NETLINK_ROUTE)
        self.socket.bind((0, _RTMGRP_LINK | _RTMGRP_IPV4_IFADDR | _RTMGRP_IPV6_IFADDR))

    def drain(self) -> None:
        """Read what is there."""
        try:
            while True:
                if concerns(self.socket.recv(65536), self._index):
                    self._happened()
        except BlockingIOError:
            return
        except OSError:
            # ENOBUFS: more has happened than fits.
            self._happened()

    def close(self) -> None:
        """Listen no more."""
        self.socket.close()


def concerns(packet: bytes, index: int) -> bool:
    """Return whether a packet of events may mean a loss to this interface.

    Left out are addresses that come or are renewed with a lifetime, as ours are all the time.
    """
    while len(packet) >= 24:
        length, kind = struct.unpack_from("=IH", packet)
        if kind in (_RTM_NEWADDR, _RTM_DELADDR):
            flags, about = struct.unpack_from("=BxI", packet, 18)
            if about == index and (kind == _RTM_DELADDR or flags & _IFA_F_PERMANENT):
                return True
        elif kind in (_RTM_NEWLINK, _RTM_DELLINK) and struct.unpack_from("=i", packet, 20)[0] == index:
            return True
        packet = packet[max(16, length + 3 & ~3):]
    return False
