"""Proven renewals on scripted endpoints: what real members show too rarely (rule R11)."""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

import pytest

from leaderd.clock import BootClock
from leaderd.core.lease import Timing
from leaderd.core.proof import KeepaliveAnswer
from leaderd.errors import EtcdError, LeaseLostError
from leaderd.etcd.ops import Header, KeyValue, Range, Reading
from leaderd.etcd.session import Session
from leaderd.keys import ElectionKeys

KEYS = ElectionKeys("/leaderd", "db")
LEASE, REVISION = 0xABC, 7
TIMING = Timing(ttl=10, retry_period=1.2, attempt_timeout=0.4, hedge_after=0.1, stop_timeout=2, kill_time=0.5)


class Stream:
    """A keepalive stream that answers once the endpoint says so."""

    def __init__(self, endpoint: "Member") -> None:
        self.endpoint = endpoint
        self.closed = False
        self.asking = 0

    async def ask(self, lease: int) -> KeepaliveAnswer:
        assert not self.closed, "asked on a closed stream"
        self.asking += 1
        assert self.asking == 1, "two keepalives in flight on one stream"
        try:
            sent_at = self.endpoint.clock.now()
            if self.endpoint.breaks:
                self.endpoint.breaks -= 1
                raise EtcdError("the stream ended")
            await asyncio.sleep(self.endpoint.keepalive_takes)
            self.asking -= 1
            return KeepaliveAnswer(
                sent_at, self.endpoint.clock.now(), self.endpoint.ttl, self.endpoint.keepalive_term
            )
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        self.closed = True


class Member:
    """A scripted member of etcd."""

    def __init__(self, url: str, **script: Any) -> None:
        self.url = url
        self.clock = BootClock()
        self.streams: list[Stream] = []
        self.ttl, self.keepalive_term, self.read_term = 10, 3, 3
        self.keepalive_takes = self.read_takes = 0.0
        self.breaks = 0
        self.lease, self.revision, self.stands = LEASE, REVISION, True
        vars(self).update(script)

    async def keepalives(self) -> Stream:
        self.streams.append(Stream(self))
        return self.streams[-1]

    async def read(self, span: Range, timeout: float, revision: int = 0) -> Reading:
        await asyncio.sleep(self.read_takes)
        ours = KeyValue(KEYS.key(LEASE), "{}", self.revision, self.revision, self.lease)
        header = Header(1, 2, 9, self.read_term)
        assert revision == (0 if span.key == KEYS.prefix else header.revision)
        return Reading(header, (ours,) if self.stands and span.key == KEYS.prefix else ())


class Cluster:
    """The part of the client that a session uses."""

    def __init__(self, *members: Member) -> None:
        self.members = list(members)
        self.preferred: list[str] = []
        self.avoided: list[str] = []

    def order(self) -> tuple[Member, ...]:
        return tuple(self.members)

    def prefer(self, member: Member) -> None:
        self.preferred.append(member.url)

    def avoid(self, member: Member) -> None:
        self.avoided.append(member.url)


@pytest.fixture
def play() -> Callable[..., tuple[Session, Cluster]]:
    """Make a session on scripted members."""

    def make(*members: Member) -> tuple[Session, Cluster]:
        cluster = Cluster(*members)
        return Session(cluster, KEYS, TIMING, LEASE, REVISION), cluster  # type: ignore[arg-type]

    return make


Play = Callable[..., tuple[Session, Cluster]]


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ({"keepalive_term": 2}, "raft term 2 in its answer .* 3 in the read"),
        ({"keepalive_term": 4}, "raft term 4"),
        ({"ttl": 9}, "renewed for 9 s, granted 10 s"),
        ({"ttl": 0, "keepalive_term": 2}, "not proven"),
        ({"breaks": 2}, "the stream ended"),
        ({"keepalive_takes": 9.0}, "no answer within 0.4 s"),
        ({"read_takes": 9.0}, "no answer within 0.4 s"),
    ],
)
async def test_what_proves_nothing(play: Play, script: dict[str, Any], said: str) -> None:
    """The attempt fails, and the next one begins elsewhere."""
    session, cluster = play(Member("m", **script))
    with pytest.raises(EtcdError, match=said):
        await session.renew()
    assert (cluster.preferred, cluster.avoided) == ([], ["m"])


@pytest.mark.parametrize(
    "script",
    [{"stands": False}, {"lease": 1}, {"revision": 8}, {"ttl": 0}, {"stands": False, "read_term": 9}],
)
async def test_what_ends_the_session(play: Play, script: dict[str, Any]) -> None:
    """A linearizable read without our key as we made it; or the lease is unknown, in one term."""
    session, _ = play(Member("m", **script))
    with pytest.raises(LeaseLostError):
        await session.renew()


