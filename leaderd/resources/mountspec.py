"""One mount as it is configured: which device is meant, whether a mount is of it, who mounted it.

Standard library only: part of the mount helper.
"""

import json
import os
import stat
from contextlib import suppress
from dataclasses import asdict, dataclass

from leaderd.clock import boot_id
from leaderd.resources.mountinfo import Mounted, enclosing

_TAGS = {"UUID": "uuid", "LABEL": "label", "PARTUUID": "partuuid", "PARTLABEL": "partlabel"}


@dataclass(frozen=True, slots=True)
class MountSpec:
    """What to mount where.

    Attributes:
        device: As in fstab: a path, UUID=… and the like, HOST:/PATH, or a word such as tmpfs.
        target: Absolute path.
        fstype: "" leaves it to mount(8).
        options: As in fstab, without "defaults".
        private: In the term's own mount namespace.
        record: File that tells our own mount from somebody else's.
        outside: The agent's mount namespace, where a private one must not be made.
    """

    device: str
    target: str
    fstype: str
    options: str
    private: bool
    record: str
    outside: str

    @staticmethod
    def decode(text: str) -> "MountSpec":
        """Read what `encode` gave."""
        return MountSpec(**json.loads(text))

    def encode(self) -> str:
        """Return it as one argument of a command."""
        return json.dumps(asdict(self))

    def has(self, option: str) -> bool:
        """Return whether an option is set."""
        return option in self.options.split(",")

    @property
    def bind(self) -> bool:
        """Whether a directory is to be seen in a second place."""
        return self.has("bind") or self.has("rbind")

    @property
    def path(self) -> str:
        """The device as a path, "" where it is none."""
        tag, equals, value = self.device.partition("=")
        if equals and tag in _TAGS:
            return os.path.realpath(f"/dev/disk/by-{_TAGS[tag]}/{value.strip(chr(34))}")
        return os.path.realpath(self.device) if self.device.startswith("/") else ""

    @property
    def number(self) -> str:
        """Number of its block device or, for an image file, of the loop device on it; "" without one."""
        if self.bind or not self.path:
            return ""
        with suppress(OSError):
            found = os.stat(self.path)
            if stat.S_ISBLK(found.st_mode):
                return f"{os.major(found.st_rdev)}:{os.minor(found.st_rdev)}"
            if stat.S_ISREG(found.st_mode):
                return _loop_on(self.path)
        return ""

    def is_of(self, mounted: Mounted, here: list[Mounted]) -> bool:
        """Return whether a mount is one of this device.

        Args:
            mounted: The mount.
            here: All mounts of this namespace.
        """
        path, number = self.path, self.number
        if self.bind:
            over = enclosing([each for each in here if each.id != mounted.id], path)
            if over is None:
                return False
            inside = over.root.rstrip("/") + path[len(over.target.rstrip("/")):]
            return (mounted.device, mounted.root) == (over.device, inside or "/")
        if number and mounted.device == number:
            return True
        # File systems with a number of their own, as btrfs and NFS, are known by their source.
        if mounted.source.startswith("/") and path:
            return os.path.realpath(mounted.source) == path
        return mounted.source.rstrip("/") == self.device.rstrip("/")


def _loop_on(path: str) -> str:
    for name in os.listdir("/sys/block"):
        if not name.startswith("loop"):
            continue
        with suppress(OSError), open(f"/sys/block/{name}/loop/backing_file", encoding="utf-8") as file:
            if file.read().rstrip("\n") == path:
                with open(f"/sys/block/{name}/dev", encoding="ascii") as number:
                    return number.read().strip()
    return ""


def recorded(record: str) -> MountSpec | None:
    """Return what we have mounted since the last boot and not unmounted; None for nothing."""
    try:
        with open(record, encoding="utf-8") as file:
            found = json.load(file)
    except (FileNotFoundError, ValueError):
        # Half a file is of a power failure, after which nothing is mounted.
        return None
    return MountSpec(**found["mount"]) if found["boot_id"] == boot_id() else None


def record(spec: MountSpec) -> None:
    """Note, before it is mounted, that this mount is ours; all may crash then but the kernel."""
    os.makedirs(os.path.dirname(spec.record), mode=0o700, exist_ok=True)
    draft = spec.record + ".new"
    with open(draft, "w", encoding="utf-8") as file:
        json.dump({"boot_id": boot_id(), "mount": asdict(spec)}, file)
    os.replace(draft, spec.record)


def forget(spec: MountSpec) -> None:
    """Note that nothing of it is mounted any more."""
    with suppress(FileNotFoundError):
        os.unlink(spec.record)
