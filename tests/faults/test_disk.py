"""The disk of `state_dir` stalls: nothing that keeps the promise may wait for it."""

import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from leaderd.demo.nodes import Node
from tests.faults.figures import figure
from tests.faults.stage import Stage
from tests.faults.trio import now

pytestmark = [pytest.mark.root, pytest.mark.timeout(120)]


def run(*command: str) -> bool:
    """Run a program of the system's; return whether it succeeded."""
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


@contextmanager
def frozen(folder: Path) -> Iterator[None]:
    """Keep everybody from writing to a file system: they hang in the kernel, deaf to signals."""
    assert run("fsfreeze", "--freeze", str(folder))
    try:
        yield
    finally:
        assert run("fsfreeze", "--unfreeze", str(folder))


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own."""
    image, folder = tmp_path / "image", tmp_path / "disk"
    image.touch()
    folder.mkdir()
    made = run("truncate", "--size", "32M", str(image)) and run("mkfs.ext4", "-q", str(image))
    if not made or not run("mount", "-o", "loop", str(image), str(folder)):
        pytest.skip("file systems in files cannot be mounted here")
    try:
        yield folder
    finally:
        run("umount", "--lazy", str(folder))


FAULTS: dict[str, Callable[[Stage, Node], None]] = {
    "killed": lambda _stage, node: node.kill_agent(),
    "revoked": lambda stage, node: stage.revoke(node),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_stalled_disk(stage: Stage, disk: Path, fault: str) -> None:
    """Renewals go on; whatever ends the term, its stops are run, and the other node leads in time."""
    folder = stage.directory / "a"
    folder.mkdir(exist_ok=True)
    (folder / "state").symlink_to(disk)
    holder = stage.add("a")
    stage.wait_held_by(holder)
    heir = stage.add("b")
    stage.wait_state(heir, "candidate")
    with frozen(disk):
        # A write to etcd is something to remember, and the thread that writes it hangs.
        stage.cluster.etcdctl("put", "/elsewhere", "1")
        time.sleep(2 * stage.ttl + 1)
        assert stage.report(holder)["state"] == "leader"
        began = now()
        FAULTS[fault](stage, holder)
        stage.wait_held_by(heir)
        figure(f"disk stalled, {fault}: until the next start {stage.last().start_at - began:.2f} s")
        stage.check()
