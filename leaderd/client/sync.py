"""The client for programs that block."""

import time
from collections.abc import Iterator
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Any

from leaderd.client import wire
from leaderd.errors import LeaseLostError, UnreachableError

if TYPE_CHECKING:
    import socket

_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 2.0
# How long a wait listens before it looks again by itself, in seconds.
_LISTEN = 1.0


class Client:
    """One election, as the daemon at `address` sees it. Threads may share it.

    Args:
        address: HOST:PORT of the daemon's HTTP interface; default `LEADERD_HTTP`, then 127.0.0.1:4040.
        election: Its name; None where the daemon is in only one.
        timeout: Seconds for one question.
        fresh: For how many seconds an answer is given again without asking; never beyond its own
            deadline. A leader that steps down by its own will is noticed that much later.

    Raises:
        ValueError: The address is no HOST:PORT, or no election can have such a name.
    """

    def __init__(
        self, address: str | None = None, election: str | None = None, *, timeout: float = 2.0,
        fresh: float = 0.2,
    ) -> None:
        self._where = wire.host_port(address)
        self._question = wire.question("/leader", election)
        self._events = wire.question("/events", election)
        self._timeout = timeout
        self._fresh = fresh
        self._belief: wire.Belief | None = None

    def is_leader(self) -> bool:
        """Return whether the node leads; False too when its daemon does not answer: that proves nothing.

        Raises:
            RefusedError: The daemon is not in this election, or in several and none was named.
        """
        try:
            belief = self._fresh_belief()
        except UnreachableError:
            return False
        return belief.left(wire.now()) > 0

    def token(self) -> int:
        """Return the fencing token of the term in which the node leads.

        Raises:
            LeaseLostError: It does not lead, or its daemon does not answer, or it holds without etcd (an
                election at least one) and has none: stop what only a leader does.
            RefusedError: As `is_leader`.
        """
        try:
            belief = self._fresh_belief()
        except UnreachableError as error:
            raise LeaseLostError(f"nobody can say that this node leads: {error}") from error
        if belief.left(wire.now()) <= 0:
            raise LeaseLostError("this node does not lead")
        return belief.proven_token()

    def wait_until_leader(self, timeout: float | None = None) -> int:
        """Wait until the node leads, through restarts of its daemon; return the fencing token.

        Args:
            timeout: Seconds; None waits for ever.

        Raises:
            TimeoutError: It did not come to lead in time.
            RefusedError: As `is_leader`.
        """
        began, pause = wire.now(), _FIRST_PAUSE
        while True:
            with suppress(LeaseLostError):
                return self.token()
            left = _LISTEN if timeout is None else timeout - wire.now().since(began)
            if left <= 0:
                raise TimeoutError(f"this node did not come to lead within {timeout:g} s")
            try:
                self._listen(min(left, _LISTEN))
                pause = _FIRST_PAUSE
            except UnreachableError:
                time.sleep(min(left, pause))
                pause = min(2 * pause, _LISTEN)

    def watch(self) -> Iterator[dict[str, Any]]:
        """Yield `{"node": …, …}` as the election stands, then at each change, over any number of connections.

        After a reconnection it begins again with how things stand. What an event says was true when it
        left the daemon; whether the node leads *now* is `is_leader`'s to say.

        Raises:
            RefusedError: As `is_leader`.
        """
        pause = _FIRST_PAUSE
        while True:
            try:
                for event in self._stream(wire.SILENCE):
                    pause = _FIRST_PAUSE
                    if event is not None:
                        yield event
            except UnreachableError:
                pass
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    def _fresh_belief(self) -> wire.Belief:
        belief, moment = self._belief, wire.now()
        if belief is not None and belief.left(moment) > 0 and moment.since(belief.sent) < self._fresh:
            return belief
        # Read before anything is sent: the answer may be as old as the question, and no older.
        self._belief = belief = wire.belief(self._ask(self._question), moment)
        return belief

    def _ask(self, question: bytes) -> bytes:
        began, data = wire.now(), b""
        with closing(self._connected(question, self._timeout)) as connection:
            try:
                while piece := connection.recv(65536):
                    data += piece
                    # One byte at a time must not take for ever.
                    if len(data) > wire.MOST_BYTES or wire.now().since(began) > self._timeout:
                        raise UnreachableError("the answer does not end")
            except OSError as error:
                raise UnreachableError(f"no answer from {self._name}: {error}") from error
        return data

    def _listen(self, seconds: float) -> None:
        """Wait for a change, no longer than `seconds`."""
        began, seen = wire.now(), 0
        for event in self._stream(seconds):
            seen += event is not None
            # The first tells how it stands, which was asked already.
            if seen > 1 or wire.now().since(began) >= seconds:
                return

    def _stream(self, patience: float) -> Iterator[dict[str, Any] | None]:
        """Yield events, and None for every other sign of life."""
        with closing(self._connected(self._events, patience)) as connection:
            head, events = b"", wire.Events()
            try:
                while b"\r\n\r\n" not in head:
                    if not (piece := connection.recv(65536)) or len(head) > wire.MOST_BYTES:
                        raise UnreachableError(f"no answer from {self._name}")
                    head += piece
                wire.check_stream(head)
                data = head.partition(b"\r\n\r\n")[2] or b"\n"
                while data:
                    yield from events.feed(data)
                    yield None
                    data = connection.recv(65536)
            except TimeoutError:
                return
            except (OSError, ValueError) as error:
                raise UnreachableError(f"no answer from {self._name}: {error}") from error

    def _connected(self, question: bytes, timeout: float) -> "socket.socket":
        import socket  # half of what importing all of this would take

        try:
            connection = socket.create_connection(self._where, timeout)
        except OSError as error:
            raise UnreachableError(f"no daemon answers at {self._name}: {error}") from error
        try:
            connection.sendall(question)
        except OSError as error:
            connection.close()
            raise UnreachableError(f"no daemon answers at {self._name}: {error}") from error
        return connection

    @property
    def _name(self) -> str:
        return f"{self._where[0]}:{self._where[1]}"
