"""Mounts on the real kernel: loop devices, tmpfs, bind mounts, other people's mounts and namespaces."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from leaderd.core.events import ResourceFailed, ResourcesStarted, ResourcesStopped, StartFailed
from leaderd.plan import ResourcePlan
from leaderd.resources.mountinfo import Mounted, enclosing, mounts, plain, top
from tests.resources.conftest import TOKEN, Rig, may_contain, script, until

pytestmark = pytest.mark.skipif(not may_contain(), reason="needs CAP_SYS_ADMIN to mount")
CLEAN = ResourcesStopped(TOKEN, clean=True, detail="")
# Sits in a directory and does not care for SIGTERM.
SIT = """
import os, signal, sys, time
signal.signal(15, signal.SIG_IGN)
os.chdir(sys.argv[1])
print("sits", flush=True)
time.sleep(600)
"""


def run(*argv: str) -> str:
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout.strip()


def loop_device(image: Path) -> str:
    with image.open("wb") as file:
        file.truncate(16 << 20)
    run("mkfs.ext4", "-q", str(image))
    return run("losetup", "-f", "--show", str(image))


@pytest.fixture(scope="module")
def disks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """Two loop devices with ext4 on them."""
    directory = tmp_path_factory.mktemp("disks")
    made: list[str] = []
    try:
        made += [loop_device(directory / name) for name in ("one", "two")]
    except (OSError, subprocess.CalledProcessError) as error:
        for device in made:
            run("losetup", "-d", device)
        pytest.skip(f"no loop devices here: {error}")
    yield made[0], made[1]
    for device in made:
        run("losetup", "-d", device)


@pytest.fixture
def target(tmp_path: Path) -> Iterator[Path]:
    """A directory with a blank in its name; whatever is mounted there goes at the end."""
    path = tmp_path / "srv data"
    path.mkdir()
    yield path
    while top(mounts(), str(path)):
        run("umount", str(path))


@pytest.fixture
def others() -> Iterator[list[subprocess.Popen[str]]]:
    """Processes that are killed at the end."""
    started: list[subprocess.Popen[str]] = []
    yield started
    for each in started:
        each.kill()
        each.wait()
        if each.stdout:
            each.stdout.close()


def begin(others: list[subprocess.Popen[str]], *argv: str) -> subprocess.Popen[str]:
    """Start a process that prints a line when it is where it should be."""
    process = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
    others.append(process)
    assert process.stdout is not None
    assert process.stdout.readline()
    return process


def mount(device: str, target: Path, **settings: Any) -> ResourcePlan:
    """A mount resource."""
    return ResourcePlan("data", "mount", {
        "device": device, "target": str(target), "fstype": "", "options": "", "private": False,
        "monitor_interval": 0.1, "restart": 0, **settings,
    })


def here(target: Path) -> Mounted | None:
    return top(mounts(), str(target))


def free(device: str) -> bool:
    """Whether the kernel has not given the device to a mount."""
    try:
        os.close(os.open(device, os.O_RDONLY | os.O_EXCL))
    except OSError:
        return False
    return True


async def fails(rig: Rig, why: str) -> None:
    """Start, and expect that it is refused for this reason."""
    event = await rig.start()
    assert isinstance(event, StartFailed), rig.lines
    assert why in event.detail


def guard_stop(rig: Rig, seconds: float = 5.0) -> subprocess.CompletedProcess[str]:
    """Run the stop command as the guard would."""
    (stop,) = rig.group.stop_commands()
    assert stop.fine == (0,)
    env = {**os.environ, "LEADERD_TIMEOUT": str(seconds)}
    return subprocess.run(stop.argv, env=env, check=False, capture_output=True, text=True, timeout=30)


# --- in order ---


async def test_it_is_mounted_watched_and_unmounted(rig: Rig, disks: tuple[str, str], target: Path) -> None:
    """Starts and stops may be repeated; what was written is there the next time."""
    rig.build(mount(disks[0], target, fstype="ext4", options="defaults,noatime,x-note=ours"))
    rig.begin_stop(token=0)
    assert await rig.event() == ResourcesStopped(0, clean=True, detail="")
    for text in ("", "kept"):
        assert await rig.start() == ResourcesStarted(TOKEN)
        assert here(target).fstype == "ext4"
        assert run("findmnt", "-no", "OPTIONS", str(target)).startswith("rw,noatime")
        kept = target / "kept"
        assert (kept.read_text() if kept.exists() else "") == text
        kept.write_text("kept")
        run(*rig.group._resources[0]._calls.commands["start"])
        assert await rig.stop() == CLEAN
        assert here(target) is None
        assert free(disks[0])
        assert await rig.stop() == CLEAN


async def test_an_image_file_a_tmpfs_and_a_directory(rig: Rig, tmp_path: Path, target: Path) -> None:
    """Everything that fstab takes: the loop device goes with its mount."""
    image = tmp_path / "image"
    run("losetup", "-d", loop_device(image))
    directory = tmp_path / "directory"
    directory.mkdir()
    (directory / "file").touch()
    for plan in (
        mount(str(image), target, options="loop"), mount("tmpfs", target, fstype="tmpfs", options="size=1m"),
        mount(str(directory), target, options="bind,ro"),
    ):
        rig.build(plan)
        assert await rig.start() == ResourcesStarted(TOKEN), rig.lines
        assert here(target) is not None
        assert await rig.stop() == CLEAN, rig.lines
        assert here(target) is None
        await rig.close()
    assert not run("losetup", "-j", str(image))
    assert (directory / "file").exists()


async def test_what_the_last_run_has_left_is_unmounted(
    rig: Rig, disks: tuple[str, str], target: Path
) -> None:
    """Rule R4, also where the configuration has changed since: the record says what was mounted."""
    rig.build(mount(disks[0], target))
    assert await rig.start() == ResourcesStarted(TOKEN)
    await rig.close()
    rig.build(mount(disks[1], target))
    rig.begin_stop(token=0)
    assert await rig.event() == ResourcesStopped(0, clean=True, detail="")
    assert here(target) is None
    assert free(disks[0])


# --- refusals ---


async def test_what_is_not_there(rig: Rig, disks: tuple[str, str], target: Path, tmp_path: Path) -> None:
    """Device or target, each with what to do."""
    rig.build(mount("/dev/no-such-disk", target))
    await fails(rig, "the device /dev/no-such-disk is not there")
    assert await rig.stop() == CLEAN
    await rig.close()
    rig.build(mount(disks[0], tmp_path / "nowhere"))
    await fails(rig, "is not there; mkdir -p")
    await rig.close()
    rig.build(mount(disks[0], target, fstype="xfs"))
    await fails(rig, "failed; mount(8) says why in the log")
    assert any("wrong fs type" in line or "superblock" in line for line in rig.output())
    assert await rig.stop() == CLEAN


async def test_somebody_elses_mount_is_neither_taken_nor_unmounted(
    rig: Rig, disks: tuple[str, str], target: Path
) -> None:
    """Another device on the target refuses the start alone; ours on it the stop as well."""
    run("mount", disks[1], str(target))
    rig.build(mount(disks[0], target))
    await fails(rig, f"is a mount point already, of {disks[1]}")
    assert await rig.stop() == CLEAN
    assert here(target).source == disks[1]
    run("umount", str(target))
    run("mount", disks[0], str(target))
    await fails(rig, "and not by leaderd: unmount it, and keep others from mounting it")
    event = await rig.stop()
    assert isinstance(event, ResourcesStopped)
    assert not event.clean
    assert "not by leaderd" in event.detail
    assert here(target).source == disks[0]


async def test_a_device_that_is_mounted_elsewhere(
    rig: Rig, disks: tuple[str, str], target: Path, tmp_path: Path, others: list[subprocess.Popen[str]]
) -> None:
    """In this namespace or another one; read-only beside read-only is fine."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    rig.build(mount(disks[0], target))
    run("mount", disks[0], str(elsewhere))
    await fails(rig, f"{disks[0]} is mounted on {elsewhere} already")
    run("umount", str(elsewhere))
    hidden = begin(others, "unshare", "-m", "--propagation", "private", "sh", "-c",
                   f"mount {disks[0]} {elsewhere} && echo mounted && exec sleep 600")
    await fails(rig, f"in the mount namespace of process {hidden.pid} already")
    hidden.kill()
    hidden.wait()
    await until(lambda: free(disks[0]))
    run("mount", "-o", "ro", disks[0], str(elsewhere))
    await rig.close()
    rig.build(mount(disks[0], target, options="ro"))
    assert await rig.start() == ResourcesStarted(TOKEN)
    run("umount", str(elsewhere))
    assert await rig.stop() == CLEAN


