"""Where the parts of a daemon meet: what one of them does must not break what another promises."""

from pathlib import Path

import pytest

from tests.faults.stage import Stage
from tests.faults.trio import nobody_holds, wait_for

pytestmark = pytest.mark.timeout(120)


def hook(path: Path, text: str) -> str:
    """Write a shell script; return its path in quotes."""
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return f'"{path}"'


def test_the_news_of_a_failed_stop_are_told_in_spite_of_the_fencing(stage: Stage, tmp_path: Path) -> None:
    """While the guard kills all that belongs to the election, its notify hook tells somebody."""
    told = tmp_path / "told"
    told.touch()
    resource = hook(tmp_path / "hook", f"[ $1 != stop ] || [ ! -e {tmp_path}/bad ]")
    notify = hook(tmp_path / "notify", f"sleep 0.5; echo $LEADERD_STATE >> {told}")
    node = stage.add_text("a", (
        f'[[election]]\nname = "{stage.name}"\nttl = 5\n'
        f'[[election.resource]]\nname = "r"\ntype = "script"\ncommand = [{resource}]\n'
        f"[election.notify]\ncommand = [{notify}]\n"
    ))
    stage.wait_state(node, "leader")
    wait_for("the news of the leader", lambda: told.read_text().endswith("leader\n"), 10)
    (tmp_path / "bad").touch()
    stage.revoke(node)
    stage.wait_state(node, "fenced")
    wait_for("the news of the failed stop", lambda: told.read_text().endswith("demoting\nfenced\n"), 10)
    (tmp_path / "bad").unlink()
    wait_for("a clean stop and a new term", lambda: told.read_text().endswith("leader\n"), 30)


@pytest.mark.parametrize("fault", ["revoked", "no etcd"])
def test_a_hanging_stop_spares_the_others(stage: Stage, tmp_path: Path, fault: str) -> None:
    """One is fenced, at `fence_at` and beyond; the agent lives on, and what else it leads goes on."""
    resource = hook(tmp_path / "hook", "[ $1 != stop ] || [ $LEADERD_REASON = startup ] || sleep 600")
    other = f"{stage.name}-other"
    nobody_holds(stage.cluster, other, 60)
    node = stage.add_text("a", (
        f'[[election]]\nname = "{stage.name}"\nttl = 5\n'
        f'[[election.resource]]\nname = "r"\ntype = "script"\ncommand = [{resource}]\n'
        f'[[election]]\nname = "{other}"\nttl = 60\n'
        f'[[election.resource]]\nname = "r"\ntype = "script"\nstart = ["true"]\nstop = ["true"]\n'
    ))
    stage.wait_state(node, "leader")
    wait_for("the other to lead", lambda: stage.report(node, 1)["state"] == "leader", 20)
    token, agent = stage.report(node, 1)["token"], node.agent
    if fault == "revoked":
        stage.revoke(node)
    else:
        for member in range(3):
            stage.cluster.pause(member)
    try:
        stage.wait_state(node, "fenced")
    finally:
        for member in range(3):
            stage.cluster.resume(member)
    # The guard's stops hang as well, until it gives up.
    wait_for("the guard's verdict", lambda: "not stopped" in node.log.read_text(), 20)
    after = stage.report(node, 1)
    assert (node.agent, after["state"], after["token"]) == (agent, "leader", token), stage.tails(8)


def test_what_elections_wait_for_at_the_end_does_not_add_up(stage: Stage) -> None:
    """A notify hook that hangs, in many elections of one daemon: the guard would not wait for one by one."""
    node = stage.add_text("a", "".join(
        f'[[election]]\nname = "{stage.name}-{number}"\n'
        f'[election.notify]\ncommand = ["/bin/sleep", "600"]\ntimeout = 600.0\n'
        for number in range(4)
    ))
    stage.wait_state(node, "candidate")
    node.stop()
    assert node.wait(12) == 0
