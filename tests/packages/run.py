"""Runs a program and returns what it says."""

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

PLAIN = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"}


def said(
    *words: str | Path, code: int | None = 0, cwd: Path | None = None, timeout: float = 120,
    environ: Mapping[str, str] = os.environ,
) -> str:
    """Return all that it prints; AssertionError with that at another exit code (None: any will do)."""
    done = subprocess.run(
        words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        cwd=cwd, env=dict(environ), timeout=timeout, check=False,
    )
    assert code in (None, done.returncode), f"exit code {done.returncode}: {done.stdout[-3000:]}"
    return done.stdout
