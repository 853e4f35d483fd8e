"""The agent's side of the link: what is told, what is posted, and that nothing is dropped."""

import asyncio
import json
import os
import socket

import pytest

from leaderd.changes import Change
from leaderd.core import actions as a
from leaderd.core.events import Fenced, GuardArmed, GuardLost
from leaderd.core.lease import Lease, Timing
from leaderd.core.records import HolderRecord
from leaderd.errors import GuardError, InvariantError
from leaderd.guard import wire
from leaderd.guard.link import ArmOrder, GuardLink
from leaderd.resources.base import StopCommand
from tests.guard.harness import CLOCK

TIMING = Timing.scaled(60)
TOKEN = 7


def lease():
    return Lease(0xABC, TIMING, CLOCK.now())


def arm(now):
    record = HolderRecord.held(TOKEN, "a", now.id, TIMING)
    return a.ArmGuard(token=TOKEN, lease=now, record=record, holder_revision=9, previous="b")


ORDER = ArmOrder(
    (StopCommand("index", ("stop",), 2.0),),
    "/leaderd/control/db/holder",
    "/leaderd/election/db/abc",
    {"LEADERD_PREVIOUS": "b"},
)


@pytest.fixture
def guard():
    """The guard's end of a link, and a GuardLink with what it has posted."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    posted = []
    link = GuardLink(
        theirs,
        CLOCK,
        lambda name, event: posted.append((name, event)),
        lambda: posted.append("shutdown"),
        posted.append,
    )
    yield ours, link, posted
    link._deadman.clear("db")
    ours.close()
    theirs.close()


def heard(end):
    return wire.decode(end.recv(wire.MAX_PACKET))


def test_arming_tells_all_that_the_guard_needs(guard):
    """Deadlines, release and stop commands arrive as they were given; the kernel timer is set."""
    end, link, _ = guard
    held = lease()
    link.perform("db", arm(held), ORDER)
    message = heard(end)
    assert message.token == TOKEN
    assert message.deadlines == wire.Deadlines(held.stop_at, held.fence_at, held.expires_at)
    assert message.holder_revision == 9
    assert message.release.lease == "abc"
    assert message.release.key == "/leaderd/election/db/abc"
    assert json.loads(message.record)["state"] == "held"
    assert json.loads(message.release.holder_value) == {**json.loads(message.record), "state": "released"}
    assert message.stops == (wire.Stop("index", ("stop",), 2.0, (0, 7)),)
    assert message.env == {"LEADERD_PREVIOUS": "b"}
    assert link._deadman.armed("db")


def test_every_action_has_its_message(guard):
    """In the order in which they were performed; disarming ends the kernel timer."""
    end, link, _ = guard
    link.perform("db", arm(lease()), ORDER)
    later = lease()
    link.perform("db", a.ExtendLease(TOKEN, later))
    link.perform("db", a.ReportStopping(TOKEN))
    link.perform("db", a.Fence(TOKEN))
    link.perform("db", a.Disarm(TOKEN))
    link.perform("db", a.Forget(TOKEN))
    kinds = [heard(end) for _ in range(6)]
    assert isinstance(kinds[0], wire.Arm)
    assert kinds[1] == wire.Extend(
        "db", TOKEN, wire.Deadlines(later.stop_at, later.fence_at, later.expires_at)
    )
    assert kinds[2:] == [
        wire.Stopping("db", 7),
        wire.Fence("db", 7),
        wire.Disarm("db", 7),
        wire.Forget("db", 7),
    ]
    assert not link._deadman.armed("db")


def test_disarming_an_old_term_leaves_the_timer(guard):
    """Only the term that set it may switch it off."""
    _, link, _ = guard
    link.perform("db", arm(lease()), ORDER)
    link.perform("db", a.Disarm(TOKEN - 1))
    assert link._deadman.armed("db")


def test_arming_needs_an_order(guard):
    """Without stop commands the guard could not do its part."""
    with pytest.raises(InvariantError):
        guard[1].perform("db", arm(lease()))


async def test_answers_become_events(guard):
    """armed, fenced, shutdown, reload; the end of the link is the loss of the guard, for all elections."""
    end, link, posted = guard
    changes = (Change(("log_level",), "debug"),)
    fenced = wire.Fenced("db", 7, False, "why")
    for answer in (wire.Armed("db", 7), fenced, wire.Reload(changes), wire.Shutdown()):
        end.send(wire.encode(answer))
    end.close()
    await asyncio.wait_for(link.run(), 10)
    assert posted == [
        ("db", GuardArmed(7)),
        ("db", Fenced(7, False, "why")),
        changes,
        "shutdown",
        ("", GuardLost()),
    ]


async def test_it_shows_life_while_its_loop_runs_and_is_heard(guard):
    """Beats come by themselves; behind whatever the guard has not read, not one after the other piles up."""
    end, link, _ = guard
    showing = asyncio.create_task(link.show_life(0.01))
    end.setblocking(False)
    loop = asyncio.get_running_loop()
    for _ in range(3):
        packet = await asyncio.wait_for(loop.sock_recv(end, wire.MAX_PACKET), 10)
        assert wire.decode(packet) == wire.Alive()
    link._unsent.append(b"waiting")
    before = len(link._unsent)
    await asyncio.sleep(0.1)
    assert len(link._unsent) == before
    showing.cancel()


async def test_nothing_is_dropped_while_the_guard_is_stopped(guard):
    """Far more messages than the socket holds arrive, all of them, in order."""
    end, link, _ = guard
    running = asyncio.create_task(link.run())
    count = 5000
    for token in range(count):
        link.perform("db", a.ReportStopping(token))
    assert link._unsent
    tokens = []
    end.setblocking(False)
    loop = asyncio.get_running_loop()
    while len(tokens) < count:
        tokens.append(wire.decode(await asyncio.wait_for(loop.sock_recv(end, 65536), 10)).token)
    assert tokens == list(range(count))
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_telling_a_dead_guard_is_harmless(guard):
    """The loss is reported once, by the reader."""
    end, link, posted = guard
    end.close()
    link.perform("db", a.ReportStopping(1))
    await asyncio.wait_for(link.run(), 10)
    assert posted == [("", GuardLost())]


async def test_nonsense_from_the_guard_is_an_error(guard):
    """The agent ends, and whoever started it cleans up."""
    end, link, _ = guard
    end.send(b"{}")
    with pytest.raises(GuardError):
        await asyncio.wait_for(link.run(), 10)


def test_the_link_is_not_inherited(guard):
    """A hook that kept it open would hide our death from the guard."""
    assert not os.get_inheritable(guard[1]._socket.fileno())


@pytest.mark.parametrize("token", [TOKEN, TOKEN - 1])
async def test_a_guard_that_takes_the_term_over_ends_the_timer(guard, token):
    """Nothing of it is left with us: dying would only harm others. The end of an old one means nothing."""
    end, link, posted = guard
    link.perform("db", arm(lease()), ORDER)
    heard(end)
    end.send(wire.encode(wire.Fencing("db", token)))
    end.close()
    await asyncio.wait_for(link.run(), 10)
    assert link._deadman.armed("db") == (token != TOKEN)
    assert posted == [("", GuardLost())]
