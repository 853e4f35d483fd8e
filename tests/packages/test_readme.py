"""A newcomer's path: each command of the README, copied as it stands.

`make test` is what runs this; the line that installs is run in test_wheel.py, and the containers are in
tests/compose.
"""

import os
import re
import sys
from pathlib import Path

import pytest

from tests.faults.trio import wait_for
from tests.packages.conftest import ROOT
from tests.packages.machine import Machine
from tests.packages.readme import EXEC, FILE, INSTALL, MAKE, RUN, SESSION, START, blocks
from tests.packages.run import said

pytestmark = pytest.mark.timeout(180)

# Of each node what differs where three run on one machine; the first is as the README has it.
NODES = {
    "a": (),
    "b": ("LEADERD_NODE=b", "LEADERD_STATE_DIR=/run/b", "LEADERD_SOCKET=/run/b/socket", "LEADERD_HTTP="),
    "c": ("LEADERD_NODE=c", "LEADERD_STATE_DIR=/run/c", "LEADERD_SOCKET=/run/c/socket", "LEADERD_HTTP="),
}
HOOKS = ("/etc/leaderd/db.sh", "/etc/leaderd/index.sh", "/usr/bin/app")
REPORT = "#!/bin/sh\necho reported $LEADERD_TOKEN\n"


def test_the_blocks_are_those_that_are_run() -> None:
    """What a block is copied into: a shell, a file, or a shell with its answers below."""
    assert [block.language for block in blocks()] == ["sh", "sh", "toml", "sh", "console", "sh"]
    assert INSTALL.startswith("python3 -m venv ")
    assert [line.split("#")[0].strip() for line in MAKE.text.splitlines()] == ["make demo", "make test"]
    assert START.text == f"{INSTALL}\n{RUN}"


def test_the_first_command() -> None:
    """In this checkout, whose environment is there; a clone would make it first."""
    if not Path(sys.prefix, ".ready").exists():
        pytest.skip("this environment was not made by make: make demo would make another")
    environ = {key: value for key, value in os.environ.items() if not key.startswith("MAKE")}
    shown = said("sh", "-c", MAKE.text.splitlines()[0], cwd=ROOT, environ={**environ, "VENV": sys.prefix})
    assert "overlap: 0 " in shown


def cluster(host: Machine) -> None:
    """Have what the README takes for granted: three members of etcd, hooks, an interface."""
    urls = [f"http://10.0.0.{number}" for number in (1, 2, 3)]
    peers = ",".join(f"m{number}={url}:2380" for number, url in enumerate(urls))
    host.run("hostname", "a")
    host.run("ip", "link", "add", "eth0", "type", "veth", "peer", "name", "other")
    for number, url in enumerate(urls):
        host.run("ip", "address", "add", f"10.0.0.{number + 1}/32", "dev", "lo")
        host.run(
            "systemd-run", "--quiet", "/usr/bin/etcd", f"--name=m{number}", f"--data-dir=/run/m{number}",
            f"--listen-client-urls={url}:2379", f"--advertise-client-urls={url}:2379",
            f"--listen-peer-urls={url}:2380", f"--initial-advertise-peer-urls={url}:2380",
            f"--initial-cluster={peers}",
        )
    for path, text in (*((path, "#!/bin/sh\n") for path in HOOKS), ("/usr/bin/report", REPORT)):
        host.path(path).write_text(text)
        host.path(path).chmod(0o755)


def plain(text: str) -> list[str]:
    """Return the lines without what differs each time: numbers, and the width of columns."""
    return [" ".join(re.sub(r"[0-9]+(\.[0-9]+)?", "N", line).split()) for line in text.splitlines()]


def answers(host: Machine, command: str) -> set[str]:
    return {*plain(host.run("sh", "-c", command, check=False))}


def test_from_the_top(host: Machine) -> None:
    cluster(host)
    for node, settings in NODES.items():
        host.run("systemd-run", "--quiet", *(f"--setenv={each}" for each in settings), "sh", "-c", RUN)
        wait_for(f"node {node}", lambda node=node: f" {node} " in status(host), 30)
    wait_for("a leader", lambda: "db a leader N elected" in plain(status(host)), 40)
    for step in SESSION.text.split("$ ")[1:]:
        command, _, shown = step.partition("\n")
        # Again where it is not so yet: nobody types as fast as this.
        wait_for(f"the answers to {command}", lambda: answers(host, command) >= {*plain(shown)}, 10)  # noqa: B023
    assert host.run("sh", "-c", EXEC.text).splitlines()[-1].startswith("reported ")
    file(host)


def status(host: Machine) -> str:
    return host.run("leaderd", "status", check=False)


def file(host: Machine) -> None:
    """Assert that the file is a valid one, with the certificates that it names."""
    for name in ("ca.pem", "node.pem", "node-key.pem"):
        host.path(f"/etc/leaderd/{name}").touch(mode=0o600)
    host.path("/run/leaderd.toml").write_text(FILE.text)
    assert host.run("leaderd", "check", "-c", "/run/leaderd.toml").endswith("the configuration is valid")
