"""Who is connected to our socket, as the kernel knows: for the log line of a call that changes something.

gRPC accepts connections in its C core and tells a handler nothing about the one a call came over; its
local credentials check that it is a Unix socket, no more. But the accepted sockets are descriptors of
this process, and the kernel answers SO_PEERCRED on each. So the caller is one of those found here. Our
own command line also says its process id along with the call, which is believed only when the kernel
knows a connection of that process; other clients are named exactly as long as they are alone.

Source: SO_PEERCRED in unix(7); `struct ucred`, three 32-bit numbers.
"""

import os
import socket
import stat
import struct
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

# Metadata of a call: the process id of the client, in decimal.
PID_KEY: Final = "leaderd-pid"
_UCRED: Final = struct.Struct("iII")
# So many are named in a log line; a crowd of watchers would fill it.
_NAMED: Final = 8


@dataclass(frozen=True, slots=True, order=True)
class Peer:
    """A process at the other end of a connection: as it was when it connected."""

    pid: int
    uid: int

    def __str__(self) -> str:
        return f"pid {self.pid} uid {self.uid}"


def connected(path: str) -> set[Peer]:
    """Return who is connected to the socket at `path` that this process listens on."""
    found = set()
    for name in os.listdir("/proc/self/fd"):
        # Closed meanwhile: not a connection any more.
        with suppress(OSError):
            if stat.S_ISSOCK(os.fstat(int(name)).st_mode):
                found |= _peer(int(name), path)
    return found


def _peer(descriptor: int, path: str) -> set[Peer]:
    """Return who is at the other end, if this is a connection to `path` and not the listener itself."""
    # A copy, since gRPC closes its own when it likes; of whatever family, its name tells.
    with socket.fromfd(descriptor, socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        if connection.getsockname() != path:
            return set()
        connection.getpeername()
        raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)
    pid, uid, _gid = _UCRED.unpack(raw)
    return {Peer(pid, uid)}


def caller(peers: set[Peer], claimed: str) -> str:
    """Return who made a call, as exactly as it can be known.

    Args:
        peers: Who is connected.
        claimed: The process id that came with the call, or "".
    """
    alone = peers if len(peers) == 1 else {peer for peer in peers if str(peer.pid) == claimed}
    if len(alone) == 1:
        return str(*alone)
    if not peers:
        return "unknown"
    named = ", ".join(str(peer) for peer in sorted(peers)[:_NAMED])
    more = f" and {len(peers) - _NAMED} more" if len(peers) > _NAMED else ""
    return f"one of {named}{more}"
