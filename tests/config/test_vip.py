"""An address in the configuration: its keys, what it does to the time budget, who else has it."""

from typing import Any

import pytest

from leaderd.budget import failovers, timing_of
from leaderd.enforcers import enforcers
from leaderd.plan import Plan
from tests.config.helpers import MACHINE, good, loaded, problems


def vips(*tables: dict[str, Any]) -> dict[str, Any]:
    """A configuration whose resources are these vips."""
    tables_ = good()
    tables_["election"][0]["resource"] = [
        {"name": f"v{number}", "type": "vip", "interface": "eth0", **table}
        for number, table in enumerate(tables)
    ]
    return tables_


def test_its_settings_and_defaults() -> None:
    """One address is a list of one; addresses are written as Python and the kernel would."""
    plan = loaded(vips({"address": "10.0.0.1/24"}, {
        "addresses": ["2001:DB8:0::1/64", "10.0.0.2/32"], "on_conflict": "take", "announce_interval": 5.0,
    })).plan
    assert [resource.settings for resource in plan.elections[0].resources] == [
        {"addresses": ["10.0.0.1/24"], "interface": "eth0", "on_conflict": "refuse",
         "announce_interval": 60.0},
        {"addresses": ["2001:db8::1/64", "10.0.0.2/32"], "interface": "eth0", "on_conflict": "take",
         "announce_interval": 5.0},
    ]
    assert Plan.decode(plan.encode()) == plan


@pytest.mark.parametrize(
    "address", ["10.0.0.0/31", "10.0.0.1/32", "169.254.1.1/16", "fe80::1/64", "2001:db8::/127"]
)
def test_unusual_addresses_that_are_right(address: str) -> None:
    """Both of a pair, a host alone, link-local ones."""
    assert problems(vips({"address": address})) == []


def test_address_or_addresses() -> None:
    """One of the two, and not both."""
    both = {"address": "10.0.0.1/24", "addresses": ["10.0.0.2/24"]}
    assert problems(vips(both)) == ["election.db.resource.v0.address: stands beside addresses; drop one"]
    [line] = problems(vips({}))
    assert line.startswith("election.db.resource.v0.address: is missing; write it with its prefix length")


def test_no_address_is_held_twice() -> None:
    """Within one resource or by two, in one election or in two, however it is written."""
    [line] = problems(vips({"address": "10.0.0.1/24"}, {"addresses": ["10.0.0.1/32", "10.0.0.2/32"]}))
    v0 = "election.db.resource.v0.address"
    assert line == f"election.db.resource.v1.address: 10.0.0.1 is held by {v0} already; one must go"
    [line] = problems(vips({"addresses": ["fd00::1/64", "fd00:0::1/128"]}))
    assert line.startswith(f"{v0}: fd00::1 is held by {v0}")
    tables = vips({"address": "10.0.0.1/24"})
    tables["election"].append({**tables["election"][0], "name": "web"})
    [line] = problems(tables)
    assert line.startswith(f"election.web.resource.v0.address: 10.0.0.1 is held by {v0}")
    twice = {"election": "x", "vip": ("10.0.0.1/24@eth0", "10.0.0.1/32@eth1")}
    [line] = problems({}, MACHINE, endpoint=("http://a:1",), **twice)
    assert line.startswith("--vip '10.0.0.1/32@eth1': 10.0.0.1 is held by --vip '10.0.0.1/24@eth0' already")


def test_the_budget_of_an_election_with_a_vip() -> None:
    """1.5 s of kill_time, in the plan as in the agent's own timing."""
    plan = loaded(good(vip__address="10.0.0.1/24")).plan.elections[0]
    assert plan.kill_time == 1.5
    assert timing_of(plan).vip
    assert timing_of(plan).stop_after == pytest.approx(5.2)
    assert not timing_of(loaded(good()).plan.elections[0]).vip


def test_a_ttl_below_five_needs_hand_set_parts() -> None:
    """INTERFACES §2; and a budget whose lifetimes would end under a healthy leader is refused."""
    assert problems(good(vip__address="10.0.0.1/24", election__ttl=5)) == []
    [line] = problems(good(vip__address="10.0.0.1/24", election__ttl=4))
    assert line.startswith("election.db: the time budget does not add up")
    by_hand = {
        "election__stop_timeout": 0.3, "election__attempt_timeout": 0.3, "election__retry_period": 0.3,
        "election__kill_time": 2.0,
    }
    assert problems(good(vip__address="10.0.0.1/24", election__ttl=4, **by_hand)) == []
    [line] = problems(good(vip__address="10.0.0.1/24", election__kill_time=0.5, election__stop_timeout=0.5))
    assert "with a vip the whole seconds of" in line


def test_a_wrong_vip_still_counts_for_the_budget() -> None:
    """Both are reported at once."""
    found = problems(good(vip__address="10.0.0.1", election__ttl=4))
    assert [line.split(":")[0] for line in found] == ["election.db.resource.address.address", "election.db"]


def test_quick_addresses() -> None:
    """As many as there are --vip, before the hook: what it starts finds its address."""
    plan = loaded({}, MACHINE, endpoint=("http://a:1",), election="x", on_start="a", on_stop="b",
                  vip=("10.0.0.1/24@eth0", "2001:db8::1/64@bond0.7")).plan.elections[0]
    assert [(resource.name, resource.type) for resource in plan.resources] == [
        ("vip", "vip"), ("vip1", "vip"), ("hook", "script"),
    ]
    assert plan.resources[1].settings["addresses"] == ["2001:db8::1/64"]
    assert plan.resources[1].settings["interface"] == "bond0.7"
    assert plan.kill_time == 1.5


def test_the_kernel_covers_it() -> None:
    """Also when everything of leaderd is dead at once, so that nothing runs on outside the promise."""
    plan = loaded(vips({"address": "10.0.0.1/24"})).plan.elections[0]
    assert enforcers(plan) == [("v0", "vip", "yes", "yes", "yes", "yes")]
    assert not any("outside the promise" in why for _, _, why in failovers(plan, timing_of(plan)))
