"""The service over a real socket: status, watch, health, reflection, and who may listen where."""

import asyncio
import os
import socket as sockets
import stat
import time
from contextlib import suppress
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from leaderd.api.client import fetch_status, watch_status
from leaderd.api.grpc import ApiServer
from leaderd.api.messages import as_dict
from leaderd.api.pb import leaderd_pb2 as pb
from leaderd.api.pb.leaderd_pb2_grpc import LeaderdStub
from leaderd.errors import RefusedError, UnreachableError
from tests.api.conftest import until_served
from tests.api.fakes import FakeControl, FakeSource, election, plan

WAIT = 20


async def test_status_is_the_report_of_the_daemon(channel: grpc.aio.Channel, source: FakeSource) -> None:
    """Every field of INTERFACES §5 arrives, false and zero too."""
    answer = await LeaderdStub(channel).GetStatus(pb.GetStatusRequest(), timeout=WAIT)
    assert as_dict(answer) == source.report()


async def test_status_of_one_election(channel: grpc.aio.Channel, source: FakeSource) -> None:
    """By name; an unknown one is NOT_FOUND and the message says which there are."""
    source.set(election("db"), election("web"))
    stub = LeaderdStub(channel)
    answer = await stub.GetStatus(pb.GetStatusRequest(election="web"), timeout=WAIT)
    assert [each.name for each in answer.elections] == ["web"]
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.GetStatus(pb.GetStatusRequest(election="nope"), timeout=WAIT)
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND
    assert "there are: db, web" in (caught.value.details() or "")


async def test_watch_begins_with_what_stands_and_goes_on_with_changes(
    channel: grpc.aio.Channel, source: FakeSource
) -> None:
    """A lease that merely runs down is no change."""
    call = LeaderdStub(channel).WatchStatus(pb.WatchStatusRequest())
    assert (await call.read()).election.state == "leader"
    source.set(election(valid_for=1.0))
    await asyncio.sleep(0.05)
    source.set(election(state="demoting", valid_for=0.5))
    change = await call.read()
    assert (change.node, change.election.state) == ("a", "demoting")
    assert change.election.valid_for <= 0.5
    call.cancel()


async def test_watch_of_one_election_hears_nothing_of_others(
    channel: grpc.aio.Channel, source: FakeSource
) -> None:
    """The filter holds for the beginning and for changes."""
    source.set(election("db"), election("web"))
    call = LeaderdStub(channel).WatchStatus(pb.WatchStatusRequest(election="web"))
    assert (await call.read()).election.name == "web"
    source.set(election("db", state="demoting"), election("web"))
    await asyncio.sleep(0.05)
    source.set(election("db", state="demoting"), election("web", state="fenced"))
    assert (await call.read()).election.state == "fenced"
    call.cancel()


async def test_a_slow_reader_gets_the_newest_and_delays_nobody(
    channel: grpc.aio.Channel, source: FakeSource
) -> None:
    """10,000 changes past a reader that does not read: bounded, quick, and the last one arrives."""
    call = LeaderdStub(channel).WatchStatus(pb.WatchStatusRequest())
    assert (await call.read()).election.token == 1234
    began = time.monotonic()
    await source.turn_over(10_000)
    source.set(election(token=999_999))
    assert time.monotonic() - began < 15
    async with asyncio.timeout(WAIT):
        seen = []
        while not seen or seen[-1] != 999_999:
            seen.append((await call.read()).election.token)
    assert len(seen) < 10_000
    assert seen == sorted(seen)
    call.cancel()


async def test_two_hundred_watchers_all_hear_of_a_change(
    channel: grpc.aio.Channel, source: FakeSource
) -> None:
    """Each gets it, and the loop is not blocked for long meanwhile."""
    stub = LeaderdStub(channel)
    calls = [stub.WatchStatus(pb.WatchStatusRequest()) for _ in range(200)]
    async with asyncio.timeout(60):
        for call in calls:
            await call.read()
        source.set(election(state="fenced", valid_for=0.0))
        states = [(await call.read()).election.state for call in calls]
    assert states == ["fenced"] * 200
    for call in calls:
        call.cancel()


