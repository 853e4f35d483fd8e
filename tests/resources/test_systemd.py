"""Units of a real systemd, which is PID 1 of a namespace of its own; what systemctl alone can say."""

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from leaderd.core.events import ResourceFailed, ResourcesStarted, ResourcesStopped, StartFailed
from leaderd.plan import ResourcePlan
from tests.resources.conftest import TOKEN, Rig, may_contain, until

CLEAN = ResourcesStopped(TOKEN, clean=True, detail="")
INSIDE = Path(__file__).with_name("systemd_inside.sh")
UNITS = {
    "nothing.target": "",
    "app.service": "[Service]\nExecStart=/bin/sleep 1000\n",
    "fails.service": "[Service]\nType=oneshot\nExecStart=/bin/false\n",
    "stubborn.service": "[Service]\nExecStart=/bin/sh -c 'trap \"\" TERM; while :; do sleep 1; done'\n"
                        "TimeoutStopSec=60\n",
}


def systemctl(directory: Path, pid: int) -> None:
    """Put a systemctl into a directory that talks to the systemd of a namespace."""
    path = directory / "systemctl"
    path.write_text(f'#!/bin/sh\nexec nsenter -t {pid} -m -p {shutil.which("systemctl")} "$@"\n')
    path.chmod(0o755)


@pytest.fixture(scope="module")
def manager(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A directory for PATH with the systemctl of a systemd that was started for this file."""
    if not may_contain() or not Path("/lib/systemd/systemd").exists() or not shutil.which("nsenter"):
        pytest.skip("needs root and systemd")
    units, programs = tmp_path_factory.mktemp("units"), tmp_path_factory.mktemp("bin")
    for name, text in UNITS.items():
        (units / name).write_text(f"[Unit]\nDefaultDependencies=no\n{text}")
    outer = subprocess.Popen([
        "unshare", "--pid", "--fork", "--mount", "--uts", "--net", "--ipc", "--cgroup", "--mount-proc",
        "--kill-child", "sh", str(INSIDE), str(units),
    ])
    try:
        deadline = time.monotonic() + 20
        while True:
            children = Path(f"/proc/{outer.pid}/task/{outer.pid}/children").read_text().split()
            if children:
                systemctl(programs, int(children[0]))
                asked = subprocess.run(
                    [programs / "systemctl", "is-system-running"], capture_output=True, text=True, check=False
                )
                if asked.stdout.strip() in ("running", "degraded"):
                    break
            if outer.poll() is not None or time.monotonic() > deadline:
                pytest.skip(f"systemd does not run in a namespace here: exit code {outer.poll()}")
            time.sleep(0.05)
        yield programs
    finally:
        outer.kill()
        outer.wait()


@pytest.fixture
def on_path(manager: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PATH", f"{manager}:{os.environ['PATH']}")
    return manager


def unit(name: str) -> ResourcePlan:
    return ResourcePlan("web", "systemd", {"unit": name, "monitor_interval": 0.2, "restart": 0})


def state(manager: Path, name: str) -> str:
    return subprocess.run(
        [manager / "systemctl", "is-active", name], capture_output=True, text=True, check=False
    ).stdout.strip()


async def test_a_unit_is_started_watched_and_stopped(rig: Rig, on_path: Path) -> None:
    """What dies is noticed by the next look."""
    rig.build(unit("app.service"))
    rig.begin_stop(token=0)
    assert await rig.event() == ResourcesStopped(0, clean=True, detail="")
    assert await rig.start() == ResourcesStarted(TOKEN)
    assert state(on_path, "app.service") == "active"
    subprocess.run([on_path / "systemctl", "kill", "--signal=KILL", "app.service"], check=True)
    assert await rig.event() == ResourceFailed(TOKEN, "web: monitor: failed")
    assert await rig.stop() == CLEAN
    assert await rig.start() == ResourcesStarted(TOKEN)
    assert await rig.stop() == CLEAN
    assert state(on_path, "app.service") == "inactive"


async def test_a_unit_that_does_not_stop_in_time_is_killed(rig: Rig, on_path: Path) -> None:
    """Its own TimeoutStopSec is a minute."""
    rig.build(unit("stubborn.service"))
    assert await rig.start() == ResourcesStarted(TOKEN)
    assert await rig.stop(within=3.0) == CLEAN, rig.lines
    assert state(on_path, "stubborn.service") == "failed"
    assert "stubborn.service takes long to stop: its processes are killed" in rig.output()


async def test_units_that_fail_or_do_not_exist(rig: Rig, on_path: Path) -> None:
    """The start says so; stopping them is fine."""
    for name, why in (("fails.service", "See"), ("missing.service", "Unit missing.service not found")):
        rig.build(unit(name))
        event = await rig.start()
        assert isinstance(event, StartFailed)
        assert f"web: start: {why}" in event.detail or why in " ".join(rig.output())
        assert await rig.stop() == CLEAN
        await rig.close()


async def test_the_guards_stop(rig: Rig, on_path: Path) -> None:
    """The same without the agent."""
    rig.build(unit("app.service"))
    assert await rig.start() == ResourcesStarted(TOKEN)
    (stop,) = rig.group.stop_commands()
    assert subprocess.run(stop.argv, check=False).returncode in stop.fine
    assert state(on_path, "app.service") == "inactive"
    assert isinstance(await rig.event(), ResourceFailed)


@pytest.mark.parametrize(("shown", "clean"), [("inactive", True), ("active", False), ("", False)])
async def test_what_systemd_says_of_the_state_decides(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, shown: str, clean: bool
) -> None:
    """A stand-in that claims to have stopped: only the state counts, and no answer is no state."""
    path = rig.directory / "systemctl"
    path.write_text(f'#!/bin/sh\ncase "$*" in *show*) echo "{shown}";; esac\n')
    path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{rig.directory}:{os.environ['PATH']}")
    rig.build(unit("x.service"))
    event = await rig.stop()
    assert isinstance(event, ResourcesStopped)
    assert event.clean is clean
    await until(lambda: rig.group.states() == [("web", "systemd", "stopped" if clean else "failed")])
