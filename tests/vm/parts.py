"""What the virtual machine is made of: Debian's kernel, and a root in memory of programs of this host.

    kernel package ──► vmlinuz, modules ─┐
    programs, with their libraries ──────┼─► initramfs
    Python, leaderd and what it needs ───┘

Nothing is installed for the kernel: its package is unpacked, and its modules are loaded in the guest only.
"""

import importlib.metadata
import os
import platform
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

GUEST = Path(__file__).with_name("guest")
ROOT = Path(__file__).parents[2]
CACHE = Path("/var/cache/leaderd-test/vm")
# Of libtirpc, on which all programs of NFS stand.
NETCONFIG = Path("/etc/netconfig")
QEMU = "qemu-system-x86_64"
# name: the Debian package that brings it
_PROGRAMS = {
    "busybox": "busybox-static", "dash": "dash", "etcd": "etcd-server", "etcdctl": "etcd-client",
    "mount": "mount", "umount": "mount", "ip": "iproute2", "mount.nfs": "nfs-common",
    "exportfs": "nfs-kernel-server", "rpc.nfsd": "nfs-kernel-server",
    "rpc.mountd": "nfs-kernel-server", "rpcbind": "rpcbind",
}
_TOOLS = {QEMU: "qemu-system-x86", "depmod": "kmod", "dpkg": "dpkg", "apt-get": "apt"}
# Busybox brings a shell too, but one that prefers its own mount and ip to the real ones.
_LINKS = {"sh": "dash", "umount.nfs": "mount.nfs", "umount.nfs4": "mount.nfs", "mount.nfs4": "mount.nfs"}
_FOLDERS = (
    "dev", "proc", "sys", "run", "tmp", "etc", "root", "srv", "var/lib/nfs/v4recovery", "bin", "usr/bin",
)
# Of all modules: network file systems and what they stand on, networks, watchdogs.
_MODULES = (
    "fs/nfs*", "fs/lockd*", "fs/fscache*", "fs/netfs*", "net/sunrpc*", "net/dns_resolver*", "net/core*",
    "drivers/net/veth*", "drivers/net/virtio_net*", "drivers/net/net_failover*", "drivers/virtio*",
    "drivers/watchdog/watchdog.ko", "drivers/watchdog/i6300esb*",
)
# Of Python's library: what no daemon imports.
_UNUSED = shutil.ignore_patterns(
    "test", "tests", "idlelib", "ensurepip", "lib2to3", "tkinter", "config-3*", "dist-packages",
    "site-packages", "turtledemo", "*.a",
)


class NoMachineError(Exception):
    """Why there can be no virtual machine here, one line."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What QEMU boots.

    Attributes:
        kernel: Debian's.
        initrd: The root.
    """

    kernel: Path
    initrd: Path


def parts(directory: Path) -> Parts:
    """Make a root in a directory; return what to boot.

    Raises:
        NoMachineError: Something is missing here.
    """
    if platform.machine() != "x86_64":
        raise NoMachineError("the guest's kernel and programs are those of amd64")
    for name, package in {**_TOOLS, **_PROGRAMS}.items():
        if _program(name) is None:
            raise NoMachineError(f"{package} is not installed")
    unpacked = _kernel()
    root = directory / "root"
    for folder in _FOLDERS:
        (root / folder).mkdir(parents=True)
    shutil.copytree(unpacked / "lib", root / "lib", symlinks=True)
    _copy_programs(root)
    _copy_python(root)
    for file in (*GUEST.iterdir(), NETCONFIG):
        shutil.copy(file, root / "etc" if file is NETCONFIG else root)
    return Parts(next(unpacked.glob("boot/vmlinuz-*")), _pack(root, directory / "initrd"))


def _program(name: str) -> str | None:
    return shutil.which(name, path="/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")


# --- the kernel ---


def _kernel() -> Path:
    """Return the unpacked kernel; it is fetched once for each release of the package."""
    found = _output("apt-cache", "depends", "--important", "linux-image-amd64")
    name = re.search(r"Depends: (linux-image-\S+-amd64)$", found, re.MULTILINE)
    if name is None:
        raise NoMachineError("apt-cache knows no linux-image-amd64")
    there = CACHE / name[1]
    if not there.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        draft = CACHE / f"{os.getpid()}.new"
        draft.mkdir()
        try:
            _output("apt-get", "-q", "-o", "APT::Sandbox::User=root", "download", name[1], cwd=draft)
            _unpack(next(draft.glob("*.deb")), draft)
            draft.replace(there)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
    return there


