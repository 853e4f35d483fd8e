"""Processes and checks under real daemons: dead with the agent, restarted in place, moved away when ill."""

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from leaderd.demo.nodes import Node, descendants
from tests.cluster import Cluster
from tests.faults.actions import kill
from tests.faults.figures import figure
from tests.faults.stage import Stage
from tests.faults.trio import WRITER, command, now, python, wait_for

pytestmark = pytest.mark.timeout(180)
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root for PID namespaces")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """One etcd member: nothing here depends on more."""
    with Cluster(1, directory=tmp_path_factory.mktemp("etcd")) as running:
        yield running


@pytest.fixture
def stage(cluster: Cluster, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Stage]:
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


def process(stage: Stage, *, argv: str = "", more: str = "", check: str = "") -> str:
    """Return an election with a process resource; the writer where no other command is given."""
    text = argv or python(WRITER, str(stage.notes), "run")
    return (f'[[election]]\nname = "{stage.name}"\nttl = {stage.ttl}\n'
            f'[[election.resource]]\nname = "writer"\ntype = "process"\ncommand = {text}\n{more}\n{check}\n')


def checked(directory: Path, node: str) -> str:
    """Return a check that succeeds while the file `well-NODE` is there."""
    argv = json.dumps(["test", "-e", str(directory / f"well-{node}")])
    return f"[election.check]\ncommand = {argv}\ninterval = 0.2\nrise = 2\nfall = 2\n"


def writers(stage: Stage, node: Node) -> list[int]:
    """Return the pids of a node's writers, as the host sees them."""
    mark = f"{stage.notes} run "
    return [pid for pid in descendants(node.guard) if mark in command(pid)]


@needs_root
@pytest.mark.parametrize("victims", [("agent",), ("guard",), ("guard", "agent")])
def test_a_process_dies_with_the_agent(stage: Stage, victims: tuple[str, ...]) -> None:
    """Contained by default; nothing of it outlives a SIGKILL of guard and agent, and another node leads."""
    first = stage.add_text("a", process(stage))
    stage.wait_held_by(first)
    second = stage.add_text("b", process(stage))
    stage.wait_state(second, "candidate")
    old, at = stage.last(), now()
    kill(first, **dict.fromkeys(victims, True))
    following = stage.next_term(old, stage.bound)
    ended = next(hold.end_at for hold in stage.holds() if hold.token == old.token)
    figure(f"process: kill -9 {' and '.join(victims)}: dead after {max(0.0, ended - at):.3f} s, "
           f"the next runs after {following.start_at - at:.2f} s")
    if victims == ("guard", "agent"):
        assert ended - at < 0.3
    assert following.start_at > ended


def test_a_process_that_dies_is_restarted_in_place_and_then_makes_room(stage: Stage) -> None:
    """The term goes on through `restart` deaths; one more, and the other node leads."""
    first = stage.add_text("a", process(stage, more="restart = 2"))
    stage.wait_held_by(first)
    second = stage.add_text("b", process(stage, more="restart = 2"))
    stage.wait_state(second, "candidate")
    token = stage.last().token
    for count in (1, 2):
        (pid,) = writers(stage, first)
        at = now()
        os.kill(pid, signal.SIGKILL)
        wait_for("the restart", lambda pid=pid: writers(stage, first) not in ([], [pid]), 10)
        figure(f"process: restart {count} in place after {now() - at:.2f} s")
        stage.wait_held_by(first)
        assert stage.last().token == token
        assert stage.report(first)["state"] == "leader"
    (pid,) = writers(stage, first)
    os.kill(pid, signal.SIGKILL)
    stage.wait_held_by(second)
    assert "was killed by SIGKILL" in first.log.read_text()
    assert first.log.read_text().count("restarted in place") == 2


def test_a_node_whose_process_does_not_get_ready_makes_room(stage: Stage) -> None:
    """It is not a leader before it is ready; when its time is over, it is stopped and another leads."""
    never = 'ready = { tcp = "127.0.0.1:1", timeout = 2.0 }'
    first = stage.add_text("a", process(stage, argv='["sleep", "1000"]', more=never))
    assert stage.wait_state(first, "promoting")["resources"][0]["state"] != "started"
    ready = f"ready = {{ command = {json.dumps(['test', '-e', str(stage.notes)])}, timeout = 10.0 }}"
    second = stage.add_text("b", process(stage, more=ready))
    stage.wait_held_by(second)
    assert stage.wait_state(second, "leader")["resources"] == [
        {"name": "writer", "type": stage.report(second)["resources"][0]["type"], "state": "started"}
    ]
    assert "not ready after 2 s (127.0.0.1:1)" in first.log.read_text()


def test_an_unhealthy_leader_hands_over_and_stays_out(stage: Stage, tmp_path: Path) -> None:
    """Its check fails: it stops in order, the other leads at once; well again, it only queues."""
    for node in "ab":
        (tmp_path / f"well-{node}").touch()
    first = stage.add_text("a", process(stage, check=checked(tmp_path, "a")))
    stage.wait_held_by(first)
    assert stage.report(first)["healthy"] is True
    second = stage.add_text("b", process(stage, check=checked(tmp_path, "b")))
    stage.wait_state(second, "candidate")
    old, at = stage.last(), now()
    (tmp_path / "well-a").unlink()
    following = stage.next_term(old, 10.0)
    ended = next(hold.end_at for hold in stage.holds() if hold.token == old.token)
    figure(f"unhealthy: {following.start_at - at:.2f} s after the illness began the other leads, "
           f"{following.start_at - ended:.3f} s after the process had ended")
    assert following.node == "b"
    report = stage.wait_state(first, "standby")
    assert (report["reason"], report["healthy"]) == ("unhealthy", False)
    assert report["detail"] == "check: it failed with exit code 1"
    assert stage.record()["node"] == "b"
    (tmp_path / "well-a").touch()
    assert stage.wait_state(first, "candidate")["healthy"] is True
    assert stage.last().node == "b"


def test_a_node_that_is_ill_from_the_start_never_competes(stage: Stage, tmp_path: Path) -> None:
    """Not even where nobody else does; it leads as soon as it is well."""
    node = stage.add_text("a", process(stage, check=checked(tmp_path, "a")))
    assert stage.wait_state(node, "standby")["healthy"] is False
    wait_for("the reason", lambda: stage.report(node).get("reason") == "unhealthy", 10)
    assert not stage.cluster.etcdctl("get", "--prefix", "--keys-only", f"/leaderd/election/{stage.name}/")
    (tmp_path / "well-a").touch()
    stage.wait_held_by(node)
