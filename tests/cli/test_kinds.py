"""`check` of mounts, units and OCF agents: what of them is not as it should be on this machine."""

import os
from pathlib import Path

import pytest

from leaderd.cli.main import run_command
from tests.cli.helpers import leaderd

HEAD = """
[etcd]
endpoints = ["http://127.0.0.1:2379"]
[[election]]
name = "db"
[[election.resource]]
name = "x"
"""
DUMMY = Path("/usr/lib/ocf/resource.d/heartbeat/Dummy")
needs_agents = pytest.mark.skipif(not DUMMY.exists(), reason="needs resource-agents")


def ocf(agent: str, params: str = "") -> str:
    """An OCF resource."""
    return f'type = "ocf"\nagent = "ocf:heartbeat:{agent}"\nparams = {{ {params} }}\n'


def checked(tmp_path: Path, resource: str, **env: str) -> tuple[int, str, str]:
    """Return exit code, output and errors of `check`."""
    config = tmp_path / "leaderd.toml"
    config.write_text(HEAD + resource)
    done = leaderd("check", str(config), env=env)
    return done.returncode, done.stdout, done.stderr


def test_a_mount(tmp_path: Path) -> None:
    """Who covers it, and what is not there yet."""
    text = f'type = "mount"\ndevice = "/dev/none"\ntarget = "{tmp_path}/none"\n'
    code, out, _ = checked(tmp_path, text)
    assert code == 0
    assert f"warning: election.db.resource.x.target: there is no directory {tmp_path}/none" in out
    assert "warning: election.db.resource.x.device: there is no /dev/none on this machine now" in out
    assert 'x: outside the promise when guard and agent die together; add "watchdog" to fence' in out
    code, out, _ = checked(tmp_path, f"{text}private = true\n")
    assert code == 0
    assert "outside the promise" not in out


@pytest.mark.parametrize(("state", "warned"), [("enabled", True), ("disabled", False), ("static", False)])
def test_a_unit_that_systemd_would_start_by_itself(tmp_path: Path, state: str, warned: bool) -> None:
    """On every node at boot, which is not what was wanted; asked of a stand-in for systemctl."""
    program = tmp_path / "systemctl"
    program.write_text(f"#!/bin/sh\necho {state}\n")
    program.chmod(0o755)
    path = f"{tmp_path}:{os.environ['PATH']}"
    code, out, _ = checked(tmp_path, 'type = "systemd"\nunit = "nginx"\n', PATH=path)
    assert code == 0
    assert ("nginx.service is enabled, so systemd starts it on every node" in out) is warned


@needs_agents
def test_ocf_agents(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Parameters that are missing, unknown or refused are problems; short time-outs a warning."""
    code, out, _ = checked(tmp_path, ocf("Dummy", f'state = "{tmp_path}/s"'))
    assert code == 0
    assert "it advises 20 s for stop; stop_timeout of the election is 2 s" in out
    code, _, errors = checked(tmp_path, ocf("IPaddr2", 'ipp = "1"'))
    assert code == 2
    assert "election.db.resource.x.params.ip: is missing; the agent requires it" in errors
    assert "election.db.resource.x.params.ipp: the agent knows no such parameter; it has" in errors
    config = tmp_path / "leaderd.toml"
    config.write_text(HEAD + ocf("Dummy", 'state = "/no/such/s"'))
    assert run_command(["check", str(config)]) == 2
    assert 'validate-all: State file "/no/such/s" is not writable (2)' in capsys.readouterr().err
    code, out, _ = checked(tmp_path, ocf("NoSuch"))
    assert code == 0
    assert "resource.x.agent: /usr/lib/ocf/resource.d/heartbeat/NoSuch: No such file" in out
