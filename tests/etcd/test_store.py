"""An election's etcd actions against three real members."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace

import pytest

from leaderd.core.actions import Join, Release
from leaderd.core.events import (
    EvidenceFailed,
    EvidenceGathered,
    JoinFailed,
    Released,
    SessionGone,
    TakeoverRefused,
    TookOver,
)
from leaderd.core.records import ControlKey, HolderRecord, Known
from leaderd.errors import EtcdRefusedError
from leaderd.etcd.client import Endpoint
from leaderd.etcd.ops import Grant
from leaderd.keys import ElectionKeys
from tests.cluster import Cluster
from tests.etcd.conftest import Player

Make = Callable[..., Player]


async def test_join_puts_a_key_that_says_who_we_are(
    player: Make, cluster: Cluster, keys: ElectionKeys
) -> None:
    """The key is named by the lease, attached to it, first in an empty queue; s is before the grant."""
    a = player("a")
    before = a.clock.now()
    joined = await a.join()
    assert joined.key == f"{keys.prefix}{joined.lease:x}"
    assert joined.ttl == 10
    assert before <= joined.sent_at <= joined.snapshot.sent_at
    [ours] = joined.snapshot.queue
    assert (ours.key, ours.lease, ours.create_revision, ours.node, ours.priority) == (
        joined.key,
        joined.lease,
        joined.create_revision,
        "a",
        100,
    )
    assert abs(ours.window - a.timing.window) < 0.002
    value = json.loads(cluster.etcdctl("get", "--print-value-only", joined.key))
    assert value["ttl"] == 10
    assert value["stop_ms"] >= a.timing.stop_after * 1000
    assert joined.snapshot.revision == joined.create_revision
    assert joined.snapshot.holder is None


async def test_renewals_are_proven_and_count_from_sending(player: Make) -> None:
    """Each renewal's instant lies before the read that proves it."""
    a = player("a")
    await a.join()
    for _ in range(3):
        before = a.clock.now()
        renewed = await a.renew()
        assert before <= renewed.sent_at <= renewed.snapshot.sent_at <= renewed.snapshot.received_at
        assert renewed.snapshot.queue[0].key == a.joined.key


async def test_a_renewal_writes_nothing(player: Make) -> None:
    """The store's revision stands still: no raft proposal, no growth."""
    a = player("a")
    await a.join()
    first = await a.renew()
    for _ in range(5):
        last = await a.renew()
    assert last.snapshot.revision == first.snapshot.revision


async def test_takeover_writes_the_record_and_its_revision(player: Make, keys: ElectionKeys) -> None:
    """The next read shows the record as put, with the mod revision that was reported."""
    a = player("a")
    took = await a.lead()
    snapshot = await a.snapshot()
    assert snapshot.holder == HolderRecord.decode(a.record().encode())
    assert snapshot.holder_revision == took.holder_revision
    assert took.token == a.joined.create_revision


async def test_takeover_is_refused_while_an_older_key_stands(player: Make) -> None:
    """Even if the caller was wrong about who is first."""
    a, b = player("a"), player("b")
    await a.join()
    await b.join()
    await b.answer(b.take_over(await b.snapshot()), TakeoverRefused)
    assert (await b.snapshot()).holder is None


async def test_takeover_is_refused_when_the_record_changed(
    player: Make, cluster: Cluster, keys: ElectionKeys
) -> None:
    """What it was judged on is no longer what stands there."""
    a = player("a")
    await a.join()
    seen = await a.snapshot()
    cluster.etcdctl("put", keys.holder, a.record().encode())
    await a.answer(a.take_over(seen), TakeoverRefused)
    await a.answer(a.take_over(await a.snapshot()), TookOver)


async def test_takeover_is_refused_when_the_epoch_changed(
    player: Make, cluster: Cluster, keys: ElectionKeys
) -> None:
    """An operator raised it in between."""
    a = player("a")
    await a.join()
    seen = await a.snapshot()
    cluster.etcdctl("put", keys.epoch, '{"epoch": 3, "by": "x", "since": ""}')
    await a.answer(a.take_over(seen), TakeoverRefused)
    again = await a.snapshot()
    assert again.epoch == 3
    await a.answer(a.take_over(again), TookOver)


async def test_takeover_is_refused_when_our_key_is_gone(player: Make, cluster: Cluster) -> None:
    """An empty queue proves nothing for somebody who is not in it."""
    a = player("a")
    await a.join()
    seen = await a.snapshot()
    cluster.etcdctl("del", a.joined.key)
    await a.answer(a.take_over(seen), TakeoverRefused)


async def test_takeover_is_refused_when_our_key_was_made_anew(player: Make, cluster: Cluster) -> None:
    """Same name, same lease, but a later place in the queue: another token."""
    a = player("a")
    await a.join()
    seen = await a.snapshot()
    cluster.etcdctl("del", a.joined.key)
    cluster.etcdctl("put", f"--lease={a.joined.lease:x}", a.joined.key, "{}")
    await a.answer(a.take_over(seen), TakeoverRefused)


