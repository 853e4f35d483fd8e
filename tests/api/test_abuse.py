"""Whatever is done to the socket, a real daemon over real etcd keeps its lease and renews it on time."""

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from leaderd.api.client import fetch_status
from leaderd.budget import timing_of
from leaderd.demo.nodes import Node
from leaderd.errors import LeaderdError
from tests.cli.helpers import ROOT, environment
from tests.cluster import Cluster
from tests.config.helpers import good, loaded
from tests.faults.figures import figure
from tests.faults.trio import nobody_holds

ABUSER = Path(__file__).with_name("abuser.py")
TTL = 10
TIMING = timing_of(loaded(good(election__ttl=TTL)).plan.elections[0])
# A renewal may need a second attempt, and a third where other tests keep the machine busy.
LATE = TIMING.retry_period + 3 * TIMING.attempt_timeout
MEMORY_MB = 80
# Changes that a thousand watchers hear of, two each; `LEADERD_LONG=1` for minutes of them.
ROUNDS = 500 if os.environ.get("LEADERD_LONG") else 3


class Limited(Node):
    """A daemon with as few descriptors as a service manager gives by default."""

    program = (shutil.which("prlimit") or "/usr/bin/prlimit", "--nofile=1024:1024", *Node.program)


class Leader:
    """A daemon that leads, and how its lease has been doing."""

    def __init__(self, node: Node, cluster: Cluster) -> None:
        self.node = node
        self.cluster = cluster
        self.least = float("inf")
        self.looks = 0
        self._over = threading.Event()

    def report(self, timeout: float = 5.0) -> dict[str, Any]:
        found: dict[str, Any] = fetch_status(str(self.node.socket), timeout=timeout)["elections"][0]
        return found

    def memory(self) -> float:
        """Return the agent's resident memory in MB."""
        pages = int(Path(f"/proc/{self.node.agent}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6

    def descriptors(self) -> int:
        return len(os.listdir(f"/proc/{self.node.agent}/fd"))

    @contextmanager
    def unmoved(self) -> Iterator[None]:
        """Watch the lease meanwhile: same agent, same token, never short of a renewal."""
        agent, token = self.node.agent, self.report()["token"]
        self.least, self.looks = float("inf"), 0
        self._over.clear()
        look = threading.Thread(target=self._look)
        look.start()
        try:
            yield
        finally:
            self._over.set()
            look.join()
        after = self.report()
        assert (self.node.agent, after["token"], after["state"]) == (agent, token, "leader")
        assert self.looks
        assert self.least > TIMING.stop_after - LATE, f"a renewal was late: {self.least:.2f} s were left"

    def _look(self) -> None:
        # The log has each state that was passed through; this is for renewals, which are no news.
        while not self._over.wait(0.05):
            try:
                self.least = min(self.least, self.report(timeout=1.0)["valid_for"])
                self.looks += 1
            except LeaderdError:
                continue


@pytest.fixture(scope="module")
def leader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Leader]:
    """One for all cases: what one of them leaves behind, the next would find."""
    directory = tmp_path_factory.mktemp("abuse")
    election = f'[[election]]\nname = "db"\nttl = {TTL}\n'
    with Cluster(1) as cluster:
        nobody_holds(cluster, "db", TTL)
        node = Limited("a", directory, cluster.endpoints, election)
        node.start()
        found = Leader(node, cluster)
        try:
            until(lambda: found.report(1.0)["state"] == "leader")
            yield found
            node.stop()
            assert node.wait(20) == 0
            assert demotions(node) == ["shutdown"]
        finally:
            if node.running:
                node.kill()


def demotions(node: Node) -> list[str]:
    """Return why the node has stepped down, each time."""
    lines = [json.loads(line) for line in node.log.read_text().splitlines() if line.startswith("{")]
    return [line["reason"] for line in lines if line["event"] == "demoting"]


def until(done: Any, timeout: float = 40.0) -> None:
    """Look until it is so."""
    end = time.monotonic() + timeout
    while True:
        try:
            if done():
                return
        except LeaderdError:
            pass
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


@contextmanager
def abuser(job: str, where: object) -> Iterator["subprocess.Popen[str]"]:
    """Run one; ended when the block ends, if it has not by itself."""
    process = subprocess.Popen(
        [sys.executable, str(ABUSER), job, str(where)], env=environment(), cwd=ROOT,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )
    try:
        with process:
            yield process
            if process.stdin is not None:
                process.stdin.close()
            process.wait(60)
    finally:
        process.kill()


def said(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_noise(leader: Leader) -> None:
    """Neither random bytes nor half a greeting leave anything behind."""
    before = leader.descriptors()
    with leader.unmoved(), abuser("noise", leader.node.socket) as process:
        assert said(process) == "noise"
    until(lambda: leader.descriptors() <= before + 3)


def test_huge_and_malformed_requests(leader: Leader) -> None:
    """Each is answered with an error, none is taken in."""
    before = leader.memory()
    with leader.unmoved(), abuser("huge", leader.node.socket) as process:
        codes = set(said(process).split())
    assert codes == {"RESOURCE_EXHAUSTED", "UNIMPLEMENTED", "NOT_FOUND", "INTERNAL"}
    assert leader.memory() < before + MEMORY_MB


def test_more_connections_than_descriptors(leader: Leader) -> None:
    """The daemon keeps most of them for etcd and hooks; those who have come too late are sent away."""
    before = leader.descriptors()
    with leader.unmoved(), abuser("crowd", leader.node.socket) as process:
        assert said(process).endswith("connections")
        time.sleep(2 * TIMING.retry_period)
        assert leader.descriptors() <= 256 + before
    until(lambda: leader.descriptors() <= before + 3)


def test_a_thousand_watchers(leader: Leader) -> None:
    """All of them hear of every change, the leadership is not touched by them, the memory is bounded."""
    before, descriptors = leader.memory(), leader.descriptors()
    key = "/leaderd/election/db/7fffffffffffffff"
    with leader.unmoved(), abuser("watchers", leader.node.socket) as process:
        assert said(process) == "watching"
        for _ in range(ROUNDS):
            leader.cluster.etcdctl("put", key, "visitor")
            assert said(process) == "{2}"
            leader.cluster.etcdctl("del", key)
            assert said(process) == "{1}"
        grown = leader.memory() - before
        figure(f"1,000 gRPC watchers through {2 * ROUNDS} changes cost {grown:.0f} MB; "
               f"at least {leader.least:.2f} of {TIMING.stop_after:.2f} s of lease were left")
        assert grown < MEMORY_MB
        process.kill()
    until(lambda: leader.descriptors() <= descriptors + 3)


def test_watchers_that_do_not_read(leader: Leader) -> None:
    """Changes pile up for nobody."""
    before = leader.memory()
    key = "/leaderd/election/db/7fffffffffffffff"
    with leader.unmoved(), abuser("deaf", leader.node.socket) as process:
        assert said(process) == "deaf"
        for _ in range(15):
            leader.cluster.etcdctl("put", key, "visitor")
            leader.cluster.etcdctl("del", key)
        assert leader.memory() < before + MEMORY_MB
