"""A machine that stands still for longer than its lease, with its clocks: what nobody inside can see.

Its node leads in an election whose etcd and whose next leader run on the host. What is claimed is what
docs/guarantee.md claims: not that the old holder writes nothing, but for how long, and with which token.
"""

import socket
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import pytest

from leaderd.core.records import HolderRecord
from leaderd.demo.nodes import Node
from tests.cluster import Cluster
from tests.faults.trio import wait_for
from tests.vm.leaderd import Guest
from tests.vm.machine import Machine, Span

pytestmark = [pytest.mark.root, pytest.mark.vm, pytest.mark.timeout(300)]
TTL = 10
# The host as the guest's network calls it.
HOST = "10.0.2.2"
# Says which token it has, every 20 ms.
_WRITER = """
import os, socket, time
said = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
while True:
    said.sendto(os.environ["LEADERD_TOKEN"].encode(), ("%s", %d))
    time.sleep(0.02)
"""


class Ear:
    """What writers have said, on one clock: (when, token)."""

    def __init__(self) -> None:
        self.heard: list[tuple[float, int]] = []
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._thread = Thread(target=self._listen, daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._socket.getsockname()[1])

    def _listen(self) -> None:
        while packet := self._socket.recv(64):
            self.heard.append((time.monotonic(), int(packet)))

    def close(self) -> None:
        """Hear no more."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
            last.sendto(b"", ("127.0.0.1", self.port))
        self._thread.join()
        self._socket.close()


@pytest.fixture
def ear() -> Iterator[Ear]:
    """An ear that is closed at the end."""
    made = Ear()
    yield made
    made.close()


def election(host: str, port: int) -> str:
    """An election with a writer."""
    command = ["python3", "-c", _WRITER % (host, port)]
    quoted = ", ".join('"""' + word + '"""' for word in command)
    return (f'[[election]]\nname = "db"\nttl = {TTL}\n[[election.resource]]\nname = "writer"\n'
            f'type = "process"\ncommand = [{quoted}]\n')


def _clocks(machine: Machine) -> tuple[dict[str, float], int, Span]:
    rtc = int(machine.run("cat /sys/class/rtc/rtc0/since_epoch"))
    answer, span = machine.clocks()
    return answer, rtc, span


def _gain(before: dict[str, float], after: dict[str, float]) -> float:
    return (after["wall"] - before["wall"]) - (after["boot"] - before["boot"])


def test_a_machine_that_stood_still_is_soon_put_right(machine: Machine, ear: Ear, tmp_path: Path) -> None:
    """Its clocks have not counted the pause; its next renewal tells it, and its token is the smaller."""
    machine.run("kill $(pidof etcd); modprobe -a virtio_net virtio_pci")
    machine.wait_for("the network", "ip addr add 10.0.2.15/24 dev eth0")
    machine.run("ip link set eth0 up")
    with Cluster(1, directory=tmp_path / "etcd") as cluster:
        record = HolderRecord(1, "nobody", 1, "released", TTL, float(TTL), float(TTL), 0.1)
        cluster.etcdctl("put", "/leaderd/control/db/holder", record.encode())
        old = Guest(machine, election(HOST, ear.port), cluster.endpoints[0].replace("127.0.0.1", HOST))
        old.start()
        old.wait_leads()
        wait_for("the first write", lambda: bool(ear.heard), 20)
        token = ear.heard[-1][1]
        node = Node("other", tmp_path / "other", cluster.endpoints, election("127.0.0.1", ear.port))
        node.start()
        try:
            before, rtc, span = _clocks(machine)
            machine.pause()
            wait_for("the next writer", lambda: ear.heard[-1][1] > token, 4 * TTL)
            taken = ear.heard[-1][0]
            time.sleep(1.0)
            resumed = time.monotonic()
            machine.go_on()
            after, rtc_after, last = _clocks(machine)
            stood = (last.first - span.last) - (after["boot"] - before["boot"])
            print(f"paused {resumed - span.last:.1f} s; the guest missed {stood:.1f} s of it, its wall clock "
                  f"{stood - _gain(before, after):.1f} s; its hardware clock went on by {rtc_after - rtc} s")
            time.sleep(2 * TTL)
        finally:
            node.stop()
            node.wait(20)
        late = [at - resumed for at, said in ear.heard if said == token and at > taken]
        print(f"the old holder wrote {len(late)} times after the next had begun, "
              f"the last {max(late, default=0):.2f} s after it went on")
        assert all(at < 2.5 for at in late)
        assert late
        assert stood == pytest.approx(resumed - span.last, abs=0.5)
