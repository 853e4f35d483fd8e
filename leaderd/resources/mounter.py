"""The helper program of the `mount` kind: `start SPEC` and `stop SPEC`, for agent and guard alike.

A program, since mount(2), umount(2) and sync(2) may hang in the kernel, where no thread of the agent may.
Standard library only, and mount(8), umount(8). Exit code 0 means done; the last line of the output says
why not. Nothing is ever unmounted lazily: that hides a mount, and writes go on.

Source: mount(8), umount(8), open(2) on O_EXCL and block devices.
"""

import ctypes
import errno
import os
import select
import signal
import sys
from collections.abc import Callable
from contextlib import suppress

from leaderd.clock import BootClock
from leaderd.instant import Instant
from leaderd.resources import users
from leaderd.resources.mountinfo import Mounted, below, elsewhere, mounts, top
from leaderd.resources.mountspec import MountSpec, forget, record, recorded

# Who calls by hand has this long, seconds.
_DEFAULT_TIME = 20.0
# Of the time of a start: how long to wait for a device that is in use, but nowhere mounted.
_SETTLE_SHARE = 0.5
# Of the time of a stop: what sync may take, and until when users have after SIGTERM.
_SYNC_SHARE, _TERM_SHARE = 0.4, 0.6
# What is kept to say why the time was not enough, and for our own start before it: seconds, at most a share.
_LAST_WORDS, _LAST_SHARE = 0.25, 0.4
_PAUSE = 0.02
_CLOCK = BootClock()
_CLONE_NEWNS, _UMOUNT_NOFOLLOW = 0x00020000, 8


class NotDone(Exception):  # noqa: N818 - it is an answer
    """Why a mount could not be made or ended, one line."""


def main() -> int:
    """Do what the arguments say."""
    verb, spec = sys.argv[-2], MountSpec.decode(sys.argv[-1])
    seconds = float(os.environ.get("LEADERD_TIMEOUT") or _DEFAULT_TIME)
    until = _CLOCK.now().plus(seconds - min(_LAST_WORDS, seconds * _LAST_SHARE))
    try:
        {"start": start, "stop": stop}[verb](spec, until)
    except NotDone as problem:
        _say(str(problem))
        return 1
    except OSError as error:
        _say(f"{error.filename or spec.target}: {error.strerror}")
        return 1
    return 0


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)  # noqa: T201 - agent and guard log it


# --- start ---


def start(spec: MountSpec, until: Instant) -> None:
    """Mount it, unless it is mounted by us already.

    Raises:
        NotDone: It is not mounted, or what is there is somebody else's.
    """
    if spec.private and os.readlink("/proc/self/ns/mnt") == spec.outside:
        raise NotDone("private needs a mount namespace, which is not permitted here: CAP_SYS_ADMIN")
    target = os.path.realpath(spec.target)
    here = mounts()
    if found := top(here, target):
        if spec.is_of(found, here) and recorded(spec.record):
            return
        raise NotDone(_occupied(spec, found, same=spec.is_of(found, here)))
    _check(spec, target)
    if spec.number:
        _check_elsewhere(spec, until)
    record(spec)
    kind = ["-t", spec.fstype] if spec.fstype else []
    arguments = [*kind, *(["-o", spec.options] if spec.options else [])]
    code = _run(["mount", *arguments, "--", spec.device, target], until)
    if code is None:
        raise NotDone(f"mount of {spec.device} took too long")
    if code:
        raise NotDone(f"mount of {spec.device} on {target} failed; mount(8) says why in the log")
    here = mounts()
    found = top(here, target)
    if found is None or not spec.is_of(found, here):
        raise NotDone(f"the kernel shows {found.source if found else 'nothing'} on {target}")
    if found.read_only and not spec.has("ro"):
        raise NotDone(f"{spec.device} was mounted read-only; write ro into options if that is meant")


def _occupied(spec: MountSpec, found: Mounted, *, same: bool) -> str:
    if same:
        return (f"{spec.device} is mounted on {found.target}, and not by leaderd: unmount it, and keep "
                "others from mounting it (noauto in /etc/fstab)")
    return f"{found.target} is a mount point already, of {found.source}; unmount that, or use another target"


def _check(spec: MountSpec, target: str) -> None:
    if not os.path.lexists(target) and "x-mount.mkdir" not in spec.options:
        raise NotDone(f"the target {target} is not there; mkdir -p {target}")
    if spec.path and not os.path.exists(spec.path):
        raise NotDone(f"the device {spec.device} is not there")
    if not spec.bind and not os.path.isdir(target) and os.path.lexists(target):
        raise NotDone(f"the target {target} is no directory")


