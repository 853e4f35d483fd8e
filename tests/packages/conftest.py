"""The packages, each built once, from a copy of nothing but what a clone has."""

import os
import shutil
import sys
import tarfile
from pathlib import Path

import pytest

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
def wheel(sdist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from the source distribution: as pip does where there is no wheel."""
    unpacked = tmp_path_factory.mktemp("unpacked")
    with tarfile.open(sdist) as archive:
        archive.extractall(unpacked, filter="data")
    (source,) = unpacked.iterdir()
    return _built("wheel", source, tmp_path_factory.mktemp("wheel"), "*.whl")


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
