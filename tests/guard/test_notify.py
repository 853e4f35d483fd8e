"""A service manager's socket, stood in for: what the guard says there, and when it falls silent."""

import os
import signal
import socket

import pytest

from leaderd.guard.notify import Manager, Notifier, take_manager
from leaderd.guard.wire import Alive
from leaderd.instant import Instant
from tests.guard.harness import PATIENCE

INTERVAL = 0.8


class Heard:
    """The manager's end."""

    def __init__(self, address):
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(address)
        self._socket.settimeout(PATIENCE)

    def next(self):
        return self._socket.recv(4096).decode()

    def silent_for(self, seconds):
        """Return whether nothing comes for so long, after what has come already."""
        self._socket.settimeout(seconds)
        try:
            self._socket.recv(4096)
        except TimeoutError:
            return True
        finally:
            self._socket.settimeout(PATIENCE)
        return False

    def drain(self):
        while not self.silent_for(0.01):
            pass

    def close(self):
        self._socket.close()


@pytest.fixture
def manager(tmp_path):
    heard = Heard(str(tmp_path / "notify"))
    yield heard
    heard.close()


def asked(tmp_path, **more):
    """Return the environment that a manager starts a service with."""
    return {"NOTIFY_SOCKET": str(tmp_path / "notify"), **more}


WATCHED = {"WATCHDOG_USEC": str(int(INTERVAL * 1e6))}


def test_it_is_ready_when_the_agent_has_shown_life_and_not_before(guarded, manager, tmp_path):
    guard = guarded().start(env=asked(tmp_path))
    agent = guard.agent()
    assert manager.silent_for(0.3)
    agent.send(Alive())
    assert manager.next() == f"READY=1\nMAINPID={guard.process.pid}"
    agent.send(Alive())
    assert manager.silent_for(0.3), "without WatchdogSec nobody wants to hear more"
    guard.signal(signal.SIGTERM)
    assert manager.next() == "STOPPING=1"


def test_no_child_can_speak_for_it(guarded, manager, tmp_path):
    guard = guarded().start(env=asked(tmp_path, **WATCHED))
    agent = guard.agent()
    assert not {name for name in agent.env if name.startswith(("NOTIFY_", "WATCHDOG_"))}
    assert agent.payload["beat"] == INTERVAL / 4


def test_it_feeds_while_the_agent_shows_life_and_stops_when_it_does_not(guarded, manager, tmp_path):
    guard = guarded().start(env=asked(tmp_path, **WATCHED))
    agent = guard.agent()
    for _ in range(4):
        agent.send(Alive())
        while manager.next() != "WATCHDOG=1":
            pass
    # The agent is silent from now on: the manager hears no more, though the guard itself is well.
    manager.drain()
    assert manager.silent_for(2 * INTERVAL)
    agent.send(Alive())
    assert manager.next() == "WATCHDOG=1"


def test_a_guard_that_hangs_feeds_nobody(guarded, manager, tmp_path):
    guard = guarded().start(env=asked(tmp_path, **WATCHED))
    agent = guard.agent()
    agent.send(Alive())
    # It may have fed for itself before the agent showed life.
    while not manager.next().startswith("READY=1"):
        pass
    guard.signal(signal.SIGSTOP)
    manager.drain()
    assert manager.silent_for(2 * INTERVAL)
    guard.signal(signal.SIGCONT)
    agent.send(Alive())
    assert manager.next() == "WATCHDOG=1"


def test_while_a_new_agent_is_on_its_way_the_guard_speaks_for_itself(guarded, manager, tmp_path):
    guard = guarded().start(env=asked(tmp_path, **WATCHED))
    first = guard.agent()
    first.send(Alive())
    manager.next()
    first.signal(signal.SIGKILL)
    guard.agent()
    manager.drain()
    assert manager.next() == "WATCHDOG=1"


def test_nothing_listens_and_the_guard_goes_on(guarded, tmp_path):
    guard = guarded().start(env=asked(tmp_path, **WATCHED))
    guard.agent().send(Alive())
    guard.signal(signal.SIGTERM)
    guard.logged("shutting down")


# --- without processes ---


def test_a_watchdog_of_another_process_is_not_ours():
    environ = {"NOTIFY_SOCKET": "/run/x", "WATCHDOG_USEC": "1000000", "WATCHDOG_PID": str(os.getpid() + 1)}
    assert take_manager(environ) == Manager("/run/x", 0.0)
    assert environ == {}


@pytest.mark.parametrize("environ", [
    {}, {"WATCHDOG_USEC": "1000000"}, {"NOTIFY_SOCKET": "vsock:2:1234"}, {"NOTIFY_SOCKET": ""},
])
def test_no_manager_wants_to_be_told(environ):
    found = take_manager(dict(environ))
    assert found == Manager()
    assert found.beat == 0.0


def test_a_name_without_a_file_begins_with_an_at_sign():
    name = f"leaderd-test-{os.getpid()}"
    heard = Heard("\0" + name)
    notifier = Notifier(Manager("@" + name))
    notifier.stopping()
    assert heard.next() == "STOPPING=1"
    notifier._socket.close()
    heard.close()


def test_it_feeds_at_half_the_interval():
    notifier, t = Notifier(Manager("", 10.0)), Instant(100.0, 200.0)
    assert notifier.left(t) == 0.0
    notifier.feed(t, well=True)
    assert notifier.left(t.plus(2.0)) == 3.0
    assert notifier.left(t.plus(6.0)) == 0.0
