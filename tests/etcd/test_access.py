"""Who may talk to etcd, and what is said when something about that is wrong."""

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Self

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leaderd.clock import BootClock
from leaderd.core.actions import Join
from leaderd.core.events import EvidenceGathered, JoinFailed, Released, RenewalFailed, Renewed
from leaderd.core.lease import Timing
from leaderd.core.records import Known
from leaderd.errors import ConfigError, EtcdRefusedError
from leaderd.etcd import ops
from leaderd.etcd.access import read_access
from leaderd.etcd.client import EtcdClient
from leaderd.keys import ElectionKeys
from leaderd.plan import EtcdPlan
from tests.cluster import Cluster
from tests.etcd.conftest import Player
from tests.pki import authority, certificate


class Opened:
    """Players with clients of their own, all closed at the end of the block."""

    def __init__(self) -> None:
        self.players: list[Player] = []

    def player(self, plan: EtcdPlan, name: str = "a", root: str = "/leaderd") -> Player:
        """Make one."""
        client = EtcdClient(plan, BootClock())
        self.players.append(Player(client, ElectionKeys(root, "db"), name, Timing.scaled(10)))
        return self.players[-1]

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for each in self.players:
            await each.store.close()
            await each.client.close()


# --- user and password ---


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Authentication on; tokens live for three seconds; `leaderd` may use /leaderd/ alone."""
    with Cluster(3, options=("--auth-token-ttl", "3")) as cluster:
        for command in (
            "user add root:secret",
            "user grant-role root root",
            "user add leaderd:hush",
            "role add leaderd",
            "role grant-permission leaderd readwrite --prefix=true /leaderd/",
            "user grant-role leaderd leaderd",
            "user add nobody:none",
            "auth enable",
        ):
            if command == "user grant-role root root":
                cluster.etcdctl("role", "add", "root")
            cluster.etcdctl(*command.split())
        yield cluster
        cluster.heal()


@pytest.fixture
def login(guarded: Cluster, tmp_path: Path) -> Callable[..., EtcdPlan]:
    """Make plans with a user and a password."""

    def make(user: str = "leaderd", password: str = "hush") -> EtcdPlan:
        file = tmp_path / f"{user}.password"
        file.write_text(password + "\n")
        return EtcdPlan(guarded.endpoints, user=user, password_file=str(file) if user else "")

    return make


async def test_a_whole_term_with_a_password(login: Callable[..., EtcdPlan]) -> None:
    """Join, take over, look for evidence, release, under a role that is limited to the prefix."""
    async with Opened() as opened:
        a, b = opened.player(login()), opened.player(login(), "b")
        took = await a.lead()
        await b.join()
        await b.answer(b.evidence_on(a.record()), EvidenceGathered)
        await a.answer(a.release(took), Released)


async def test_an_expired_token_is_replaced_within_the_attempt(login: Callable[..., EtcdPlan]) -> None:
    """Idle for longer than tokens live, on every endpoint; the next attempt is proven all the same."""
    async with Opened() as opened:
        a = opened.player(login())
        await a.join()
        for endpoint in a.client.endpoints:
            a.client.prefer(endpoint)
            await a.renew()
        tokens = [endpoint._token for endpoint in a.client.endpoints]
        assert len(set(tokens)) == 3, "members do not share tokens"
        await asyncio.sleep(5.0)
        a.client.prefer(a.client.endpoints[0])
        await a.renew(Renewed)
        assert a.client.endpoints[0]._token != tokens[0]


async def test_a_member_that_forgot_its_tokens(guarded: Cluster, login: Callable[..., EtcdPlan]) -> None:
    """Killed and restarted; the attempts that follow log in again."""
    async with Opened() as opened:
        a = opened.player(replace(login(), endpoints=guarded.endpoints[:1]))
        await a.join()
        await a.renew()
        await asyncio.to_thread(guarded.restart, 0)
        for _ in range(20):
            if isinstance(await a.renew(Renewed, RenewalFailed), Renewed):
                break
            await asyncio.sleep(0.1)
        else:
            pytest.fail("no proven renewal after the restart")


def logins(cluster: Cluster) -> float:
    """Return how many logins the first member has answered."""
    lines = cluster.members[0].fetch("/metrics").splitlines()
    return sum(
        float(line.rpartition(" ")[2])
        for line in lines
        if line.startswith("grpc_server_handled_total") and 'method="Authenticate"' in line
    )


async def test_many_calls_share_one_login(guarded: Cluster, login: Callable[..., EtcdPlan]) -> None:
    """A token that all of them find expired is fetched once."""
    async with Opened() as opened:
        endpoint = opened.player(login()).client.endpoints[0]
        span = ops.Range("/leaderd/x", "/leaderd/y")
        before = logins(guarded)
        await asyncio.gather(*(endpoint.read(span, 5.0) for _ in range(8)))
        endpoint._token = "garbage.1"
        await asyncio.gather(*(endpoint.read(span, 5.0) for _ in range(8)))
        assert logins(guarded) - before == 2


@pytest.mark.parametrize(
    ("user", "password", "said"),
    [
        ("leaderd", "wrong", "invalid user ID or password"),
        ("ghost", "hush", "invalid user ID or password"),
        ("nobody", "none", "permission denied"),
        ("", "", "set etcd.user and etcd.password_file"),
    ],
)
async def test_those_who_may_not_are_told_why(
    login: Callable[..., EtcdPlan], user: str, password: str, said: str
) -> None:
    """At once, in one line, without trying again."""
    async with Opened() as opened:
        a = opened.player(login(user, password))
        before = a.clock.now()
        failed = await a.answer(Join(1, Known()), JoinFailed)
        assert said in failed.detail
        assert "\n" not in failed.detail
        assert a.clock.now().held_since(before) < 2 * a.timing.attempt_timeout


async def test_the_role_ends_at_the_prefix(login: Callable[..., EtcdPlan]) -> None:
    """Another root is refused."""
    async with Opened() as opened:
        failed = await opened.player(login(), root="/other").answer(Join(1, Known()), JoinFailed)
        assert "permission denied" in failed.detail


async def test_a_password_where_authentication_is_off(
    cluster: Cluster, login: Callable[..., EtcdPlan]
) -> None:
    """Works: it may be switched on later."""
    async with Opened() as opened:
        a = opened.player(replace(login(), endpoints=cluster.endpoints), root="/off")
        await a.join()
        await a.renew()


# --- TLS ---


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An authority, a server and a client certificate by it, and a stranger's authority."""
    directory = tmp_path_factory.mktemp("pki")
    for name in ("ca", "stranger"):
        authority(directory, name)
    for name, signer in (("server", "ca"), ("client", "ca"), ("foreign", "stranger")):
        certificate(directory, name, signer)
    return directory


