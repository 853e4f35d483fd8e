"""R8: whether etcd went back in time, and what is kept of it."""

from dataclasses import replace

import pytest

from leaderd.core.history import KEEP_PERIOD, History, regression
from leaderd.core.records import HolderRecord, Known, fencing_token
from tests.play import TEN, FakeEtcd, at

KNOWN = Known(cluster_id=0xC1, revision=200, holder_revision=150, token=140, epoch=0)


def etcd_at(revision: int, *, token: int = 0, holder_revision: int = 0, epoch: int = 0) -> FakeEtcd:
    """Return an etcd at a revision, with a record of that token."""
    etcd = FakeEtcd(revision=revision, epoch=epoch, holder_revision=holder_revision)
    if token:
        etcd.holder = HolderRecord.held(token, "z", 1, TEN)
    return etcd


@pytest.mark.parametrize(("etcd", "text"), [
    (etcd_at(199), "revision went back from 200 to 199"),
    (etcd_at(300, token=140, holder_revision=149), "holder record went back from revision 150 to 149"),
    (etcd_at(300, token=139, holder_revision=151), "fencing token went back from 140 to 139"),
    (replace(etcd_at(300), cluster_id=0xC2), "cluster id changed from c1 to c2"),
])
def test_each_kind_of_going_back_is_named(etcd: FakeEtcd, text: str) -> None:
    """Any of them blocks, and the words say which."""
    history = History(KNOWN)
    history.observe(etcd.snapshot(at(1.0)), KNOWN, at(1.0))
    assert text in history.blocked
    assert history.known == KNOWN


def test_an_epoch_that_went_back_blocks() -> None:
    """The epoch key was lost with the rest."""
    known = replace(KNOWN, epoch=2)
    assert "epoch went back from 2 to 1" in regression(etcd_at(300, epoch=1).snapshot(at(0.0)), known)


@pytest.mark.parametrize("etcd", [
    etcd_at(200), etcd_at(300), etcd_at(300, token=140, holder_revision=150),
    etcd_at(300, token=141, holder_revision=301),
])
def test_going_forward_or_standing_still_is_fine(etcd: FakeEtcd) -> None:
    """No record at all is no regression either: somebody may have deleted the prefix."""
    assert regression(etcd.snapshot(at(0.0)), KNOWN) == ""


def test_a_node_that_remembers_nothing_cannot_know() -> None:
    """DESIGN R8: a fresh `state_dir` after a restore; the docs say so."""
    assert regression(etcd_at(1).snapshot(at(0.0)), Known()) == ""


def test_only_a_raised_epoch_unblocks() -> None:
    """Revisions that have grown past the old ones by themselves do not."""
    history = History(KNOWN)
    history.observe(etcd_at(100).snapshot(at(0.0)), history.known, at(0.0))
    history.observe(etcd_at(500).snapshot(at(1.0)), history.known, at(1.0))
    assert history.blocked
    assert history.known == KNOWN
    history.observe(etcd_at(501, epoch=1).snapshot(at(2.0)), history.known, at(2.0))
    assert not history.blocked
    assert history.known == Known(0xC1, 501, 0, 140, 1)


def test_a_raised_epoch_is_not_blocked_again_by_the_restored_record() -> None:
    """The old record's smaller token stays until the next takeover, and says nothing any more."""
    history = History(KNOWN)
    restored = etcd_at(100, token=90, holder_revision=95)
    history.observe(restored.snapshot(at(0.0)), history.known, at(0.0))
    assert history.blocked
    restored.raise_epoch()
    for raw in (1.0, 2.0, 3.0):
        history.observe(restored.snapshot(at(raw)), history.known, at(raw))
        assert not history.blocked
    history.took_over(fencing_token(1, 102), 103)
    assert history.known.token == fencing_token(1, 102)


def test_a_slow_answer_is_judged_by_what_was_known_when_it_was_asked() -> None:
    """It is no restore, and what is known does not shrink by it."""
    history = History(Known())
    before = history.known
    history.observe(etcd_at(300, token=140, holder_revision=150).snapshot(at(1.0)), before, at(1.0))
    history.observe(etcd_at(250).snapshot(at(2.0)), before, at(2.0))
    assert not history.blocked
    assert history.known == Known(0xC1, 300, 150, 140, 0)


def test_bare_revisions_are_kept_rarely_and_all_else_at_once() -> None:
    """`state_dir` is written every 10 s at most while nothing but the revision moves."""
    history = History(Known())
    assert history.observe(etcd_at(100).snapshot(at(0.0)), history.known, at(0.0)) is not None
    assert history.observe(etcd_at(101).snapshot(at(5.0)), history.known, at(5.0)) is None
    late = history.observe(etcd_at(102).snapshot(at(KEEP_PERIOD)), history.known, at(KEEP_PERIOD))
    assert late is not None
    assert late.known.revision == 102
    assert history.observe(etcd_at(102).snapshot(at(30.0)), history.known, at(30.0)) is None
    changed = etcd_at(103, token=90, holder_revision=103)
    assert history.observe(changed.snapshot(at(30.1)), history.known, at(30.1)) is not None


def test_the_own_takeover_is_kept_at_once_and_never_lowers_anything() -> None:
    """Before anything starts, the token stands in `state_dir`."""
    history = History(KNOWN)
    assert history.took_over(210, 211).known == Known(0xC1, 211, 211, 210, 0)
    assert history.took_over(100, 101).known == Known(0xC1, 211, 211, 210, 0)
