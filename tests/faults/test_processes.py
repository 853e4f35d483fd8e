"""Kill or stop agent, guard or both of the leader: whoever dies, no two nodes hold."""

import pytest

from leaderd.demo.journal import overlaps
from tests.faults.actions import kill, pause_for, stopped
from tests.faults.figures import figure
from tests.faults.trio import Trio, now, wait_for

pytestmark = pytest.mark.timeout(180)

# A release saves the rest of the lease; noise on a busy machine does not cost this much.
AT_ONCE = 3.0


def test_kill_agent(trio: Trio) -> None:
    """Kill −9 of the agent: the guard stops and releases, the next node need not wait for the lease."""
    old, begun = trio.last(), now()
    kill(trio.leader(), agent=True)
    new = trio.next_term(old, trio.bound)
    figure(f"{trio.name}: agent killed → next start {new.start_at - begun:.3f} s")
    assert new.start_at - begun < AT_ONCE


def test_kill_guard(trio: Trio) -> None:
    """Kill −9 of the guard: the agent steps down in order, releases and ends."""
    old, begun = trio.last(), now()
    node = trio.leader()
    agent = node.agent
    kill(node, guard=True)
    new = trio.next_term(old, trio.bound)
    figure(f"{trio.name}: guard killed → next start {new.start_at - begun:.3f} s")
    assert new.start_at - begun < AT_ONCE
    wait_for("the agent's end", lambda: agent not in trio.marked(), trio.bound)


@pytest.mark.root
def test_kill_both_contained(contained: Trio) -> None:
    """Kill −9 of guard and agent at once: the kernel kills the contained writer with them."""
    contained.settle()
    old, begun = contained.last(), now()
    kill(contained.leader(), guard=True, agent=True)
    new = contained.next_term(old, contained.bound)
    lived = end_of(contained, old.token) - begun
    figure(f"contained: guard and agent killed → last beat {lived:.3f} s, "
           f"next start {new.start_at - begun:.3f} s")
    assert lived < 1.0
    contained.settle()
    contained.check()


def end_of(trio: Trio, token: int) -> float:
    """Return when the writer of a term was last seen."""
    return next(hold.end_at for hold in trio.holds() if hold.token == token)


def test_kill_both_plain_is_outside_the_promise(plain: Trio) -> None:
    """Kill −9 of guard and agent at once, nothing contained: the writer runs on beside the next one's.

    Nothing is left that could end it (assumption A6); the node's next start does.
    """
    plain.settle()
    plain.check()
    old = plain.last()
    kill(plain.leader(), guard=True, agent=True)
    new = plain.next_term(old, plain.bound)
    wait_for("the overlap", lambda: bool(overlaps(plain.holds()[-2:])), 5)
    figure(f"plain: guard and agent killed: outside the promise, {old.node} held on beside {new.node}")
    plain.settle()
    plain.forgive()
    plain.check()


def test_stop_agent(trio: Trio) -> None:
    """SIGSTOP of the agent beyond the TTL: the guard kills it and stops the writer in time."""
    old, begun = trio.last(), now()
    with stopped(trio.leader(), agent=True):
        new = trio.next_term(old, trio.bound)
        figure(f"{trio.name}: agent stopped → next start {new.start_at - begun:.3f} s")
        pause_for(max(0.0, begun + trio.ttl + 1 - now()))
    trio.check()


def test_stop_guard(plain: Trio) -> None:
    """SIGSTOP of the guard beyond the TTL costs nothing: it hears the renewals before it judges."""
    plain.settle()
    old = plain.last()
    with stopped(plain.leader(), guard=True):
        pause_for(plain.ttl + 1)
    pause_for(1.0)
    assert plain.last().token == old.token
    assert plain.leads()


@pytest.mark.root
def test_stop_both_contained(contained: Trio) -> None:
    """SIGSTOP of guard and agent beyond the TTL: the kernel's timer ends the agent and what it contains."""
    contained.settle()
    old, begun = contained.last(), now()
    with stopped(contained.leader(), guard=True, agent=True):
        new = contained.next_term(old, contained.bound)
        lived = end_of(contained, old.token) - begun
        figure(f"contained: guard and agent stopped → last beat {lived:.3f} s, "
               f"next start {new.start_at - begun:.3f} s")
        contained.check()
        pause_for(max(0.0, begun + contained.ttl + 1 - now()))
    contained.settle()
    contained.check()


def test_stop_both_plain_is_outside_the_promise(plain: Trio) -> None:
    """SIGSTOP of guard and agent beyond the TTL, nothing contained: the writer runs on until SIGCONT."""
    plain.settle()
    plain.check()
    old = plain.last()
    with stopped(plain.leader(), guard=True, agent=True):
        new = plain.next_term(old, plain.bound)
        wait_for("the overlap", lambda: bool(overlaps(plain.holds()[-2:])), 5)
    figure(f"plain: guard and agent stopped: outside the promise, {old.node} held on beside {new.node}")
    wait_for("the end of the old writer", lambda: now() - end_of(plain, old.token) > 0.5, plain.bound)
    plain.settle()
    plain.forgive()
    plain.check()


def test_agents_of_candidates_cost_nothing(plain: Trio) -> None:
    """Killing and stopping the agents of candidates leaves the leader alone."""
    plain.settle()
    old = plain.last()
    others = [node for node in plain.nodes.values() if node.name != old.node]
    kill(others[0], agent=True)
    with stopped(others[1], agent=True):
        pause_for(plain.ttl + 1)
    plain.settle()
    assert plain.last().token == old.token
