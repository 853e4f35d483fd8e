"""Who leads and who is next, from the list of keys alone."""

from dataclasses import replace

from leaderd.core.queue import contains, is_first, is_foreign, key_of_token, leader_of
from leaderd.core.records import fencing_token
from tests.play import FakeEtcd


def test_the_oldest_key_is_first() -> None:
    """Create revision decides, which is the order of the list."""
    etcd = FakeEtcd()
    first, second = etcd.add("a", 1), etcd.add("b", 2)
    queue = tuple(etcd.queue)
    assert is_first(queue, first.key)
    assert not is_first(queue, second.key)
    assert not is_first((), first.key)
    assert contains(queue, second.key)
    assert not contains(queue, "/leaderd/election/db/ff")


def test_a_token_names_the_key_it_was_made_from_while_that_stands() -> None:
    """In any epoch."""
    etcd = FakeEtcd()
    key = etcd.add("a", 1)
    for epoch in (0, 3):
        assert key_of_token(tuple(etcd.queue), fencing_token(epoch, key.create_revision)) == key
    assert key_of_token((), fencing_token(0, key.create_revision)) is None


def test_a_holder_leads_from_its_takeover_on() -> None:
    """First in the queue alone is not enough for one of ours; released or gone is over."""
    etcd = FakeEtcd()
    etcd.add("a", 1)
    assert leader_of(tuple(etcd.queue), None) == ""
    etcd.queue.clear()
    etcd.held_by("b", 2)
    assert etcd.holder is not None
    assert leader_of(tuple(etcd.queue), etcd.holder) == "b"
    assert leader_of(tuple(etcd.queue), replace(etcd.holder, state="released")) == ""
    assert leader_of((), etcd.holder) == ""


def test_a_foreign_key_leads_by_standing_first() -> None:
    """A5: it is respected; that it names no window tells it from ours."""
    etcd = FakeEtcd()
    foreign = etcd.add("etcdctl", 1, window=0.0)
    etcd.held_by("b", 2)
    assert is_foreign(foreign)
    assert leader_of(tuple(etcd.queue), etcd.holder) == "etcdctl"
