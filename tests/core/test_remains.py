"""The chores of a node that does not compete: one after the other, in one order."""

from dataclasses import replace

import pytest

from leaderd.core.actions import Fence, Forget, Release, StopResources
from leaderd.core.events import Fenced, PendingRelease, Started
from leaderd.core.records import HolderRecord
from leaderd.core.remains import RELEASE_RETRY, Remains
from tests.play import TEN, at

RECORD = HolderRecord.held(77, "a", 0x77, TEN)
PENDING = PendingRelease(77, 90, RECORD)
RELEASE = Release(77, replace(RECORD, state="released"), 90)


def test_nothing_is_done_and_nothing_is_over_before_the_beginning() -> None:
    """Until `Started` nobody knows what an earlier run has left."""
    remains = Remains(TEN)
    assert remains.due(at(0.0)) is None
    assert not remains.none


def test_the_whole_order() -> None:
    """Fence, stop everything, release, forget; and only then nothing is left."""
    remains = Remains(TEN)
    remains.begin(Started(pending=PENDING, unclean=77))
    assert remains.dirty
    assert remains.due(at(0.0)) == Fence(77)
    assert remains.due(at(9.0)) is None
    assert remains.is_unclean(77)
    remains.fenced(Fenced(77, True, ""), at(1.0))
    assert not remains.dirty
    assert remains.due(at(1.0)) == StopResources(0, at(3.0), "startup")
    assert remains.due(at(9.0)) is None
    remains.cleaned_up(at(2.0), "")
    assert remains.due(at(2.0)) == RELEASE
    assert remains.due(at(9.0)) is None
    assert remains.is_pending(77)
    assert not remains.none
    assert remains.released(77) == Forget(77)
    assert remains.due(at(9.0)) is None


def test_nothing_is_left_after_a_clean_start_without_a_past() -> None:
    """One stop of everything, and the node may compete."""
    remains = Remains(TEN)
    remains.begin(Started())
    remains.due(at(0.0))
    remains.cleaned_up(at(0.1), "")
    assert remains.none
    assert remains.next_timer(at(0.1)) is None


def test_failures_delay_what_comes_after_them() -> None:
    """Each chore is tried again before the next; fencing and stops with growing delay."""
    remains = Remains(TEN)
    remains.begin(Started(pending=PENDING, unclean=77))
    waits, raw = [], 0.0
    for _ in range(8):
        assert remains.due(at(raw)) == Fence(77)
        remains.fenced(Fenced(77, False, "still there"), at(raw))
        wait = remains.next_timer(at(raw))
        assert wait is not None
        assert remains.due(at(raw + wait - 0.01)) is None
        waits.append(wait)
        raw += wait + 1e-6
    assert waits == pytest.approx([1, 2, 4, 8, 16, 32, 60, 60])
    assert remains.dirty == "still there"


def test_a_failed_release_is_tried_again_every_second() -> None:
    """Etcd may be away for long; it is cheap to ask."""
    remains = Remains(TEN)
    remains.begin(Started())
    remains.due(at(0.0))
    remains.cleaned_up(at(0.1), "")
    remains.stopped(PENDING)
    for raw in (1.0, 3.0, 5.0):
        assert remains.due(at(raw)) == RELEASE
        remains.release_failed(at(raw))
        assert remains.next_timer(at(raw)) == pytest.approx(RELEASE_RETRY)
        assert remains.due(at(raw + 0.9)) is None


def test_a_wait_is_counted_on_the_slower_clock() -> None:
    """A suspended node does not hammer etcd on waking because one clock has jumped."""
    remains = Remains(TEN)
    remains.begin(Started())
    remains.due(at(0.0))
    remains.cleaned_up(at(0.0), "exit 1")
    assert remains.due(at(0.1, suspended=100.0)) is None
    assert remains.due(at(1.1, suspended=100.0)) is not None


def test_a_term_whose_stop_failed_is_the_guards_at_once() -> None:
    """Without waiting for anything, and the stop is not pending any more."""
    remains = Remains(TEN)
    remains.begin(Started())
    remains.due(at(0.0))
    remains.cleaned_up(at(0.0), "")
    remains.stop(78, at(3.0), "shutdown")
    assert remains.stopping == 78
    assert not remains.none
    remains.stop_failed(78, "exit 1")
    assert remains.due(at(1.0)) == Fence(78)
    assert remains.dirty == "exit 1"