# --- stops that meet resistance ---


async def test_users_are_ended_and_named(
    rig: Rig, disks: tuple[str, str], target: Path, others: list[subprocess.Popen[str]]
) -> None:
    """By SIGTERM, then SIGKILL; cwd, open file, submount, and whoever has nothing to do with it lives."""
    rig.build(mount(disks[0], target))
    assert await rig.start() == ResourcesStarted(TOKEN)
    (target / "below").mkdir()
    run("mount", "-t", "tmpfs", "tmpfs", str(target / "below"))
    stubborn = begin(others, sys.executable, "-c", SIT, str(target))
    below = begin(others, sys.executable, "-c", SIT, str(target / "below"))
    writes = begin(others, "sh", "-c", f'exec 3> "{target}/file"; echo opened; exec sleep 600')
    beside = begin(others, sys.executable, "-c", SIT, str(target.parent))
    assert await rig.stop(within=3.0) == CLEAN, rig.lines
    assert (stubborn.wait(5), below.wait(5), writes.wait(5)) == (-9, -9, -15)
    assert beside.poll() is None
    named = " ".join(rig.output())
    for process, how in ((stubborn, "cwd"), (below, "cwd"), (writes, "fd 3")):
        assert f"({process.pid}, {how})" in named
    assert free(disks[0])


