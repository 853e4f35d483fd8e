"""R6 in detail: when the previous window is over, and how evidence says so."""

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leaderd.core.events import EvidenceGathered
from leaderd.core.records import HolderRecord, fencing_token
from leaderd.core.takeover import FAST_LOOK, Takeover
from leaderd.instant import Instant
from tests.play import TEN, FakeEtcd, at

OWN = 1 << 30
WINDOW = 1.001 * 8.7 + 0.3


def seen(etcd: FakeEtcd, *times: float, takeover: Takeover | None = None) -> Takeover:
    """Return what a node knows that read etcd at these times."""
    takeover = takeover or Takeover(TEN)
    for raw in times:
        takeover.observe(etcd.snapshot(at(raw)))
    return takeover


def held() -> FakeEtcd:
    """Return an etcd in which z holds, with revision 101."""
    etcd = FakeEtcd()
    etcd.held_by("z", 0xFF)
    return etcd


def look(remaining: int, started: float, ended: float | None = None) -> EvidenceGathered:
    """Return one look at z's lease."""
    return EvidenceGathered(1, 101, remaining, 10, at(started), at(started if ended is None else ended))


def opening(takeover: Takeover, own: int = OWN) -> float:
    """Return when the takeover opens, on RAW."""
    opens_at = takeover.opens_at(own)
    return math.inf if opens_at is None else opens_at.raw


# --- what is waited for without evidence ---


def test_nothing_opens_before_the_first_read() -> None:
    """Who has seen nothing waits."""
    assert Takeover(TEN).opens_at(OWN) is None


def test_a_standing_holder_opens_nothing() -> None:
    """While its key is in the queue only evidence could say anything."""
    takeover = seen(held(), 0.0, 100.0)
    assert takeover.opens_at(OWN) is None
    assert takeover.waits_for() == ""


def test_a_missing_key_counts_from_the_first_read_that_showed_it() -> None:
    """Later reads do not start the wait again."""
    etcd = held()
    takeover = seen(etcd, 0.0)
    etcd.drop(0xFF)
    assert opening(seen(etcd, 2.0, 3.0, 9.0, takeover=takeover)) == pytest.approx(2.0 + WINDOW)
    assert takeover.waits_for().startswith("z left without releasing")


def test_a_ghost_that_comes_back_starts_the_wait_again() -> None:
    """After a restore the holder's key may stand once more."""
    etcd = held()
    takeover = seen(etcd, 0.0)
    ghost = etcd.queue[:]
    etcd.drop(0xFF)
    seen(etcd, 2.0, takeover=takeover)
    etcd.queue = ghost
    assert seen(etcd, 3.0, takeover=takeover).opens_at(OWN) is None
    etcd.drop(0xFF)
    assert opening(seen(etcd, 5.0, takeover=takeover)) == pytest.approx(5.0 + WINDOW)


def test_another_holder_starts_everything_again() -> None:
    """Neither the wait for one term nor evidence about it says anything about the next."""
    etcd = held()
    takeover = seen(etcd, 0.0)
    takeover.learn(look(0, 20.0))
    etcd.drop(0xFF)
    seen(etcd, 21.0, takeover=takeover)
    etcd.held_by("y", 0xFE)
    assert seen(etcd, 22.0, takeover=takeover).opens_at(OWN) is None
    assert takeover.look_at == at(22.0)


def test_a_holder_that_came_and_went_unseen_counts_from_its_own_disappearance() -> None:
    """The first read that shows its record and no key starts the wait, not the loss of the one before."""
    etcd = held()
    takeover = seen(etcd, 0.0)
    etcd.drop(0xFF)
    seen(etcd, 2.0, takeover=takeover)
    etcd.held_by("y", 0xFE)
    etcd.drop(0xFE)
    assert opening(seen(etcd, 50.0, takeover=takeover)) == pytest.approx(50.0 + WINDOW)


