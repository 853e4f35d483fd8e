"""Every path of the HTTP interface, over a real socket."""

import asyncio
import json
import time

import pytest

from leaderd.api.http_thread import HttpThread
from leaderd.api.metrics import Metrics
from leaderd.clock import BootClock
from tests.api.fakes import FakeControl, FakeSource, election
from tests.api.http import Served, free_port, reply, serving

_PROBES = ["/leader", "/primary", "/candidate", "/replica", "/healthz", "/readyz"]


@pytest.fixture
async def served():
    async with serving(FakeSource()) as served:
        yield served


@pytest.mark.parametrize(
    ("state", "valid_for", "code"),
    [("leader", 3.9, 200), ("leader", 0.0, 503), ("leader", -1.0, 503),
     ("candidate", 0.0, 503), ("promoting", 0.0, 503), ("demoting", 0.0, 503), ("fenced", 0.0, 503)],
)
async def test_leader_is_said_by_the_deadline(
    served: Served, state: str, valid_for: float, code: int
) -> None:
    """In all spellings and methods, with how long the answer may be believed."""
    served.source.set(election(state=state, valid_for=valid_for))
    for path in ("/leader", "/primary", "/leader?election=db", "/leader?unknown=1"):
        for method in ("GET", "HEAD", "OPTIONS"):
            answer = await served.ask(path, method)
            assert answer.code == code, (path, method)
            assert answer.headers["leaderd-valid-for"] == f"{valid_for:.3f}"
            assert answer.headers["cache-control"] == "no-store"
            assert bool(answer.body) is (method == "GET")
    assert (await served.ask("/leader")).json["state"] == state


@pytest.mark.parametrize(
    ("change", "code"),
    [({"state": "candidate"}, 200), ({"state": "leader"}, 503), ({"state": "standby"}, 503),
     ({"state": "candidate", "lease": ""}, 503),
     ({"state": "fenced"}, 503), ({"state": "candidate", "healthy": False}, 503),
     ({"state": "candidate", "blocked": "revision-regressed"}, 503)],
)
async def test_candidate_is_who_could_take_over(served: Served, change: dict[str, object], code: int) -> None:
    served.source.set({**election(), **change})
    assert (await served.ask("/candidate")).code == (await served.ask("/replica")).code == code


async def test_a_holder_without_etcd_leads_and_says_that_nothing_is_proven(served: Served) -> None:
    """As its guarantee is at least one: a load balancer sends there, and a program sees no token."""
    served.source.set({**election(token=0), "guarantee": "at-least-one", "proven": False, "lease": ""})
    answer = await served.ask("/leader")
    assert answer.code == 200
    assert (answer.json["guarantee"], answer.json["proven"], answer.json["token"]) == (
        "at-least-one", False, 0)
    assert answer.headers["leaderd-token"] == "0"
    assert (await served.ask("/readyz")).code == 503
    metrics = (await served.ask("/metrics")).body.decode()
    assert 'leaderd_unproven{election="db"} 1.0' in metrics
    assert 'leaderd_leader{election="db"} 1.0' in metrics


async def test_ready_needs_a_session_and_clean_resources_in_every_election(served: Served) -> None:
    assert (await served.ask("/readyz")).code == 200
    served.source.set(election(), {**election("web", state="fenced"), "detail": "stop failed"})
    answer = await served.ask("/readyz")
    assert (answer.code, answer.json["lacking"]) == (503, {"web": "stop failed"})
    assert (await served.ask("/readyz?election=db")).code == 200
    served.source.set({**election(state="candidate"), "lease": ""})
    assert (await served.ask("/readyz")).code == 503


async def test_several_elections_must_be_told_apart(served: Served) -> None:
    """A load balancer takes 400 for down, and a person reads what to do."""
    served.source.set(election(), election("web", state="candidate", valid_for=0.0))
    for path in ("/leader", "/candidate", "/"):
        answer = await served.ask(path)
        assert answer.code == 400
        assert "?election=db or ?election=web" in answer.json["error"]
    assert (await served.ask("/leader?election=db")).code == 200
    assert (await served.ask("/leader?election=web")).code == 503
    assert (await served.ask("/candidate?election=web")).code == 200
    for path in ("/leader", "/status", "/events", "/readyz", "/"):
        assert (await served.ask(f"{path}?election=nope")).code == 404


async def test_status_is_the_report(served: Served) -> None:
    assert (await served.ask("/status")).json == served.source.report()
    served.source.set(election(), election("web"))
    names = [each["name"] for each in (await served.ask("/status?election=web")).json["elections"]]
    assert names == ["web"]


async def test_the_root_names_the_leader_as_leader_elector_sidecars_do(served: Served) -> None:
    """Itself only with proof, others only with a session."""
    assert (await served.ask("/")).json == {"name": "a"}
    served.source.set(election(valid_for=-0.1))
    assert (await served.ask("/")).json == {"name": ""}
    served.source.set({**election(state="candidate", valid_for=0.0), "leader": "b"})
    assert (await served.ask("/")).json == {"name": "b"}
    served.source.set({**election(state="candidate", valid_for=0.0), "leader": "b", "lease": ""})
    assert (await served.ask("/")).json == {"name": ""}


