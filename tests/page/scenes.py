"""Reports as a daemon gives them, for every case that the page has to show."""

from datetime import UTC, datetime, timedelta
from typing import Any

Report = dict[str, Any]


def ago(**past: float) -> str:
    """Return the RFC 3339 instant that lies so far back."""
    return (datetime.now(UTC) - timedelta(**past)).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def election(name: str = "db", **facts: Any) -> dict[str, Any]:
    """Return an election that this node, a, leads."""
    return {
        "name": name, "state": "leader", "reason": "elected", "detail": "", "leader": "a", "token": 1234,
        "lease": "694d8a1", "guarantee": "at-most-one", "proven": True, "valid_for": 5.9,
        "paused": False, "healthy": True, "since": ago(hours=3, minutes=12), "blocked": "",
        "candidates": [
            {"node": "a", "priority": 100, "revision": 1234, "foreign": False},
            {"node": "b", "priority": 100, "revision": 1240, "foreign": False},
            {"node": "d", "priority": 50, "revision": 1251, "foreign": False},
        ],
        "nodes": [
            {"node": "a", "state": "leader", "reason": "elected"},
            {"node": "b", "state": "candidate", "reason": ""},
            {"node": "c", "state": "standby", "reason": "unhealthy"},
            {"node": "d", "state": "candidate", "reason": ""},
        ],
        "resources": [
            {"name": "address", "type": "vip", "state": "started"},
            {"name": "data", "type": "mount", "state": "started"},
            {"name": "app", "type": "process", "state": "started"},
        ],
        **facts,
    }


def elsewhere(name: str = "db", **facts: Any) -> dict[str, Any]:
    """Return an election that b leads and a waits for."""
    return election(name, **{
        "state": "candidate", "reason": "", "leader": "b", "valid_for": 0.0, "token": 1290,
        "candidates": [
            {"node": "b", "priority": 100, "revision": 1290, "foreign": False},
            {"node": "a", "priority": 100, "revision": 1301, "foreign": False},
        ],
        "nodes": [
            {"node": "a", "state": "candidate", "reason": ""},
            {"node": "b", "state": "leader", "reason": ""},
            {"node": "c", "state": "standby", "reason": "standby"},
        ],
        "resources": [
            {"name": "address", "type": "vip", "state": "stopped"},
            {"name": "app", "type": "process", "state": "stopped"},
        ],
        **facts,
    })


def report(*elections: dict[str, Any], **facts: Any) -> Report:
    """Return the report of node a."""
    return {
        "node": "a", "version": "0.1.0", "boot_id": "b00t", "pids": {"guard": 100, "agent": 101},
        "elections": list(elections or [election()]), "warnings": [], **facts,
    }


def past() -> list[dict[str, Any]]:
    """Return terms that end with the one of `election`."""
    spans = [
        (1001, "a", 52, 40, "shutdown", None, True),
        (1040, "b", 40, 31.5, "lease-lost", 0.07, False),
        (1077, "c", 31.49, 30.9, "store-lost", 8.3, True),
        (1120, "a", 30.89, 21, "switchover", 0.32, True),
        (1170, "c", 20.98, 14, "agent-died", 0.021, True),
        (1201, "b", 13, 3.2, "resource-failed", 0.12, True),
        (1234, "a", 3.2, None, "", 0.09, False),
    ]
    return [
        {"election": "db", "token": token, "node": node, "from": ago(hours=begun),
         "to": ago(hours=ended) if ended else "", "reason": reason, "gap": gap, "clean": clean}
        for token, node, begun, ended, reason, gap, clean in spans
    ]


def hundred() -> Report:
    """Return a node with a hundred elections, a few of them in trouble."""
    elections = []
    for number in range(100):
        name = f"shard-{number:03}"
        make = election if number % 3 == 0 else elsewhere
        elections.append(make(name, token=2000 + number))
        elections[-1]["nodes"][2].update(state="candidate", reason="")
    elections[7].update(state="standby", reason="store-lost", leader="", candidates=[],
                        nodes=[{"node": "a", "state": "standby", "reason": "store-lost"}])
    elections[41].update(state="fenced", reason="resource-failed", healthy=False, leader="",
                         detail="stop of app: exit code 1")
    elections[60].update(paused=True)
    elections[77].update(state="promoting", leader="a", reason="elected")
    elections[90]["nodes"][2].update(state="standby", reason="unhealthy")
    return report(*elections)


# What must reach the page as text. The right-to-left override would turn the rest of a line around.
HOSTILE = [
    "<img src=x onerror=window.hit=1>", "</script><script>window.hit=1</script>",
    '"><svg onload=window.hit=1>', "javascript:window.hit=1",
    "\u202egnirts detrevni", "{{constructor.constructor('window.hit=1')()}}",
    "long-" + "x" * 400,
]


def hostile() -> Report:
    """Return a report in which every string is out to run."""
    elections = [
        election(
            text, leader=text, reason=text, detail=text, guarantee=text, blocked=text, since=text,
            healthy=False,
            candidates=[{"node": text, "priority": text, "revision": 1, "foreign": True}],
            nodes=[{"node": text, "state": text, "reason": text}],
            resources=[{"name": text, "type": text, "state": text}],
        )
        for text in HOSTILE
    ]
    return report(*elections, warnings=HOSTILE, node=HOSTILE[0], version=HOSTILE[1])
