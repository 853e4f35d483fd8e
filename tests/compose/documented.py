"""The shell blocks of docs/compose.md, run as somebody types them."""

import os
import re
import shutil
import subprocess
from pathlib import Path

from tests.compose.deployment import ROOT, Deployment, compose_command

# They go on until they are interrupted.
_ENDLESS = re.compile(r"^docker compose (logs --follow|exec \S+ leaderd watch)")
# docker-compose, where it is what this machine has.
_STAND_IN = """#!/bin/sh
if [ "$1" = compose ]; then shift; exec docker-compose "$@"; fi
exec {docker} "$@"
"""


def blocks() -> list[str]:
    """Return them in their order."""
    return re.findall(r"^```sh\n(.*?)^```$", (ROOT / "docs/compose.md").read_text(), re.MULTILINE | re.DOTALL)


def run(block: str, nodes: Deployment, directory: Path) -> str:
    """Run a block at a terminal and return what is seen; the project has another name here."""
    for network in ("clients", "etcd"):
        block = block.replace(f"leaderd_{network}", nodes.network(network))
    lines = [f"timeout --foreground 4 {line} || test $? = 124" if _ENDLESS.match(line) else line
             for line in block.splitlines()]
    (directory / "block").write_text("\n".join(lines))
    environ = dict(nodes.environ)
    if compose_command() == ["docker-compose"]:
        (directory / "docker").write_text(_STAND_IN.format(docker=shutil.which("docker")))
        (directory / "docker").chmod(0o755)
        environ["PATH"] = f"{directory}{os.pathsep}{environ['PATH']}"
    done = subprocess.run(
        ["script", "--quiet", "--return", "--command", f"sh -e {directory / 'block'}", "/dev/null"], cwd=ROOT,
        env=environ, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=170, check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:]
    return done.stdout
