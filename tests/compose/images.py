"""The images that the compose files name, where they have been pulled; else stand-ins of Debian's packages.

A stand-in has what the public image has and leaderd's files use: python:slim a Python with venv,
quay.io/coreos/etcd etcd and etcdctl below /usr/local/bin, busybox itself. Each gets a name of its own,
given to the compose files in their variables.
"""

import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

from tests.compose.engine import NoEngineError, docker

ROOT = Path(__file__).parents[2]
CACHE = Path("/var/cache/leaderd-test")
_PACKAGES = "python3,python3-venv,ca-certificates"
_AUTHORITIES = Path("/etc/ssl/certs/ca-certificates.crt")
PUBLIC = {
    "PYTHON_IMAGE": "python:3.11-slim-bookworm",
    "ETCD_IMAGE": "quay.io/coreos/etcd:v3.5.23",
    "BUSYBOX_IMAGE": "busybox:1.36",
}
_LACK = f"pull {', '.join(PUBLIC.values())} first; stand-ins would have to be made"


def images() -> dict[str, str]:
    """Return the variables that name the images to use; all of them are there.

    Raises:
        NoEngineError: One can neither be pulled nor made here.
    """
    return {variable: os.environ.get(variable) or _image(variable) for variable in PUBLIC}


def _image(variable: str) -> str:
    public = PUBLIC[variable]
    return public if _present(public) else _STAND_INS[variable]()


def _present(name: str) -> bool:
    return bool(docker("images", "--quiet", name))


def _tool(name: str, package: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise NoEngineError(f"{_LACK}, and {package} is not installed")
    return found


def _digest(*parts: bytes) -> str:
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:12]


def _python() -> str:
    """The release that this host runs, so that programs of the host run in it too."""
    release = _release()
    authorities = _AUTHORITIES.read_bytes() if _AUTHORITIES.exists() else b""
    name = f"leaderd-test/python:{_digest(Path(__file__).read_bytes(), release.encode(), authorities)}"
    if not _present(name):
        with tempfile.TemporaryDirectory(dir=_made(CACHE)) as scratch:
            root = Path(scratch) / "root"
            _unpack(base_root(), root)
            # A registry that is reached through somebody else's certificate; that is this host's affair.
            if authorities:
                (root / _AUTHORITIES.relative_to("/")).write_bytes(authorities)
            _import(root, name, f"ENV PIP_CERT={_AUTHORITIES}", 'CMD ["python3"]')
    return name


def _release() -> str:
    system = platform.freedesktop_os_release()
    if system["ID"] != "debian" or os.geteuid() != 0:
        raise NoEngineError(f"{_LACK}, which only root on Debian can")
    return system["VERSION_CODENAME"]


def base_root() -> Path:
    """Return an archive of a small Debian with Python in it; made once, which takes a minute."""
    release = _release()
    archive = _made(CACHE) / f"{release}-{_digest(release.encode(), _PACKAGES.encode())}.tar"
    if not archive.exists():
        with tempfile.TemporaryDirectory(dir=CACHE) as scratch:
            root = Path(scratch) / "root"
            command = [_tool("debootstrap", "debootstrap"), "--variant=minbase", f"--include={_PACKAGES}",
                       release, str(root)]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                raise NoEngineError(f"debootstrap failed: {done.stdout.splitlines()[-1:]}")
            for name in ("var/cache/apt", "var/lib/apt/lists", "usr/share/doc", "usr/share/locale"):
                shutil.rmtree(root / name)
                (root / name).mkdir()
            part = archive.with_suffix(".part")
            subprocess.run(["tar", "-C", root, "-cf", part, "."], check=True)
            part.rename(archive)
    return archive


def _made(directory: Path) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    return directory


def _unpack(archive: Path, root: Path) -> None:
    root.mkdir()
    subprocess.run(["tar", "-C", root, "-xpf", archive], check=True)


def _import(root: Path, name: str, *changes: str) -> None:
    words = [word for change in changes for word in ("--change", change)]
    with subprocess.Popen(["tar", "-C", root, "-c", "."], stdout=subprocess.PIPE) as tar:
        subprocess.run(["docker", "import", *words, "-", name], stdin=tar.stdout, check=True,
                       stdout=subprocess.DEVNULL)


def _etcd() -> str:
    programs = [Path(_tool("etcd", "etcd-server")), Path(_tool("etcdctl", "etcd-client"))]
    base = _python()
    name = f"leaderd-test/etcd:{_digest(base.encode(), *(each.read_bytes() for each in programs))}"
    if not _present(name):
        with tempfile.TemporaryDirectory() as scratch:
            for each in programs:
                shutil.copy(each, scratch)
            (Path(scratch) / "Dockerfile").write_text(
                f'FROM {base}\nCOPY etcd etcdctl /usr/local/bin/\nCMD ["/usr/local/bin/etcd"]\n'
            )
            docker("build", "--quiet", "--tag", name, scratch)
    return name


def _busybox() -> str:
    program = Path(_tool("busybox", "busybox-static"))
    name = f"leaderd-test/busybox:{_digest(program.read_bytes())}"
    if not _present(name):
        with tempfile.TemporaryDirectory() as scratch:
            root = Path(scratch)
            for directory in ("bin", "tmp", "etc"):
                (root / directory).mkdir()
            shutil.copy(program, root / "bin" / "busybox")
            applets = subprocess.run([program, "--list"], capture_output=True, text=True, check=True).stdout
            for applet in {*applets.split()} - {"busybox"}:
                (root / "bin" / applet).symlink_to("busybox")
            _import(root, name, "ENV PATH=/bin", 'CMD ["sh"]')
    return name


_STAND_INS: dict[str, Callable[[], str]] = {
    "PYTHON_IMAGE": _python, "ETCD_IMAGE": _etcd, "BUSYBOX_IMAGE": _busybox,
}
