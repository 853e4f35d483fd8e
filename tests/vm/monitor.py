"""QEMU's control socket: commands, and events with the time at which they were heard.

Source: QEMU, "QEMU Machine Protocol Specification".
"""

import json
import queue
import socket
import time
from dataclasses import dataclass
from pathlib import Path
from threading import Condition, Thread
from typing import Any


@dataclass(frozen=True, slots=True)
class Event:
    """Something that has happened to the machine.

    Attributes:
        name: As QEMU calls it.
        at: When it was heard, on this host's `CLOCK_MONOTONIC`.
        data: What belongs to it.
    """

    name: str
    at: float
    data: dict[str, Any]


class Monitor:
    """One connection.

    Args:
        path: Of the socket; waited for.
        timeout: Seconds for each answer.
    """

    def __init__(self, path: Path, timeout: float = 30.0) -> None:
        self._timeout = timeout
        self._socket = connect(path, timeout)
        self._lines = self._socket.makefile("r", encoding="utf-8")
        self._answers: queue.Queue[dict[str, Any]] = queue.Queue()
        self._events: list[Event] = []
        self._changed = Condition()
        self._lines.readline()  # The greeting.
        self._listener = Thread(target=self._listen, daemon=True)
        self._listener.start()
        self.do("qmp_capabilities")

    def do(self, command: str, **arguments: object) -> Any:
        """Have a command done; return its answer.

        Raises:
            RuntimeError: QEMU refuses it.
        """
        self._socket.sendall(json.dumps({"execute": command, "arguments": arguments}).encode() + b"\n")
        answer = self._answers.get(timeout=self._timeout)
        if "error" in answer:
            raise RuntimeError(f"{command}: {answer['error']['desc']}")
        return answer["return"]

    def close(self) -> None:
        """End the connection."""
        self._socket.shutdown(socket.SHUT_RDWR)
        self._listener.join()
        self._lines.close()
        self._socket.close()

    def heard(self, name: str) -> list[Event]:
        """Return the events of a name so far."""
        with self._changed:
            return [event for event in self._events if event.name == name]

    def wait(self, name: str, timeout: float) -> Event:
        """Wait for the first event of a name.

        Raises:
            TimeoutError: There was none.
        """
        until = time.monotonic() + timeout
        while not (found := self.heard(name)):
            with self._changed:
                left = until - time.monotonic()
                if left <= 0:
                    others = [event.name for event in self._events]
                    raise TimeoutError(f"no {name} within {timeout:g} s; only {others}")
                self._changed.wait(left)
        return found[0]

    def _listen(self) -> None:
        while line := self._line():
            at = time.monotonic()
            packet = json.loads(line)
            if "event" not in packet:
                self._answers.put(packet)
                continue
            with self._changed:
                self._events.append(Event(packet["event"], at, packet.get("data", {})))
                self._changed.notify_all()

    def _line(self) -> str:
        try:
            return self._lines.readline()
        except OSError:
            return ""


def connect(path: Path, timeout: float) -> socket.socket:
    """Connect to a Unix socket as soon as it is there."""
    until = time.monotonic() + timeout
    while True:
        connection = socket.socket(socket.AF_UNIX)
        try:
            connection.connect(str(path))
        except OSError:
            connection.close()
            if time.monotonic() > until:
                raise
            time.sleep(0.01)
        else:
            return connection