async def test_takeover_is_refused_when_our_key_lost_its_lease(player: Make, cluster: Cluster) -> None:
    """A put without the lease detaches the key: it would outlive us."""
    a = player("a")
    await a.join()
    seen = await a.snapshot()
    cluster.etcdctl("put", a.joined.key, "{}")
    await a.answer(a.take_over(seen), TakeoverRefused)


async def test_own_key_deleted_is_the_end_of_the_session(player: Make, cluster: Cluster) -> None:
    """The lease lives on and is acknowledged; the read after it tells."""
    a = player("a")
    await a.join()
    cluster.etcdctl("del", a.joined.key)
    await a.renew(SessionGone)


async def test_revoked_lease_is_the_end_of_the_session(player: Make, cluster: Cluster) -> None:
    """By `etcdctl lease revoke`."""
    a = player("a")
    await a.join()
    cluster.etcdctl("lease", "revoke", f"{a.joined.lease:x}")
    await a.renew(SessionGone)


async def test_release_frees_record_key_and_lease(player: Make, cluster: Cluster, keys: ElectionKeys) -> None:
    """The next in the queue sees a released record at once."""
    a, b = player("a"), player("b")
    took = await a.lead()
    await b.join()
    await a.answer(a.release(took), Released)
    snapshot = await b.snapshot()
    assert [each.node for each in snapshot.queue] == ["b"]
    assert snapshot.holder is not None
    assert snapshot.holder.state == "released"
    await a.store.close()
    assert f"{a.joined.lease:x}" not in cluster.etcdctl("lease", "list")


async def test_release_with_the_key_already_gone_still_frees_the_record(
    player: Make, cluster: Cluster
) -> None:
    """Somebody revoked our lease; nobody shall wait for a window that we know to be over."""
    a, b = player("a"), player("b")
    took = await a.lead()
    cluster.etcdctl("lease", "revoke", f"{a.joined.lease:x}")
    await a.answer(a.release(took), Released)
    await b.join()
    snapshot = await b.snapshot()
    assert snapshot.holder is not None
    assert snapshot.holder.state == "released"


async def test_release_leaves_the_record_of_somebody_else(
    player: Make, cluster: Cluster, keys: ElectionKeys
) -> None:
    """Only our key goes: a late release must not free a holder that runs."""
    a, b = player("a"), player("b")
    took = await a.lead()
    await b.join()
    cluster.etcdctl("put", keys.holder, b.record().encode())
    await a.answer(a.release(took), Released)
    snapshot = await b.snapshot()
    assert snapshot.holder is not None
    assert (snapshot.holder.node, snapshot.holder.state) == ("b", "held")
    assert [each.node for each in snapshot.queue] == ["b"]


@pytest.mark.parametrize("whose", ["ours", "theirs"])
async def test_release_deletes_the_key_by_itself(
    player: Make, cluster: Cluster, keys: ElectionKeys, monkeypatch: pytest.MonkeyPatch, whose: str
) -> None:
    """With the record, in the same transaction: revoking comes later and may fail."""

    async def fails(self: Endpoint, lease: int, timeout: float) -> None:
        raise EtcdRefusedError("not today")

    monkeypatch.setattr(Endpoint, "revoke", fails)
    a, b = player("a"), player("b")
    took = await a.lead()
    await b.join()
    if whose == "theirs":
        cluster.etcdctl("put", keys.holder, b.record().encode())
    await a.answer(a.release(took), Released)
    assert [each.node for each in (await b.snapshot()).queue] == ["b"]


async def test_giving_up_a_session_removes_key_and_lease(player: Make, cluster: Cluster) -> None:
    """A candidate that never held leaves nothing behind."""
    a, b = player("a"), player("b")
    await a.join()
    await b.join()
    a.end(give_up=True)
    await a.store.close()
    assert [each.node for each in (await b.snapshot()).queue] == ["b"]
    assert f"{a.joined.lease:x}" not in cluster.etcdctl("lease", "list")


async def test_ending_without_giving_up_leaves_the_key(player: Make) -> None:
    """A stop that failed: the lease must run out by itself."""
    a, b = player("a"), player("b")
    await a.join()
    await a.renew()
    session = a.store._sessions[a.serial]
    [stream] = session._streams.values()
    a.end(give_up=False)
    assert stream._call.cancelled()
    assert not session._streams
    await b.join()
    assert [each.node for each in (await b.snapshot()).queue] == ["a", "b"]


