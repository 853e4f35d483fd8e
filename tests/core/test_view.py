"""The newest that a node has seen: which of two queues counts, and who leads in it."""

from leaderd.core.events import QueueChanged
from leaderd.core.view import View
from tests.play import FakeEtcd, at


def test_before_the_first_read_nobody_leads() -> None:
    """No queue, no leader, no token."""
    view = View()
    assert (view.queue, view.leader, view.token) == ((), "", 0)


def test_the_larger_revision_counts_whoever_brings_it() -> None:
    """A slow read or an old watch event changes nothing."""
    etcd, view = FakeEtcd(), View()
    etcd.held_by("z", 0xFF)
    old = etcd.snapshot(at(0.0))
    etcd.add("b", 0xB1)
    assert view.changed(QueueChanged(etcd.revision, tuple(etcd.queue)))
    view.read(old, anew=False)
    assert [key.node for key in view.queue] == ["z", "b"]
    assert not view.changed(QueueChanged(etcd.revision - 1, ()))
    assert [key.node for key in view.queue] == ["z", "b"]
    assert (view.leader, view.token) == ("z", 101)


def test_in_another_history_the_read_counts() -> None:
    """After a restore the smaller revision is the newer one."""
    etcd, view = FakeEtcd(), View()
    etcd.add("b", 0xB1)
    view.read(etcd.snapshot(at(0.0)), anew=False)
    restored = FakeEtcd(revision=40)
    view.read(restored.snapshot(at(1.0)), anew=True)
    assert view.queue == ()
    assert view.changed(QueueChanged(41, ()))
