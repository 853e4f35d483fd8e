"""Explanations: for every state and reason there is a sentence, and each says the one thing that matters."""

import itertools
from dataclasses import replace
from typing import Any

import pytest

from leaderd.api.explain import explain
from leaderd.core.states import State
from leaderd.plan import ElectionPlan
from tests.api.fakes import election
from tests.config.helpers import good, loaded

PLAN: ElectionPlan = loaded(good()).plan.elections[0]
REASONS = (
    "", "elected", "switchover", "preempted", "shutdown", "lease-lost", "store-lost", "unhealthy", "standby",
    "start-failed", "resource-failed", "agent-died", "guard-died", "revision-regressed", "startup",
)


def said(node: str = "a", **facts: Any) -> dict[str, Any]:
    """Explain an election with some facts changed."""
    return explain(node, {**election(), **facts}, PLAN)


def queue(*nodes: str) -> list[dict[str, Any]]:
    return [{"node": node, "priority": 100, "revision": 7, "foreign": False} for node in nodes]


@pytest.mark.parametrize(("state", "reason"), list(itertools.product(State, REASONS)))
def test_every_state_and_reason_is_explained(state: State, reason: str) -> None:
    """In whole sentences, with nothing left open."""
    found = said(state=state.value, reason=reason)
    sentences = [found["promise"], *found["why"], *found["waits"], *found["failure"]]
    assert all(text[0].isupper() and text[-1] == "." and "{" not in text for text in sentences)
    assert found["why"]
    assert found["failure"]


def test_a_lease_that_has_run_out_is_no_leadership() -> None:
    """Whatever the state says."""
    assert said(valid_for=-0.1)["why"] == [
        "Node a led until its lease ran out; it must be treated as not leading."
    ]


def test_a_candidate_waits_for_those_before_it() -> None:
    """By name; first in the queue it waits for a window."""
    found = said("b", state="candidate", reason="", valid_for=0.0, candidates=queue("a", "c", "b"))
    assert found["why"][1] == "Node a leads."
    assert found["waits"] == ["For a to give the leadership up or lose it, and behind c."]
    assert found["failure"] == ["If b fails now, a goes on leading."]
    first = said("b", state="candidate", reason="", leader="", valid_for=0.0, candidates=queue("b", "a"))
    assert first["why"][1] == "Nobody leads."
    assert "to close; it is first in the queue." in first["waits"][0]


def test_what_an_operator_has_to_do_is_said_as_a_command() -> None:
    """Pause, standby, a restored etcd."""
    assert "`leaderd resume db`" in said(paused=True)["waits"][0]
    back = said(state="candidate", blocked="the etcd revision went back")
    assert "`leaderd epoch raise db`" in back["waits"][0]
    assert "`leaderd online db`" in said(state="standby", reason="standby")["waits"][0]


def test_who_enforces_what_is_the_table_of_check() -> None:
    """The same rows, with names."""
    rows = {row["resource"]: row for row in said()["enforcers"]}
    assert rows["app"] == {"resource": "app", "type": "script", "agent": "yes", "kernel": "no",
                           "guard": "yes", "alone": "no"}
    assert rows["server"]["alone"] == "yes"


def test_what_happens_when_it_dies_now() -> None:
    """With times, with who comes next, and with what would run on."""
    agent, both, node, heir = said()["failure"]
    assert agent.startswith("If the agent is killed now: nobody leads for ≤ 2.2 s")
    assert "app would run on: outside the promise" in both
    assert node.startswith("If the whole node is lost: nobody leads for ≤ 10.7 s")
    assert heir == "Then b takes over."
    assert said(candidates=queue("a"))["failure"][-1].startswith("No other node is in the queue")


def test_both_guarantees_are_named() -> None:
    """And they differ."""
    assert said()["promise"].startswith("At most one")
    assert said(guarantee="at-least-one")["promise"].startswith("At least one")


def test_a_holder_without_etcd_claims_no_proof() -> None:
    """Neither of a lease nor of a token; and it says what that costs."""
    plan = replace(PLAN, guarantee="at-least-one")
    for state, words in (("leader", "holds the address without etcd: no proof and no token"),
                         ("promoting", "takes the address without etcd"),
                         ("demoting", "lets go of an address")):
        found = explain("a", {**election(), "state": state, "guarantee": "at-least-one", "proven": False,
                              "token": 0, "reason": "store-lost"}, plan)
        assert words in found["why"][0]
        assert "token 0" not in found["why"][0]
        assert found["waits"][0].startswith("For etcd to answer: then one node is elected")
        if state != "demoting":
            assert "takes the address once nobody has had it for 10 s" in found["failure"][0]
