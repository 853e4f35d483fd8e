"""The packages, each built once, from a copy of nothing but what a clone has."""

import os
import shutil
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.packages.machine import Machine, NoMachineError, machine
from tests.packages.run import said

ROOT = Path(__file__).parents[2]
DEFAULTS = ROOT / "deploy/debian/leaderd.toml"


def configured(text: str) -> str:
    """Return the default configuration as somebody has it who has removed the # of every example."""
    return "\n".join(line.removeprefix("#") if line[1:2] != " " else line for line in text.splitlines())


@pytest.fixture(scope="session")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source distribution."""
    return _built("sdist", ROOT, tmp_path_factory.mktemp("sdist"), "*.tar.gz")


@pytest.fixture(scope="session")
def unpacked(sdist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tree that the source distribution holds: a clone in which nothing was ever made."""
    directory = tmp_path_factory.mktemp("unpacked")
    with tarfile.open(sdist) as archive:
        archive.extractall(directory, filter="data")
    (found,) = directory.iterdir()
    return found


@pytest.fixture(scope="session")
def wheel(unpacked: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from the source distribution: as pip does where there is no wheel."""
    return _built("wheel", unpacked, tmp_path_factory.mktemp("wheel"), "*.whl")


def _built(target: str, source: Path, into: Path, pattern: str) -> Path:
    said(sys.executable, "-m", "hatchling", "build", "-t", target, "-d", into, cwd=source)
    (found,) = into.glob(pattern)
    return found


@pytest.fixture(scope="session")
def debian_package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package that `make deb` makes."""
    if os.geteuid() != 0:
        pytest.skip("needs root: it is installed")
    if not shutil.which("dh") or not shutil.which("dpkg-buildpackage"):
        pytest.skip("debhelper is not installed")
    directory = tmp_path_factory.mktemp("deb")
    places = [f"BUILD={directory}/build", f"DIST={directory}/dist"]
    said("make", "deb", *places, cwd=ROOT, timeout=300)
    (found,) = (directory / "dist").iterdir()
    return found


@pytest.fixture
def host(debian_package: Path, tmp_path: Path) -> Iterator[Machine]:
    """A systemd on a copy of this host, with the package installed."""
    if not shutil.which("etcd") or not Path("/lib/systemd/systemd").exists():
        pytest.skip("needs systemd, and etcd on the PATH")
    try:
        with machine(tmp_path, debian_package) as found:
            found.run("dpkg", "--install", "/run/leaderd.deb")
            yield found
    except NoMachineError as error:
        pytest.skip(str(error))