@pytest.mark.parametrize("what", ["released", "own"])
def test_released_and_our_own_open_at_once(what: str) -> None:
    """R6a."""
    etcd = held()
    if what == "released":
        etcd.release()
    takeover = seen(etcd, 0.0)
    assert opening(takeover, OWN if what == "released" else 101) == -math.inf


def test_the_largest_window_ever_seen_counts_where_no_record_stands() -> None:
    """Of our own, of the queue, of holders before; a foreign key has none."""
    etcd = FakeEtcd()
    assert opening(seen(etcd, 0.0)) == pytest.approx(WINDOW)
    etcd.add("y", 1, window=20.0)
    etcd.add("etcdctl", 2, window=0.0)
    takeover = seen(etcd, 0.0)
    etcd.queue.clear()
    assert opening(seen(etcd, 5.0, takeover=takeover)) == pytest.approx(1.001 * 20.0 + 0.3)
    etcd.held_by("x", 3, TEN.granted(100))
    seen(etcd, 6.0, takeover=takeover)
    etcd.holder, etcd.holder_revision = None, 0
    longest = TEN.granted(100).window
    assert opening(seen(etcd, 7.0, takeover=takeover)) == pytest.approx(7.0 + 1.001 * longest + 0.3)


def test_a_new_epoch_counts_beside_the_holder() -> None:
    """Both must be over: the window since the raise was seen, and the holder's."""
    etcd = held()
    takeover = seen(etcd, 0.0)
    etcd.drop(0xFF)
    seen(etcd, 1.0, takeover=takeover)
    etcd.raise_epoch()
    own = fencing_token(1, OWN)
    assert opening(seen(etcd, 4.0, takeover=takeover), own) == pytest.approx(4.0 + WINDOW)
    assert takeover.waits_for().startswith("the epoch is new")
    etcd.held_by("y", 0xFE)
    etcd.release()
    assert opening(seen(etcd, 5.0, takeover=takeover), own) == -math.inf


def test_a_new_epoch_alone_opens_nothing_while_the_holder_stands() -> None:
    """A ghost key in the queue still means somebody."""
    etcd = held()
    etcd.raise_epoch()
    assert seen(etcd, 0.0).opens_at(fencing_token(1, OWN)) is None


def test_a_larger_token_is_never_taken_over() -> None:
    """R8: released or not, whatever the wait."""
    etcd = FakeEtcd()
    etcd.hold(HolderRecord(fencing_token(1, 5), "z", 1, "released", 10, 8.7, 6.2, 0.1))
    takeover = seen(etcd, 0.0, 100.0)
    assert takeover.opens_at(OWN) is None
    assert "later epoch" in takeover.waits_for()
    assert opening(takeover, fencing_token(1, 6)) == -math.inf


# --- evidence ---


def test_a_natural_expiry_costs_almost_nothing() -> None:
    """Sent at 0, then z died: seen at r = 2, the window closes at 9.9, half a second before etcd expires."""
    takeover = seen(held(), 0.0)
    takeover.learn(look(2, 7.5))
    assert opening(takeover) == pytest.approx(7.5 - 7 * 0.9 + 1.001 * 8.7)
    assert takeover.look_at is None


def test_evidence_counts_for_good_and_beside_the_missing_key() -> None:
    """Whichever is reached first opens, and later reads take nothing away."""
    etcd = held()
    takeover = seen(etcd, 0.0)
    takeover.learn(look(2, 7.5))
    etcd.drop(0xFF)
    seen(etcd, 9.0, 10.0, takeover=takeover)
    assert opening(takeover) == pytest.approx(7.5 - 7 * 0.9 + 1.001 * 8.7)


def test_the_smallest_x_counts() -> None:
    """A second look may only bring the opening forward."""
    takeover = seen(held(), 0.0)
    takeover.learn(look(2, 7.5))
    first = opening(takeover)
    takeover.learn(look(1, 9.4))
    assert opening(takeover) == first
    takeover.learn(look(2, 7.2))
    assert opening(takeover) == pytest.approx(first - 0.3)


