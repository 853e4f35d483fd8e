"""Operators' calls over a real socket: what reaches `Control`, which codes come back, who is logged."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from structlog.testing import capture_logs

from leaderd.api import client
from leaderd.api.messages import as_dict
from leaderd.api.pb import leaderd_pb2 as pb
from leaderd.api.pb.leaderd_pb2_grpc import LeaderdStub
from leaderd.errors import EtcdError, InvariantError, RefusedError, UnreachableError
from tests.api.fakes import REFUSED, UNREACHABLE, FakeControl, FakeSource, election

WAIT = 20
CALLS = {
    "Switchover": pb.SwitchoverRequest(election="db", to="b"),
    "SetStandby": pb.SetStandbyRequest(election="db", node="b", standby=True, force=True),
    "SetPaused": pb.SetPausedRequest(election="db", paused=True),
    "GetHistory": pb.GetHistoryRequest(election="db"),
    "VerifyToken": pb.VerifyTokenRequest(election="db", token=1234),
    "RaiseEpoch": pb.RaiseEpochRequest(election="db"),
}


async def ask(channel: grpc.aio.Channel, method: str, request: Any) -> list[dict[str, Any]]:
    """Make a call; return all its answers."""
    call = getattr(LeaderdStub(channel), method)(request, timeout=WAIT)
    if method == "Switchover":
        return [as_dict(step) async for step in call]
    return [as_dict(await call)]


async def refusal(channel: grpc.aio.Channel, method: str, request: Any) -> tuple[grpc.StatusCode, str]:
    """Make a call that is refused; return code and message."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await ask(channel, method, request)
    return caught.value.code(), caught.value.details() or ""


async def test_what_is_asked_for_arrives_and_is_answered(
    channel: grpc.aio.Channel, control: FakeControl
) -> None:
    """Each call with all its fields, "" and false too."""
    answers = {method: await ask(channel, method, request) for method, request in CALLS.items()}
    await ask(channel, "SetStandby", pb.SetStandbyRequest())
    await ask(channel, "SetPaused", pb.SetPausedRequest(election="db"))
    assert control.calls == [
        ("switchover", "db", "b"), ("standby", "db", "b", True), ("pause", "db"), ("history", "db", 200),
        ("newest_token", "db"), ("raise_epoch", "db"), ("online", "", "", False), ("resume", "db"),
    ]
    assert answers["Switchover"][-1] == {
        "text": "b leads", "leader": "b", "token": 1240, "gap": 0.012, "done": True
    }
    assert answers["Switchover"][0]["gap"] is None
    assert answers["VerifyToken"] == [{"valid": True, "newest": 1234}]
    assert answers["RaiseEpoch"] == [{"epoch": 2}]
    newest, oldest = answers["GetHistory"][0]["terms"]
    assert (newest["election"], newest["node"], newest["to"], newest["gap"]) == ("db", "b", "", 0.012)
    assert (oldest["clean"], oldest["gap"], oldest["from"]) == (True, None, "2026-11-22T20:00:00Z")


async def test_history_of_all_elections(
    channel: grpc.aio.Channel, source: FakeSource, control: FakeControl
) -> None:
    """Without a name; the limit holds for each."""
    source.set(election("db"), election("web"))
    (answer,) = await ask(channel, "GetHistory", pb.GetHistoryRequest(limit=1))
    assert [(term["election"], term["token"]) for term in answer["terms"]] == [("db", 1240), ("web", 1240)]
    assert control.calls == [("history", "db", 1), ("history", "web", 1)]


@pytest.mark.parametrize("token", [1233, 1235])
async def test_another_token_is_not_the_newest(channel: grpc.aio.Channel, token: int) -> None:
    """Older or never handed out: not valid, with the one that is."""
    (answer,) = await ask(channel, "VerifyToken", pb.VerifyTokenRequest(election="db", token=token))
    assert answer == {"valid": False, "newest": 1234}


