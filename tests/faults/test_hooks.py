"""Bad hooks under real daemons: the node with the bad one makes room, and the others never pay for it."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from leaderd.demo.nodes import Node, descendants
from tests.faults.actions import kill
from tests.faults.figures import figure
from tests.faults.stage import Stage
from tests.faults.trio import WRITER, command, now, python, wait_for

pytestmark = pytest.mark.timeout(180)

MIB = 1 << 20


def hooks_of(stage: Stage, node: Node) -> list[str]:
    """Return the command lines of a node's misbehaving hooks and what they left."""
    return [line for pid in descendants(node.guard) if "misbehave.py" in (line := command(pid))]


@pytest.mark.parametrize("mode", ["hang", "deaf"])
def test_start_that_hangs(stage: Stage, mode: str) -> None:
    """A start that never ends, with daemons and deaf to SIGTERM or not, is killed; another node leads."""
    bad = stage.add("bad", stage.misbehaves(mode), more="start_timeout = 1.5")
    stage.wait_state(bad, "promoting")
    good = stage.add("good")
    stage.wait_held_by(good)
    report = stage.report(bad)
    assert report["state"] in {"standby", "candidate"}
    wait_for("the end of the bad hook", lambda: not hooks_of(stage, bad), 5)


@pytest.mark.parametrize("kind", ["missing", "not executable", "exit 1"])
def test_start_that_fails(stage: Stage, tmp_path: Path, kind: str) -> None:
    """A start that cannot be run or fails: the node backs off, says so, and another leads."""
    plain = tmp_path / "plain"
    plain.write_text("#!/bin/sh\n")
    start = {"missing": '["/nonexistent/hook"]', "not executable": json.dumps([str(plain)]),
             "exit 1": stage.misbehaves("fail").replace("]", ', "start"]')}[kind]
    bad = stage.add_text("bad", (
        f'[[election]]\nname = "{stage.name}"\nttl = {stage.ttl}\n[[election.resource]]\nname = "writer"\n'
        f'type = "script"\nstart = {start}\nstop = ["true"]\n'
    ))
    wait_for("the failure in the log", lambda: '"reason": "start-failed"' in bad.log.read_text(), 20)
    good = stage.add("good")
    stage.wait_held_by(good)
    assert stage.report(bad)["state"] in {"standby", "candidate"}
    assert all(hold.node == "good" for hold in stage.holds())


def test_hook_that_is_missing_altogether(stage: Stage) -> None:
    """Without a stop that can be run nothing is known to be stopped: the node never competes."""
    bad = stage.add("bad", '["/nonexistent/hook"]')
    report = stage.wait_state(bad, "fenced")
    assert "fenced" in bad.log.read_text()
    good = stage.add("good")
    stage.wait_held_by(good)
    assert stage.report(bad)["state"] == "fenced", report


def test_stop_that_fails(stage: Stage) -> None:
    """A stop that fails: fenced, nothing released, the lease runs out; all is well once it succeeds."""
    flag = Path(f"{stage.notes}.fail")
    bad = stage.add("bad", stage.misbehaves("ok", "fail-if"))
    stage.wait_held_by(bad)
    good = stage.add("good")
    stage.wait_state(good, "candidate")
    token = stage.last().token
    flag.touch()
    begun = now()
    kill_by_key(stage, bad)
    stage.wait_state(bad, "fenced")
    assert stage.record()["state"] == "held"
    assert stage.record()["token"] == token
    stage.wait_held_by(good)
    figure(f"stop failed → next start {stage.last().start_at - begun:.3f} s")
    assert stage.report(bad)["state"] == "fenced"
    flag.unlink()
    stage.wait_state(bad, "candidate", timeout=90)
    stage.check()
    kill(good, agent=True)
    stage.wait_held_by(bad)


def kill_by_key(stage: Stage, node: Node) -> None:
    """Take the leader's key away, which makes it step down at once."""
    stage.cluster.etcdctl("del", f"/leaderd/election/{stage.name}/{stage.report(node)['lease']}")


def test_slow_hooks_are_in_time(stage: Stage) -> None:
    """Start and stop that take 95 % of their time are as good as any."""
    node = stage.add("slow", stage.misbehaves("slow", "slow"), more="start_timeout = 4.0\nstop_timeout = 2.0")
    stage.wait_state(node, "leader")
    node.stop()
    assert node.wait(20) == 0, stage.tails()
    assert "stop failed" not in node.log.read_text()
    assert stage.record()["state"] == "released"


