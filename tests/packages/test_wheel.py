"""Wheel and source distribution: what is in them, and that it works alone."""

import os
import re
import tarfile
import zipfile
from pathlib import Path

import pytest

from leaderd.version import VERSION
from tests.packages.conftest import DEFAULTS, ROOT, configured
from tests.packages.readme import INSTALL
from tests.packages.run import said

STRAY = re.compile(r"__pycache__|\.pyc$|\.egg-info|/\.venv/|/(build|dist|certificates)/|\.orig$|~$")


def of_clone(*under: str) -> set[str]:
    """Return the files that a clone has."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a clone: what belongs to it is not known")
    listed = said("git", "-c", "safe.directory=*", "ls-files", "-z", "--", *under, cwd=ROOT)
    return {name for name in listed.split("\0") if name and (ROOT / name).exists()}


def test_all_packages_have_one_version() -> None:
    assert (ROOT / "deploy/debian/changelog").read_text().startswith(f"leaderd ({VERSION}) ")


def test_the_source_distribution_is_a_whole_clone(sdist: Path) -> None:
    """So everything that is said of a clone holds of it: make demo, make test, docker compose."""
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert of_clone() <= names
    assert [name for name in names if STRAY.search(name)] == []


def test_the_wheel_has_the_package_and_nothing_else(wheel: Path) -> None:
    """Page, hooks and generated modules too."""
    names = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert names == of_clone("leaderd")
    assert "leaderd/api/pb/leaderd_pb2_grpc.py" in names


@pytest.fixture(scope="session")
def installed(unpacked: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with nothing but leaderd and what it asks for, made with the README's own line."""
    home = tmp_path_factory.mktemp("home")
    said("sh", "-e", "-c", INSTALL, cwd=unpacked, environ={**os.environ, "HOME": str(home)})
    return home / "leaderd"


def run(home: Path, program: str, *words: str | Path, cwd: Path) -> str:
    """Run a program of the environment, away from the checkout, and return what it prints."""
    environ = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "LEADERD"))}
    return said(home / "bin" / program, *words, cwd=cwd, environ=environ)


def test_what_is_installed_works(installed: Path, tmp_path: Path) -> None:
    """The commands, and each of what a command or an import reaches only later."""
    assert run(installed, "leaderd", "--version", cwd=tmp_path) == f"leaderd {VERSION}\n"
    (tmp_path / "leaderd.toml").write_text(configured(DEFAULTS.read_text()))
    checked = run(installed, "leaderd", "check", "leaderd.toml", cwd=tmp_path)
    assert checked.endswith("the configuration is valid\n")
    run(installed, "python", "-m", "leaderd.cli.man", tmp_path / "man", cwd=tmp_path)
    assert (tmp_path / "man/leaderd-run.1").exists()
    program = ("import leaderd.client, leaderd.api.grpc, leaderd.etcd.client, leaderd.resources.vip;"
               "import leaderd.app; from leaderd.api.dashboard import dashboard; print(dashboard().body)")
    assert "<!doctype html>" in run(installed, "python", "-c", program, cwd=tmp_path).lower()


def test_its_hooks_can_be_run(installed: Path) -> None:
    (hooks,) = installed.glob("lib/python3*/site-packages/leaderd/hooks")
    assert list(hooks.iterdir())
    assert all(os.access(path, os.X_OK) for path in hooks.iterdir())
