"""Elections at least one keep an address without etcd, and are down to one holder once it is back."""

from unittest.mock import patch

import pytest

from tests.sim.floor import PATCHES, run, under_any_faults, without_etcd
from tests.sim.mix import Mix

SEEDS = range(25)
MUST_HAPPEN = (
    "taken without etcd", "ended: kernel lifetime", "fault: agent killed", "fault: power off",
    "fault: nodes apart", "fault: agent stopped", "fault: shut down",
)


def test_the_address_is_somewhere_without_etcd_and_at_one_node_with_it() -> None:
    """The leader keeps it, another takes it when that dies, one has it once etcd is back; no flapping."""
    violations, counts = run(without_etcd, SEEDS)
    assert not violations, "\n".join(violations)
    assert not [what for what in MUST_HAPPEN if not counts.get(what)]


def test_one_node_has_it_after_any_faults() -> None:
    """The faults of all other schedules, and cuts of the address's own network, leave exactly one holder."""
    violations, counts = run(under_any_faults, SEEDS, Mix(length=18.0))
    assert not violations, "\n".join(violations)
    assert counts["taken without etcd"]


@pytest.mark.parametrize(("rule", "finds", "first"), [
    ("keep", "lost", 0), ("take", "nobody", 0), ("yield", "not one", 16), ("obey", "not one", 7),
])
def test_each_rule_is_needed(rule: str, finds: str, first: int) -> None:
    """Without it a check fails; `first` is a seed from which on it is found soon."""
    target, name, replacement = PATCHES[rule]
    with patch.object(target, name, replacement):
        for seed in range(first, first + 200):
            if any(f" {finds}" in each for each in run(without_etcd, range(seed, seed + 1))[0]):
                return
    pytest.fail(f"200 schedules without the rule {rule} passed")
