"""The fencing recipes of examples/, each against the real thing: who has been succeeded writes nothing."""

import contextlib
import glob
import io
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from leaderd.demo.nodes import Node
from tests.api.http import free_port
from tests.cluster import Cluster
from tests.faults.trio import nobody_holds, wait_for

EXAMPLES = Path(__file__).parents[2] / "examples"
sys.path.insert(0, str(EXAMPLES))

import file_guard  # noqa: E402 - found by the path above
import http_guard  # noqa: E402
import sql_guard  # noqa: E402

Connect = Callable[[], Any]


@pytest.fixture(scope="module")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Connect]:
    """A PostgreSQL of our own; gives what connects to it."""
    psycopg = pytest.importorskip("psycopg", reason="psycopg is not installed")
    found = sorted(glob.glob("/usr/lib/postgresql/*/bin/initdb"))
    if not found:
        pytest.skip("Debian's postgresql is not installed")
    user = "postgres" if os.geteuid() == 0 else None
    directory = tmp_path_factory.mktemp("postgres")
    if user:
        # It refuses to run as root, and must get through to its directory.
        for each in (directory, directory.parent, directory.parent.parent):
            each.chmod(0o755)
        shutil.chown(directory, user)
    programs, data, port = Path(found[-1]).parent, directory / "data", free_port()
    subprocess.run([programs / "initdb", "-D", data, "-A", "trust", "-U", "me", "--no-sync"], user=user,
                   check=True, capture_output=True, cwd="/")
    server = subprocess.Popen(
        [programs / "postgres", "-D", data, "-p", str(port), "-k", directory, "-c", "fsync=off"],
        user=user, cwd="/", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )

    def connect() -> Any:
        return psycopg.connect(host="127.0.0.1", port=port, user="me", dbname="postgres")

    def up() -> bool:
        with contextlib.suppress(psycopg.OperationalError):
            connect().close()
            return True
        return False

    try:
        wait_for("PostgreSQL", up, 30)
        yield connect
    finally:
        server.send_signal(signal.SIGINT)
        server.wait(20)


