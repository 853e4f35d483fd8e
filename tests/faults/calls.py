"""Calls of `leaderd exec` as their caller sees them."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from leaderd.demo.nodes import children, descendants
from tests.cluster import Cluster
from tests.faults.trio import MARK, ROOT, command, wait_for


class Call:
    """One `leaderd exec` under way.

    Args:
        cluster: Etcd.
        directory: Of the test; gets the output and the temporary directories.
        name: Of the election.
        words: The command.
        options: Further options, before it.
        wrapper: What the whole is run by.
    """

    def __init__(
        self, cluster: Cluster, directory: Path, name: str, *words: str, options: tuple[str, ...] = (),
        wrapper: tuple[str, ...] = (),
    ) -> None:
        self.directory = directory
        self.temporary = directory / "tmp"
        self.temporary.mkdir(exist_ok=True)
        self.errors = directory / f"errors-{len(list(directory.iterdir()))}"
        ends = [word for endpoint in cluster.endpoints for word in ("--endpoint", endpoint)]
        with self.errors.open("wb") as errors:
            self.process = subprocess.Popen(
                [*wrapper, sys.executable, "-m", "leaderd", "exec", name, "--ttl", "5", *ends, *options, "--",
                 *words],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True, cwd=ROOT,
                env={**os.environ, MARK: str(directory), "TMPDIR": str(self.temporary)},
                start_new_session=True,
            )

    def end(self, text: str = "", timeout: float = 40.0) -> tuple[int, str]:
        """Wait for the end; return exit code and standard output."""
        out, _ = self.process.communicate(text, timeout)
        return self.process.returncode, out

    def says(self) -> str:
        """Return standard error so far."""
        return self.errors.read_text(errors="replace")

    @property
    def guard(self) -> int:
        """Pid of the guard, 0 while there is none."""
        return next((pid for pid in children(self.process.pid) if "leaderd.guard.main" in command(pid)), 0)

    @property
    def agent(self) -> int:
        """Pid of the agent, 0 while there is none."""
        below = descendants(self.process.pid)
        return next((pid for pid in below if "leaderd.app" in command(pid)), 0)

    def marked(self) -> list[int]:
        """Return all that stems from any call of this test and is no zombie."""
        mark = f"{MARK}={self.directory}\0".encode()
        found = []
        for name in filter(str.isdigit, os.listdir("/proc")):
            try:
                if mark in Path(f"/proc/{name}/environ").read_bytes() + b"\0":
                    found.append(int(name))
            except OSError:
                continue
        return found

    def wait_for_output(self, name: str, timeout: float = 30.0) -> str:
        """Wait until the command has written a whole line to this file of the directory."""
        path = self.directory / name
        wait_for(f"{name}; {self.says()}", lambda: path.exists() and "\n" in path.read_text(), timeout)
        return path.read_text()

    def destroy(self) -> None:
        """Kill whatever is left of it."""
        for pid in self.marked():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        self.process.communicate()
