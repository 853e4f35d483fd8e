"""Clients that poll `/leader` on every node all the time, and what their answers prove."""

import contextlib
import re
import socket
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from tests.faults.trio import now

_TOKEN = re.compile(rb"\r\nleaderd-token: (\d+)\r\n", re.IGNORECASE)
# An answer that is read so long after a successor's was not under way then: it was made late.
LATE = 0.5


@dataclass(frozen=True, slots=True)
class Yes:
    """One 200; instants in seconds on the pollers' clock."""

    node: str
    token: int
    sent_at: float
    received_at: float


@dataclass
class Pollers:
    """Two threads for each node: one soon gives up waiting for an answer, one waits to the end.

    Args:
        ports: By node.
    """

    ports: dict[str, int]
    asked: int = 0
    yeses: list[Yes] = field(default_factory=list)
    _newest: Yes | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _stop: threading.Event = field(default_factory=threading.Event)

    @contextlib.contextmanager
    def running(self) -> Iterator["Pollers"]:
        """Poll while the block runs."""
        threads = [
            threading.Thread(target=self._poll, args=(node, patience), daemon=True)
            for node in self.ports for patience in (0.3, 30.0)
        ]
        for thread in threads:
            thread.start()
        try:
            yield self
        finally:
            self._stop.set()
            for thread in threads:
                thread.join(35)

    @property
    def newest(self) -> Yes | None:
        """The newest term's latest answer."""
        return self._newest

    def _poll(self, node: str, patience: float) -> None:
        while not self._stop.wait(0.005):
            sent_at = now()
            try:
                answer = ask(self.ports[node], "/leader", patience)
            except OSError:
                # Refused or silent: no answer is no 200.
                self._stop.wait(0.02)
                continue
            with self._lock:
                self.asked += 1
                if answer.startswith(b"HTTP/1.") and answer.split()[1:2] == [b"200"]:
                    found = _TOKEN.search(answer)
                    self._take_in(Yes(node, int(found[1]) if found else 0, sent_at, now()))

    def _take_in(self, yes: Yes) -> None:
        self.yeses.append(yes)
        if self._newest is None or yes.token >= self._newest.token:
            self._newest = yes


def ask(port: int, path: str, patience: float) -> bytes:
    """Ask on a connection of its own; give up after so many seconds."""
    with socket.create_connection(("127.0.0.1", port), patience) as connection:
        connection.sendall(f"GET {path} HTTP/1.0\r\n\r\n".encode())
        answer = b""
        while piece := connection.recv(4096):
            answer += piece
        return answer


def wrong(yeses: Iterable[Yes]) -> list[str]:
    """Return what must not be: old leaders that said yes although a successor had said so before.

    Either to a question that was sent after a successor's first yes was received, or so long after that
    yes that the answer was made when the leadership had long gone.
    """
    found = []
    by_term = sorted(yeses, key=lambda yes: yes.token, reverse=True)
    first: Yes | None = None
    # The earliest yes of any later term, going back through the terms.
    pending: Yes | None = None
    for yes in by_term:
        if pending is not None and yes.token < pending.token:
            first = pending if first is None or pending.received_at < first.received_at else first
            pending = None
        if pending is None or yes.received_at < pending.received_at:
            pending = yes
        if first is None or first.node == yes.node:
            continue
        if yes.sent_at > first.received_at:
            found.append(f"{yes} was asked after {first}")
        elif yes.received_at > first.received_at + LATE:
            found.append(f"{yes} came long after {first}")
    return found