@pytest.mark.parametrize("method", CALLS)
@pytest.mark.parametrize(
    ("error", "code"),
    [
        (REFUSED, grpc.StatusCode.FAILED_PRECONDITION),
        (UNREACHABLE, grpc.StatusCode.UNAVAILABLE),
        (EtcdError("http://a:1: no answer"), grpc.StatusCode.UNAVAILABLE),
        (InvariantError("a bug"), grpc.StatusCode.UNKNOWN),
    ],
)
async def test_a_refusal_has_its_code_and_says_what_to_do(
    channel: grpc.aio.Channel, control: FakeControl, method: str, error: Exception, code: grpc.StatusCode
) -> None:
    """The text is that of `Control`, word for word."""
    control.error = error
    found, text = await refusal(channel, method, CALLS[method])
    assert found is code
    assert str(error) in text


@pytest.mark.parametrize("method", CALLS)
async def test_an_election_that_is_not_ours(
    channel: grpc.aio.Channel, control: FakeControl, method: str
) -> None:
    """NOT_FOUND with those there are; INVALID_ARGUMENT for what can be no name, or is missing."""
    request = type(CALLS[method])()
    request.CopyFrom(CALLS[method])
    request.election = "nope"
    code, text = await refusal(channel, method, request)
    assert code is grpc.StatusCode.NOT_FOUND
    assert text == "no election 'nope' on this node; there are: db"
    request.election = "../etc\n"
    code, text = await refusal(channel, method, request)
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert text.startswith("election: '../etc\\n' must be")
    if method not in ("SetStandby", "GetHistory"):
        request.election = ""
        assert (await refusal(channel, method, request))[0] is grpc.StatusCode.INVALID_ARGUMENT
    assert control.calls == []


@pytest.mark.parametrize(
    ("method", "request_", "field"),
    [
        ("Switchover", pb.SwitchoverRequest(election="db", to="B!"), "to"),
        ("SetStandby", pb.SetStandbyRequest(node="x" * 64), "node"),
        ("VerifyToken", pb.VerifyTokenRequest(election="db"), "token"),
    ],
)
async def test_a_field_that_means_nothing(
    channel: grpc.aio.Channel, control: FakeControl, method: str, request_: Any, field: str
) -> None:
    """INVALID_ARGUMENT, and the message begins with the field."""
    code, text = await refusal(channel, method, request_)
    assert (code, text.split(":")[0]) == (grpc.StatusCode.INVALID_ARGUMENT, field)
    assert control.calls == []


async def test_a_deadline_ends_the_work_too(channel: grpc.aio.Channel, control: FakeControl) -> None:
    """Nobody goes on working for a caller that has stopped waiting."""
    control.go.clear()
    call = LeaderdStub(channel).Switchover(CALLS["Switchover"], timeout=0.3)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        _ = [step async for step in call]
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    async with asyncio.timeout(WAIT):
        await control.ended.wait()


async def test_steps_arrive_as_they_happen(channel: grpc.aio.Channel, control: FakeControl) -> None:
    """Not all at the end."""
    control.go.clear()
    call = LeaderdStub(channel).Switchover(CALLS["Switchover"], timeout=WAIT)
    assert (await call.read()).text.startswith("a is asked")
    control.go.set()
    assert (await call.read()).done
    assert await call.read() is grpc.aio.EOF


async def test_a_change_is_logged_with_who_asked_for_it(served: Path, control: FakeControl) -> None:
    """Our own client by its process id, verified by the kernel, though others are connected too."""
    with capture_logs() as logs:
        async with grpc.aio.insecure_channel(f"unix:{served}") as other:
            await ask(other, "GetHistory", CALLS["GetHistory"])
            script = f"from leaderd.api import client; client.set_paused({str(served)!r}, 'db', paused=True)"
            process = await asyncio.create_subprocess_exec(sys.executable, "-c", script)
            assert await process.wait() == 0
    assert control.calls[-1] == ("pause", "db")
    (line,) = [line for line in logs if line["event"] == "asked by an operator"]
    assert line["verb"] == "pause"
    assert line["election"] == "db"
    assert line["caller"] == f"pid {process.pid} uid {os.geteuid()}"


async def test_a_client_that_says_nothing_of_itself_is_named_too(channel: grpc.aio.Channel) -> None:
    """As long as it is alone."""
    with capture_logs() as logs:
        await ask(channel, "SetPaused", CALLS["SetPaused"])
    assert logs[0]["caller"] == f"pid {os.getpid()} uid {os.geteuid()}"


