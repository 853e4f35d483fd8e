"""The image by itself: who its first process is, what it may do, and that it ends when told."""

import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.compose.engine import docker
from tests.faults.trio import wait_for

NET_ADMIN, NET_RAW = 1 << 12, 1 << 13
QUICK = ("run", "--endpoint=http://127.0.0.1:2379", "--election=x", "--on-start=true", "--on-stop=true")
TERM = 1 << signal.SIGTERM - 1


@contextmanager
def container(images: Mapping[str, str], *options: str) -> Iterator[str]:
    """Run the daemon alone, without an etcd, while the block runs."""
    name = docker("run", "--detach", "--network=none", *options, images["LEADERD_IMAGE"], *QUICK)
    try:
        yield name
    finally:
        docker("rm", "--force", "--volumes", name)


def daemon(images: Mapping[str, str], name: str) -> dict[str, str]:
    """Return what the kernel says of the first process, once it is the guard."""
    def status() -> dict[str, str]:
        text = docker("exec", name, "cat", "/proc/1/status")
        return {key: value.strip() for key, _, value in (line.partition(":") for line in text.splitlines())}

    wait_for("the guard", lambda: status()["Name"] == "leaderd-guard", 20)
    return status()


# NET_RAW is what engines give to everybody. What is forbidden, Docker 20.10 keeps from a process that is not
# root and Docker 28 with Linux 6.18 does not.
@pytest.mark.parametrize(("options", "capabilities"), [
    ((), {NET_RAW}),
    (("--cap-drop=ALL",), {0}),
    (("--cap-drop=ALL", "--cap-add=NET_ADMIN", "--cap-add=NET_RAW"), {NET_ADMIN | NET_RAW}),
    (("--cap-add=NET_ADMIN", "--security-opt=no-new-privileges"), {0, NET_ADMIN | NET_RAW}),
], ids=["as it is", "nothing", "for an address", "forbidden"])
def test_the_daemon_is_not_root_and_has_what_it_was_given(
    images_used: Mapping[str, str], options: tuple[str, ...], capabilities: set[int],
) -> None:
    with container(images_used, *options) as name:
        found = daemon(images_used, name)
        assert found["Uid"].split() == ["10001"] * 4
        assert int(found["CapEff"], 16) in capabilities


def test_a_signal_that_comes_before_anybody_listens_is_not_lost(images_used: Mapping[str, str]) -> None:
    """The kernel throws away what the first process of a container neither blocks nor handles."""
    with container(images_used) as name:
        status = Path("/proc", docker("inspect", "--format", "{{.State.Pid}}", name), "status")

        def blocked() -> bool:
            fields = dict(line.split(":", 1) for line in status.read_text().splitlines())
            return bool(int(fields["SigBlk"], 16) & TERM)

        wait_for("the time between start and guard", blocked, 10)
        at = time.monotonic()
        docker("stop", "--time", "60", name)
        assert time.monotonic() - at < 30
        assert docker("inspect", "--format", "{{.State.ExitCode}}", name) == "0"


def test_the_first_process_reaps_what_others_leave(images_used: Mapping[str, str]) -> None:
    with container(images_used) as name:
        daemon(images_used, name)
        docker("exec", name, "sh", "-c", "sh -c 'exec sleep 0.2' & exit")

        def zombies() -> list[str]:
            text = docker("exec", name, "sh", "-c", "cat /proc/[0-9]*/stat 2>/dev/null; true")
            return [line for line in text.splitlines() if ") Z " in line]

        asleep = "grep -q sleep /proc/[0-9]*/comm 2>/dev/null && echo yes; true"
        wait_for("the end of what was left", lambda: not docker("exec", name, "sh", "-c", asleep), 10)
        wait_for("its being reaped", lambda: not zombies(), 5)


def test_without_a_configuration_it_says_what_is_missing(images_used: Mapping[str, str]) -> None:
    name = docker("run", "--detach", "--network=none", images_used["LEADERD_IMAGE"])
    try:
        assert docker("wait", name) == "2"
    finally:
        docker("rm", "--force", "--volumes", name)


def test_it_becomes_healthy(images_used: Mapping[str, str]) -> None:
    with container(images_used, "--health-interval=1s") as name:
        ask = ("inspect", "--format", "{{.State.Health.Status}}", name)
        wait_for("health", lambda: docker(*ask) == "healthy", 30)
