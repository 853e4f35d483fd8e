"""What strangers may send: they get a proper answer or a closed connection, and the daemon goes on."""

import asyncio
import contextlib
import gc
import os
import re
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from leaderd.api import http as http_module
from leaderd.demo.nodes import Node
from tests.api.fakes import FakeSource, election
from tests.api.http import Served, free_port, serving
from tests.api.test_abuse import MEMORY_MB, ROUNDS, abuser, said
from tests.cluster import Cluster
from tests.faults.figures import figure
from tests.faults.trio import nobody_holds

_TOKEN = 'leaderd_fencing_token{election="db"}'
_LOW = 'leaderd_renewal_budget_seconds_bucket{election="db",le="0.5"}'
_MEMORY = "process_resident_memory_bytes"
# Longer than a leader of the daemon here leads without a renewal, in seconds.
FLOOD = 4.0
_LINE = st.text(st.characters(min_codepoint=1, max_codepoint=255), max_size=60)
_PATHS = st.sampled_from(
    ["/", "/leader", "/status", "/metrics", "/events", "/healthz", "*", "//", "/leader/..", ""]
)
_QUERIES = st.sampled_from(["", "?", "?election=", "?election=db", "?election=%ff%00"])
_METHODS = st.sampled_from(["GET", "HEAD", "OPTIONS", "POST", "CONNECT", "get", "PRI", ""])
_HEADERS = st.sampled_from([
    "Host: a", "Connection: close", "Connection: upgrade", "Upgrade: websocket", "Content-Length: 3",
    "Content-Length: -1", "Content-Length: 99999999999999999999", "Transfer-Encoding: chunked",
    "Transfer-Encoding: gzip, chunked", "Expect: 100-continue", "Accept: text/html", "Accept: \xff\xfe",
    "Range: bytes=0-",
    "Accept: application/openmetrics-text; q=x; version=;;;", "X: " + "y" * 5000, ": ", "no colon",
])
_REQUEST = st.builds(
    lambda method, path, query, version, headers, body: "\r\n".join(
        [f"{method} {path}{query} {version}", *headers, "", body]
    ).encode("latin-1"),
    _METHODS, _PATHS | _LINE, _QUERIES | _LINE,
    st.sampled_from(["HTTP/1.1", "HTTP/1.0", "HTTP/1.1", "HTTP/2.0", "HTTP/9.9", ""]),
    st.lists(_HEADERS | _LINE, max_size=6), _LINE,
)
# What gets past the parser.
_WELL_FORMED = st.builds(
    lambda method, path, query, headers: "\r\n".join(
        [f"{method} {path}{query} HTTP/1.1", "Host: a", "Connection: close", *headers, "", ""]
    ).encode(),
    st.sampled_from(["GET", "HEAD", "OPTIONS", "POST", "DELETE"]),
    st.sampled_from(["/", "/leader", "/status", "/metrics", "/healthz", "/readyz", "/leader/..", "/x"]),
    _QUERIES,
    st.lists(
        st.sampled_from(["Accept: text/html", "Range: bytes=0-", "Expect: 100-continue", "Content-Length: 0",
                         "Accept: application/openmetrics-text; q=x; version=;;;"]),
        max_size=2, unique=True,
    ),
)


def exchange(port: int, data: bytes) -> bytes:
    """Send bytes and return what comes before the end, or before silence sets in."""
    with socket.create_connection(("127.0.0.1", port), 10) as connection:
        received = b""
        with contextlib.suppress(OSError):
            connection.sendall(data)
            while len(received) < 100_000 and (piece := connection.recv(65536)):
                received += piece
                connection.settimeout(0.1)
                if b"text/event-stream" in received:
                    break  # it would go on for ever
        return received


async def test_whatever_is_sent_is_answered_in_http_or_not_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """Never with 500, never with a hanging connection; and the next question is answered."""
    monkeypatch.setattr(http_module, "PATIENCE", 0.3)
    codes: set[bytes] = set()
    async with serving(FakeSource(election(), election("web"))) as served:

        @settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck), database=None)
        @given(_REQUEST | st.binary(max_size=400))
        def anything(data: bytes) -> None:
            received = exchange(served.port, data)
            assert not received or received.startswith(b"HTTP/"), received
            codes.update(received.split()[1:2])
            assert b" 500 " not in received.split(b"\r\n", 1)[0], received

        @settings(max_examples=80, deadline=None, database=None)
        @given(_WELL_FORMED)
        def well_formed(data: bytes) -> None:
            received = exchange(served.port, data)
            codes.update(received.split()[1:2])
            assert received.startswith(b"HTTP/1.1 "), received
            assert b" 500 " not in received.split(b"\r\n", 1)[0], received

        await asyncio.to_thread(anything)
        await asyncio.to_thread(well_formed)
        # Not all of it was refused at the door.
        assert {b"200", b"400", b"404", b"405"} <= codes
        assert (await served.ask("/leader?election=db")).code == 200
        assert [line for line in served.log if line[0] == "error"] == []