def _unpack(package: Path, into: Path) -> None:
    wanted = [f"./lib/modules/*/kernel/{pattern}" for pattern in _MODULES]
    with subprocess.Popen(["dpkg", "--fsys-tarfile", package], stdout=subprocess.PIPE) as reading:
        subprocess.run(
            ["tar", "-x", "-C", into, "--wildcards", "./boot/vmlinuz-*", "./lib/modules/*/modules.*",
             *wanted],
            stdin=reading.stdout, check=True,
        )
    package.unlink()
    version = next(into.glob("lib/modules/*")).name
    _output("depmod", "-b", str(into), version)


def _output(*argv: str, cwd: Path | None = None) -> str:
    done = subprocess.run(argv, capture_output=True, text=True, check=False, cwd=cwd)
    if done.returncode:
        raise NoMachineError(f"{' '.join(argv)}: {(done.stderr.strip().splitlines() or ['failed'])[-1]}")
    return done.stdout


# --- programs ---


def _copy_programs(root: Path) -> None:
    for name in _PROGRAMS:
        found = Path(_program(name) or "")
        _copy(found.resolve(), root / "bin" / name)
        _copy_libraries([found], root)
    for name, to in _LINKS.items():
        (root / "bin" / name).symlink_to(to)
    (root / "sbin").symlink_to("bin")
    (root / "usr/sbin").symlink_to("../bin")


def _copy(file: Path, to: Path) -> None:
    if not to.exists():
        to.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(file, to)


def _copy_libraries(files: Iterable[Path], root: Path) -> None:
    done = subprocess.run(["ldd", *files], capture_output=True, text=True, check=False)
    for library in set(re.findall(r"(/\S+) \(0x", done.stdout)):
        if Path(library).is_relative_to(root):
            continue
        # Where usr has been merged, both names lead to one file; here each is a file.
        _copy(Path(library).resolve(), root / library.lstrip("/"))


# --- Python ---


def _copy_python(root: Path) -> None:
    """Copy the interpreter, its library, leaderd and what that needs, each to where it is on the host."""
    interpreter = Path(sys.executable).resolve()
    standard = Path(sysconfig.get_path("stdlib"))
    shutil.copytree(standard, root / standard.relative_to("/"), symlinks=True, ignore=_UNUSED)
    _copy(interpreter, root / "bin/python3")
    (root / interpreter.relative_to("/")).parent.mkdir(parents=True, exist_ok=True)
    if not (root / interpreter.relative_to("/")).exists():
        (root / interpreter.relative_to("/")).symlink_to("/bin/python3")
    site = root / "site"
    for name in _needed("leaderd", set()):
        for file in importlib.metadata.distribution(name).files or ():
            if name != "leaderd" and ".." not in file.parts:
                _copy(Path(file.locate()), site / file)
    shutil.copytree(ROOT / "leaderd", site / "leaderd", ignore=shutil.ignore_patterns("__pycache__"))
    shared = [*site.rglob("*.so*"), *(root / standard.relative_to("/")).rglob("*.so"), interpreter]
    _copy_libraries(shared, root)
    subprocess.run([sys.executable, "-m", "compileall", "-q", "-j0", "-s", root, site], check=True)


def _needed(name: str, seen: set[str]) -> Iterator[str]:
    """Yield a distribution and all that it needs, extras left out."""
    seen.add(name)
    try:
        wanted = importlib.metadata.distribution(name).requires or ()
    except importlib.metadata.PackageNotFoundError:
        return
    yield name
    for line in wanted:
        found = re.match(r"[\w.-]+", line)
        if found and "extra ==" not in line and found[0].lower() not in seen:
            yield from _needed(found[0].lower(), seen)


# --- the image ---


def _pack(root: Path, image: Path) -> Path:
    names = "\n".join(sorted(str(path.relative_to(root)) for path in root.rglob("*")))
    with image.open("wb") as file:
        subprocess.run(
            ["busybox", "cpio", "-o", "-H", "newc"], cwd=root, input=names.encode(), stdout=file,
            stderr=subprocess.DEVNULL, check=True,
        )
    shutil.rmtree(root)
    return image