@pytest.fixture(params=["sqlite", "postgres"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Connect, str]:
    if request.param == "postgres":
        return request.getfixturevalue("postgres"), "%s"
    return lambda: sqlite3.connect(tmp_path / "db", timeout=10, check_same_thread=False), "?"


def test_a_database_lets_no_older_token_in(database: tuple[Connect, str]) -> None:
    """And a newer one waits for what an older one has begun: there is no write after its first."""
    connect, mark = database
    with contextlib.closing(connect()) as old, contextlib.closing(connect()) as new:
        sql_guard.prepare(old, "db", mark)
        sql_guard.prepare(new, "db", mark)
        old.cursor().execute("CREATE TABLE work (token BIGINT)")
        old.commit()
        write = f"INSERT INTO work VALUES ({mark})"
        sql_guard.guard(old, "db", 5, mark)
        order: list[str] = []

        def successor() -> None:
            sql_guard.guard(new, "db", 1 << 41, mark)
            order.append("new in")
            new.cursor().execute(write, (1 << 41,))
            new.commit()

        thread = threading.Thread(target=successor)
        thread.start()
        thread.join(0.3)
        order.append("old writes")
        old.cursor().execute(write, (5,))
        old.commit()
        thread.join(20)
        assert order == ["old writes", "new in"]
        with pytest.raises(sql_guard.StaleTokenError, match="token 5 is not the newest"):
            sql_guard.guard(old, "db", 5, mark)
        old.rollback()
        sql_guard.guard(new, "db", 1 << 41, mark)
        with pytest.raises(sql_guard.StaleTokenError):
            sql_guard.guard(new, "nobody prepared this one", 9, mark)
        new.rollback()


def test_a_file_takes_nothing_from_an_older_token(tmp_path: Path) -> None:
    path = tmp_path / "data"
    file_guard.write(str(path), b"first", 5)
    file_guard.write(str(path), b"again", 5)
    file_guard.write(str(path), b"newer", 7)
    with pytest.raises(file_guard.StaleTokenError, match="token 5 is older than 7"):
        file_guard.write(str(path), b"stale", 5)
    assert path.read_bytes() == b"newer"
    file_guard.write(str(path), b"", 7)
    assert path.read_bytes() == b""


def test_a_service_refuses_an_older_token(tmp_path: Path) -> None:
    """Over WSGI as servers call it; a restart forgets nothing."""
    def app(_environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        start_response("200 OK", [])
        return [b"done"]

    def ask(token: str | None) -> str:
        fenced = http_guard.FencedApp(app, str(tmp_path / "token"))
        statuses: list[str] = []
        environ = {"wsgi.input": io.BytesIO(), **({} if token is None else {"HTTP_LEADERD_TOKEN": token})}
        assert list(fenced(environ, lambda status, _headers: statuses.append(status)))
        return statuses[0][:3]

    asked = [ask(token) for token in ("5", "7", "5", "7", "70", "8", None, "", "-1", "x", "\u0665")]
    assert asked == ["200", "200", "412", "200", "200", "412", "428", "428", "428", "428", "428"]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with Cluster(1, directory=tmp_path_factory.mktemp("etcd")) as running:
        nobody_holds(running, "db")
        yield running


@pytest.fixture
def node(cluster: Cluster, tmp_path: Path) -> Iterator[Node]:
    """A daemon that leads alone."""
    made = Node("a", tmp_path / "a", cluster.endpoints, '[[election]]\nname = "db"\nttl = 5\n',
                http=f"127.0.0.1:{free_port()}")
    made.start()
    try:
        yield made
    finally:
        made.stop()
        made.wait(20)


def address(node: Node) -> str:
    text = node.config.read_text()
    return text.partition('http = "')[2].partition('"')[0]


def test_etcd_writes_for_the_term_that_lasts_and_for_no_other(cluster: Cluster, node: Node) -> None:
    """The daemon's own token, before and after its release."""
    if shutil.which("etcdctl") is None:
        pytest.skip("etcdctl is not installed")
    from leaderd.client import Client

    token = Client(address(node)).wait_until_leader(30)

    def write(with_token: int, value: str) -> int:
        environment = {**os.environ, "ETCDCTL_API": "3", "ETCDCTL_ENDPOINTS": cluster.endpoints[0],
                       "LEADERD_TOKEN": str(with_token), "LEADERD_ELECTION": "db"}
        return subprocess.run([EXAMPLES / "etcd_guard.sh", "/app/x", value], env=environment, check=False,
                              capture_output=True, timeout=20).returncode

    assert write(token, "mine") == 0
    assert write(token - 1, "old") == 1
    assert write(token * 10, "longer") == 1
    node.stop()
    assert node.wait(20) == 0
    assert write(token, "late") == 1
    assert cluster.etcdctl("get", "--print-value-only", "/app/x").strip() == "mine"


def test_a_worker_works_while_its_node_leads(node: Node, tmp_path: Path) -> None:
    """It stops with the leadership, and begins anew under a larger token."""
    shared = tmp_path / "counter"
    worker = subprocess.Popen(
        [sys.executable, str(EXAMPLES / "worker.py"), "db", str(shared)],
        env={**os.environ, "LEADERD_HTTP": address(node), "PYTHONPATH": str(EXAMPLES.parent)},
        stdout=subprocess.PIPE, text=True,
    )
    try:
        wait_for("work", shared.exists, 30)
        first = int(shared.read_text().split()[0])
        node.kill_agent()
        wait_for("work under a new token", lambda: int((shared.read_text() or "0").split()[0]) > first, 30)
        node.stop()
        node.wait(20)
        time.sleep(0.5)
        text = shared.read_text()
        time.sleep(0.3)
        assert shared.read_text() == text
    finally:
        worker.kill()
        output, _ = worker.communicate()
    assert output.count("leading with token") == 2
    assert output.count("not leading any more") == 2