async def test_a_loss_ends_the_attempt_although_others_may_still_answer(play: Play) -> None:
    """The first fact counts."""
    slow, sure = Member("slow", keepalive_takes=9.0), Member("sure", stands=False)
    session, _ = play(slow, sure)
    with pytest.raises(LeaseLostError):
        await session.renew()
    assert slow.streams[0].closed


async def test_the_proof_counts_from_its_own_legs_sending(play: Play) -> None:
    """Not from that of a leg that was slower or stale."""
    stale, sure = Member("stale", keepalive_term=2), Member("sure")
    session, cluster = play(stale, sure)
    before = sure.clock.now()
    sent_at, snapshot = await session.renew()
    assert before <= sent_at <= snapshot.sent_at
    assert cluster.preferred == ["sure"]


async def test_the_read_of_another_member_proves_nothing(play: Play) -> None:
    """Each leg keeps to itself: an acknowledgement here and a read there are not one proof."""
    session, _ = play(Member("acks", read_takes=9.0), Member("reads", keepalive_takes=9.0))
    with pytest.raises(EtcdError, match="no answer"):
        await session.renew()


async def test_a_stream_is_kept_for_the_next_attempt(play: Play) -> None:
    """One stream per member as long as all goes well."""
    member = Member("m")
    session, _ = play(member)
    for _ in range(3):
        await session.renew()
    assert len(member.streams) == 1
    session.close()
    assert member.streams[0].closed


async def test_a_stream_that_timed_out_is_never_used_again(play: Play) -> None:
    """Its late answer could be taken for that of a newer request."""
    member = Member("m", keepalive_takes=9.0)
    session, _ = play(member)
    with pytest.raises(EtcdError):
        await session.renew()
    member.keepalive_takes = 0.0
    await session.renew()
    assert [stream.closed for stream in member.streams] == [True, False]


async def test_a_stream_that_ended_while_idle_is_replaced_within_the_attempt(play: Play) -> None:
    """A restarted member or an expired token costs no attempt."""
    member = Member("m")
    session, _ = play(member)
    await session.renew()
    member.breaks = 1
    await session.renew()
    assert [stream.closed for stream in member.streams] == [True, False]


async def test_attempts_that_overlap_share_no_stream(play: Play) -> None:
    """And leave one open between them."""
    member = Member("m", keepalive_takes=0.05)
    session, _ = play(member)
    await asyncio.gather(session.renew(), session.renew())
    assert sorted(stream.closed for stream in member.streams) == [False, True]


async def test_closing_during_an_attempt_leaves_no_stream_open(play: Play) -> None:
    """The answer comes after the session was closed."""
    member = Member("m", keepalive_takes=0.05)
    session, _ = play(member)
    attempt = asyncio.ensure_future(session.renew())
    await asyncio.sleep(0.01)
    session.close()
    await attempt
    assert all(stream.closed for stream in member.streams)


class Notes:
    """A meter that writes down what it is told."""

    def __init__(self) -> None:
        self.legs: list[tuple[str, str]] = []
        self.answered: list[str] = []

    def renewal(self, endpoint: str, outcome: str) -> None:
        self.legs.append((endpoint, outcome))

    def keepalive(self, endpoint: str, seconds: float) -> None:
        assert seconds >= 0
        self.answered.append(endpoint)


@pytest.mark.parametrize(
    ("members", "legs"),
    [
        ([{}], ["proven"]),
        ([{"keepalive_term": 2}, {}], ["failed", "proven"]),
        ([{"keepalive_takes": 9.0}, {}], ["abandoned", "proven"]),
        ([{"stands": False}], ["gone"]),
    ],
)
async def test_every_leg_is_measured_at_its_endpoint(members: list[dict[str, Any]], legs: list[str]) -> None:
    """Whatever becomes of the attempt as a whole."""
    notes = Notes()
    cluster = Cluster(*(Member(str(number), **script) for number, script in enumerate(members)))
    session = Session(cluster, KEYS, TIMING, LEASE, REVISION, notes)  # type: ignore[arg-type]
    with contextlib.suppress(LeaseLostError):
        await session.renew()
    assert sorted(notes.legs) == [(str(number), outcome) for number, outcome in enumerate(legs)]
    silent = {str(number) for number, outcome in enumerate(legs) if outcome == "abandoned"}
    assert set(notes.answered) == {endpoint for endpoint, _ in notes.legs} - silent
