"""The bundled hooks: the contract for each, nftables for real, DRBD and a provider as stand-ins.

There is no DRBD in the kernels that tests run on, and no provider: `drbdadm` is a script that keeps a word
in a file, and refuses what the real one refuses.
"""

import os
import shutil
import socket
import stat
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

import leaderd
from tests.netns import inside, ip, needs_netns

HOOKS = Path(leaderd.__file__).with_name("hooks")
ALL = sorted(HOOKS.glob("*.sh"))
DRBDADM = """#!/bin/sh
cd "$(dirname "$0")"
[ "$2" = r0 ] || { echo "'$2' not defined in your config" >&2; exit 10; }
case $1 in
role) cat role ;;
primary) [ ! -e stale ] || { echo "State change failed: Need access to UpToDate data" >&2; exit 17; }
    echo Primary/Secondary > role ;;
secondary) [ ! -e held ] || { echo "State change failed: Device is held open by someone" >&2; exit 11; }
    echo Secondary/Unknown > role ;;
esac
"""


def call(hook: str, *words: str, path: Path | None = None, before: tuple[str, ...] = ()) -> int:
    """Run a hook; return its exit code."""
    env = {**os.environ, "LEADERD_TOKEN": "7"}
    if path:
        env["PATH"] = f"{path}:{env['PATH']}"
    return subprocess.run([*before, HOOKS / hook, *words], env=env, check=False, timeout=20).returncode


@pytest.mark.parametrize("hook", ALL, ids=lambda hook: hook.name)
def test_each_is_short_executable_and_clean(hook: Path) -> None:
    """And says what it wants when it is called otherwise."""
    assert hook.stat().st_mode & stat.S_IXUSR
    assert len(hook.read_text().splitlines()) <= 60
    assert subprocess.run([hook, "a", "b", "c", "d"], capture_output=True, check=False).returncode == 3
    if shutil.which("shellcheck"):
        subprocess.run(["shellcheck", hook], check=True)


def test_the_template(tmp_path: Path) -> None:
    """As it stands it keeps the contract: everything may be repeated."""
    file = str(tmp_path / "file")
    assert [call("template.sh", file, verb) for verb in ("stop", "monitor", "start", "start", "monitor")] == [
        0, 7, 0, 0, 0,
    ]
    assert Path(file).read_text() == "7\n"
    assert [call("template.sh", file, verb) for verb in ("stop", "monitor", "stop")] == [0, 7, 0]


def test_an_address_that_a_provider_moves(tmp_path: Path) -> None:
    """Asked first, so that nothing is given up that is not ours; what does not take is a failure."""
    words = (f"touch {tmp_path}/mine", f"rm {tmp_path}/mine", f"test -e {tmp_path}/mine")
    verbs = ("stop", "monitor", "start", "start", "monitor", "stop", "monitor")
    assert [call("move-address.sh", *words, verb) for verb in verbs] == [0, 7, 0, 0, 0, 0, 7]
    assert call("move-address.sh", "true", words[1], words[2], "start") != 0
    assert call("move-address.sh", words[0], "true", words[2], "start") == 0
    assert call("move-address.sh", words[0], "true", words[2], "stop") != 0
    lone = ("true", "true", "")
    assert [call("move-address.sh", *lone, verb) for verb in ("start", "monitor", "stop")] == [0, 0, 0]


def test_drbd(tmp_path: Path) -> None:
    """Promoted, demoted, never forced; what drbdadm cannot tell is a failure."""
    program = tmp_path / "drbdadm"
    program.write_text(DRBDADM)
    program.chmod(0o755)
    (tmp_path / "role").write_text("Secondary\n")

    def hook(verb: str, resource: str = "r0") -> int:
        return call("drbd-promote.sh", resource, verb, path=tmp_path)

    verbs = ("stop", "monitor", "start", "start", "monitor")
    assert [hook(verb) for verb in verbs] == [0, 7, 0, 0, 0]
    (tmp_path / "held").touch()
    assert hook("stop") == 11
    (tmp_path / "held").unlink()
    assert [hook(verb) for verb in ("stop", "monitor")] == [0, 7]
    (tmp_path / "stale").touch()
    assert hook("start") == 17
    for verb in ("start", "stop", "monitor"):
        assert hook(verb, "unknown") not in (0, 7)


@pytest.fixture
def host() -> Iterator[str]:
    """A network namespace with two addresses of its own."""
    name = f"leaderd-{os.getpid()}-gate"
    subprocess.run(["ip", "netns", "add", name], check=True)
    try:
        ip(name, "link", "set", "lo", "up")
        ip(name, "addr", "add", "10.77.0.100/32", "dev", "lo")
        ip(name, "addr", "add", "fd77::100/128", "dev", "lo", "nodad")
        yield name
    finally:
        subprocess.run(["ip", "netns", "del", name], check=True)


@needs_netns
@pytest.mark.skipif(shutil.which("nft") is None, reason="needs nftables")
@pytest.mark.parametrize("address", ["10.77.0.100", "fd77::100"])
def test_the_gate_lets_traffic_in_while_it_is_open(host: str, address: str) -> None:
    """Real packets; the other address is not touched; everything may be repeated."""
    def answers(to: str) -> bool:
        family = socket.AF_INET6 if ":" in to else socket.AF_INET
        with inside(host), socket.create_server((to, 0), family=family) as server:
            with suppress(TimeoutError):
                socket.create_connection(server.getsockname()[:2], 0.3).close()
                return True
            return False

    def gate(verb: str) -> int:
        return call("nft-gate.sh", address, verb, before=("ip", "netns", "exec", host))

    assert (answers(address), gate("monitor")) == (True, 0)
    for _ in range(2):
        assert gate("stop") == 0
        assert (answers(address), gate("monitor")) == (False, 7)
        assert answers("127.0.0.1")
    for _ in range(2):
        assert gate("start") == 0
        assert (answers(address), gate("monitor")) == (True, 0)