async def test_a_browser_gets_the_page_that_may_run_nothing_but_its_own_script(served: Served) -> None:
    """Whatever the election: the page shows them all."""
    served.source.set(election(), election("web"))
    answer = await served.ask("/", Accept="text/html,application/xhtml+xml;q=0.9,*/*;q=0.8")
    assert (answer.code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert answer.body.startswith(b"<!")
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'sha256-" in policy
    assert "unsafe" not in policy


async def test_health_is_a_guard_and_a_loop_that_turns(served: Served) -> None:
    """The HTTP thread says it of the agent's loop, which here is the test's own."""
    assert (await served.ask("/healthz")).code == 200
    served.guard_lives = False
    assert "guard" in (await served.ask("/healthz")).json["error"]
    served.guard_lives = True

    def stuck() -> bytes:
        import socket

        with socket.create_connection(("127.0.0.1", served.port)) as connection:
            connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n")
            received = b""
            while piece := connection.recv(4096):
                received += piece
            return received

    # Asked from this very loop, which therefore does not turn.
    answer = reply(stuck())
    assert (answer.code, "stuck" in answer.json["error"]) == (503, True)
    assert (await served.ask("/healthz")).code == 200


async def test_what_is_no_question(served: Served) -> None:
    """Other methods 405, unknown paths 404, bodies 413: each says what to do."""
    for method in ("POST", "PUT", "DELETE", "PATCH", "TRACE"):
        answer = await served.ask("/leader", method)
        assert (answer.code, answer.headers["allow"]) == (405, "GET, HEAD, OPTIONS")
    assert "/leader" in (await served.ask("/lead")).json["error"]
    chunked = "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
    for body in ("Content-Length: 5\r\n\r\nhello", chunked):
        data = await served.send(f"GET /leader HTTP/1.1\r\nHost: here\r\n{body}".encode())
        assert reply(data).code == 413
    for path, kind in (("/metrics", "text/plain"), ("/events", "text/event-stream")):
        answer = await served.ask(path, "HEAD")
        assert (answer.code, answer.headers["content-type"].partition(";")[0]) == (200, kind)
        assert answer.body == b""
    for path in ("/status", "/metrics", "/events"):
        answer = await served.ask(path, "OPTIONS")
        assert (answer.code, answer.headers["allow"], answer.body) == (200, "GET, HEAD, OPTIONS", b"")


async def test_metrics_in_both_formats(served: Served) -> None:
    text = (await served.ask("/metrics")).body.decode()
    assert 'leaderd_leader{election="db"} 1.0' in text
    assert 'leaderd_state{election="db",state="leader"} 1.0' in text
    assert "process_resident_memory_bytes" in text
    answer = await served.ask("/metrics", Accept="application/openmetrics-text; version=1.0.0")
    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    assert answer.body.endswith(b"# EOF\n")
    assert (await served.ask("/metrics", "HEAD")).code == 200
    counted = b'leaderd_http_requests_total{code="200",path="/metrics"} 3.0'
    assert counted in (await served.ask("/metrics")).body


async def test_a_lease_that_ran_out_leads_in_no_metric(served: Served) -> None:
    served.source.set(election(valid_for=-0.2))
    text = (await served.ask("/metrics")).body.decode()
    assert 'leaderd_leader{election="db"} 0.0' in text
    assert 'leaderd_lease_remaining_seconds{election="db"} 0.0' in text


async def test_events_tell_how_it_stands_and_every_change(served: Served) -> None:
    """One JSON a change, as `leaderd watch` prints them; the end of the daemon ends the stream."""
    reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
    writer.write(b"GET /events?election=db HTTP/1.1\r\nHost: here\r\n\r\n")

    async def change() -> dict[str, object]:
        async with asyncio.timeout(10):
            while not (line := await reader.readline()).startswith(b"data: "):
                assert line
            return json.loads(line[6:])

    first = await change()
    assert (first["node"], first["state"], first["token"]) == ("a", "leader", 1234)
    served.source.set(election(state="demoting", valid_for=0.0), election("web"))
    assert (await change())["state"] == "demoting"
    served.source.set(election(token=77), election("web", token=78))
    assert (await change())["token"] == 77
    async with asyncio.timeout(10):
        # Nothing happens, and that is said too.
        while not (await reader.readline()).startswith(b": "):
            pass
    writer.close()


async def test_streams_end_with_the_daemon() -> None:
    """Within its grace, whole, not cut off."""
    async with serving(FakeSource()) as served:
        stream = asyncio.create_task(served.send(b"GET /events HTTP/1.1\r\nHost: here\r\n\r\n"))
        while "leaderd_event_streams 1.0" not in (await served.ask("/metrics")).body.decode():
            await asyncio.sleep(0.01)
        began = time.monotonic()
    assert time.monotonic() - began < 2.0
    assert (await stream).endswith(b"0\r\n\r\n")
    with pytest.raises(ConnectionRefusedError):
        await served.send(b"")


async def test_a_port_that_is_taken_is_said_and_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing else suffers: whoever runs the thread goes on."""
    monkeypatch.setattr("leaderd.api.http._TRY_AGAIN", 0.05)
    port = free_port()
    other = await asyncio.start_server(lambda _reader, writer: writer.close(), "127.0.0.1", port)
    async with serving(FakeSource(), port) as served:
        (level, event, fields), *_ = served.log
        assert (level, event, fields["address"]) == ("error", "HTTP is not served", f"127.0.0.1:{port}")
        assert "--http" in fields["detail"]
        other.close()
        await other.wait_closed()
        async with asyncio.timeout(10):
            while served.log[-1][1] != "HTTP is served":
                await asyncio.sleep(0.01)
        assert (await served.ask("/leader")).code == 200


async def test_an_address_that_does_not_exist_costs_nothing_else() -> None:
    log: list[str] = []
    clock = BootClock()
    thread = HttpThread(
        "192.0.2.1:4040", FakeSource(), FakeControl().history, Metrics(clock), clock, bool,
        lambda *args, **_: log.append(args[1]),
    )
    task = asyncio.create_task(thread.run())
    while not log:
        await asyncio.sleep(0.01)
    assert not task.done()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert log == ["HTTP is not served"]
