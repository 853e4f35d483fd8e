"""The same nodes over TLS, their user a certificate and their role limited to their keys."""

import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.compose import documented
from tests.compose.conftest import NEWER
from tests.compose.deployment import Deployment, compose_commands
from tests.compose.engine import docker

pytestmark = pytest.mark.timeout(240)

ETCDCTL = "/usr/local/bin/etcdctl"
# etcdctl takes no option that a variable names as well.
AS_LEADERD = (
    "--env=ETCDCTL_CERT=/certificates/leaderd.pem", "--env=ETCDCTL_KEY=/certificates/leaderd-key.pem",
)
AS_NOBODY = ("--env=ETCDCTL_CERT=", "--env=ETCDCTL_KEY=")


@pytest.fixture(scope="module")
def secured(
    images_used: Mapping[str, str], tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Deployment]:
    """Certificates made, nodes up, roles given, by the commands of docs/etcd-role.md."""
    if not compose_commands():
        pytest.skip("neither compose v2 nor docker-compose is installed")
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    files = ("docker-compose.yml", "docker-compose.tls.yml")
    # The older one where both are there, as all else runs under the newer.
    found = Deployment("leaderd-test-tls", images_used, NEWER, files, compose_commands()[-1])
    found.down()
    try:
        (block,) = documented.blocks("etcd-role.md")
        documented.run(block, found, tmp_path_factory.mktemp("typed"))
        yield found
    finally:
        found.down()


def test_the_role_is_all_that_an_election_needs(secured: Deployment, tmp_path: Path) -> None:
    observer = secured.observer(tmp_path / "seen")
    try:
        leader = secured.settled(observer)
        secured.do("restart", f"leaderd-{leader}")
        assert secured.settled(observer) != leader
        assert observer.both() == []
    finally:
        observer.close()


def etcdctl(nodes: Deployment, user: tuple[str, ...], *words: str) -> str:
    return docker("exec", *user, nodes.container("etcd-1"), ETCDCTL, "--command-timeout=3s", *words)


def test_leaderd_may_write_its_own_keys_only(secured: Deployment) -> None:
    assert etcdctl(secured, AS_LEADERD, "put", "/leaderd/trial", "x") == "OK"
    etcdctl(secured, AS_LEADERD, "del", "/leaderd/trial")
    for words in (("put", "/other/key", "x"), ("get", "/other/key"), ("get", "--prefix", "/"),
                  ("put", "/leaderdx", "x"), ("user", "list")):
        with pytest.raises(AssertionError, match="permission denied"):
            etcdctl(secured, AS_LEADERD, *words)


def test_nobody_gets_in_without_a_certificate(secured: Deployment) -> None:
    with pytest.raises(AssertionError, match=r"deadline exceeded|certificate required|bad certificate"):
        etcdctl(secured, AS_NOBODY, "get", "/leaderd/x")
