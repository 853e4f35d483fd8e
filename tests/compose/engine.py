"""A container engine: the one that runs, or one that the tests start and end."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

STORE = Path(os.environ.get("LEADERD_TEST_ENGINE", "/var/lib/leaderd-test-engine"))
_RUN = Path("/run/leaderd-test-engine")
_START_TIME = 60.0


class NoEngineError(Exception):
    """There is no engine, and none can be started; the text says why."""


def docker(*words: str, check: bool = True, timeout: float = 300) -> str:
    """Run `docker` and return what it prints; AssertionError with its complaint when it fails."""
    done = subprocess.run(
        ["docker", *words], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout,
        check=False,
    )
    assert not check or done.returncode == 0, f"docker {' '.join(words)}: {done.stderr or done.stdout}"
    return done.stdout.strip()


def answers() -> bool:
    """Return whether an engine answers."""
    return bool(docker("info", "--format", "{{.ServerVersion}}", check=False))


@contextmanager
def engine() -> Iterator[None]:
    """Have an engine while the block runs.

    Raises:
        NoEngineError: There is none.
    """
    if shutil.which("docker") is None:
        raise NoEngineError("docker is not installed")
    if answers():
        yield
        return
    if os.geteuid() != 0 or shutil.which("dockerd") is None:
        raise NoEngineError("no engine answers, and only root with dockerd could start one")
    daemon = _start()
    try:
        yield
    finally:
        daemon.send_signal(signal.SIGTERM)
        daemon.wait(60)
        del os.environ["DOCKER_HOST"]


def _start() -> subprocess.Popen[bytes]:
    _RUN.mkdir(exist_ok=True)
    socket = f"unix://{_RUN}/docker.sock"
    log = _RUN / "log"
    command = [
        "dockerd", "--data-root", str(STORE), "--exec-root", str(_RUN / "exec"), "--host", socket,
        "--pidfile", str(_RUN / "pid"),
    ]
    with log.open("wb") as file:
        daemon = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=file, stderr=file,
                                  start_new_session=True)
    os.environ["DOCKER_HOST"] = socket
    until = time.monotonic() + _START_TIME
    while not answers():
        if daemon.poll() is not None or time.monotonic() > until:
            daemon.kill()
            daemon.wait()
            del os.environ["DOCKER_HOST"]
            last = log.read_text(errors="replace").splitlines()[-1:]
            raise NoEngineError(f"dockerd does not start here: {' '.join(last)}")
        time.sleep(0.1)
    return daemon