async def test_too_much_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Long lines, many headers, endless pipelines that nobody reads."""
    async with serving(FakeSource()) as served:
        for data in (
            b"GET /" + b"x" * 100_000 + b" HTTP/1.1\r\n\r\n",
            b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 1000 + b"\r\n",
            b"GET / HTTP/1.1\r\nA: " + b"x" * 100_000 + b"\r\n\r\n",
        ):
            received = await served.send(data)
            assert not received or received.split()[1] == b"400"
        with socket.create_connection(("127.0.0.1", served.port)) as deaf:
            deaf.settimeout(0.2)
            sent = 0
            with contextlib.suppress(OSError):
                while sent < 60_000_000:
                    sent += deaf.send(b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n" * 1000)
            assert sent < 60_000_000
            assert (await served.ask("/leader")).code == 200


async def test_who_does_not_finish_a_question_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    """Byte by byte, or none at all; also after a first question on the same connection."""
    monkeypatch.setattr(http_module, "PATIENCE", 0.5)
    async with serving(FakeSource()) as served:

        async def dribble(first: bytes) -> float:
            began = time.monotonic()
            reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
            writer.write(first)
            reading = asyncio.ensure_future(reader.read())
            for byte in b"GET /leader HTTP/1.1\r\nX: " + b"y" * 1000:
                writer.write(bytes([byte]))
                if (await asyncio.wait({reading}, timeout=0.05))[0]:
                    break
            with contextlib.suppress(ConnectionError):
                await reading
            writer.close()
            return time.monotonic() - began

        whole = b"GET /leader HTTP/1.1\r\nHost: a\r\n\r\n"
        async with asyncio.timeout(20):
            lasted = await asyncio.gather(dribble(b""), dribble(whole), served.send(b"", 10.0))
        assert max(lasted[:2]) < 5.0


async def test_more_connections_than_there_is_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """The surplus is told so; when others go there is room again, and nothing is left open."""
    monkeypatch.setattr(http_module, "MAX_CONNECTIONS", 50)
    async with serving(FakeSource()) as served:
        before = len(os.listdir("/proc/self/fd"))
        held = [await asyncio.open_connection("127.0.0.1", served.port) for _ in range(50)]
        await until(lambda: connections(served) == 50)
        surplus = await served.send(b"")
        assert surplus.startswith(b"HTTP/1.1 503 ")
        assert b"Retry-After" in surplus
        for _, writer in held:
            writer.close()
        await until(lambda: connections(served) == 0)
        assert (await served.ask("/leader")).code == 200
        assert "leaderd_http_connections_refused_total 1.0" in served.metrics.expose("")[0].decode()
        held.clear()
        gc.collect()
        await until(lambda: len(os.listdir("/proc/self/fd")) <= before)


async def test_a_thousand_watchers_get_every_change_and_cost_little() -> None:
    """Some of them never read: they are bounded, and nobody waits for them."""
    async with serving(FakeSource()) as served:
        streams = []
        before = resident()
        for _ in range(1000):
            reader, writer = await asyncio.open_connection("127.0.0.1", served.port, limit=4096)
            writer.write(b"GET /events HTTP/1.1\r\nHost: a\r\n\r\n")
            streams.append((reader, writer))
        reading = streams[::2]
        async with asyncio.timeout(30):
            await asyncio.gather(*(reader.readuntil(b"1234") for reader, _ in reading))
            began = time.monotonic()
            served.source.set(election(token=987654321))
            await asyncio.gather(*(reader.readuntil(b"987654321") for reader, _ in reading))
        took, grown = time.monotonic() - began, resident() - before
        figure(f"1000 event streams: {grown / 1e6:.0f} MB for both ends; 500 readers told in {took:.2f} s")
        assert (await served.ask("/leader")).code == 200
        assert grown < 150e6
        for _, writer in streams:
            writer.close()


Daemon = tuple[Node, int, Cluster]


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """A leader with the shortest budget that is valid by default."""
    directory, port = tmp_path_factory.mktemp("abused"), free_port()
    with Cluster(1, directory=directory / "etcd") as cluster:
        nobody_holds(cluster, "db")
        node = Node("a", directory / "a", cluster.endpoints, '[[election]]\nname = "db"\nttl = 5\n',
                    http=f"127.0.0.1:{port}")
        node.start()
        try:
            until_leader(port)
            yield node, port, cluster
            node.stop()
            assert node.wait(20) == 0
        finally:
            if node.running:
                node.kill()


def test_a_daemon_keeps_its_lease_under_a_thousand_streams(daemon: Daemon) -> None:
    """All of them tell of every change; each renewal comes in time, and the memory is bounded."""
    node, port, cluster = daemon
    token, agent, before = metric(port, _TOKEN), node.agent, metric(port, _MEMORY)
    key = "/leaderd/election/db/7fffffffffffffff"
    with abuser("streams", port) as process:
        assert said(process) == "watching"
        for _ in range(ROUNDS):
            cluster.etcdctl("put", key, "visitor")
            assert said(process) == "{2}"
            cluster.etcdctl("del", key)
            assert said(process) == "{1}"
        grown = (metric(port, _MEMORY) - before) / 1e6
        process.kill()
    assert (node.agent, metric(port, _TOKEN)) == (agent, token)
    figure(f"1,000 event streams through {2 * ROUNDS} changes cost {grown:.0f} MB; "
           f"no renewal with less than {least_budget(port):g} s of lease left")
    assert metric(port, _LOW) == 0
    assert grown < MEMORY_MB


def test_a_daemon_keeps_its_lease_under_abuse(daemon: Daemon) -> None:
    """Thousands of connections, floods of questions and of rubbish: the same term at the end."""
    node, port, _ = daemon
    token, agent = metric(port, _TOKEN), node.agent
    flood = b"GET /status HTTP/1.1\r\nHost: a\r\n\r\n" * 50
    rubbish = [os.urandom(200), flood, b"GET /leader HTTP/1.1\r\nX: "]
    held: list[socket.socket] = []
    until_time = time.monotonic() + FLOOD
    tried = 0
    while time.monotonic() < until_time:
        for data in rubbish:
            connection = socket.socket()
            connection.setblocking(False)
            with contextlib.suppress(OSError):
                connection.connect(("127.0.0.1", port))
            held.append(connection)
            tried += 1
            with contextlib.suppress(OSError):
                held[-30].send(data) if len(held) > 30 else None
        while len(held) > 3000:
            held.pop(0).close()
    for connection in held:
        connection.close()
    until_leader(port)
    assert node.agent == agent
    assert metric(port, _TOKEN) == token
    low = metric(port, _LOW)
    figure(f"{tried} abusive connections in {FLOOD:g} s: {low:.0f} renewals with less than 0.5 s of lease")
    assert low == 0


def metric(port: int, name: str) -> float:
    text = exchange(port, b"GET /metrics HTTP/1.0\r\n\r\n").decode()
    return next(float(line.rpartition(" ")[2]) for line in text.splitlines() if line.startswith(name))


def least_budget(port: int) -> float:
    """Return the least lease that was left at a renewal so far, by the bounds of the histogram."""
    text = exchange(port, b"GET /metrics HTTP/1.0\r\n\r\n").decode()
    found = re.findall(r'leaderd_renewal_budget_seconds_bucket\{election="db",le="([\d.]+)"\} (\S+)', text)
    return max((float(bound) for bound, count in found if float(count) == 0), default=0.0)


def until_leader(port: int) -> None:
    """Wait until `/leader` says 200."""
    until_time = time.monotonic() + 30
    while True:
        with contextlib.suppress(OSError):
            if exchange(port, b"GET /leader HTTP/1.0\r\n\r\n").startswith(b"HTTP/1.0 200"):
                return
        assert time.monotonic() < until_time
        time.sleep(0.05)


def connections(served: Served) -> int:
    found = served.metrics.registry.get_sample_value("leaderd_http_connections")
    return int(found or 0)


def resident() -> int:
    """Return the resident memory of this process, in bytes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


async def until(done) -> None:
    async with asyncio.timeout(20):
        while not done():
            await asyncio.sleep(0.02)
