"""Without any one rule of docs/design.md §2 a promise is seen to break; with it, the same seeds pass."""

import gc

import pytest

from tests.sim import scripts
from tests.sim.cases import CASES, Case
from tests.sim.rules import switched_off
from tests.sim.world import World


def _violation(case: Case, seed: int) -> str:
    violations = World(seed, case.mix).run().violations
    return violations[0] if violations else ""


@pytest.mark.timeout(300)
@pytest.mark.parametrize("case", CASES, ids=lambda case: " without ".join((case.rule, *case.covers)))
def test_each_rule_is_needed(case: Case) -> None:
    """A check fails without the rule, within a bounded number of seeds, and not with it."""
    with switched_off(case.rule, *case.covers):
        for seed in range(case.seeds):
            if seed % 50 == 0:
                gc.collect()
            found = _violation(case, seed)
            if found and case.finds in found:
                break
        else:
            pytest.fail(f"{case.seeds} schedules without {case.rule} passed")
    with switched_off(*case.covers):
        for other in {seed, *range(0, seed, max(1, seed // 20))}:
            found = _violation(case, other)
            assert case.finds not in found, f"seed {other} fails with {case.rule} on: {found}"
            assert case.covers or not found


def test_raft_terms_tell_a_stale_proof() -> None:
    """A read that shows our key proves nothing when the keepalive was acknowledged in an older term (R11)."""
    seeds = range(60)
    assert not [seed for seed in seeds if scripts.stale_proof(seed).violations]
    with switched_off("R11, terms"):
        assert any("overlap" in " ".join(scripts.stale_proof(seed).violations) for seed in seeds)


def test_a_leader_whose_lease_is_revoked_stops_at_once() -> None:
    """The loss of the own key ends a hold within the time of a stop, not at `stop_at` (R7)."""
    assert max(scripts.revoked_under_a_leader(seed) for seed in range(8)) < 0.3
    with switched_off("R7"):
        assert min(scripts.revoked_under_a_leader(seed) for seed in range(8)) > 1.0
