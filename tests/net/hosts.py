"""What runs on the hosts: members of etcd, and nodes of leaderd."""

import json
import os
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from leaderd.demo.nodes import Node
from leaderd.etcd.embedded import find_etcd, find_etcdctl, tied
from tests.faults.trio import wait_for
from tests.net.switch import CLIENT, ETCD, Switch
from tests.netns import inside


class EtcdHosts:
    """Three members of etcd on hosts of their own. What starts them must stay: they end with its thread."""

    def __init__(self, switch: Switch, directory: Path) -> None:
        self._switch = switch
        self._directory = directory
        self.endpoints = [f"http://{address}:2379" for address in ETCD.values()]
        self._members: dict[str, subprocess.Popen[bytes]] = {}
        try:
            for name in ETCD:
                self._start(name)
            wait_for("etcd", self.leader, 30)
        except BaseException:
            self.close()
            raise

    def _start(self, name: str) -> None:
        peer, client = f"http://{ETCD[name]}:2380", f"http://{ETCD[name]}:2379"
        command = [
            str(find_etcd()), "--name", name, "--data-dir", str(self._directory / name),
            "--initial-cluster", ",".join(f"{each}=http://{at}:2380" for each, at in ETCD.items()),
            "--initial-advertise-peer-urls", peer, "--listen-peer-urls", peer,
            "--advertise-client-urls", client, "--listen-client-urls", client,
        ]
        with inside(self._switch.space(name)), (self._directory / f"{name}.log").open("ab") as log:
            self._members[name] = subprocess.Popen(
                tied(command, signal.SIGKILL), stdout=log, stderr=log, env={"PATH": os.environ["PATH"]},
            )

    def leader(self) -> str:
        """Return who leads etcd, "" for nobody."""
        done = self._etcdctl("--command-timeout=1s", "endpoint", "status", "-w", "json")
        names = dict(zip(self.endpoints, ETCD, strict=True))
        heads = {each["Endpoint"]: each["Status"] for each in json.loads(done.stdout or "[]")}
        leading = [names[end] for end, status in heads.items()
                   if status.get("leader") and status["leader"] == status["header"]["member_id"]]
        return leading[0] if len(leading) == 1 else ""

    def etcdctl(self, *arguments: str) -> str:
        """Run it on the client's host; return its output."""
        done = self._etcdctl(*arguments)
        done.check_returncode()
        return done.stdout

    def _etcdctl(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        command = [str(find_etcdctl()), "--endpoints", ",".join(self.endpoints), *arguments]
        with inside(self._switch.space(CLIENT)):
            return subprocess.run(command, env={"ETCDCTL_API": "3", "PATH": os.environ["PATH"]},
                                  capture_output=True, text=True, check=False)

    @contextmanager
    def killed(self, names: Sequence[str]) -> Iterator[None]:
        """Kill members for the time of the block; then start them again and wait for a leader."""
        for name in names:
            self._members[name].kill()
        try:
            yield
        finally:
            for name in names:
                self._members[name].wait()
                self._start(name)
            wait_for("etcd", self.leader, 30)

    def close(self) -> None:
        """Kill them."""
        for member in self._members.values():
            member.kill()
            member.wait()


class NetNode(Node):
    """A daemon on a host of its own.

    Attributes:
        space: The host's namespace.
        host: Its name.
    """

    space = ""
    host = ""

    def start(self) -> None:
        """Start it there."""
        with inside(self.space):
            super().start()
