"""The embedded etcd cluster with the faults that ETCD's audit found to matter."""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from leaderd.etcd.embedded import EmbeddedCluster, Member, find_etcdctl

_LEADER = re.compile(r"^etcd_server_is_leader 1$", re.MULTILINE)


def why_no_stall() -> str:
    """Return why `stall_fsync` cannot work here, or ""."""
    if shutil.which("strace") is None:
        return "strace is not installed"
    scope = Path("/proc/sys/kernel/yama/ptrace_scope")
    if scope.exists() and scope.read_text().strip() != "0" and os.geteuid() != 0:
        return "strace may not attach (ptrace_scope is not 0 and we are not root)"
    return ""


class Cluster(EmbeddedCluster):
    """An embedded cluster that can also stall, be restored, and be asked who leads."""

    def leader(self, timeout: float = 20.0) -> int:
        """Return the index of the member that leads, as seen by the members that run."""
        until = time.monotonic() + timeout
        while time.monotonic() < until:
            found = [
                index
                for index, member in enumerate(self.members)
                if member.running and not member.paused and _LEADER.search(member.fetch("/metrics"))
            ]
            # Two for a moment: a deposed one has not noticed yet.
            if len(found) == 1 and self.members[found[0]].healthy():
                return found[0]
            time.sleep(0.05)
        raise TimeoutError("the etcd cluster has no leader")

    def follower(self) -> int:
        """Return the index of a running member that does not lead."""
        leader = self.leader()
        return next(
            index
            for index, member in enumerate(self.members)
            if index != leader and member.running and not member.paused
        )

    def etcdctl(self, *arguments: str, endpoints: tuple[str, ...] = (), timeout: float = 20.0) -> str:
        """Run etcdctl against the cluster and return its output."""
        return subprocess.run(
            self.etcdctl_command(*arguments, endpoints=endpoints),
            env={"ETCDCTL_API": "3", "PATH": "/usr/bin:/bin"},
            check=True, capture_output=True, text=True, timeout=timeout,
        ).stdout

    def etcdctl_command(self, *arguments: str, endpoints: tuple[str, ...] = ()) -> list[str]:
        """Return the command line of an etcdctl that talks to the running members."""
        running = tuple(m.client_url for m in self.members if m.running and not m.paused)
        return [str(find_etcdctl()), "--endpoints", ",".join(endpoints or running), *arguments]

    @contextlib.contextmanager
    def etcdctl_process(self, *arguments: str) -> Iterator[subprocess.Popen[str]]:
        """Run a long-lived etcdctl (`elect`, `watch`) beside the test; killed at the end.

        It resigns on SIGINT, as a user's ^C would make it: `process.send_signal(signal.SIGINT)`.
        """
        process = subprocess.Popen(
            self.etcdctl_command(*arguments), env={"ETCDCTL_API": "3", "PATH": "/usr/bin:/bin"},
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )
        try:
            yield process
        finally:
            process.kill()
            process.communicate()

    @contextlib.contextmanager
    def stalled_fsync(self, index: int, seconds: float = 9.0, *, wal_only: bool = False) -> Iterator[None]:
        """Delay every fsync of a member by `seconds` while the block runs.

        The member goes on answering what needs no disk, keepalives among it; with the database stalled
        too (not `wal_only`) answers hang as soon as it wants to commit. A call that was already being
        delayed when the block ends finishes its delay.
        """
        delay = int(seconds * 1_000_000)
        wal = self.members[index].data_dir / "member" / "wal"
        only = [word for file in wal.iterdir() for word in ("-P", str(file))] if wal_only else []
        strace = subprocess.Popen(
            ["strace", "-f", "-q", "-o", "/dev/null", "-e", "trace=fdatasync,fsync",
             "-e", f"inject=fdatasync,fsync:delay_enter={delay}", *only, "-p", str(self.members[index].pid)],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )
        try:
            self._wait_traced(self.members[index])
            yield
        finally:
            strace.send_signal(signal.SIGTERM)
            try:
                strace.wait(timeout=seconds + 5)
            except subprocess.TimeoutExpired:
                strace.kill()
                strace.wait()

    @staticmethod
    def _wait_traced(member: Member, timeout: float = 10.0) -> None:
        tasks = Path(f"/proc/{member.pid}/task")
        until = time.monotonic() + timeout
        while time.monotonic() < until:
            states = [(task / "status").read_text() for task in tasks.iterdir()]
            if all("TracerPid:\t0\n" not in state for state in states):
                return
            time.sleep(0.02)
        raise TimeoutError(f"strace did not attach to etcd member {member.name}")

    def save_snapshot(self, path: Path, index: int = 0) -> None:
        """Write a snapshot of one member's store to `path`."""
        self.etcdctl("snapshot", "save", str(path), endpoints=(self.members[index].client_url,))

    def restore_snapshot(self, path: Path) -> None:
        """Kill all members, replace their data by the snapshot's, and start them again.

        Revisions go back to the snapshot's; the cluster id stays, since names, URLs and token do.
        """
        for index in range(len(self.members)):
            self.kill(index)
        for member in self.members:
            shutil.rmtree(member.data_dir)
            self.etcdctl(
                "snapshot", "restore", str(path), "--name", member.name,
                "--data-dir", str(member.data_dir), "--initial-cluster", self.initial_cluster(),
                "--initial-cluster-token", self.directory.name,
                "--initial-advertise-peer-urls", member.peer_url, endpoints=(member.client_url,),
            )
        for index in range(len(self.members)):
            self.restart(index, wait=False)
        self.wait_healthy()