def test_stop_that_overruns(stage: Stage, tmp_path: Path) -> None:
    """A stop that overruns is killed; the guard kills the term and runs the fence command, as a hook."""
    seen = tmp_path / "seen"
    fence = [sys.executable, "-I", "-S", "-c",
             f"import json, os; open({str(seen)!r}, 'a').write(json.dumps(dict(os.environ)) + chr(10))"]
    bad = stage.add("bad", stage.misbehaves("ok", "deaf"),
                    more=f'fence = ["kill", "command"]\nfence_command = {json.dumps(fence)}')
    stage.wait_held_by(bad)
    good = stage.add("good")
    stage.wait_state(good, "candidate")
    token, begun = stage.last().token, now()
    kill_by_key(stage, bad)
    wait_for("the fence command", seen.exists, 20)
    stage.wait_state(bad, "fenced")
    stage.wait_held_by(good)
    figure(f"stop overran → next start {stage.last().start_at - begun:.3f} s")
    env = json.loads(seen.read_text().splitlines()[0])
    assert {env[f"LEADERD_{name}"] for name in ("ACTION", "ELECTION", "NODE", "TOKEN")} == {
        "fence", stage.name, "bad", str(token)}
    assert float(env["LEADERD_TIMEOUT"]) <= stage.ttl
    assert int(env["LEADERD_SEQUENCE"]) > 0
    assert not any("write bad" in command(pid) for pid in stage.marked())
    # The stop would overrun for ever.
    bad.kill()


def test_careless_stop_and_a_dead_agent(stage: Stage) -> None:
    """A daemon that no stop would find ends with the agent, since the guard kills all that it started."""
    text = (f'[[election]]\nname = "{stage.name}"\nttl = {stage.ttl}\n[[election.resource]]\n'
            f'name = "writer"\ntype = "script"\nstop = ["true"]\n'
            f'start = {python(WRITER, str(stage.notes), "start")}\n')
    bad = stage.add_text("bad", text)
    stage.wait_held_by(bad)
    good = stage.add("good")
    stage.wait_state(good, "candidate")
    kill(bad, agent=True)
    stage.wait_held_by(good)


@pytest.mark.root
def test_careless_stop_contained(stage: Stage) -> None:
    """A contained daemon that no stop would find ends with the term."""
    text = (f'[[election]]\nname = "{stage.name}"\nttl = {stage.ttl}\n[[election.resource]]\n'
            f'name = "writer"\ntype = "script"\ncontain = true\nstop = ["true"]\n'
            f'start = {python(WRITER, str(stage.notes), "start")}\n')
    bad = stage.add_text("bad", text)
    stage.wait_held_by(bad)
    good = stage.add("good")
    stage.wait_state(good, "candidate")
    stage.revoke(bad)
    stage.wait_held_by(good)
    stage.wait_state(bad, "candidate")


@pytest.mark.parametrize("contain", [False, pytest.param(True, marks=pytest.mark.root)])
def test_flood(stage: Stage, contain: bool) -> None:
    """A gigabyte of output costs neither memory nor the leadership."""
    node = stage.add("loud", stage.misbehaves("flood"), contain=contain, more="start_timeout = 90.0")
    stage.wait_state(node, "promoting")
    watch = MemoryWatch(node)
    watch.until(lambda: stage.report(node).get("state") == "leader")
    watch.judge(f"1 GB of output at start{', contained' if contain else ''}")
    assert len(stage.holds()) == 1


def test_flood_with_a_dead_agent(stage: Stage) -> None:
    """A gigabyte of output of a stop that the guard runs costs the guard no memory."""
    stage.ttl = 20
    node = stage.add("loud", stage.misbehaves("ok", "flood"), more="stop_timeout = 12.0")
    stage.wait_held_by(node)
    token = stage.last().token
    watch = MemoryWatch(node)
    kill(node, agent=True)
    watch.until(lambda: not stage.leads() and stage.record() != {} and stage.record()["state"] == "released")
    watch.judge("1 GB of output at a stop by the guard")
    assert stage.last().token >= token


class MemoryWatch:
    """Measures all processes of a node but its hooks, again and again."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._agent = node.agent
        self._first: dict[int, int] = {}
        self._most: dict[int, int] = {}
        self._seconds = 0.0

    def until(self, done: Callable[[], bool]) -> None:
        """Measure until it is so."""
        begun = now()

        def look() -> bool:
            for pid in (self._node.guard, *descendants(self._node.guard)):
                if (memory := pss(pid)) and "faults/" not in command(pid):
                    self._first.setdefault(pid, memory)
                    self._most[pid] = max(self._most.get(pid, 0), memory)
            return done()

        wait_for("the end of the flood", look, 90)
        self._seconds = now() - begun

    def judge(self, what: str) -> None:
        """Note the figures; assert that nobody has grown, nor the log beyond reason."""
        guard, agent = self._most[self._node.guard] / MIB, self._most.get(self._agent, 0) / MIB
        rest = max(m for p, m in self._most.items() if p not in (self._node.guard, self._agent)) / MIB
        # Others begin small and grow into what they are: a worker, a new agent.
        old = (self._node.guard, self._agent)
        growth = max((self._most[pid] - self._first[pid]) / MIB for pid in self._most if pid in old)
        figure(f"{what} in {self._seconds:.1f} s: guard {guard:.1f} MiB, agent {agent:.1f} MiB, "
               f"largest other {rest:.1f} MiB; growth of guard and agent at most {growth:.1f} MiB")
        assert growth < 16
        assert rest < 64
        assert self._node.log.stat().st_size < 32 * MIB


def pss(pid: int) -> int:
    """Return a process's proportional share of memory in bytes, 0 when it is gone or not to be read."""
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return 0
    found = [int(line.split()[1]) * 1024 for line in text.splitlines() if line.startswith("Pss:")]
    return found[0] if found else 0