def test_a_holder_that_may_still_come_back_is_no_evidence() -> None:
    """t_start − x < 1.001·stop: it may renew once more and hold on."""
    takeover = seen(held(), 0.0)
    takeover.learn(look(3, 7.5))
    assert takeover.opens_at(OWN) is None
    # r = 2 leaves 7·0.9 = 6.3 s, but the look took 0.2 s: 6.1 < 6.206.
    takeover.learn(look(2, 7.5, 7.7))
    assert takeover.opens_at(OWN) is None


def test_the_larger_drift_of_the_two_nodes_counts() -> None:
    """A holder that allows for more drift may have renewed later than our own figure says."""
    etcd = held()
    assert etcd.holder is not None
    etcd.hold(replace(etcd.holder, clock_drift=0.2))
    takeover = seen(etcd, 0.0)
    takeover.learn(look(2, 7.5))
    assert takeover.opens_at(OWN) is None
    takeover.learn(look(1, 8.5))
    assert opening(takeover) == pytest.approx(8.5 - 8 * 0.8 + 1.001 * 8.7)


def test_evidence_about_somebody_else_is_none() -> None:
    """Another token, a released record, no record."""
    for etcd in (FakeEtcd(), held()):
        if etcd.holder:
            etcd.release()
        takeover = seen(etcd, 0.0)
        before = takeover.opens_at(OWN)
        takeover.learn(look(0, 20.0))
        assert takeover.opens_at(OWN) == before
    takeover = seen(held(), 0.0)
    takeover.learn(replace(look(0, 20.0), token=102))
    assert takeover.opens_at(OWN) is None


def test_a_healthy_holder_is_hardly_ever_asked_about() -> None:
    """The next look comes when the lease can have shrunk enough to show anything, not before."""
    takeover = seen(held(), 0.0)
    takeover.learn(look(9, 0.5))
    assert takeover.look_at == at(0.5).plus(6.0)
    takeover.learn(look(3, 6.5))
    assert takeover.look_at == at(6.5).plus(FAST_LOOK)


def test_a_look_that_gave_nothing_is_repeated_after_a_retry_period() -> None:
    """Unless nothing is looked for any more."""
    takeover = seen(held(), 0.0)
    takeover.missed(at(1.0))
    assert takeover.look_at == at(1.0).plus(1.2)
    released = held()
    released.release()
    idle = seen(released, 0.0)
    idle.missed(at(1.0))
    assert idle.look_at is None


@given(
    last=st.floats(0, 20), look_after=st.floats(0, 15), took=st.floats(0, 1), travel=st.floats(0, 1),
    rate=st.floats(0.901, 1.099), slept=st.tuples(*[st.sampled_from([0.0, 0.0, 0.5, 3.0])] * 2),
)
def test_evidence_never_opens_before_the_hold_has_ended(
    last: float, look_after: float, took: float, travel: float, rate: float, slept: tuple[float, float]
) -> None:
    """The opening lies at or after the end of the holder's window, and the holder was past its stop.

    However etcd's clock runs within the drift, and however the waiter sleeps.

    Args:
        last: When the holder sent its last renewal, in true seconds, which BOOT shows.
        look_after: When the look began, after that.
        took: How long the look took awake; etcd answered before any sleep in it.
        travel: How long the renewal was under way before etcd counted from it.
        rate: Of etcd's clock against true time.
        slept: Suspends of the looking node before and in the look: RAW misses them.
    """
    started = last + slept[0] + look_after
    answered = started + took
    ended = answered + slept[1]
    counted = max(0.0, answered - last - min(travel, look_after)) * rate
    takeover = seen(held(), 0.0)
    begun = Instant(started - slept[0], started + 1000)
    done = Instant(ended - sum(slept), ended + 1000)
    takeover.learn(EvidenceGathered(1, 101, math.floor(10 - counted), 10, begun, done))
    opens_at = takeover.opens_at(OWN)
    if opens_at is None:
        return
    assert started - last >= TEN.stop_after - 1e-6
    # A waiter goes by whichever clock gets there later.
    assert max(opens_at.raw + sum(slept), opens_at.boot - 1000) >= last + TEN.window - 1e-6
