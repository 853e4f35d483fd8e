"""What counts as evidence against a silent holder (rule R6b), answer by answer."""

from dataclasses import replace

import pytest

from leaderd.core.records import HolderRecord, Snapshot
from leaderd.etcd.evidence import why_no_evidence
from leaderd.etcd.ops import Header, KeyValue, TimeToLive
from leaderd.etcd.snapshot import candidate
from leaderd.instant import Instant

HOLDER = HolderRecord(7, "a", 0xABC, "held", 10, 8.7, 6.2, 0.1)
NOW = Instant(1.0, 1.0)
READ = Snapshot(1, 2, 3, 9, NOW, NOW, holder=HOLDER, holder_revision=8)
LEFT = TimeToLive(Header(1, 2, 9, 3), 4, 10)


@pytest.mark.parametrize("remaining", [0, 4, 10])
def test_evidence(remaining: int) -> None:
    """One member, one term, one holder, a time to live that makes sense."""
    assert why_no_evidence(READ, replace(LEFT, ttl=remaining), READ, 7) == ""


@pytest.mark.parametrize(
    ("before", "left", "after", "said"),
    [
        (replace(READ, member_id=5), LEFT, READ, "members"),
        (READ, replace(LEFT, header=replace(LEFT.header, member_id=5)), READ, "members"),
        (READ, LEFT, replace(READ, member_id=5), "members"),
        (replace(READ, raft_term=2), LEFT, READ, "term"),
        (READ, replace(LEFT, header=replace(LEFT.header, raft_term=2)), READ, "term"),
        (READ, LEFT, replace(READ, raft_term=4), "term"),
        (replace(READ, holder=None), LEFT, READ, "no longer the holder"),
        (READ, LEFT, replace(READ, holder=None), "no longer the holder"),
        (READ, LEFT, replace(READ, holder=replace(HOLDER, token=8)), "no longer the holder"),
        (READ, LEFT, replace(READ, holder=replace(HOLDER, state="released")), "no longer the holder"),
        (READ, LEFT, replace(READ, broken="unreadable"), "unreadable"),
        (READ, replace(LEFT, ttl=-1, granted=0), READ, "does not know"),
        (READ, replace(LEFT, ttl=-1), READ, "does not know"),
        (READ, replace(LEFT, granted=0), READ, "does not know"),
        (READ, replace(LEFT, ttl=11), READ, "makes no sense"),
        (READ, replace(LEFT, ttl=9223372036), READ, "makes no sense"),
    ],
)
def test_no_evidence(before: Snapshot, left: TimeToLive, after: Snapshot, said: str) -> None:
    """Each condition alone is enough to have none."""
    assert said in why_no_evidence(before, left, after, 7)


@pytest.mark.parametrize(
    ("text", "node", "window"),
    [
        ('{"node": "a", "priority": 5, "window_ms": 8700}', "a", 8.7),
        ("plain text", "plain text", 0.0),
        ("", "", 0.0),
        ("[1, 2]", "[1, 2]", 0.0),
        ("7", "7", 0.0),
        ('{"node": "a"}', '{"node": "a"}', 0.0),
        (
            '{"node": "a", "priority": null, "window_ms": 1}',
            '{"node": "a", "priority": null, "window_ms": 1}',
            0.0,
        ),
        (
            '{"node": "a", "priority": 1e999, "window_ms": 1}',
            '{"node": "a", "priority": 1e999, "window_ms": 1}',
            0.0,
        ),
        # A window that nobody could wait for.
        *(
            (text, text, 0.0)
            for text in (
                '{"node": "a", "priority": 1, "window_ms": NaN}',
                '{"node": "a", "priority": 1, "window_ms": Infinity}',
                '{"node": "a", "priority": 1, "window_ms": -1}',
            )
        ),
    ],
)
def test_candidates_of_all_kinds(text: str, node: str, window: float) -> None:
    """Ours are read; whatever else stands there is a candidate all the same."""
    found = candidate(KeyValue("/e/1", text, 3, 4, 5))
    assert (found.key, found.lease, found.create_revision, found.node, found.window) == (
        "/e/1",
        5,
        3,
        node,
        window,
    )