async def test_a_copy_in_another_namespace_counts_as_mounted(
    rig: Rig, disks: tuple[str, str], target: Path, others: list[subprocess.Popen[str]]
) -> None:
    """As a container has it that was started meanwhile: it is unmounted there, and its users are ended."""
    rig.build(mount(disks[0], target))
    assert await rig.start() == ResourcesStarted(TOKEN)
    apart = ("unshare", "-m", "--propagation", "private", "sh", "-c")
    idle = begin(others, *apart, "echo here; exec sleep 600")
    user = begin(others, *apart, f'cd "{target}"; echo here; exec sleep 600')
    assert await rig.stop(within=3.0) == CLEAN, rig.lines
    assert user.wait(5) == -15
    assert idle.poll() is None
    assert f"is still in use: ending sleep ({user.pid}, cwd)" in " ".join(rig.output())
    assert free(disks[0])


async def test_a_mount_that_nobody_can_end_is_a_failed_stop(
    rig: Rig, disks: tuple[str, str], target: Path
) -> None:
    """Kept busy by the kernel itself, here through a loop device on a file of it: never called clean."""
    rig.build(mount(disks[0], target))
    assert await rig.start() == ResourcesStarted(TOKEN)
    with (target / "inner").open("wb") as file:
        file.truncate(1 << 20)
    inner = run("losetup", "-f", "--show", str(target / "inner"))
    try:
        event = await rig.stop(within=4.0)
        assert isinstance(event, ResourcesStopped)
        assert not event.clean
        # Which of the two depends on how long the kernel takes to say no, and to write what is left.
        assert any(f"{target} {why}" in event.detail for why in (
            "is busy: no process uses it", "hangs in the kernel"))
        assert here(target) is not None
    finally:
        run("losetup", "-d", inner)
    assert await rig.stop() == CLEAN
    assert free(disks[0])


async def test_the_guards_stop(
    rig: Rig, disks: tuple[str, str], target: Path, others: list[subprocess.Popen[str]]
) -> None:
    """The same program without the agent; harmless when there is nothing to do."""
    rig.build(mount(disks[0], target))
    assert guard_stop(rig).returncode == 0
    assert await rig.start() == ResourcesStarted(TOKEN)
    stubborn = begin(others, sys.executable, "-c", SIT, str(target))
    done = guard_stop(rig, 2.0)
    assert (done.returncode, stubborn.wait(5)) == (0, -9), done.stderr
    assert f"({stubborn.pid}, cwd)" in done.stderr
    assert free(disks[0])


# --- monitors ---


