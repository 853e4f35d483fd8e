"""The client against the real HTTP interface, whose status is what each test says."""

import asyncio
import re
import subprocess
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from leaderd.client import AsyncClient, Client, wire
from leaderd.client import aio as aio_module
from leaderd.errors import LeaseLostError, RefusedError
from tests.api.fakes import FakeSource, election
from tests.api.http import Served, free_port, serving

_CANDIDATE = election(state="candidate", valid_for=0.0, token=7)


class Threaded:
    """The blocking client, each call in a thread; so that one test serves for both."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        self._client = Client(*arguments, **named)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        async def call(*arguments: Any) -> Any:
            return await asyncio.to_thread(getattr(self._client, name), *arguments)

        return call

    async def watch(self):
        events = self._client.watch()
        while True:
            yield await asyncio.to_thread(next, events)


@pytest.fixture(params=[AsyncClient, Threaded])
def make(request: pytest.FixtureRequest) -> Callable[..., Any]:
    return request.param


@pytest.fixture
async def served():
    async with serving(FakeSource()) as served:
        yield served


def address(served: Served) -> str:
    return f"127.0.0.1:{served.port}"


async def lead(client: AsyncClient, body: Callable[[int], Awaitable[None]]) -> None:
    """Run a body while the node leads."""
    async with client.leadership() as term:
        await body(term.token)


async def asked(served: Served) -> int:
    text, _ = served.metrics.expose("")
    found = re.findall(r'requests_total{code="\d+",path="/leader"} (\d+)', text.decode())
    return sum(int(float(each)) for each in found)


async def test_an_answer_is_given_again_only_while_fresh(
    served: Served, make: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """And never beyond its own deadline, counted from when the question was sent."""
    shift = 0.0
    real = wire.now

    def shifted() -> wire.Moment:
        moment = real()
        return wire.Moment(moment.raw, moment.boot + shift)  # one clock is enough to make it old

    monkeypatch.setattr(wire, "now", shifted)
    client = make(address(served), fresh=100.0)
    assert await client.is_leader()
    assert (await client.token(), await client.token()) == (1234, 1234)
    assert await asked(served) == 1
    served.source.set(election(state="demoting", valid_for=0.0))
    assert await client.is_leader()
    shift = 3.91  # the answer was good for 3.9 s
    assert not await client.is_leader()
    assert await asked(served) == 2
    impatient = make(address(served), fresh=0.0)
    for _ in range(3):
        assert not await impatient.is_leader()
    assert await asked(served) == 5


async def test_a_holder_without_etcd_leads_and_has_no_token(
    served: Served, make: Callable[..., Any]
) -> None:
    """At least one: nothing that checks tokens may take it for a leader's."""
    served.source.set({**election(token=0), "guarantee": "at-least-one", "proven": False})
    client = make(address(served), fresh=0.0)
    assert await client.is_leader()
    with pytest.raises(LeaseLostError, match="there is no fencing token"):
        await client.token()
    with pytest.raises(TimeoutError):
        await client.wait_until_leader(0.3)
    served.source.set(election())
    assert await client.token() == 1234


async def test_the_time_on_the_way_is_not_given_away(make: Callable[..., Any]) -> None:
    """A daemon that takes half a second to answer has its answer believed for so much less."""
    body = b"{}"
    head = (b"HTTP/1.1 200 OK\r\nLeaderd-Valid-For: 0.400\r\nLeaderd-Token: 5\r\n"
            b"Content-Length: 2\r\n\r\n")

    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await asyncio.sleep(0.5)
        writer.write(head + body)
        writer.close()

    port = free_port()
    server = await asyncio.start_server(slow, "127.0.0.1", port)
    client = make(f"127.0.0.1:{port}")
    assert not await client.is_leader()
    with pytest.raises(LeaseLostError, match="does not lead"):
        await client.token()
    server.close()


async def test_no_daemon_is_no_leader_and_a_wrong_name_is_an_error(
    served: Served, make: Callable[..., Any]
) -> None:
    gone = make(f"127.0.0.1:{free_port()}")
    assert not await gone.is_leader()
    with pytest.raises(LeaseLostError, match="nobody can say"):
        await gone.token()
    for call in ("is_leader", "token", "wait_until_leader"):
        with pytest.raises(RefusedError, match="no election 'nope'"):
            await getattr(make(address(served), "nope"), call)()
    served.source.set(election(), election("web"))
    with pytest.raises(RefusedError, match="election=web"):
        await make(address(served)).is_leader()
    assert await make(address(served), "web").is_leader()
    for bad in ("here", "4040", ":4040", "here:", "a:b"):
        with pytest.raises(ValueError, match="HOST:PORT"):
            make(bad)
    for bad in ("", "a b", "x\r\ny", "Ä"):
        with pytest.raises(ValueError, match="name of an election"):
            make(address(served), bad)


