"""What each path of the HTTP interface answers: pure functions of the status report.

Source: docs/interfaces.md §6. Who leads is decided by `valid_for`, and who has a session by `lease`, which
the report computes when it is asked, and never by the last event.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]
# What `/leader` and the others tell about an election beside the code.
_TOLD = ("state", "reason", "detail", "leader", "token", "valid_for", "guarantee", "proven")


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer before it is put on the wire.

    Attributes:
        code: HTTP status.
        body: Becomes JSON.
        headers: Beside those that every answer has.
    """

    code: int
    body: Json
    headers: Mapping[str, str] = field(default_factory=dict)


def leads(election: Json) -> bool:
    """Return whether this node leads and its `stop_at` lies ahead."""
    return bool(election["state"] == "leader" and election["valid_for"] > 0)


def fit(election: Json) -> bool:
    """Return whether this node could take over from another one; without a session it could not."""
    may = election["healthy"] and not election["blocked"]
    return bool(election["state"] == "candidate" and election["lease"] and may)


def ready(election: Json) -> bool:
    """Return whether there is a session with etcd and nothing of an earlier term left."""
    return bool(election["lease"]) and election["state"] in ("candidate", "promoting", "leader")


def refusal(code: int, text: str, **headers: str) -> Answer:
    """Return an answer that says what is wrong with the question."""
    return Answer(code, {"error": text}, headers)


def about_one(report: Json, name: str | None, holds: Callable[[Json], bool]) -> Answer:
    """Answer 200 where something holds of an election, else 503; the election is told in both.

    Args:
        report: Of docs/interfaces.md §5.
        name: The election; None is good where there is only one.
        holds: The question.
    """
    election = chosen(report, name)
    if isinstance(election, Answer):
        return election
    body = {"election": election["name"], "node": report["node"]}
    return Answer(
        200 if holds(election) else 503,
        {**body, **{key: election[key] for key in _TOLD}},
        # A client that counts from when it *sent* its question may believe the answer for so long.
        {"Leaderd-Valid-For": f"{election['valid_for']:.3f}", "Leaderd-Token": str(election["token"])},
    )


def about_all(report: Json, name: str | None, holds: Callable[[Json], bool]) -> Answer:
    """Answer 200 where something holds of every election, or of the named one, else 503 and of which not."""
    if name is not None:
        return about_one(report, name, holds)
    failing = [each for each in report["elections"] if not holds(each)]
    lacking = {each["name"]: each["detail"] or each["state"] for each in failing}
    return Answer(503 if lacking else 200, {"node": report["node"], "lacking": lacking})


def whole(report: Json, name: str | None) -> Answer:
    """Answer with the report, with the named election alone if there is a name."""
    if name is None:
        return Answer(200, report)
    election = chosen(report, name)
    return election if isinstance(election, Answer) else Answer(200, {**report, "elections": [election]})


def who(report: Json, name: str | None) -> Answer:
    """Answer as the leader-elector sidecars of Kubernetes do: the leader's name, "" for none."""
    election = chosen(report, name)
    if isinstance(election, Answer):
        return election
    # This node's own name only with proof; of others the queue is all that is known here, and a candidate
    # whose session has run out knows an old one.
    lapsed = election["leader"] == report["node"] and not leads(election)
    stale = election["state"] == "candidate" and not election["lease"]
    return Answer(200, {"name": "" if lapsed or stale else election["leader"]})


def chosen(report: Json, name: str | None) -> Json | Answer:
    """Return the election that is meant, or why none is."""
    elections = report["elections"]
    names = [election["name"] for election in elections]
    if name is None and len(elections) == 1:
        found: Json = elections[0]
        return found
    if name is None:
        there = " or ".join(f"?election={each}" for each in names)
        return refusal(400, f"this node is in several elections: add {there}")
    if name not in names:
        return refusal(404, f"no election {name!r} on this node; there are: {', '.join(names)}")
    named: Json = next(election for election in elections if election["name"] == name)
    return named