async def test_what_somebody_else_unmounts_or_covers_has_failed(
    rig: Rig, disks: tuple[str, str], target: Path
) -> None:
    """Noticed by the next look; a cover is not ours to lift, so the stop says so."""
    rig.build(mount(disks[0], target))
    assert await rig.start() == ResourcesStarted(TOKEN)
    run("umount", str(target))
    assert await rig.event() == ResourceFailed(TOKEN, f"data: {target} was unmounted by somebody else")
    assert await rig.stop() == CLEAN
    assert await rig.start() == ResourcesStarted(TOKEN)
    run("mount", "-t", "tmpfs", "cover", str(target))
    assert await rig.event() == ResourceFailed(TOKEN, f"data: {target} is covered by a mount of cover")
    event = await rig.stop(within=2.0)
    assert isinstance(event, ResourcesStopped)
    assert not event.clean
    assert "which is not ours" in event.detail
    run("umount", str(target))
    assert await rig.stop() == CLEAN


async def test_a_file_system_that_has_become_read_only(
    rig: Rig, disks: tuple[str, str], target: Path
) -> None:
    """As ext4 does after an error."""
    rig.build(mount(disks[0], target))
    assert await rig.start() == ResourcesStarted(TOKEN)
    run("mount", "-o", "remount,ro", str(target))
    assert await rig.event() == ResourceFailed(TOKEN, f"data: {target} has become read-only")
    assert await rig.stop() == CLEAN


async def test_it_is_mounted_again_in_place(rig: Rig, disks: tuple[str, str], target: Path) -> None:
    """With restart = 1, once."""
    rig.build(mount(disks[0], target, restart=1))
    assert await rig.start() == ResourcesStarted(TOKEN)
    run("umount", str(target))
    await until(lambda: here(target))
    await until(lambda: rig.group.states() == [("data", "mount", "started")])
    run("umount", str(target))
    assert isinstance(await rig.event(), ResourceFailed)
    assert await rig.stop() == CLEAN


# --- private ---


async def test_a_private_mount_is_seen_by_the_term_alone_and_ends_with_it(
    rig: Rig, disks: tuple[str, str], target: Path
) -> None:
    """A contained hook after it writes to the device; the host sees an empty directory."""
    hook = rig.script("hook", f'[ "$1" != start ] || echo inside > "{target}/file"')
    rig.build(mount(disks[0], target, private=True), script("app", hook, contain=True))
    assert await rig.start() == ResourcesStarted(TOKEN), rig.lines
    assert rig.group.states()[0] == ("data", "mount", "started")
    assert here(target) is None
    assert not (target / "file").exists()
    assert not free(disks[0])
    assert await rig.stop() == CLEAN
    assert free(disks[0])
    run("mount", disks[0], str(target))
    assert (target / "file").read_text() == "inside\n"


async def test_the_kernel_unmounts_a_private_mount_with_its_last_process(
    rig: Rig, disks: tuple[str, str], target: Path
) -> None:
    """SIGKILL to the pod alone, as when everything of leaderd dies at once; the guard's stop waits for it."""
    rig.build(mount(disks[0], target, private=True))
    assert await rig.start() == ResourcesStarted(TOKEN), rig.lines
    os.kill(rig.pods.contained_pid(), signal.SIGKILL)
    assert guard_stop(rig).returncode == 0
    assert free(disks[0])
    assert isinstance(await rig.event(), ResourceFailed)
    assert await rig.stop() == CLEAN
    assert await rig.start() == ResourcesStarted(TOKEN)
    assert await rig.stop() == CLEAN


async def test_a_private_mount_without_a_namespace_is_refused(
    rig: Rig, disks: tuple[str, str], target: Path
) -> None:
    """It is never made in the host's namespace instead."""
    rig.build(mount(disks[0], target, private=True))
    rig.pods.permitted = False
    await fails(rig, "private needs a mount namespace, which is not permitted here: CAP_SYS_ADMIN")
    assert await rig.stop() == CLEAN
    assert here(target) is None


# --- reading the kernel's list ---


def test_the_kernels_escapes_and_the_mount_that_counts() -> None:
    """Blanks, tabs and backslashes; the last at a target; the closest above a path."""
    assert plain(r"/srv\040a\011b\134c") == "/srv a\tb\\c"
    first = Mounted(1, "8:1", "/", "/", "ext4", "/dev/sda1", read_only=False)
    second, third = first._replace(id=2, target="/srv"), first._replace(id=3, target="/srv")
    found = [first, second, third]
    assert top(found, "/srv") == third
    assert enclosing(found, "/srv/x") == third
    assert enclosing(found, "/srvx") == first
