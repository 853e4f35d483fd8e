"""Another access to etcd under a session that goes on: nothing is let go of, and nothing hangs."""

import asyncio
import os
from collections.abc import Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from leaderd.core.events import QueueChanged, Renewed
from leaderd.errors import ConfigError, EtcdError
from leaderd.etcd import client as module
from leaderd.etcd import ops
from leaderd.etcd.access import check_tls, files_of, read_access
from leaderd.etcd.hedge import cancelled
from leaderd.etcd.presence import Presence
from leaderd.etcd.rotation import Rotation
from leaderd.plan import ApiPlan, EtcdPlan, Plan
from tests.cluster import Cluster
from tests.etcd.conftest import Player
from tests.pki import authority, certificate, openssl

MakePlayer = Callable[..., Player]


def plan_of(etcd: EtcdPlan) -> Plan:
    return Plan("a", "/leaderd", "/s", "json", "info", etcd, ApiPlan(""), ())


class Rotating:
    """A rotation that runs, and what it said."""

    def __init__(self, player: Player, etcd: EtcdPlan) -> None:
        self.lines: list[tuple[str, str]] = []
        self.rotation = Rotation(player.client, plan_of(etcd), self._log)

    def _log(self, level: str, _event: str, **fields: Any) -> None:
        self.lines.append((level, str(fields)))

    def change(self, etcd: EtcdPlan) -> None:
        self.rotation.change(plan_of(etcd))

    async def line(self, count: int = 1) -> tuple[str, str]:
        async with asyncio.timeout(20):
            while len(self.lines) < count:
                await asyncio.sleep(0.01)
        return self.lines[count - 1]


@asynccontextmanager
async def rotating(player: Player, etcd: EtcdPlan):
    made = Rotating(player, etcd)
    task = asyncio.create_task(made.rotation.run())
    try:
        yield made
        assert not task.done()
    finally:
        await cancelled([task])


async def test_a_session_moves_with_its_lease(cluster: Cluster, player: MakePlayer, monkeypatch) -> None:
    """Endpoints change while renewals go on, each of which is proven; then the old channels are closed."""
    monkeypatch.setattr(module, "_GRACE", 0.3)
    a = player(endpoints=cluster.endpoints[:1])
    etcd = EtcdPlan(cluster.endpoints[:1])
    await a.join()
    old = a.client.endpoints
    async with rotating(a, etcd) as rotation:
        rotation.change(replace(etcd, endpoints=cluster.endpoints[1:]))
        while not rotation.lines:
            await a.renew(Renewed)
        assert [each.url for each in a.client.endpoints] == list(cluster.endpoints[1:])
        for _ in range(5):
            await a.renew(Renewed)
            await asyncio.sleep(0.1)
        with pytest.raises(EtcdError, match="connection was closed"):
            await old[0].read(ops.Range("x", "y"), 1.0)
        await a.renew(Renewed)


async def test_the_queue_is_followed_on_the_new_endpoints(
    cluster: Cluster, player: MakePlayer, monkeypatch
) -> None:
    """A watch on a channel that is closed underneath is no end of the watching."""
    monkeypatch.setattr(module, "_GRACE", 0.1)
    a, b = player(endpoints=cluster.endpoints[:1]), player("b")
    etcd = EtcdPlan(cluster.endpoints[:1])
    following = asyncio.create_task(a.store.run())
    try:
        await a.expect(QueueChanged)
        async with rotating(a, etcd) as rotation:
            rotation.change(replace(etcd, endpoints=cluster.endpoints[1:2]))
            await rotation.line()
            await asyncio.sleep(0.3)
            await b.join()
            await a.expect(QueueChanged, lambda event: len(event.queue) == 1)
            assert not following.done()
    finally:
        await cancelled([following])


async def test_a_node_goes_on_being_seen(cluster: Cluster, player: MakePlayer, monkeypatch) -> None:
    """What it says of itself is said over the new endpoints."""
    monkeypatch.setattr(module, "_GRACE", 0.1)
    a = player(endpoints=cluster.endpoints[:1])
    etcd, presence, key = EtcdPlan(cluster.endpoints[:1]), Presence(a.client), a.keys.node("a")
    told = asyncio.create_task(presence.run())

    async def reads(value: str) -> None:
        async with asyncio.timeout(20):
            span = ops.Range(key, key + "\0")
            while [each.value for each in (await a.client.order()[0].read(span, 5.0)).found] != [value]:
                await asyncio.sleep(0.05)

    try:
        presence.tell(key, "before")
        await reads("before")
        async with rotating(a, etcd) as rotation:
            rotation.change(replace(etcd, endpoints=cluster.endpoints[1:]))
            await rotation.line()
            await asyncio.sleep(0.3)
            presence.tell(key, "after")
            await reads("after")
    finally:
        await cancelled([told])
        await presence.close()