async def test_a_refusal_is_logged(channel: grpc.aio.Channel, control: FakeControl) -> None:
    """With its reason: the log tells what was tried."""
    control.error = REFUSED
    with capture_logs() as logs:
        await refusal(channel, "Switchover", CALLS["Switchover"])
    assert logs[1]["event"] == "an operator was refused"
    assert logs[1]["detail"] == str(REFUSED)


async def test_a_generic_client_works_by_reflection(channel: grpc.aio.Channel, control: FakeControl) -> None:
    """As grpcurl does it: descriptors from the server, JSON in, JSON out, none of our generated code."""
    stub = reflection_pb2_grpc.ServerReflectionStub(channel)
    request = reflection_pb2.ServerReflectionRequest(file_containing_symbol="leaderd.v1.Leaderd")
    answer = await anext(aiter(stub.ServerReflectionInfo(iter([request]))))
    pool = descriptor_pool.DescriptorPool()
    for raw in answer.file_descriptor_response.file_descriptor_proto:
        pool.Add(descriptor_pb2.FileDescriptorProto.FromString(raw))
    service = pool.FindServiceByName("leaderd.v1.Leaderd")
    assert {method.name for method in service.methods} == {
        *CALLS, "GetStatus", "WatchStatus", "Explain"
    }

    async def call(method: str, body: str) -> dict[str, Any]:
        described = service.FindMethodByName(method)
        make = message_factory.GetMessageClass(described.input_type)
        read = message_factory.GetMessageClass(described.output_type)
        do = channel.unary_unary(
            f"/leaderd.v1.Leaderd/{method}", type(make()).SerializeToString, read.FromString
        )
        found = await do(json_format.Parse(body, make()), timeout=WAIT)
        return dict(json_format.MessageToDict(found))

    assert await call("VerifyToken", '{"election": "db", "token": 1234}') == {"valid": True, "newest": "1234"}
    assert await call("SetStandby", '{"election": "db", "node": "b", "standby": true}') == {}
    assert control.calls[-1] == ("standby", "db", "b", False)
    assert (await call("Explain", "{}"))["elections"][0]["name"] == "db"


async def test_the_client_has_a_function_for_each(served: Path, control: FakeControl) -> None:
    """In plain values; refusals and a silent etcd are errors of ours."""
    path = str(served)
    steps = await asyncio.to_thread(lambda: list(client.switch_over(path, "db", "b", WAIT)))
    assert [step["done"] for step in steps] == [False, True]
    await asyncio.to_thread(lambda: client.set_standby(path, "", "b", standby=False, force=False))
    terms = await asyncio.to_thread(client.fetch_history, path)
    assert [term["token"] for term in terms] == [1240, 1234]
    assert await asyncio.to_thread(client.verify_token, path, "db", 7) == {"valid": False, "newest": 1234}
    assert await asyncio.to_thread(client.raise_epoch, path, "db") == 2
    control.error = REFUSED
    with pytest.raises(RefusedError, match="nobody is fit"):
        await asyncio.to_thread(client.raise_epoch, path, "db")
    control.error = UNREACHABLE
    with pytest.raises(UnreachableError, match="etcd cannot say"):
        await asyncio.to_thread(client.verify_token, path, "db", 7)
    control.error = None
    control.go.clear()
    with pytest.raises(UnreachableError, match="leaderd status db"):
        await asyncio.to_thread(lambda: list(client.switch_over(path, "db", "b", 0.3)))


@pytest.mark.root
async def test_another_user_gets_nowhere(served: Path, control: FakeControl) -> None:
    """The kernel refuses the connection: mode 0600."""
    served.parent.chmod(0o755)
    script = f"import socket; socket.socket(socket.AF_UNIX).connect({str(served)!r})"
    process = await asyncio.create_subprocess_exec(
        "/usr/bin/python3", "-c", script, stderr=subprocess.PIPE, user=65534, group=65534, extra_groups=[]
    )
    _out, err = await process.communicate()
    assert b"PermissionError" in err
    assert control.calls == []


async def test_a_daemon_that_is_older(tmp_path: Path) -> None:
    """A server that knows none of these calls stands for it: refused, and what to do."""
    server = grpc.aio.server()
    server.add_insecure_port(f"unix:{tmp_path}/s")
    await server.start()
    with pytest.raises(RefusedError, match="is older and cannot do that; upgrade it"):
        await asyncio.to_thread(client.raise_epoch, str(tmp_path / "s"), "db")
    await server.stop(None)
