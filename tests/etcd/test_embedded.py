"""The etcd that the demo brings along."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from leaderd.errors import EtcdError
from leaderd.etcd.embedded import EmbeddedCluster
from tests.cluster import Cluster, why_no_stall


def test_nothing_is_left_behind() -> None:
    """No process, no directory."""
    with EmbeddedCluster(1) as cluster:
        directory, pid = cluster.directory, cluster.members[0].pid
        assert directory.is_dir()
        assert cluster.members[0].healthy()
    assert not directory.exists()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_the_members_die_with_whoever_started_them(tmp_path: Path) -> None:
    """Even by SIGKILL."""
    program = (
        "import sys, pathlib\n"
        "from leaderd.etcd.embedded import EmbeddedCluster\n"
        "cluster = EmbeddedCluster(1, directory=pathlib.Path(sys.argv[1]))\n"
        "cluster.start()\n"
        "print(cluster.members[0].pid, flush=True)\n"
        "sys.stdin.read()\n"
    )
    starter = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert starter.stdout is not None
    pid = int(starter.stdout.readline())
    starter.kill()
    starter.communicate()
    until = time.monotonic() + 10
    while Path(f"/proc/{pid}").exists() and "State:\tZ" not in Path(f"/proc/{pid}/status").read_text():
        assert time.monotonic() < until, "etcd outlived its starter"
        time.sleep(0.02)


def test_a_program_that_does_not_come_up(tmp_path: Path) -> None:
    """Says what it wrote last."""
    broken = tmp_path / "etcd"
    broken.write_text("#!/bin/sh\necho cannot do that\nexit 1\n")
    broken.chmod(0o755)
    with pytest.raises(EtcdError, match="cannot do that"):
        EmbeddedCluster(1, program=broken).start()


def test_no_etcd_anywhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Says what to install."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(EtcdError, match=r"leaderd\[demo\]"):
        EmbeddedCluster(1).start()


def test_a_restored_snapshot_sets_revisions_back(tmp_path: Path) -> None:
    """What was written after it is gone."""
    with Cluster(1) as cluster:
        cluster.etcdctl("put", "a", "1")
        cluster.save_snapshot(tmp_path / "snapshot")
        cluster.etcdctl("put", "a", "2")
        cluster.restore_snapshot(tmp_path / "snapshot")
        assert cluster.etcdctl("get", "--print-value-only", "a").strip() == "1"


@pytest.mark.skipif(bool(why_no_stall()), reason=why_no_stall())
def test_a_stalled_disk_stalls_writes() -> None:
    """For as long as the fault lasts; three members, since a lone etcd 3.5.1 acknowledges unwritten data."""
    with Cluster(3) as cluster:
        leader = cluster.leader()
        begun = time.monotonic()
        with cluster.stalled_fsync(leader, 0.7):
            cluster.etcdctl("put", "a", "1", endpoints=(cluster.members[leader].client_url,))
        assert time.monotonic() - begun > 0.6
        cluster.etcdctl("put", "a", "2")