async def test_watchers_are_bounded_and_do_not_keep_others_out(
    channel: grpc.aio.Channel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One too many is told so, of either kind; whoever asks for the status is answered; a seat comes free."""
    monkeypatch.setattr("leaderd.api.grpc.MAX_WATCHERS", 3)
    stub, health = LeaderdStub(channel), health_pb2_grpc.HealthStub(channel)
    calls = [stub.WatchStatus(pb.WatchStatusRequest()) for _ in range(3)]
    for call in calls:
        await call.read()
    for one in (stub.WatchStatus(pb.WatchStatusRequest()), health.Watch(health_pb2.HealthCheckRequest())):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await one.read()
        assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert "3 watchers already" in (caught.value.details() or "")
    assert (await stub.GetStatus(pb.GetStatusRequest(), timeout=WAIT)).node == "a"
    calls[0].cancel()
    async with asyncio.timeout(WAIT):
        while True:
            with suppress(grpc.aio.AioRpcError):
                if await stub.WatchStatus(pb.WatchStatusRequest()).read() is not grpc.aio.EOF:
                    break


async def test_streams_end_cleanly_when_the_daemon_stops(source: FakeSource, tmp_path: Path) -> None:
    """UNAVAILABLE with a reason, and no socket is left behind."""
    socket = tmp_path / "s"
    task = asyncio.create_task(ApiServer(plan(socket), source, FakeControl()).run())
    await until_served(socket)
    async with grpc.aio.insecure_channel(f"unix:{socket}") as channel:
        call = LeaderdStub(channel).WatchStatus(pb.WatchStatusRequest())
        await call.read()
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call.read()
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    assert not socket.exists()


async def test_health_follows_the_deadline_not_the_last_event(
    channel: grpc.aio.Channel, source: FakeSource
) -> None:
    """NOT_SERVING as soon as valid_for is used up, though nothing was published."""
    source.set(election("db", valid_for=0.3), election("web", state="candidate", valid_for=0.0))
    stub = health_pb2_grpc.HealthStub(channel)
    serving = health_pb2.HealthCheckResponse

    async def check(name: str) -> int:
        answer = await stub.Check(health_pb2.HealthCheckRequest(service=name), timeout=WAIT)
        return int(answer.status)

    assert await check("") == serving.SERVING
    assert await check("leaderd.v1.Leaderd") == serving.SERVING
    assert await check("db") == serving.SERVING
    assert await check("web") == serving.NOT_SERVING
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await check("nope")
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND
    listed = await stub.List(health_pb2.HealthListRequest(), timeout=WAIT)
    assert {name: each.status for name, each in listed.statuses.items()} == {
        "": serving.SERVING, "leaderd.v1.Leaderd": serving.SERVING, "db": serving.SERVING,
        "web": serving.NOT_SERVING,
    }
    call = stub.Watch(health_pb2.HealthCheckRequest(service="db"))
    assert (await call.read()).status == serving.SERVING
    source.elections = [election("db", valid_for=-0.1)]  # the time has passed; nobody was told
    async with asyncio.timeout(WAIT):
        assert (await call.read()).status == serving.NOT_SERVING
    call.cancel()


async def test_reflection_lists_the_services(channel: grpc.aio.Channel) -> None:
    """Grpcurl works without the proto file."""
    stub = reflection_pb2_grpc.ServerReflectionStub(channel)
    request = reflection_pb2.ServerReflectionRequest(list_services="")
    answer = await anext(aiter(stub.ServerReflectionInfo(iter([request]))))
    names = {each.name for each in answer.list_services_response.service}
    assert {"leaderd.v1.Leaderd", "grpc.health.v1.Health"} <= names


@pytest.mark.parametrize("body", [b"\xff" * 100, b"\n\x01\xff"], ids=["no fields", "no text"])
@pytest.mark.parametrize("method", [
    "/leaderd.v1.Leaderd/GetStatus", "/leaderd.v1.Leaderd/WatchStatus", "/leaderd.v1.Leaderd/SetStandby",
    "/grpc.health.v1.Health/Check", "/grpc.health.v1.Health/Watch",
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
])
async def test_what_is_no_message_is_answered_as_by_other_servers(
    channel: grpc.aio.Channel, control: FakeControl, caplog: pytest.LogCaptureFixture, method: str,
    body: bytes,
) -> None:
    """INTERNAL, as gRPC's doc/statuscodes.md has it; nothing is done, and nobody can fill the log with it."""
    call = channel.stream_stream(method)(iter([body]), timeout=WAIT)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call.read()
    assert caught.value.code() is grpc.StatusCode.INTERNAL
    assert method in (caught.value.details() or "")
    assert control.calls == []
    assert caplog.text == ""


async def test_only_the_owner_may_use_the_socket(served: Path) -> None:
    """Mode 0600."""
    assert stat.S_IMODE(served.stat().st_mode) == 0o600


@pytest.mark.root
async def test_the_socket_group_may_use_it_too(source: FakeSource, tmp_path: Path) -> None:
    """Mode 0660 and that group."""
    socket = tmp_path / "s"
    task = asyncio.create_task(ApiServer(plan(socket, "daemon"), source, FakeControl()).run())
    await until_served(socket)
    assert (stat.S_IMODE(socket.stat().st_mode), socket.stat().st_gid) == (0o660, 1)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def test_a_stale_socket_is_replaced_and_a_live_one_is_not(source: FakeSource, tmp_path: Path) -> None:
    """A killed agent leaves its socket; a second daemon on the same path must not take it over."""
    socket = tmp_path / "s"
    with sockets.socket(sockets.AF_UNIX) as dead:
        dead.bind(str(socket))
    task = asyncio.create_task(ApiServer(plan(socket), source, FakeControl()).run())
    await until_served(socket)
    with pytest.raises(RefusedError, match="another daemon listens"):
        await ApiServer(plan(socket), source, FakeControl()).run()
    report = await asyncio.to_thread(fetch_status, str(socket))
    assert report["node"] == "a"
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def test_what_is_no_socket_is_left_alone(source: FakeSource, tmp_path: Path) -> None:
    """Somebody's file stands where the socket should."""
    path = tmp_path / "s"
    path.write_text("precious")
    with pytest.raises(RefusedError, match="is no socket"):
        await ApiServer(plan(path), source, FakeControl()).run()
    assert path.read_text() == "precious"


@pytest.mark.parametrize("name", ["with space", "50%25", "q?x#y", "ü"])
async def test_any_path_will_do(source: FakeSource, tmp_path: Path, name: str) -> None:
    """Grpc reads addresses as URIs; server and client quote alike."""
    socket = tmp_path / name / "s"
    task = asyncio.create_task(ApiServer(plan(socket), source, FakeControl()).run())
    await until_served(socket)
    report = await asyncio.to_thread(fetch_status, str(socket))
    assert report == source.report()
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def test_the_client_maps_what_goes_wrong(served: Path, tmp_path: Path) -> None:
    """Unknown election: refused. Nobody there, or nobody awake: unreachable."""
    with pytest.raises(RefusedError, match="there are: db"):
        await asyncio.to_thread(fetch_status, str(served), "nope")
    with pytest.raises(UnreachableError, match="does not exist"):
        fetch_status(str(tmp_path / "nobody"))
    with pytest.raises(UnreachableError):
        fetch_status(str(tmp_path))
    with sockets.socket(sockets.AF_UNIX) as silent:
        silent.bind(str(tmp_path / "silent"))
        with pytest.raises(UnreachableError, match="Connection refused"):
            fetch_status(str(tmp_path / "silent"))
        silent.listen()
        with pytest.raises(UnreachableError):
            await asyncio.to_thread(fetch_status, str(tmp_path / "silent"), "", 0.5)


async def test_the_watching_client_sees_changes(served: Path, source: FakeSource) -> None:
    """One dictionary per change, with the node."""
    changes = watch_status(str(served))
    first = await asyncio.to_thread(next, changes)
    assert first == {"node": "a", **election(), "valid_for": first["valid_for"]}
    source.set(election(state="demoting"))
    second = await asyncio.to_thread(next, changes)
    assert second["state"] == "demoting"
    await asyncio.to_thread(changes.close)


def test_a_socket_that_is_not_ours_is_said_so(tmp_path: Path) -> None:
    """Without root only: root may use any."""
    if os.geteuid() == 0:
        pytest.skip("root may use every socket")
    with sockets.socket(sockets.AF_UNIX) as other:
        other.bind(str(tmp_path / "s"))
        (tmp_path / "s").chmod(0)
        with pytest.raises(UnreachableError, match="not yours"):
            fetch_status(str(tmp_path / "s"))