def _check_elsewhere(spec: MountSpec, until: Instant) -> None:
    """Refuse a device that the kernel has mounted read-write, or uses for something else."""
    number = spec.number
    # The kernel unmounts what was in a namespace that has ended a moment later, or when all is written.
    patience = _CLOCK.now().plus(_CLOCK.now().left_until(until) * _SETTLE_SHARE)
    while not (seen := _seen(spec, number)) and _in_use(number):
        if _CLOCK.now().left_until(patience) <= 0:
            raise NotDone(f"{spec.device} is in use: by a mount that nobody here can see, swap, md or dm")
        select.select([], [], [], _PAUSE)
    for where, each in seen:
        if not each.read_only or not spec.has("ro"):
            raise NotDone(f"{spec.device} is mounted on {each.target}{where} already")


def _seen(spec: MountSpec, number: str) -> list[tuple[str, Mounted]]:
    """Return the mounts of a device in all namespaces that can be seen, with where that is."""
    places = [("", mounts())]
    places += [(f" in the mount namespace of process {pid}", found) for pid, found in elsewhere()]
    return [
        (where, each) for where, found in places for each in found
        if each.device == number or (each.source == spec.path and each.fstype == "btrfs")
    ]


def _in_use(number: str) -> bool:
    """Return whether the kernel has given a block device away: a mounted one cannot be had exclusively."""
    try:
        with open(f"/sys/dev/block/{number}/uevent", encoding="ascii") as file:
            name = next(line[8:].rstrip("\n") for line in file if line.startswith("DEVNAME="))
        os.close(os.open(f"/dev/{name}", os.O_RDONLY | os.O_EXCL | os.O_CLOEXEC | os.O_NONBLOCK))
    except OSError as error:
        return error.errno == errno.EBUSY
    return False


# --- stop ---


def stop(spec: MountSpec, until: Instant) -> None:
    """Unmount it, with all copies of it, whoever uses it; somebody else's mount is left alone.

    Raises:
        NotDone: It may still be mounted, or what is mounted there is not ours.
    """
    # What was mounted counts, not what the file says by now.
    ours = recorded(spec.record)
    if ours is None:
        here = mounts()
        found = top(here, os.path.realpath(spec.target))
        if found and spec.is_of(found, here):
            raise NotDone(_occupied(spec, found, same=True))
        return
    Stopping(ours, until).run()
    forget(spec)


