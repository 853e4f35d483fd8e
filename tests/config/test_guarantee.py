"""What an election at least one may hold: addresses, and nothing that two nodes must never have."""

from typing import Any

import pytest

from tests.config.helpers import loaded, problems

VIP = {"name": "address", "type": "vip", "address": "10.0.0.1/24", "interface": "eth0"}
MOUNT = {"name": "data", "type": "mount", "device": "/dev/sdb", "target": "/srv/data", "fstype": "ext4"}
SCRIPT = {"name": "app", "type": "script", "command": ["/bin/app"]}


def _tables(*resources: dict[str, Any], **settings: Any) -> dict[str, Any]:
    return {"node": "a", "etcd": {"endpoints": ["http://127.0.0.1:2379"]}, "election": [
        {"name": "web", "guarantee": "at-least-one", "resource": list(resources), **settings}]}


def test_addresses_may_be_held_by_at_least_one() -> None:
    """The plan says so to whoever builds the election."""
    assert loaded(_tables(VIP)).plan.elections[0].guarantee == "at-least-one"
    assert loaded(_tables(VIP, guarantee="at-most-one")).plan.elections[0].guarantee == "at-most-one"


@pytest.mark.parametrize(("resources", "words"), [
    ([MOUNT], "of type mount"), ([VIP, SCRIPT], "of type script"), ([SCRIPT, MOUNT], "mount and script"),
    ([], "needs a resource of type vip"),
])
def test_anything_else_is_refused_in_one_line(resources: list[dict[str, Any]], words: str) -> None:
    """With the key, the kinds and what to do."""
    [line] = problems(_tables(*resources))
    assert line.startswith("election.web.guarantee: ")
    assert words in line
    assert "\n" not in line


def test_nobody_is_fenced_for_holding() -> None:
    """A reboot to make sure of at most one would be for a promise that is not made."""
    [line] = problems(_tables(VIP, fence=["kill", "reboot"]))
    assert line.startswith("election.web.fence: must be left out")
