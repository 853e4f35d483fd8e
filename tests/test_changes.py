"""Which differences between two plans a running daemon takes over."""

from dataclasses import fields, is_dataclass, replace
from typing import Any

import pytest

from leaderd import plan as module
from leaderd.changes import SAFE, SAFE_SETTINGS, Change, adopt, compare
from leaderd.errors import GuardError
from leaderd.plan import ApiPlan, CheckPlan, ElectionPlan, EtcdPlan, NotifyPlan, Plan, ResourcePlan
from tests.config.helpers import good, loaded

# Decided: these need a restart. A field of a plan that is neither here nor safe has not been thought about.
REFUSED = {
    Plan: {"node", "root", "state_dir"},
    ApiPlan: {"socket", "socket_group", "http"},
    ElectionPlan: {
        "name", "ttl", "retry_period", "attempt_timeout", "hedge_after", "stop_timeout", "kill_time",
        "start_timeout", "margin", "clock_drift", "guarantee", "fence", "fence_command", "watchdog_device",
    },
    ResourcePlan: {"name", "type"},
}
# Looked into, or taken over whole.
PARTS = {Plan: {"etcd", "api", "elections"}, ElectionPlan: {"resources"}, ResourcePlan: {"settings"}}
WHOLE = {NotifyPlan, CheckPlan}


def test_every_field_of_every_plan_is_decided() -> None:
    """A new field must be put on one side."""
    kinds = [each for each in vars(module).values() if isinstance(each, type) and is_dataclass(each)]
    assert len(kinds) == 7
    for kind in set(kinds) - WHOLE:
        sets = (SAFE.get(kind, set()), REFUSED.get(kind, set()), PARTS.get(kind, set()))
        named = [name for names in sets for name in names]
        assert sorted(named) == sorted(field.name for field in fields(kind)), kind


def base(**changes: Any) -> Plan:
    return loaded(good(vip__announce_interval=60.0, **changes)).plan


def edited(plan: Plan, **changes: Any) -> Plan:
    return replace(plan, elections=(replace(plan.elections[0], **changes),))


def more(name: str) -> Plan:
    return replace(base(), elections=(*base().elections, replace(base().elections[0], name=name)))


def keys(changes: tuple[Change, ...]) -> list[str]:
    return [change.key for change in changes]


def test_nothing_has_changed() -> None:
    """Then nothing differs, and nothing is taken over."""
    difference = compare(base(), base())
    assert (difference.safe, difference.refused) == ((), ())
    assert adopt(base(), ()) == base()


def test_all_that_is_safe_can_be_taken_over() -> None:
    """Through JSON, as between guard and agent."""
    old = base()
    (election,) = old.elections
    vip = election.resources[-1]
    new = replace(
        old, log="text" if old.log == "json" else "json", log_level="debug",
        etcd=EtcdPlan(("https://x:1", "https://y:2"), "/ca", "/cert", "/key", "u", "/password"),
        elections=(replace(
            election, priority=7, notify=NotifyPlan(("/n",), 1.0), check=CheckPlan(("/c",), 1.0, 0.5, 1, 1),
            resources=(*election.resources[:-1],
                       replace(vip, settings={**vip.settings, "announce_interval": 5.0})),
        ),),
    )
    difference = compare(old, new)
    assert not difference.refused
    assert set(keys(difference.safe)) == {
        "log", "log_level", "etcd.endpoints", "etcd.ca_file", "etcd.cert_file", "etcd.key_file", "etcd.user",
        "etcd.password_file", "election.db.priority", "election.db.notify", "election.db.check",
        "election.db.resource.address.announce_interval",
    }
    assert adopt(old, difference.safe) == new
    assert adopt(new, compare(new, old).safe) == old


def test_hooks_come_and_go() -> None:
    """None is a value."""
    old, new = base(), edited(base(), notify=None, check=None)
    assert adopt(old, compare(old, new).safe) == new
    assert adopt(new, compare(new, old).safe) == old


@pytest.mark.parametrize(("new", "refused"), [
    (replace(base(), root="/other", node="b"), ["node", "root"]),
    (replace(base(), api=replace(base().api, socket="/other")), ["api.socket"]),
    (edited(base(), ttl=20, fence=("kill", "reboot")), ["election.db.ttl", "election.db.fence"]),
    (replace(base(), elections=()), ["election.db"]),
    (more("log"), ["election.log"]),
    (more("a.b"), ["election.'a.b'"]),
    (edited(base(), resources=base().elections[0].resources[::-1]), ["election.db.resource"]),
    (edited(base(), resources=()), ["election.db.resource"]),
    (loaded(good(vip__announce_interval=60.0, vip__interface="eth1", script__command=["/x"])).plan,
     ["election.db.resource.app.command", "election.db.resource.address.interface"]),
])
def test_the_rest_is_refused(new: Plan, refused: list[str]) -> None:
    """By the dotted key, and never taken over, whoever asks for it."""
    difference = compare(base(), new)
    assert keys(difference.refused) == refused
    assert not difference.safe
    with pytest.raises(GuardError):
        adopt(base(), difference.refused)


def test_the_order_of_elections_means_nothing() -> None:
    two = more("x")
    difference = compare(two, replace(two, elections=two.elections[::-1]))
    assert (difference.safe, difference.refused) == ((), ())


@pytest.mark.parametrize("path", [
    (), ("log", "x", "y"), ("nowhere", "x"), ("election", "none", "priority"), ("election", "db"),
    ("election", "db", "resource", "none", "announce_interval"), ("election", "db", "shoe_size"), ("bogus",),
])
def test_changes_of_nothing_are_no_changes(path: tuple[str, ...]) -> None:
    with pytest.raises(GuardError):
        adopt(base(), (Change(path, 1),))


def test_settings_are_safe_by_their_kind() -> None:
    """A setting of that name means nothing elsewhere."""
    assert set(SAFE_SETTINGS) == {"vip"}
    assert compare(base(), loaded(good(vip__announce_interval=5.0)).plan).safe[0].value == 5.0