@pytest.fixture(scope="module")
def secured(pki: Path) -> Iterator[Cluster]:
    """One member that wants client certificates."""
    options = (
        "--cert-file",
        str(pki / "server.pem"),
        "--key-file",
        str(pki / "server.key"),
        "--trusted-ca-file",
        str(pki / "ca.pem"),
        "--client-cert-auth",
    )
    with Cluster(1, scheme="https", options=options) as cluster:
        yield cluster


def certified(cluster: Cluster, pki: Path, name: str = "client", ca: str = "ca") -> EtcdPlan:
    """Return a plan with these certificates."""
    return EtcdPlan(
        cluster.endpoints,
        str(pki / f"{ca}.pem"),
        str(pki / f"{name}.pem") if name else "",
        str(pki / f"{name}.key") if name else "",
    )


async def test_a_whole_term_over_tls(secured: Cluster, pki: Path) -> None:
    """With a client certificate."""
    async with Opened() as opened:
        a = opened.player(certified(secured, pki))
        took = await a.lead()
        await a.answer(a.release(took), Released)


@pytest.mark.parametrize(("name", "ca"), [("client", "stranger"), ("", "ca"), ("foreign", "ca")])
async def test_wrong_certificates_are_refused_in_one_line(
    secured: Cluster, pki: Path, name: str, ca: str
) -> None:
    """The server's is not trusted, ours is missing, ours is not trusted."""
    async with Opened() as opened:
        failed = await opened.player(certified(secured, pki, name, ca)).answer(Join(1, Known()), JoinFailed)
        assert secured.endpoints[0] in failed.detail
        assert "\n" not in failed.detail


