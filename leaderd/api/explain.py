"""Why this node leads or does not, in sentences made from the status report and the plan.

Pure: values in, sentences out. Nothing is said that the status does not say too; this puts it in order.
"""

from collections.abc import Mapping
from typing import Any, Final

from leaderd.budget import failovers, timing_of
from leaderd.enforcers import enforcers
from leaderd.plan import ElectionPlan

_PROMISES: Final = {
    "at-most-one": "At most one node holds the resources: rather none than two.",
    "at-least-one": "At least one node holds the address: while etcd does not answer to all, two may.",
}
# The reasons of docs/interfaces.md §3, as the end of a sentence.
_REASONS: Final = {
    "elected": "it was elected",
    "switchover": "an operator handed the leadership over",
    "preempted": "a node with a larger priority is preferred",
    "shutdown": "the daemon is being stopped",
    "lease-lost": "its lease or key was gone from etcd",
    "store-lost": "etcd did not prove a renewal in time",
    "unhealthy": "its own check says that it may not lead",
    "standby": "an operator put it on standby",
    "start-failed": "its resources did not start",
    "resource-failed": "one of its resources failed",
    "agent-died": "its agent died",
    "guard-died": "its guard died",
    "revision-regressed": "etcd went back in time, as after a restore",
    "startup": "it is starting up and stops first whatever an earlier run may have left",
}
# What a standby of this reason waits for.
_WAITS: Final = {
    "startup": "For the stop of what an earlier run may have left; then it competes.",
    "unhealthy": "For its check to succeed often enough in a row.",
    "standby": "For an operator: `leaderd online {name}`.",
    "start-failed": "For a delay that grows with each failed start; then it competes again.",
    "resource-failed": "For a delay that grows with each failure; then it competes again.",
    "store-lost": "For etcd to answer; then it competes again.",
    "lease-lost": "For a new lease; then it competes again.",
}


def explain(node: str, election: Mapping[str, Any], plan: ElectionPlan) -> dict[str, Any]:
    """Return one election as `Explanation` in the protocol has it.

    Args:
        node: This one.
        election: As in docs/interfaces.md §5.
        plan: Of the same election.
    """
    return {
        "name": election["name"],
        "promise": _PROMISES[election["guarantee"]],
        "why": _why(node, election),
        "waits": _waits(node, election),
        "enforcers": [
            dict(zip(("resource", "type", "agent", "kernel", "guard", "alone"), row, strict=True))
            for row in enforcers(plan)
        ],
        "failure": _failure(node, election, plan),
    }


def _why(node: str, election: Mapping[str, Any]) -> list[str]:
    state, leader = election["state"], election["leader"]
    said = [_stands(node, election, _reason(election))]
    if state not in ("leader", "promoting"):
        said.append(f"Node {leader} leads." if leader else "Nobody leads.")
    if not election["healthy"] and election["reason"] != "unhealthy":
        said.append("Its check says that it may not lead.")
    return said + ([f"{_sentence(election['detail'])}"] if election["detail"] else [])


def _stands(node: str, election: Mapping[str, Any], reason: str) -> str:
    match election["state"]:
        case "leader" if not election["proven"]:
            return (f"Node {node} holds the address without etcd: no proof and no token, and a node that it "
                    f"cannot hear may hold it too; without another silence of the network it lets go in "
                    f"{max(0.0, election['valid_for']):.1f} s.")
        case "promoting" if not election["proven"]:
            return f"Node {node} takes the address without etcd, as nobody on the network has it."
        case "demoting" if not election["proven"]:
            return f"Node {node} lets go of an address that it held without etcd."
        case "leader" if election["valid_for"] > 0:
            return (f"Node {node} leads with token {election['token']}{reason}; its lease is proven, "
                    f"and without another renewal it leads {election['valid_for']:.1f} s more.")
        case "leader":
            return f"Node {node} led until its lease ran out; it must be treated as not leading."
        case "promoting":
            return f"Node {node} has won with token {election['token']} and is starting its resources."
        case "demoting":
            return f"Node {node} is stopping its resources{reason}."
        case "fenced":
            return (f"Node {node} is fenced: a stop failed or could not be verified{reason}. "
                    "It takes nothing and releases nothing before it is clean.")
        case "candidate":
            return f"Node {node} does not lead; it has a key in the queue and renews its lease."
    return f"Node {node} does not compete{reason}."


def _reason(election: Mapping[str, Any]) -> str:
    reason = election["reason"]
    return f", because {_REASONS.get(reason, reason)}" if reason else ""


def _waits(node: str, election: Mapping[str, Any]) -> list[str]:
    name, waits = election["name"], []
    if election["paused"]:
        waits.append(f"For an operator: the election is paused, and nobody is newly promoted before "
                     f"`leaderd resume {name}`.")
    if election["blocked"]:
        waits.append(f"For an operator: {election['blocked']}. If etcd was restored from a backup, "
                     f"`leaderd epoch raise {name}`.")
    if not election["proven"]:
        return [*waits, "For etcd to answer: then one node is elected, and keeps the address alone."]
    match election["state"]:
        case "candidate":
            waits.append(_turn(node, election))
        case "promoting":
            started = [f"{each['name']} is {each['state']}" for each in election["resources"]]
            waits.append(f"For its resources to start: {', '.join(started) or 'there are none'}.")
        case "demoting":
            waits.append("For its resources to stop; only then the leadership is given up.")
        case "fenced":
            waits.append("For a stop that succeeds: correct what its log names, or run the stop by hand; "
                         "leaderd goes on trying.")
        case "standby" if election["reason"] in _WAITS:
            waits.append(_WAITS[election["reason"]].format(name=name))
    return waits


def _turn(node: str, election: Mapping[str, Any]) -> str:
    before = []
    for key in election["candidates"]:
        if key["node"] == node:
            break
        before.append(key["node"])
    if not before:
        return "For the window of whoever led before to close; it is first in the queue."
    behind = f", and behind {', '.join(before[1:])}" if len(before) > 1 else ""
    return f"For {before[0]} to give the leadership up or lose it{behind}."


def _failure(node: str, election: Mapping[str, Any], plan: ElectionPlan) -> list[str]:
    """Return what happens when this node fails now, with the worst times."""
    if election["state"] not in ("leader", "promoting"):
        leader = election["leader"]
        return [f"If {node} fails now, {leader} goes on leading." if leader and leader != node
                else f"If {node} fails now, it holds nothing that anybody would have to wait for."]
    if not election["proven"]:
        window = timing_of(plan).window
        return [
            f"If {node} fails now, another node takes the address once nobody has had it for {plan.ttl} s.",
            f"What is left here the kernel ends, at most {window:.1f} s after the network was last asked.",
        ]
    others = [key["node"] for key in election["candidates"] if key["node"] != node]
    rows = {cause: (seconds, why) for cause, seconds, why in failovers(plan, timing_of(plan))}
    said = [f"{what}: nobody leads for {rows[cause][0]}, since {rows[cause][1]}." for what, cause in (
        ("If the agent is killed now", "agent killed"),
        ("If guard and agent are killed at once", "guard and agent lost"),
        ("If the whole node is lost", "node lost"),
    )]
    heir = f"Then {others[0]} takes over." if others else (
        f"No other node is in the queue: nobody takes over before {node} is back.")
    return [*said, heir]


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}{'' if text.endswith('.') else '.'}"
