"""The units that are shipped, and a whole daemon that speaks to a stand-in of the manager."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from leaderd.demo.nodes import children
from tests.faults.trio import wait_for

ROOT = Path(__file__).parents[1]
UNITS = ROOT / "deploy/systemd"
# What gives a service a mount namespace; systemd.exec(5).
OWN_MOUNTS = re.compile(
    r"^(Protect(System|Home|ControlGroups|KernelLogs|KernelModules|KernelTunables|Proc|Clock|Hostname)|Private\w+"
    r"|(ReadOnly|ReadWrite|Inaccessible|Exec|NoExec)Paths|Bind\w*Paths|MountFlags|MountAPIVFS|RootDirectory"
    r"|RootImage|TemporaryFileSystem|DynamicUser|ProcSubset|DeviceAllow|DevicePolicy)=", re.MULTILINE,
)

needs_systemd = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    """The unit, of programs that are here."""
    text = (UNITS / "leaderd.service").read_text()
    text = text.replace("/opt/leaderd/bin/leaderd", "/bin/true").replace("man:leaderd(1)", "man:true(1)")
    found = tmp_path / "leaderd.service"
    found.write_text(text)
    return found


def complaints(unit: Path) -> str:
    words = ["systemd-analyze", "verify", "--man=no", str(unit)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    return done.stderr or f"exit code {done.returncode}" * bool(done.returncode)


def exposure(unit: Path) -> float:
    done = subprocess.run(["systemd-analyze", "security", "--offline=true", "--no-pager", str(unit)],
                          capture_output=True, text=True, check=False)
    found = re.search(r"Overall exposure level for leaderd.service: ([0-9.]+)", done.stdout)
    assert found, done.stderr
    return float(found[1])


@needs_systemd
def test_systemd_understands_every_line(unit: Path) -> None:
    assert complaints(unit) == ""


@needs_systemd
def test_the_drop_in_locks_it_in(unit: Path) -> None:
    before = exposure(unit)
    unit.write_text(unit.read_text() + (UNITS / "address-only.conf").read_text())
    assert complaints(unit) == ""
    assert exposure(unit) < 3.0 < before


def test_a_mount_that_a_hook_makes_is_the_hosts() -> None:
    """Nothing in the unit gives the service mounts of its own."""
    assert not OWN_MOUNTS.search((UNITS / "leaderd.service").read_text())


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[bytes], socket.socket]]:
    """`leaderd run` as the manager starts it; its etcd is down, which is no reason not to be ready."""
    heard = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    heard.bind(str(tmp_path / "notify"))
    heard.settimeout(30)
    words = ["--endpoint=http://127.0.0.1:1", "--election=x", "--on-start=true", "--on-stop=true",
             f"--state-dir={tmp_path / 'state'}", f"--socket={tmp_path / 'socket'}"]
    environ = {**os.environ, "NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "1000000"}
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen([sys.executable, "-m", "leaderd", "run", *words], env=environ, stderr=log,
                                   cwd=ROOT)
    yield process, heard
    if process.poll() is None:
        for pid in children(process.pid):
            os.kill(pid, signal.SIGKILL)
        process.kill()
    process.wait()
    heard.close()


def test_it_is_ready_and_well_until_its_agent_hangs(
    daemon: tuple[subprocess.Popen[bytes], socket.socket],
) -> None:
    process, heard = daemon
    # While it starts the guard answers for itself.
    while (first := heard.recv(4096).decode()) == "WATCHDOG=1":
        pass
    assert first == f"READY=1\nMAINPID={process.pid}"
    for _ in range(3):
        assert heard.recv(4096) == b"WATCHDOG=1"
    # The guard's other child, the scribe, is not what shows life.
    (agent,) = [pid for pid in children(process.pid)
                if Path(f"/proc/{pid}/comm").read_text().strip() != "leaderd-scribe"]
    os.kill(agent, signal.SIGSTOP)

    def silent() -> bool:
        heard.settimeout(1.5)
        try:
            heard.recv(4096)
        except TimeoutError:
            return True
        return False

    wait_for("silence, at which the manager would act", silent, 20)
    os.kill(agent, signal.SIGCONT)
    heard.settimeout(30)
    assert heard.recv(4096) == b"WATCHDOG=1"
    process.send_signal(signal.SIGTERM)
    assert heard.recv(4096) in (b"STOPPING=1", b"WATCHDOG=1")
    assert process.wait(30) == 0