class Stopping:
    """One stop.

    Args:
        spec: Of the mount.
        until: When to give up.
    """

    def __init__(self, spec: MountSpec, until: Instant) -> None:
        self._spec = spec
        self._until = until
        self._began = _CLOCK.now()
        self._told: set[int] = set()
        self._tried: set[int] = set()
        self._places: set[tuple[str, str, str]] = set()
        self._number = spec.number
        self._target = os.path.realpath(os.path.dirname(spec.target)) + "/" + os.path.basename(spec.target)

    def run(self) -> None:
        """Sync, unmount, and see whether the kernel has let the device go.

        Raises:
            NotDone: It has not.
        """
        found = self._left()
        if found:
            self._sync(found[0].target)
        while found:
            self._places |= {(each.device, each.root, each.target) for each in found}
            for each in reversed(found):
                self._unmount(each)
            if found := self._left():
                self._free(lambda: users.users(self._means), f"{found[-1].target} is busy")
        # Asked again: the loop device below an image file ends with its mount.
        while (number := self._spec.number) and _in_use(number):
            self._unmount_copies()
            if _in_use(number):
                self._free(lambda: users.users(self._means), f"{self._spec.device} is still in use")

    def _unmount_copies(self) -> None:
        """Unmount what other mount namespaces still have: containers, and whoever else came meanwhile.

        Where the host's root is shared, as under systemd, the kernel does this with our own umount.
        """
        for pid, found in elsewhere():
            copies = [each.target for each in found if self._means(each)]
            if copies and _wait(_in_namespace(pid, copies), self._until) is None:
                raise NotDone(f"umount of {copies[-1]} hangs in the mount namespace of process {pid}")

    def _means(self, mounted: Mounted) -> bool:
        """Return whether a mount of any namespace is ours or a copy of it."""
        place = (mounted.device, mounted.root, mounted.target)
        return place in self._places or bool(self._number and mounted.device == self._number)

    def _left(self) -> list[Mounted]:
        """Return what is to be unmounted, with what is mounted below it, in the order of mounting.

        Raises:
            NotDone: Somebody else's mount covers it.
        """
        here = mounts()
        copies = [each for each in here if self._copy(each, here)]
        targets = [each.target for each in copies]
        found = [each for each in here if any(below(each.target, target) for target in targets)]
        for each in found:
            if each.target in targets and each not in copies:
                raise NotDone(f"{each.target} is covered by a mount of {each.source}, which is not ours")
        return found

    def _copy(self, mounted: Mounted, here: list[Mounted]) -> bool:
        # A device that nobody else had mounted: every mount of it is a copy of ours, wherever it is.
        if self._number and mounted.device == self._number:
            return True
        return mounted.target == self._target and self._spec.is_of(mounted, here)

    def _sync(self, target: str) -> None:
        """Write back what can be written in its share of the time: unmounting then takes no longer."""
        left = _CLOCK.now().left_until(self._until)
        child = os.fork()
        if child == 0:
            with suppress(OSError):
                directory = os.open(target, os.O_RDONLY | os.O_NONBLOCK)
                ctypes.CDLL(None).syncfs(directory)
            os._exit(0)
        if _wait(child, _CLOCK.now().plus(left * _SYNC_SHARE)) is None:
            _say(f"sync of {target} takes long")
            with suppress(OSError):
                os.kill(child, signal.SIGKILL)

    def _unmount(self, mounted: Mounted) -> None:
        quiet = mounted.id in self._tried
        self._tried.add(mounted.id)
        if _run(["umount", "-c", "--", mounted.target], self._until, quiet=quiet) is None:
            raise NotDone(f"umount of {mounted.target} hangs in the kernel")

    def _free(self, find: Callable[[], dict[int, str]], trouble: str) -> None:
        """End who uses it: SIGTERM, later SIGKILL; then let the caller look again.

        Raises:
            NotDone: Its time is over, or it is used by leaderd itself.
        """
        found = find()
        names = ", ".join(f"{users.name_of(pid)} ({pid}, {how})" for pid, how in found.items())
        left, whole = _CLOCK.now().left_until(self._until), self._until.held_since(self._began)
        if left <= 0:
            raise NotDone(f"{trouble}: {names or 'no process uses it (exported, swap, a loop device?)'}")
        if own := users.ancestors() & set(found):
            raise NotDone(f"{trouble} by leaderd itself, process {min(own)}: start it in another directory")
        if new := set(found) - self._told:
            self._told |= new
            _say(f"{trouble}: ending {names}")
            term_until = _CLOCK.now().plus(min(left, max(0.0, left - whole * (1 - _TERM_SHARE))))
            users.end(new, users.TERM, term_until, _CLOCK)
        elif found:
            users.end(found, users.KILL, _CLOCK.now().plus(min(left, 0.2)), _CLOCK)
        select.select([], [], [], _PAUSE)


def _in_namespace(pid: int, targets: list[str]) -> int:
    """Start to unmount what is mounted in another mount namespace; return the child that does it."""
    child = os.fork()
    if child:
        return child
    with suppress(OSError):
        libc = ctypes.CDLL(None, use_errno=True)
        # Its own root, as its list of mounts is written: opened before, as its /proc may be another.
        root = os.open(f"/proc/{pid}/root", os.O_PATH | os.O_DIRECTORY)
        if libc.setns(os.open(f"/proc/{pid}/ns/mnt", os.O_RDONLY), _CLONE_NEWNS):
            os._exit(1)
        os.fchdir(root)
        os.chroot(".")
        for target in reversed(targets):
            libc.umount2(os.fsencode(target), _UMOUNT_NOFOLLOW)
    os._exit(0)


# --- programs ---


def _run(argv: list[str], until: Instant, *, quiet: bool = False) -> int | None:
    """Run a program; return its exit code, or None when it has not ended by `until`."""
    actions = [(os.POSIX_SPAWN_OPEN, 2, "/dev/null", os.O_WRONLY, 0)] if quiet else []
    try:
        child = os.posix_spawnp(argv[0], argv, os.environ, file_actions=actions)
    except OSError as error:
        raise NotDone(f"{argv[0]}: {error.strerror}") from error
    return _wait(child, until)


def _wait(child: int, until: Instant) -> int | None:
    ended = os.pidfd_open(child)
    try:
        while (left := _CLOCK.now().left_until(until)) > 0:
            if select.select([ended], [], [], min(left, 0.2))[0]:
                return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        return None
    finally:
        os.close(ended)
