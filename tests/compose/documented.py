"""The shell blocks of the documentation that need containers, typed as somebody types them."""

import os
import re
import shutil
from pathlib import Path

import pexpect

from tests.compose.deployment import ROOT, STANDALONE, Deployment

# What goes on until ^C, and what is to be seen before.
_ENDLESS = {
    r"docker compose logs --follow client": r" [abc]\r",
    r"docker compose exec \S+ leaderd watch": r"\bweb (leader|candidate)\b",
}
# What is typed is `docker compose`, whichever of the two is tried.
_STAND_IN = """#!/bin/sh
if [ "$1" = compose ]; then shift; exec docker-compose "$@"; fi
exec {docker} "$@"
"""
# A block that rebuilds the image is what takes the longest.
_PATIENCE = 100


def blocks(page: str) -> list[str]:
    """Return those of a page in their order."""
    return re.findall(r"^```sh\n(.*?)^```$", (ROOT / "docs" / page).read_text(), re.MULTILINE | re.DOTALL)


def run(block: str, nodes: Deployment, directory: Path) -> str:
    """Type a block's lines at a terminal and return what is seen; the project has another name here."""
    for network in ("clients", "etcd"):
        block = block.replace(f"leaderd_{network}", nodes.network(network))
    environ = dict(nodes.environ)
    if nodes.command == STANDALONE:
        (directory / "docker").write_text(_STAND_IN.format(docker=shutil.which("docker")))
        (directory / "docker").chmod(0o755)
        environ["PATH"] = f"{directory}{os.pathsep}{environ['PATH']}"
    return "".join(_type(line, environ) for line in block.splitlines())


def _type(line: str, environ: dict[str, str]) -> str:
    """Run a line at a terminal of its own; ^C ends an endless one when it has shown what it should.

    The exit status that ^C leaves is compose's own affair, and differs from version to version.
    """
    awaited = next((text for command, text in _ENDLESS.items() if re.match(command, line)), "")
    terminal = pexpect.spawn(
        "sh", ["-c", line], cwd=ROOT, env=environ, encoding="utf-8", timeout=_PATIENCE, dimensions=(40, 120),
    )
    try:
        if awaited:
            terminal.expect(awaited)
            terminal.sendintr()
            return terminal.before + terminal.after + _end(terminal)
        seen = _end(terminal)
    finally:
        terminal.close(force=True)
    assert terminal.exitstatus == 0, f"{line}: {seen[-2000:]}"
    return seen


def _end(terminal: pexpect.spawn) -> str:
    """Wait for the end of what runs there and return what is seen until then."""
    terminal.expect(pexpect.EOF)
    return str(terminal.before)
