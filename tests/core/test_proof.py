"""R11: what makes a keepalive's answer believable."""

from dataclasses import replace

import pytest

from leaderd.core.proof import KeepaliveAnswer, Verdict, judge_renewal
from tests.play import FakeEtcd, at

ANSWER = KeepaliveAnswer(sent_at=at(1.0), received_at=at(1.1), ttl=10, raft_term=2)


def verdict(answer: KeepaliveAnswer = ANSWER, *, sent: float = 1.1, term: int = 2, keep: bool = True,
            lease: int = 0xA1, create_revision: int = 101) -> Verdict:
    """Judge the answer by a read of a queue in which our key stands, or stood."""
    etcd = FakeEtcd()
    key = etcd.add("a", 0xA1)
    if not keep:
        etcd.drop(0xA1)
    snapshot = replace(etcd.snapshot(at(1.2), at(sent)), raft_term=term)
    return judge_renewal(key.key, lease, create_revision, answer, snapshot)


def test_a_standing_key_in_one_raft_term_proves_the_renewal() -> None:
    """Keepalive, then a read sent after its answer, one term."""
    assert verdict() is Verdict.PROVEN


def test_a_read_sent_before_the_answer_proves_nothing() -> None:
    """It may have seen the key just before a successor deleted it."""
    assert verdict(sent=1.05) is Verdict.UNKNOWN


@pytest.mark.parametrize("term", [1, 3])
def test_another_raft_term_proves_nothing(term: int) -> None:
    """The answer came from a leader that was, or was to be, deposed."""
    assert verdict(term=term) is Verdict.UNKNOWN


@pytest.mark.parametrize("term", [2, 3])
def test_a_missing_key_is_a_fact_whatever_the_terms(term: int) -> None:
    """A linearizable read needs no keepalive to be believed."""
    assert verdict(keep=False, term=term) is Verdict.GONE


def test_a_key_of_another_birth_or_lease_is_not_ours() -> None:
    """Somebody deleted it and put one of the same name."""
    assert verdict(create_revision=100) is Verdict.GONE
    assert verdict(lease=0xA2) is Verdict.GONE


@pytest.mark.parametrize("ttl", [0, -1])
def test_an_unknown_lease_is_gone_only_within_one_term(ttl: int) -> None:
    """TTL 0 from a deposed leader says nothing about the lease."""
    answer = replace(ANSWER, ttl=ttl)
    assert verdict(answer) is Verdict.GONE
    assert verdict(answer, term=3) is Verdict.UNKNOWN
