"""Real agents of Debian's `resource-agents`, and one of our own that says what it was told."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from leaderd.core.events import ResourceFailed, ResourcesStarted, ResourcesStopped, StartFailed
from leaderd.plan import ResourcePlan
from leaderd.resources.mountinfo import mounts, top
from leaderd.resources.ocfmeta import parse, read_meta_data, seconds
from tests.resources.conftest import TOKEN, Rig, may_contain

CLEAN = ResourcesStopped(TOKEN, clean=True, detail="")
HEARTBEAT = Path("/usr/lib/ocf/resource.d/heartbeat")
needs_agents = pytest.mark.skipif(not (HEARTBEAT / "Dummy").exists(), reason="needs resource-agents")
needs_root = pytest.mark.skipif(not may_contain(), reason="needs CAP_SYS_ADMIN to mount")
SPY = """\
[ "$1" = meta-data ] && { cat "$0.xml"; exit 0; }
env | grep -E '^(OCF|LEADERD_ACTION)' | sort > "$0.$1"
[ "$1" != start ] || touch "$0.runs"
[ "$1" != stop ] || rm -f "$0.runs"
[ "$1" != monitor ] || [ -e "$0.runs" ] || { echo "ocf-exit-reason:it is gone" >&2; exit 7; }
"""
META = """<?xml version="1.0"?>
<resource-agent name="Spy"><parameters>
<parameter name="port" required="1"/><parameter name="slow"/></parameters><actions>
<action name="start" timeout="40s"/><action name="stop" timeout="1m"/>
<action name="monitor" depth="10" timeout="99" interval="99"/>
<action name="monitor" depth="0" timeout="2500ms" interval="0.2"/>
</actions></resource-agent>
"""


def ocf(name: str, agent: str, params: dict[str, str] | None = None, **settings: Any) -> ResourcePlan:
    return ResourcePlan(name, "ocf", {"agent": agent, "params": params or {}, "restart": 0, **settings})


@pytest.fixture
def spy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An agent ocf:test:Spy."""
    path = tmp_path / "resource.d/test/Spy"
    path.parent.mkdir(parents=True)
    path.write_text(f"#!/bin/sh\n{SPY}")
    path.chmod(0o755)
    path.with_name("Spy.xml").write_text(META)
    monkeypatch.setenv("OCF_ROOT", str(tmp_path))
    return path


def told(spy: Path, verb: str) -> dict[str, str]:
    return dict(line.split("=", 1) for line in Path(f"{spy}.{verb}").read_text().splitlines())


async def test_what_an_agent_is_told(rig: Rig, spy: Path) -> None:
    """As under Pacemaker, and the hook contract beside it; what it advises on time counts."""
    rig.build(ocf("spy", "ocf:test:Spy", {"port": "80"}))
    rig.begin_stop(token=0)
    assert await rig.event() == ResourcesStopped(0, clean=True, detail="")
    assert await rig.start() == ResourcesStarted(TOKEN)
    expected = {
        "LEADERD_ACTION": "start", "OCF_ROOT": str(spy.parents[2]), "OCF_RA_VERSION_MAJOR": "1",
        "OCF_RA_VERSION_MINOR": "1", "OCF_RESOURCE_INSTANCE": "spy", "OCF_RESOURCE_TYPE": "Spy",
        "OCF_RESOURCE_PROVIDER": "test", "OCF_RESKEY_port": "80", "OCF_RESKEY_CRM_meta_interval": "0",
    }
    start = told(spy, "start")
    assert 15000 < float(start.pop("OCF_RESKEY_CRM_meta_timeout")) <= 20000
    assert start == expected
    await rig.text("resource.d/test/Spy.monitor", 5)
    monitor = told(spy, "monitor")
    assert 2000 < float(monitor.pop("OCF_RESKEY_CRM_meta_timeout")) <= 2500
    assert monitor == {
        **expected, "LEADERD_ACTION": "monitor", "OCF_RESKEY_CRM_meta_interval": "200",
        "OCF_CHECK_LEVEL": "0",
    }
    (stop,) = rig.group.stop_commands()
    assert (stop.argv, stop.env["OCF_RESKEY_port"]) == ((str(spy), "stop"), "80")
    Path(f"{spy}.runs").unlink()
    assert await rig.event() == ResourceFailed(TOKEN, "spy: monitor says it is not running")
    assert await rig.stop() == CLEAN


async def test_an_agent_that_is_not_there(rig: Rig, spy: Path) -> None:
    """Its stop fails too: whether what it manages runs cannot be known."""
    rig.build(ocf("x", "ocf:test:Missing"))
    event = await rig.start()
    assert isinstance(event, StartFailed)
    assert "No such file" in event.detail
    stopped = await rig.stop()
    assert isinstance(stopped, ResourcesStopped)
    assert not stopped.clean