# --- addresses and files ---


@pytest.mark.parametrize(
    "url",
    [
        "",
        "10.0.0.1:2379",
        "ftp://10.0.0.1:2379",
        "http://10.0.0.1",
        "http://:2379",
        "http://a:b",
        "http://[::1",
    ],
)
def test_what_is_no_url_is_named(url: str) -> None:
    """With an example of one."""
    with pytest.raises(ConfigError, match=r"etcd.endpoints: .* is not a URL like https://"):
        EtcdClient(EtcdPlan((url,)), BootClock())


@given(st.lists(st.text(), min_size=1))
def test_no_url_whatsoever_raises_anything_else(urls: list[str]) -> None:
    """Generated endpoints either are addresses, or a ConfigError that names them."""
    with contextlib.suppress(ConfigError):
        access = read_access(EtcdPlan(tuple(urls)))
        assert all(address.target for address in access.addresses)


def test_all_problems_come_at_once(tmp_path: Path) -> None:
    """Missing files, a file without a certificate, a wrong endpoint."""
    (tmp_path / "no.pem").write_text("nothing")
    plan = EtcdPlan(
        ("nowhere",),
        str(tmp_path / "missing"),
        str(tmp_path / "no.pem"),
        str(tmp_path),
        "u",
        str(tmp_path / "none"),
    )
    with pytest.raises(ConfigError) as caught:
        read_access(plan)
    assert [problem.partition(":")[0] for problem in caught.value.problems] == [
        "etcd.endpoints",
        "etcd.ca_file",
        "etcd.cert_file",
        "etcd.key_file",
        "etcd.password_file",
    ]


def test_no_endpoints_at_all() -> None:
    """Is a configuration error, too."""
    with pytest.raises(ConfigError, match="at least one"):
        EtcdClient(EtcdPlan(()), BootClock())


def test_addresses_of_all_kinds() -> None:
    """Names, IPv4, IPv6; the same one twice counts once."""
    urls = ("http://etcd-1:2379", "https://10.0.0.1:2379", "http://[fd00::1]:2379/", "http://etcd-1:2379")
    assert [(each.target, each.secure) for each in read_access(EtcdPlan(urls)).addresses] == [
        ("etcd-1:2379", False),
        ("10.0.0.1:2379", True),
        ("[fd00::1]:2379", False),
    ]


def test_secrets_are_not_shown(tmp_path: Path) -> None:
    """In no repr, which is what ends in logs and tracebacks."""
    (tmp_path / "password").write_text("hush-hush")
    access = read_access(EtcdPlan(("http://a:1",), user="u", password_file=str(tmp_path / "password")))
    assert access.password == "hush-hush"
    assert "hush" not in repr(access)


async def test_addresses_where_nobody_listens() -> None:
    """Every endpoint is named, with what it said."""
    async with Opened() as opened:
        a = opened.player(EtcdPlan(("http://127.0.0.1:1", "http://no-such-host.invalid:2379")))
        failed = await a.answer(Join(1, Known()), JoinFailed)
        assert "http://" in failed.detail
        statuses = await a.client.status()
        assert all(status.error for status in statuses)
        assert await a.client.warnings() == []


async def test_status_and_warnings(cluster: Cluster) -> None:
    """Version, ids and round trip of each member; what is known to be wrong with the version."""
    async with Opened() as opened:
        client = opened.player(EtcdPlan(cluster.endpoints)).client
        statuses = await client.status()
        assert len({status.member_id for status in statuses}) == 3
        assert len({status.leader_id for status in statuses}) == 1
        assert all(status.round_trip > 0 and not status.error for status in statuses)
        warnings = await client.warnings()
        assert bool(warnings) == any(s.version.startswith(("3.4.23", "3.5.1")) for s in statuses)


async def test_a_malformed_request_is_refused_for_good(cluster: Cluster) -> None:
    """Not worth a second try."""
    async with Opened() as opened:
        endpoint = opened.player(EtcdPlan(cluster.endpoints)).client.endpoints[0]
        with pytest.raises(EtcdRefusedError):
            await endpoint.txn((), (ops.Put("", "empty key"),), (), 5.0)
