"""The preferred node gets the leadership back: in order, after its delay, once; and never while it is ill."""

import json
import time
from pathlib import Path

import pytest

from leaderd.demo.nodes import Node
from tests.cli.helpers import leaderd
from tests.faults.stage import Stage
from tests.faults.trio import now, wait_for

pytestmark = pytest.mark.timeout(120)
DELAY = 1.0
# What a handover may take beside the delay, on a machine with other work.
SLACK = 3.0


def settings(priority: int, well: Path) -> str:
    """Return the lines of an election whose check asks whether a file is there."""
    return (f"priority = {priority}\npreempt = true\npreempt_delay = {DELAY}\n"
            f'[election.check]\ncommand = {json.dumps(["/usr/bin/test", "-e", str(well)])}\n'
            "interval = 0.2\ntimeout = 1.0\nrise = 1\nfall = 2\n")


def past(node: Node) -> list[dict[str, object]]:
    """Return the history as a user gets it, newest first."""
    found: list[dict[str, object]] = json.loads(
        leaderd("history", "-o", "json", "--socket", str(node.socket)).stdout
    )
    return found


def stays_with(stage: Stage, node: Node) -> None:
    """Assert that nothing changes for longer than the delay of a handover."""
    token = stage.last().token
    time.sleep(DELAY + 1.0)
    assert (stage.last().token, stage.last().node) == (token, node.name), stage.tails(8)


def handed_back(stage: Stage, to: Node) -> None:
    """Assert that a node, which now enters the queue, is handed the leadership after the delay."""
    wait_for("the preferred node in the queue", lambda: stage.report(to).get("state") == "candidate", 10)
    entered_at, before = now(), stage.last()
    term = stage.next_term(before, DELAY + SLACK)
    assert term.node == to.name
    # It entered a moment before that was seen.
    assert term.start_at - entered_at > DELAY - 0.5
    stage.wait_state(to, "leader")
    _, ended, *_ = past(to)
    assert (ended["node"], ended["reason"], ended["clean"]) == (before.node, "preempted", True)


def test_the_leadership_is_handed_back_once_and_to_the_well_only(stage: Stage) -> None:
    """It returns, falls ill and recovers; five terms come of it, each for a reason."""
    well = stage.directory / "well"
    well.touch()
    preferred = stage.add("b", more=settings(200, well))
    stage.wait_state(preferred, "leader")
    deputy = stage.add("a", more=settings(50, well.parent))
    stage.wait_state(deputy, "candidate")
    preferred.stop()
    assert preferred.wait(20) == 0
    stage.wait_state(deputy, "leader")
    preferred.start()
    handed_back(stage, preferred)
    stays_with(stage, preferred)

    well.unlink()
    stage.wait_state(deputy, "leader")
    stage.wait_state(preferred, "standby")
    stays_with(stage, deputy)
    well.touch()
    handed_back(stage, preferred)
    stays_with(stage, preferred)
    terms = [(term["node"], term["reason"]) for term in reversed(past(preferred))]
    assert terms == [("b", "shutdown"), ("a", "preempted"), ("b", "unhealthy"), ("a", "preempted"), ("b", "")]