@pytest.mark.parametrize(
    "answer",
    [b"", b"\r\n\r\n", b"HTTP/1.1\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\n", b"SSH-2.0-x\r\n", b"\xff" * 100,
     b"HTTP/1.1 200 OK\r\nLeaderd-Token: x\r\nLeaderd-Valid-For: 5\r\n\r\n",
     b"HTTP/1.1 200 OK\r\nLeaderd-Token: 5\r\nLeaderd-Valid-For: nan\r\n\r\n",
     b"HTTP/1.1 200 OK\r\nLeaderd-Token: 5\r\nLeaderd-Valid-For: 5\r\nContent-Length: 9\r\n\r\n{}"],
)
async def test_a_stranger_at_the_address_makes_nobody_leader(make: Callable[..., Any], answer: bytes) -> None:
    async def stranger(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()

    port = free_port()
    server = await asyncio.start_server(stranger, "127.0.0.1", port)
    assert not await make(f"127.0.0.1:{port}").is_leader()
    server.close()


async def test_waiting_ends_with_the_promotion(served: Served, make: Callable[..., Any]) -> None:
    """Told by the stream, well before it would look again by itself."""
    served.source.set(_CANDIDATE)
    client = make(address(served))
    with pytest.raises(TimeoutError, match=r"within 0\.3 s"):
        await client.wait_until_leader(0.3)
    waiting = asyncio.ensure_future(client.wait_until_leader(20.0))
    while "leaderd_event_streams 1.0" not in served.metrics.expose("")[0].decode():
        await asyncio.sleep(0.01)
    served.source.set(election(token=99))
    assert await waiting == 99


async def test_watching_survives_a_restart_of_the_daemon(make: Callable[..., Any]) -> None:
    """It begins again with how things stand then."""
    port = free_port()
    watching = make(f"127.0.0.1:{port}").watch()
    async with serving(FakeSource(), port) as served:
        assert (await anext(watching))["token"] == 1234
        served.source.set(election(token=2))
        assert (await anext(watching))["token"] == 2
    async with serving(FakeSource(election(token=3)), port):
        async with asyncio.timeout(20):
            assert (await anext(watching))["token"] == 3
    await watching.aclose()


async def test_a_block_is_cancelled_when_leadership_ends(served: Served) -> None:
    """By news, at once, and what comes out is one error of ours."""
    client, bodies = AsyncClient(address(served)), []

    async def body(token: int) -> None:
        served.source.set(_CANDIDATE)
        try:
            await asyncio.sleep(20)
        finally:
            bodies.append(token)

    with pytest.raises(LeaseLostError, match="1234 is over"):
        await lead(client, body)
    assert bodies == [1234]
    assert not asyncio.current_task().cancelling()
    served.source.set(election(token=5))
    async with client.leadership(5.0) as term:
        assert term.token == 5


async def test_a_new_term_is_not_the_old_one(served: Served) -> None:
    """Lost and won again between two looks: what the block did under the old token is over."""
    async def body(_: int) -> None:
        served.source.set(election(token=1240))
        await asyncio.sleep(20)

    with pytest.raises(LeaseLostError, match="1234"):
        await lead(AsyncClient(address(served)), body)


async def test_a_block_outlives_neither_the_daemon_nor_its_proof(monkeypatch: pytest.MonkeyPatch) -> None:
    """A daemon that is gone ends it at once, one that is silent when the proof runs out."""
    monkeypatch.setattr(aio_module, "_ASK_EVERY", 0.05)
    begun = asyncio.Event()

    async def body(_: int) -> None:
        begun.set()
        await asyncio.sleep(20)

    async with serving(FakeSource()) as served:
        block = asyncio.ensure_future(lead(AsyncClient(address(served)), body))
        await begun.wait()
    with pytest.raises(LeaseLostError, match="answer"):
        await block

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal answers
        answers += 1
        await reader.readuntil(b"\r\n\r\n")
        if answers == 1:
            writer.write(b"HTTP/1.1 200 OK\r\nLeaderd-Valid-For: 0.600\r\nLeaderd-Token: 5\r\n\r\n")
        else:
            await reader.read()
        writer.close()

    answers, port = 0, free_port()
    server = await asyncio.start_server(silent, "127.0.0.1", port)
    began = wire.now()
    with pytest.raises(LeaseLostError, match="no proof"):
        await lead(AsyncClient(f"127.0.0.1:{port}"), body)
    assert 0.55 < wire.now().since(began) < 1.5
    server.close()


async def test_a_block_lets_other_cancellations_and_errors_through(served: Served) -> None:
    client = AsyncClient(address(served))
    with pytest.raises(KeyError):
        async with client.leadership():
            raise KeyError
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1), client.leadership():
            await asyncio.sleep(20)
    async with client.leadership():
        pass
    assert len(asyncio.all_tasks()) <= 3  # the test, what serves, what follows it


def python(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=True)


def test_the_import_is_light() -> None:
    """An application pays for no part of the daemon, and not for asyncio unless it asks for it."""
    began = "import sys, time; began = time.process_time(); import leaderd.client; "
    code = began + "print(time.process_time() - began, *sys.modules)"
    runs = [python("-c", code).stdout.split() for _ in range(5)]
    ours = {name for name in runs[0][1:] if name.split(".")[0] == "leaderd"}
    parts = {f"leaderd.{name}" for name in ("errors", "client", "client.sync", "client.wire")}
    assert ours == {"leaderd", *parts}
    assert not {"asyncio", "grpc", "aiohttp", "json", "ssl", "email"} & set(runs[0])
    spent = min(float(run[0]) for run in runs)
    bare = min(float(python("-c", "import time; print(time.process_time())").stdout) for _ in range(5))
    print(f"import leaderd.client: {spent * 1e3:.1f} ms of processor, {spent / bare:.2f} of a bare start")
    # As a ratio: how fast this machine is, and what else it does, is not the client's affair.
    assert spent / bare < 3
