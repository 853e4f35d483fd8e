"""A leaderd node as a child process that can be killed, stopped and looked into."""

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from leaderd.errors import LeaderdError
from leaderd.etcd.embedded import tied


class Node:
    """One `leaderd run`, with its files in a directory of its own.

    Its guard gets SIGTERM when the process that started it dies.

    Args:
        name: Node name.
        directory: Made when missing; gets the configuration, the log, the socket and the state.
        endpoints: Etcd's client URLs.
        election: The `[[election]]` tables of the configuration, as TOML.
        etcd: Further lines of the `[etcd]` table.
        environment: Further environment variables of the daemon.
        http: HOST:PORT to answer HTTP at; none by default, since several nodes run on one machine.

    Attributes:
        program: What is run with `-c` and the configuration.
    """

    program = (sys.executable, "-m", "leaderd", "run")

    def __init__(
        self,
        name: str,
        directory: Path,
        endpoints: Sequence[str],
        election: str,
        etcd: str = "",
        environment: dict[str, str] | None = None,
        http: str = "",
    ) -> None:
        self.name = name
        self.directory = directory
        self.config = directory / "leaderd.toml"
        self.log = directory / "log"
        self.socket = directory / "socket"
        self.state_dir = directory / "state"
        self._environment = {**os.environ, **(environment or {})}
        self._process: subprocess.Popen[bytes] | None = None
        directory.mkdir(parents=True, exist_ok=True)
        urls = ", ".join(f'"{url}"' for url in endpoints)
        self.config.write_text(
            f'node = "{name}"\nstate_dir = "{self.state_dir}"\nlog = "json"\n'
            f"[etcd]\nendpoints = [{urls}]\n{etcd}\n"
            f'[api]\nsocket = "{self.socket}"\nhttp = "{http}"\n\n{election}',
            encoding="utf-8",
        )

    def start(self) -> None:
        """Start the daemon; its output is appended to the log."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                tied([*self.program, "-c", str(self.config)], signal.SIGTERM),
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self._environment,
                start_new_session=True,
            )

    @property
    def guard(self) -> int:
        """Process id of the guard, which `leaderd run` becomes.

        Raises:
            LeaderdError: The node was not started.
        """
        if self._process is None:
            raise LeaderdError(f"node {self.name} does not run")
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the guard lives."""
        return self._process is not None and self._process.poll() is None

    @property
    def agent(self) -> int:
        """Process id of the agent, 0 while there is none."""
        return next((pid for pid in children(self.guard) if b"leaderd.app" in _command(pid)), 0)

    def kill_agent(self) -> None:
        """Kill the agent alone; the guard stops, releases and starts another."""
        os.kill(self.agent, signal.SIGKILL)

    def signal(self, number: signal.Signals, *, guard: bool = False, agent: bool = False) -> None:
        """Send a signal to guard, agent or both, the guard first: it must not react to the agent's end."""
        pids = [self.guard] * guard + [self.agent] * agent
        for pid in pids:
            if pid:
                os.kill(pid, number)

    def kill(self) -> None:
        """Kill everything of the node at once, descendants included, as a power failure would."""
        pids = [self.guard, *descendants(self.guard)]
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)
        for pid in [*pids, *descendants(self.guard)]:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.wait(10)

    def stop(self) -> None:
        """Ask for an orderly end; `wait` for it."""
        if self.running:
            os.kill(self.guard, signal.SIGTERM)

    def wait(self, timeout: float) -> int:
        """Wait for the end and return the exit code.

        Raises:
            LeaderdError: It still runs after `timeout` seconds.
        """
        if self._process is None:
            return 0
        try:
            return self._process.wait(timeout)
        except subprocess.TimeoutExpired as error:
            raise LeaderdError(f"node {self.name} did not end within {timeout:g} s") from error


def children(pid: int) -> list[int]:
    """Return the child processes of a process, none when it is gone."""
    found: list[int] = []
    with suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            with suppress(OSError):
                found += [int(word) for word in (task / "children").read_text(encoding="ascii").split()]
    return found


def descendants(pid: int) -> list[int]:
    """Return all processes below a process."""
    found: list[int] = []
    for child in children(pid):
        found += [child, *descendants(child)]
    return found


def _command(pid: int) -> bytes:
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""

