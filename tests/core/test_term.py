"""The steps of a promotion, and what ends a term."""

from dataclasses import replace
from typing import Literal

import pytest

from leaderd.core.actions import ArmGuard, StartResources
from leaderd.core.events import Joined
from leaderd.core.records import HolderRecord, Known, fencing_token
from leaderd.core.session import Session
from leaderd.core.term import GOOD_TERM, Term
from tests.play import TEN, FakeEtcd, at


def term_and_session() -> tuple[Term, Session]:
    """Return a term of token 101 on a lease granted at 0."""
    etcd = FakeEtcd()
    key = etcd.add("a", 0xA1)
    joined = Joined(1, 0xA1, 10, at(0.0), key.key, key.create_revision, etcd.snapshot(at(0.0)), Known())
    record = HolderRecord.held(key.create_revision, "a", 0xA1, TEN)
    return Term(record, 102, "z"), Session(joined, TEN, at(0.0))


def test_the_steps_come_in_order_and_each_once() -> None:
    """Arm; wait for the answer; start; nothing more."""
    term, session = term_and_session()
    now = at(1.0)
    assert term.next_step(session, now) == ArmGuard(101, session.lease, term.record, 102, "z")
    assert term.next_step(session, now) is None
    term.armed = True
    assert term.next_step(session, now) == StartResources(101, session.lease, "elected", "z")
    assert term.next_step(session, now) is None


def test_no_step_on_a_short_lease() -> None:
    """R2: 6.2 − 2.2 = 4.0 s after the sending is the last moment, on the faster clock."""
    term, session = term_and_session()
    assert term.has_budget(session, at(3.99))
    assert not term.has_budget(session, at(4.01))
    assert not term.has_budget(session, at(1.0, suspended=3.1))
    assert term.next_step(session, at(4.01)) is None
    assert not term.arming


def test_a_term_is_good_after_a_minute_of_leading() -> None:
    """Counted from when all was started."""
    term, _ = term_and_session()
    assert not term.was_good(at(1000.0))
    term.led_at = at(10.0)
    assert not term.was_good(at(9.9 + GOOD_TERM))
    assert term.was_good(at(10.0 + GOOD_TERM))


def test_what_disowns_a_term() -> None:
    """No record, or somebody else's, read at or after the own takeover or in another history."""
    term, _ = term_and_session()
    etcd = FakeEtcd(revision=102, holder=term.record, holder_revision=102)
    now = at(1.0)
    assert not term.is_disowned(etcd.snapshot(now))
    # An unknown outcome may have written the same token twice.
    assert not term.is_disowned(replace(etcd, revision=110, holder_revision=110).snapshot(now))
    assert not term.is_disowned(replace(etcd, revision=101, holder=None).snapshot(now))
    assert term.is_disowned(replace(etcd, revision=103, holder=None).snapshot(now))
    assert term.is_disowned(replace(etcd, revision=103, broken="not readable").snapshot(now))
    other = replace(term.record, token=fencing_token(0, 100))
    assert term.is_disowned(replace(etcd, revision=103, holder=other).snapshot(now))
    assert term.is_disowned(replace(etcd, revision=50, epoch=1, holder=other).snapshot(now))
    assert not term.is_disowned(replace(etcd, revision=103, epoch=1).snapshot(now))


@pytest.mark.parametrize("state", ["held", "released"])
def test_a_term_knows_whether_the_one_before_let_go(state: Literal["held", "released"]) -> None:
    """For kinds that must look whether somebody still holds; without a record nobody knows."""
    before = replace(HolderRecord.held(90, "z", 9, TEN), state=state)
    record = HolderRecord.held(101, "a", 1, TEN)
    term = Term.after(before, record, 7)
    assert (term.previous, term.released, term.holder_revision) == ("z", state == "released", 7)
    first = Term.after(None, record, 7)
    assert (first.previous, first.released) == ("", False)
