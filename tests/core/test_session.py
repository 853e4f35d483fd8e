"""One session: when it renews, when it looks, when it may take over."""

import pytest

from leaderd.core.actions import GatherEvidence, Renew
from leaderd.core.events import Joined, Renewed
from leaderd.core.records import Known
from leaderd.core.session import FAILED_ATTEMPT_PAUSE, Session
from leaderd.core.takeover import Takeover
from tests.play import TEN, FakeEtcd, at

KNOWN = Known(revision=5)


def session(etcd: FakeEtcd) -> Session:
    """Return a session granted at 0 whose first renewal is under way."""
    key = etcd.add("a", 0xA1)
    joined = Joined(3, 0xA1, 10, at(0.0), key.key, key.create_revision, etcd.snapshot(at(0.0)), KNOWN)
    fresh = Session(joined, TEN, at(0.0))
    assert fresh.renewal(at(0.0), KNOWN) == Renew(3, KNOWN)
    return fresh


def proven(etcd: FakeEtcd, raw: float) -> Renewed:
    """Return a renewal sent and proven at one instant."""
    return Renewed(3, at(raw), etcd.snapshot(at(raw)), KNOWN)


def test_one_renewal_at_a_time() -> None:
    """R11: none is asked for while another is under way, however late it is."""
    etcd = FakeEtcd()
    one = session(etcd)
    assert one.renewal(at(5.0), KNOWN) is None
    one.renewed(proven(etcd, 5.0), at(5.1))
    assert one.renewal(at(6.1), KNOWN) is None
    assert one.renewal(at(6.21), KNOWN) == Renew(3, KNOWN)


def test_the_next_renewal_counts_from_the_sending_of_the_last() -> None:
    """A slow answer does not stretch the rhythm, and suspend counts."""
    etcd = FakeEtcd()
    one = session(etcd)
    one.renewed(proven(etcd, 1.0), at(2.0))
    assert one.next_timer(at(2.0), None) == pytest.approx(0.2)
    assert one.renewal(at(2.0, suspended=0.2), KNOWN) is not None


def test_a_wish_during_a_renewal_is_kept() -> None:
    """The one under way may have been read before the change: another follows at once."""
    etcd = FakeEtcd()
    one = session(etcd)
    one.renew_now(at(0.1))
    assert one.renewal(at(0.1), KNOWN) is None
    one.renewed(proven(etcd, 0.0), at(0.2))
    assert one.renewal(at(0.2), KNOWN) is not None
    one.renewed(proven(etcd, 0.2), at(0.3))
    assert one.renewal(at(0.3), KNOWN) is None


def test_a_wish_survives_a_failed_attempt() -> None:
    """Then without the usual pause."""
    etcd = FakeEtcd()
    one = session(etcd)
    one.renewal_failed(at(0.5))
    assert one.next_timer(at(0.5), None) == pytest.approx(FAILED_ATTEMPT_PAUSE)
    assert one.renewal(at(0.6), KNOWN) is not None
    one.renew_now(at(0.7))
    one.renewal_failed(at(0.8))
    assert one.renewal(at(0.8), KNOWN) is not None


def test_without_a_proof_there_is_no_token_no_look_and_no_takeover() -> None:
    """R3: all of them are judged on a proven read."""
    etcd = FakeEtcd()
    etcd.held_by("z", 0xFF)
    one, takeover = session(etcd), Takeover(TEN)
    takeover.observe(etcd.snapshot(at(0.0)))
    assert one.token == 0
    assert one.look(at(9.0), takeover) is None
    assert one.opens_at(takeover) is None
    assert one.take_over(at(9.0), takeover, "a") is None
    assert not one.has_proof_of(())


def test_one_look_at_a_time() -> None:
    """And none before it can show anything."""
    etcd = FakeEtcd()
    etcd.held_by("z", 0xFF)
    one, takeover = session(etcd), Takeover(TEN)
    one.renewed(proven(etcd, 0.1), at(0.1))
    takeover.observe(etcd.snapshot(at(0.1)))
    assert one.look(at(0.1), takeover) == GatherEvidence(3, 101, 0xFF)
    assert one.look(at(0.2), takeover) is None
    takeover.missed(at(0.3))
    one.looked()
    assert one.look(at(0.4), takeover) is None
    assert one.next_timer(at(0.4), takeover) == pytest.approx(0.9)
    assert one.look(at(1.6), takeover) is not None


def test_a_takeover_is_sent_once() -> None:
    """Until its outcome is known nothing else is tried; afterwards only on a new proof."""
    etcd = FakeEtcd()
    etcd.held_by("z", 0xFF)
    etcd.release()
    one, takeover = session(etcd), Takeover(TEN)
    one.renewed(proven(etcd, 0.1), at(0.1))
    takeover.observe(etcd.snapshot(at(0.1)))
    assert one.next_timer(at(0.1), takeover) < 0
    order = one.take_over(at(0.1), takeover, "a")
    assert order is not None
    assert order.record == one.claim
    assert one.take_over(at(0.2), takeover, "a") is None
    one.take_over_failed(at(0.3))
    assert one.take_over(at(0.3), takeover, "a") is None
    assert one.renewal(at(0.36), KNOWN) is not None
    one.renewed(proven(etcd, 0.36), at(0.4))
    assert one.take_over(at(0.4), takeover, "a") is not None


def test_pauses_after_refusals_never_delay_a_renewal_that_is_due() -> None:
    """However often it was refused, the lease is renewed in its rhythm."""
    etcd = FakeEtcd()
    one = session(etcd)
    for _ in range(10):
        one.take_over_failed(at(0.0))
    one.renewed(proven(etcd, 0.5), at(0.6))
    one.take_over_failed(at(1.6))
    assert one.next_timer(at(1.6), None) == pytest.approx(0.1)
