"""A systemd to install the package under: PID 1 of namespaces of its own, on a copy of this host."""

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.packages.run import PLAIN, said

INSIDE = Path(__file__).with_name("machine.sh")
_EMPTY = ("nothing", "sysinit", "basic", "shutdown", "network-online", "multi-user")
_ETCD = """[Service]
ExecStart=/usr/bin/etcd --data-dir=/run/etcd
"""


class NoMachineError(Exception):
    """systemd does not run here; the text says why."""


class Machine:
    """What can be done in it.

    Args:
        pid: Its first process.
    """

    def __init__(self, pid: int) -> None:
        self._enter = ["nsenter", f"--target={pid}", "--mount", "--pid", "--net", "--ipc", "--uts"]
        self._root = Path(f"/proc/{pid}/root")

    def run(self, *words: str, check: bool = True) -> str:
        """Run a command and return what it prints, complaints included; AssertionError when it fails."""
        return said(*self._enter, *words, code=0 if check else None, environ=PLAIN).strip()

    def systemctl(self, *words: str, check: bool = True) -> str:
        return self.run("systemctl", *words, check=check)

    def state(self) -> str:
        """Return what systemd says of the daemon: active, inactive, failed."""
        return self.systemctl("is-active", "leaderd", check=False)

    def path(self, path: str) -> Path:
        """Return where a file of the machine is to be found on this host."""
        return self._root / path.lstrip("/")


@contextmanager
def machine(units: Path, package: Path) -> Iterator[Machine]:
    """Have one, with an etcd that can be started and the package in /run, while the block runs.

    Raises:
        NoMachineError: systemd does not run in namespaces here.
    """
    for name in _EMPTY:
        (units / f"{name}.target").write_text("[Unit]\nDefaultDependencies=no\n")
    (units / "etcd.service").write_text(_ETCD)
    outer = subprocess.Popen([
        "unshare", "--pid", "--fork", "--mount", "--uts", "--net", "--ipc", "--cgroup", "--mount-proc",
        "--kill-child", "sh", str(INSIDE), str(units), str(package),
    ])
    try:
        yield _booted(outer)
    finally:
        outer.kill()
        outer.wait()


def _booted(outer: subprocess.Popen[bytes]) -> Machine:
    until = time.monotonic() + 20
    while outer.poll() is None and time.monotonic() < until:
        if children := Path(f"/proc/{outer.pid}/task/{outer.pid}/children").read_text().split():
            found = Machine(int(children[0]))
            if found.systemctl("is-system-running", check=False) in ("running", "degraded"):
                return found
        time.sleep(0.05)
    raise NoMachineError(f"systemd does not run in a namespace here: exit code {outer.poll()}")