async def test_endpoints_that_stay_are_not_touched(cluster: Cluster, player: MakePlayer) -> None:
    """One more is added: the channels of the others serve on."""
    a = player(endpoints=cluster.endpoints[:2])
    etcd, old = EtcdPlan(cluster.endpoints[:2]), a.client.endpoints
    async with rotating(a, etcd) as rotation:
        rotation.change(replace(etcd, endpoints=cluster.endpoints))
        await rotation.line()
        assert a.client.endpoints[:2] == old


async def test_what_is_closed_under_a_call_is_an_error_of_it(cluster: Cluster, player: MakePlayer) -> None:
    """Not a cancellation, which would end whoever waits without a word."""
    endpoint = player().client.endpoints[0]
    stream = await endpoint.watch("/nowhere", "/nowherf", 1)
    reading = asyncio.create_task(stream.read())
    await asyncio.sleep(0.2)
    await endpoint.close()
    with pytest.raises(EtcdError, match="connection was closed"):
        await reading


async def test_a_task_that_is_cancelled_is_cancelled(cluster: Cluster, player: MakePlayer) -> None:
    """The difference is kept."""
    stream = await player().client.endpoints[0].watch("/nowhere", "/nowherf", 1)
    reading = asyncio.create_task(stream.read())
    await asyncio.sleep(0.1)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    stream.close()


async def test_what_does_not_answer_is_not_used_and_told_once(cluster: Cluster, player: MakePlayer) -> None:
    """Tried again and again meanwhile, and given up as soon as something else is wanted."""
    a = player()
    etcd, old = EtcdPlan(cluster.endpoints), a.client.endpoints
    await a.join()
    async with rotating(a, etcd) as rotation:
        rotation.change(replace(etcd, endpoints=("http://127.0.0.1:1",)))
        level, said = await rotation.line()
        assert level == "warning"
        assert "http://127.0.0.1:1" in said
        rotation.change(replace(etcd, endpoints=("http://127.0.0.1:1",)))
        await asyncio.sleep(0.5)
        await a.renew(Renewed)
        assert len(rotation.lines) == 1
        assert a.client.endpoints == old
        rotation.change(replace(etcd, endpoints=cluster.endpoints[:1]))
        assert (await rotation.line(2))[0] == "info"


async def test_files_that_are_only_touched_change_nothing(
    cluster: Cluster, player: MakePlayer, tmp_path: Path
) -> None:
    """Whatever their time says, their text counts."""
    file = tmp_path / "password"
    file.write_text("x")
    etcd = EtcdPlan(cluster.endpoints, user="u", password_file=str(file))
    a = player(user="u", password_file=str(file))
    old = a.client.endpoints
    async with rotating(a, etcd) as rotation:
        os.utime(file, (1, 1))
        await asyncio.sleep(1.5)
        file.write_text("y")
        await rotation.line()
        assert a.client.access.password == "y"
        assert not set(old) & set(a.client.endpoints)
        file.unlink()
        level, said = await rotation.line(2)
        assert level == "warning"
        assert str(file) in said


def test_files_are_told_apart(tmp_path: Path) -> None:
    """Replaced, written to, linked elsewhere."""
    for name in ("a", "b"):
        (tmp_path / name).write_text("same")
        os.utime(tmp_path / name, (1, 1))
    link = tmp_path / "link"
    link.symlink_to("a")
    plan = EtcdPlan((), password_file=str(link))
    seen = [files_of(plan)]
    link.unlink()
    link.symlink_to("b")
    seen.append(files_of(plan))
    (tmp_path / "b").write_text("other")
    seen.append(files_of(plan))
    assert len(set(seen)) == 3
    link.unlink()
    with pytest.raises(OSError, match="link"):
        files_of(plan)


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("pki")
    authority(directory, "ca")
    for name in ("one", "two"):
        certificate(directory, name, "ca")
    return directory


@pytest.mark.parametrize(("cert", "key", "ca", "said"), [
    ("one.pem", "one.key", "ca.pem", ""),
    ("one.pem", "two.key", "ca.pem", "etcd.cert_file: "),
    ("half", "one.key", "ca.pem", "etcd.cert_file: "),
    ("one.pem", "half", "ca.pem", "etcd.cert_file: "),
    ("one.pem", "none", "ca.pem", "etcd.cert_file: "),
    ("one.pem", "one.key", "half", "etcd.ca_file: "),
    ("one.pem", "one.key", "empty", "etcd.ca_file: "),
    ("one.pem", "locked", "ca.pem", "etcd.cert_file: "),
])
def test_half_a_certificate_is_none(pki: Path, cert: str, key: str, ca: str, said: str) -> None:
    """Nor is one without its key, or with a key that wants a password, for which nobody is asked."""
    text = (pki / "one.pem").read_bytes()
    (pki / "half").write_bytes(text[: len(text) // 2])
    (pki / "empty").write_bytes(b"")
    openssl(pki, "pkcs8", "-topk8", "-in", "one.key", "-out", "locked", "-passout", "pass:secret")
    plan = EtcdPlan(("https://x:1",), *(str(pki / name) for name in (ca, cert, key)))
    if said:
        with pytest.raises(ConfigError, match=said):
            check_tls(plan)
    else:
        check_tls(plan)
        assert read_access(plan).cert == text