async def test_the_reason_that_an_agent_gives(rig: Rig, spy: Path) -> None:
    """With its exit code in words."""
    spy.write_text("#!/bin/sh\n[ $1 != start ] || { echo ocf-exit-reason:no licence >&2; exit 5; }\n")
    rig.build(ocf("x", "ocf:test:Spy"))
    assert await rig.start() == StartFailed(TOKEN, "x: start: exit code 5, not installed here: no licence")


@needs_agents
async def test_dummy(rig: Rig) -> None:
    """Start, monitor, stop; what removes its state is noticed."""
    state = rig.directory / "state"
    rig.build(ocf("dummy", "ocf:heartbeat:Dummy", {"state": str(state)}, monitor_interval=0.2))
    rig.begin_stop(token=0)
    assert await rig.event() == ResourcesStopped(0, clean=True, detail="")
    assert await rig.start() == ResourcesStarted(TOKEN)
    assert state.exists()
    state.unlink()
    assert await rig.event() == ResourceFailed(TOKEN, "dummy: monitor says it is not running")
    assert await rig.stop() == CLEAN


@pytest.fixture
def device(tmp_path: Path) -> Iterator[str]:
    """A loop device with ext4."""
    image = tmp_path / "image"
    with image.open("wb") as file:
        file.truncate(16 << 20)
    try:
        subprocess.run(["mkfs.ext4", "-q", image], check=True)
        name = subprocess.run(
            ["losetup", "-f", "--show", image], check=True, capture_output=True, text=True
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no loop devices here: {error}")
    yield name
    subprocess.run(["losetup", "-d", name], check=True)


@needs_agents
@needs_root
async def test_filesystem_on_a_loop_device(rig: Rig, device: str) -> None:
    """Mounted, noticed when it is gone, unmounted."""
    target = rig.directory / "mnt"
    target.mkdir()
    params = {"device": device, "directory": str(target), "fstype": "ext4"}
    rig.build(ocf("fs", "ocf:heartbeat:Filesystem", params, monitor_interval=0.2), start_timeout=30.0)
    assert await rig.start() == ResourcesStarted(TOKEN), rig.lines
    assert top(mounts(), str(target)).source == device
    subprocess.run(["umount", target], check=True)
    assert isinstance(await rig.event(), ResourceFailed)
    assert await rig.stop() == CLEAN
    assert await rig.start() == ResourcesStarted(TOKEN)
    assert await rig.stop() == CLEAN
    assert top(mounts(), str(target)) is None


@needs_agents
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to set addresses")
async def test_ipaddr2(rig: Rig) -> None:
    """On the loopback interface: there, gone when somebody removes it, gone after the stop."""
    def there() -> bool:
        shown = subprocess.run(["ip", "-o", "addr", "show", "dev", "lo"], capture_output=True, check=True)
        return b"127.77.0.9/32" in shown.stdout

    params = {"ip": "127.77.0.9", "nic": "lo", "cidr_netmask": "32"}
    rig.build(ocf("ip", "ocf:heartbeat:IPaddr2", params, monitor_interval=0.2))
    assert await rig.start() == ResourcesStarted(TOKEN), rig.lines
    assert there()
    subprocess.run(["ip", "addr", "del", "127.77.0.9/32", "dev", "lo"], check=True)
    assert isinstance(await rig.event(), ResourceFailed)
    assert await rig.start() == ResourcesStarted(TOKEN)
    assert there()
    assert await rig.stop() == CLEAN
    assert not there()


def test_meta_data() -> None:
    """Times as agents write them; the monitor that looks least deep; what is no XML."""
    found = parse(META.encode(), "x")
    assert found.parameters == {"port": True, "slow": False}
    assert found.timeouts == {"start": 40.0, "stop": 60.0, "monitor": 2.5}
    assert found.interval == 0.2
    assert [seconds(text) for text in ("20", "20s", "1min", "500ms", "", None, "soon")] == [
        20, 20, 60, 0.5, 0, 0, 0,
    ]
    assert parse(b"<open>", "x").problem.startswith("x: its meta-data is no XML")
    assert read_meta_data("/no/such/agent", {}).problem == "/no/such/agent: No such file or directory"
    assert read_meta_data("/bin/false", {}).problem == "/bin/false: meta-data failed with exit code 1"


@needs_agents
def test_meta_data_of_well_known_agents() -> None:
    """As Debian ships them: times for start, stop and monitor."""
    env = {**os.environ, "OCF_ROOT": "/usr/lib/ocf", "OCF_RESOURCE_INSTANCE": "x"}
    for name in ("Dummy", "IPaddr2", "Filesystem", "LVM-activate", "nginx", "pgsql", "apache", "iscsi"):
        found = read_meta_data(str(HEARTBEAT / name), env)
        assert not found.problem
        assert found.timeouts["start"] > 0
        assert found.timeouts["stop"] > 0
        assert found.interval > 0
