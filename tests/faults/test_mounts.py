"""One disk, two nodes: mounted by at most one, whatever dies; an OCF monitor that fails moves the group."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from leaderd.demo.nodes import Node
from leaderd.resources.mountinfo import mounts, top
from tests.cluster import Cluster
from tests.faults.actions import kill
from tests.faults.figures import figure
from tests.faults.stage import Stage
from tests.faults.trio import WRITER, now, python, wait_for

pytestmark = [pytest.mark.timeout(180), pytest.mark.skipif(os.geteuid() != 0, reason="needs root to mount")]
DUMMY = Path("/usr/lib/ocf/resource.d/heartbeat/Dummy")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """One etcd member: nothing here depends on more."""
    with Cluster(1, directory=tmp_path_factory.mktemp("etcd")) as running:
        yield running


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[str]:
    """A loop device with ext4 on it, that nobody has mounted at the end."""
    image = tmp_path / "image"
    with image.open("wb") as file:
        file.truncate(16 << 20)
    try:
        subprocess.run(["mkfs.ext4", "-q", image], check=True)
        made = subprocess.run(["losetup", "-f", "--show", image], check=True, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no loop devices here: {error}")
    device = made.stdout.strip()
    yield device
    left = [each.target for each in mounts() if each.source == device]
    for target in left:
        subprocess.run(["umount", target], check=True)
    subprocess.run(["losetup", "-d", device], check=True)
    assert not left


@pytest.fixture
def stage(cluster: Cluster, disk: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Stage]:
    """An election for one case; at its end no two have held, and nothing is left behind."""
    name = "".join(c if c.isalnum() else "-" for c in request.node.name.lower()).strip("-")[:60]
    made = Stage(cluster, tmp_path / "nodes", name)
    try:
        yield made
        made.check()
        for node in made.nodes.values():
            node.stop()
        for node in made.nodes.values():
            node.wait(30)
        wait_for("the end of all that the nodes have started", lambda: not made.marked(), 10)
    finally:
        made.destroy()


def group(stage: Stage, first: str) -> str:
    """An election with this resource and a process after it, that notes when it runs."""
    writer = python(WRITER, str(stage.notes), "run")
    return (f'[[election]]\nname = "{stage.name}"\nttl = {stage.ttl}\n[[election.resource]]\n{first}\n'
            f'[[election.resource]]\nname = "writer"\ntype = "process"\ncommand = {writer}\n')


def target(stage: Stage, node: str) -> Path:
    path = stage.directory.parent / f"srv-{node}"
    path.mkdir(exist_ok=True)
    return path


def mounting(stage: Stage, disk: str, node: str, *, private: bool = False) -> Node:
    """Start a node that mounts the disk, each on a target of its own."""
    where = json.dumps(str(target(stage, node)))
    text = (f'name = "data"\ntype = "mount"\ndevice = "{disk}"\ntarget = {where}\n'
            f"private = {str(private).lower()}\n")
    return stage.add_text(node, group(stage, text))


def mounted(stage: Stage, node: str) -> bool:
    """Whether the host sees a node's mount."""
    return top(mounts(), str(target(stage, node))) is not None


@pytest.mark.parametrize("victim", ["agent", "guard"])
def test_the_disk_moves_when_agent_or_guard_dies(stage: Stage, disk: str, victim: str) -> None:
    """The other of the two unmounts it; a device that is mounted elsewhere would be refused."""
    first = mounting(stage, disk, "a")
    stage.wait_held_by(first)
    assert mounted(stage, "a")
    second = mounting(stage, disk, "b")
    stage.wait_state(second, "candidate")
    at = now()
    kill(first, **{victim: True})
    stage.wait_held_by(second, 30.0)
    figure(f"mount: kill -9 {victim}: the next has it after {stage.last().start_at - at:.2f} s")
    assert mounted(stage, "b")
    assert not mounted(stage, "a")


def test_the_disk_moves_when_everything_dies_and_it_is_private(stage: Stage, disk: str) -> None:
    """Nobody of ours is left to unmount it: the kernel does."""
    first = mounting(stage, disk, "a", private=True)
    stage.wait_held_by(first)
    assert not mounted(stage, "a")
    second = mounting(stage, disk, "b", private=True)
    stage.wait_state(second, "candidate")
    at = now()
    kill(first, guard=True, agent=True)

    def free() -> bool:
        try:
            os.close(os.open(disk, os.O_RDONLY | os.O_EXCL))
        except OSError:
            return False
        return True

    wait_for("the kernel to let the disk go", free, 3)
    figure(f"private mount: kill -9 guard and agent: unmounted after {now() - at:.2f} s")
    stage.wait_held_by(second, 30.0)


def test_a_disk_that_nobody_unmounts_is_not_mounted_twice(stage: Stage, disk: str) -> None:
    """Outside the promise (A6): on one host the next refuses it, until the first has cleaned up."""
    first = mounting(stage, disk, "a")
    stage.wait_held_by(first)
    second = mounting(stage, disk, "b")
    stage.wait_state(second, "candidate")
    kill(first, guard=True, agent=True)
    wait_for("the refusal", lambda: f"{disk} is mounted on {target(stage, 'a')} already"
             in second.log.read_text(), 30)
    assert mounted(stage, "a")
    assert not mounted(stage, "b")
    wait_for("the end of the first node", lambda: not first.running, 10)
    first.start()
    wait_for("the first node to clean up", lambda: not mounted(stage, "a") or stage.leads(), 30)
    wait_for("a leader", stage.leads, 30)


@pytest.mark.skipif(not DUMMY.exists(), reason="needs resource-agents")
def test_an_ocf_agent_whose_monitor_fails_moves_the_group(stage: Stage) -> None:
    """Its node steps down and stays out for a while; the other leads."""
    def dummy(node: str) -> Node:
        params = f'{{ state = "{stage.directory}/state-{node}" }}'
        return stage.add_text(node, group(stage, (
            f'name = "dummy"\ntype = "ocf"\nagent = "ocf:heartbeat:Dummy"\nparams = {params}\n'
            "monitor_interval = 0.5\n"
        )))

    first = dummy("a")
    stage.wait_held_by(first)
    second = dummy("b")
    stage.wait_state(second, "candidate")
    at = now()
    Path(f"{stage.directory}/state-a").unlink()
    stage.wait_held_by(second, 15.0)
    figure(f"ocf: the monitor fails: the next runs after {stage.last().start_at - at:.2f} s")
    assert "dummy: monitor says it is not running" in first.log.read_text()
    assert Path(f"{stage.directory}/state-b").exists()
    assert not Path(f"{stage.directory}/state-a").exists()