async def test_ending_a_session_that_is_joining_leaves_nothing(player: Make, keys: ElectionKeys) -> None:
    """However far it had come: what it made is given up, and no answer is posted."""
    a, b = player("a"), player("b")
    await b.join()
    for patience in (0.0, 0.001, 0.003, 0.006, 0.01):
        joining = asyncio.ensure_future(a.join())
        await asyncio.sleep(patience)
        a.end(give_up=True)
        await asyncio.sleep(0.05)
        joining.cancel()
        await asyncio.gather(joining, return_exceptions=True)
    await a.store.close()
    assert [each.node for each in (await b.snapshot()).queue] == ["b"]


async def test_the_budget_follows_what_etcd_granted(player: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """A longer TTL makes longer windows, in our key's value too; renewals must match it."""
    real = Endpoint.grant

    async def longer(self: Endpoint, ttl: int, timeout: float) -> Grant:
        return await real(self, ttl + 4, timeout)

    monkeypatch.setattr(Endpoint, "grant", longer)
    a = player("a")
    joined = await a.join()
    assert joined.ttl == 14
    assert abs(joined.snapshot.queue[0].window - a.timing.granted(14).window) < 0.002
    await a.renew()


async def test_a_grant_that_no_budget_fits_is_refused_and_given_up(
    player: Make, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error says what was granted; no lease is left."""
    real, leases = Endpoint.grant, []

    async def absurd(self: Endpoint, ttl: int, timeout: float) -> Grant:
        grant = await real(self, ttl, timeout)
        leases.append(grant.lease)
        return replace(grant, ttl=100_000)

    monkeypatch.setattr(Endpoint, "grant", absurd)
    a = player("a")
    failed = await a.answer(Join(1, Known()), JoinFailed)
    assert "granted a ttl of 100000 s where 10 s was asked for" in failed.detail
    await a.store.close()
    [lease] = leases
    assert f"{lease:x}" not in cluster.etcdctl("lease", "list")


async def test_evidence_on_a_holder_that_fell_silent(player: Make) -> None:
    """Remaining seconds shrink between two reads that show the same holder."""
    a, b = player("a"), player("b")
    await a.lead()
    await b.join()
    first = await b.answer(b.evidence_on(a.record()), EvidenceGathered)
    assert (first.token, first.granted) == (a.record().token, 10)
    assert 0 <= first.remaining <= 10
    assert first.started_at <= first.ended_at
    await asyncio.sleep(1.1)
    later = await b.answer(b.evidence_on(a.record()), EvidenceGathered)
    assert later.remaining < first.remaining or first.remaining == 0


async def test_no_evidence_when_the_lease_is_unknown(player: Make, cluster: Cluster) -> None:
    """It may have been revoked under a holder that goes on holding."""
    a, b = player("a"), player("b")
    await a.lead()
    await b.join()
    cluster.etcdctl("lease", "revoke", f"{a.joined.lease:x}")
    failed = await b.answer(b.evidence_on(a.record()), EvidenceFailed)
    assert "does not know" in failed.detail


async def test_a_record_of_another_term_is_not_released_whatever_its_revision(
    player: Make, cluster: Cluster, keys: ElectionKeys
) -> None:
    """A restored etcd gives revisions out again, and a late copy of an old release may still be under way."""
    a, b = player("a"), player("b")
    await a.lead()
    old = a.record("released")
    await a.answer(Release(old.token, old, 0), Released)
    await b.join()
    took = await b.answer(b.take_over(await b.snapshot()), TookOver)
    await a.answer(Release(old.token, old, took.holder_revision), Released)
    holder = (await b.snapshot()).holder
    assert holder is not None
    assert (holder.token, holder.state) == (took.token, "held")


async def test_no_evidence_on_somebody_who_is_not_the_holder(player: Make) -> None:
    """The record names another token, or is released."""
    a, b = player("a"), player("b")
    took = await a.lead()
    await b.join()
    await b.answer(b.evidence_on(b.record()), EvidenceFailed)
    await a.answer(a.release(took), Released)
    await b.answer(b.evidence_on(a.record()), EvidenceFailed)


async def test_a_record_that_cannot_be_read_is_reported(
    player: Make, cluster: Cluster, keys: ElectionKeys
) -> None:
    """Holder and epoch alike; nobody may promote over them."""
    a = player("a")
    await a.join()
    cluster.etcdctl("put", keys.holder, "what?")
    assert "what?" in (await a.snapshot()).broken
    cluster.etcdctl("del", keys.holder)
    cluster.etcdctl("put", keys.epoch, '{"epoch": -1}')
    assert "epoch" in (await a.snapshot()).broken
    cluster.etcdctl("put", keys.epoch, '{"epoch": 1}')
    cluster.etcdctl("put", f"{keys.control}paused", "{}")
    snapshot = await a.snapshot()
    assert (snapshot.broken, snapshot.epoch) == ("", 1)
    assert snapshot.controls == (ControlKey("paused", "{}", snapshot.revision),)
