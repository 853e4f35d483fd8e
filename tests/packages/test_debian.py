"""The Debian package: made, installed in a clean root and under a systemd, removed without a trace."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from leaderd.version import VERSION
from tests.compose.engine import NoEngineError
from tests.compose.images import base_root
from tests.faults.trio import wait_for
from tests.packages.conftest import DEFAULTS, configured
from tests.packages.machine import Machine
from tests.packages.run import PLAIN, said

pytestmark = pytest.mark.timeout(300)

# What dpkg itself keeps of every package that ever was.
DPKGS_OWN = re.compile(r"^/var/(lib/dpkg|log/dpkg\.log|cache/ldconfig|cache/debconf)")
HOOK = """#!/bin/sh
echo "$1 $LEADERD_REASON $(test -x /usr/lib/leaderd/bin/leaderd && echo installed)" >>/run/journal
"""
COMPLETE = """. /usr/share/bash-completion/completions/leaderd
COMP_WORDS=(leaderd switch) COMP_CWORD=1
_leaderd_completion leaderd
echo ${COMPREPLY[@]}
"""
ELECTION = """node = "a"
[etcd]
endpoints = ["http://127.0.0.1:2379"]
[[election]]
name = "db"
ttl = 5
  [[election.resource]]
  name = "index"
  type = "script"
  command = ["/etc/leaderd/index.sh"]
"""


@pytest.fixture(scope="module", autouse=True)
def lintian(debian_package: Path) -> Iterator[subprocess.Popen[str] | None]:
    """lintian, which looks through the package while that is installed and removed; None where it is not."""
    if shutil.which("lintian") is None:
        yield None
        return
    words = ["lintian", "--allow-root", "--fail-on=error,warning", "--display-info", str(debian_package)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as found:
        yield found


class CleanRoot:
    """A small Debian that has never seen the package."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def run(self, *words: str, code: int = 0) -> str:
        """Run a command in it, without a network, and return what it prints, complaints included."""
        return said("unshare", "--net", "chroot", self.directory, *words, code=code, environ=PLAIN)

    def files(self) -> set[str]:
        """Return every file, link and directory."""
        found = set()
        for here, directories, names in os.walk(self.directory):
            below = "/" + os.path.relpath(here, self.directory).removeprefix(".")
            found |= {os.path.join(below, name) for name in (*directories, *names)}
        return {path for path in found if not DPKGS_OWN.match(path)}

    def path(self, path: str) -> Path:
        return self.directory / path.lstrip("/")


@pytest.fixture(scope="module")
def clean_root(tmp_path_factory: pytest.TempPathFactory) -> CleanRoot:
    """One, made of Debian's own packages."""
    try:
        archive = base_root()
    except NoEngineError as error:
        pytest.skip(str(error))
    directory = tmp_path_factory.mktemp("clean") / "root"
    directory.mkdir()
    said("tar", "-C", directory, "-xpf", archive)
    return CleanRoot(directory)


def test_it_is_installed_and_removed_without_a_trace(clean_root: CleanRoot, debian_package: Path) -> None:
    """With all that it brings; what an administrator has written is left until the purge, or for good."""
    before = clean_root.files()
    shutil.copy(debian_package, clean_root.path("/leaderd.deb"))
    clean_root.run("dpkg", "--install", "/leaderd.deb")
    clean_root.path("/leaderd.deb").unlink()
    brought(clean_root)
    works(clean_root)
    clean_root.path("/var/lib/leaderd/a").mkdir(parents=True)
    clean_root.run("dpkg", "--remove", "leaderd")
    assert clean_root.files() - before <= {
        "/etc/leaderd", "/etc/leaderd/leaderd.toml", "/var/lib/leaderd", "/var/lib/leaderd/a",
        "/var/lib/systemd/deb-systemd-helper-enabled/leaderd.service.dsh-also",
        "/var/lib/systemd/deb-systemd-helper-enabled", "/var/lib/systemd",
    }
    clean_root.run("dpkg", "--purge", "leaderd")
    assert clean_root.files() == before


def brought(root: CleanRoot) -> None:
    """Assert that unit, manual, completion and papers are where Debian looks for them."""
    for path in (
        "bash-completion/completions/leaderd", "zsh/vendor-completions/_leaderd",
        "fish/vendor_completions.d/leaderd.fish", "doc/leaderd/copyright", "doc/leaderd/changelog.gz",
        "doc/leaderd/python-packages.txt", "doc/leaderd/docs/operations.md",
        "doc/leaderd/examples/hooks/template.sh",
    ):
        assert root.path(f"/usr/share/{path}").exists(), path
    completed = root.run("bash", "-c", COMPLETE)
    assert completed.split() == ["switchover"]
    if shutil.which("man"):
        manual = str(root.path("/usr/share/man"))
        for page in ("leaderd", "leaderd-epoch-raise"):
            assert said("man", "-M", manual, "-w", page).strip() == f"{manual}/man1/{page}.1.gz"


def works(root: CleanRoot) -> None:
    """Assert that the command runs, elects nothing as it comes, and can be configured by removing some #."""
    assert root.run("leaderd", "--version") == f"leaderd {VERSION}\n"
    for command in ("check", "run"):
        told = root.run("leaderd", command, "-c", "/etc/leaderd/leaderd.toml", code=2)
        assert "etcd.endpoints: is missing" in told
    root.path("/tmp/leaderd.toml").write_text(configured(DEFAULTS.read_text()))
    assert root.run("leaderd", "check", "/tmp/leaderd.toml").endswith("the configuration is valid\n")
    root.path("/tmp/leaderd.toml").unlink()


def test_the_daemon_through_its_package_s_life(host: Machine) -> None:
    """Not started as it comes; an upgrade stops it first, and starts it again; removal stops the resource."""
    assert (host.state(), host.systemctl("is-enabled", "leaderd", check=False)) == ("inactive", "disabled")
    host.systemctl("start", "leaderd", check=False)
    assert host.state() == "failed"
    assert host.systemctl("show", "--property=NRestarts,ExecMainStatus", "leaderd").split() == [
        "NRestarts=0", "ExecMainStatus=2",
    ]
    assert host.run("systemd-analyze", "verify", "leaderd.service") == ""

    configure(host)
    host.systemctl("start", "etcd")
    host.systemctl("enable", "--now", "leaderd")
    wait_for("leadership", lambda: journal(host)[-1:] == ["start elected"], 60)
    host.run("dpkg", "--install", "/run/leaderd.deb")
    wait_for("leadership again", lambda: journal(host)[-2:] == ["stop startup", "start elected"], 60)
    assert journal(host).count("stop shutdown") == 1
    host.run("dpkg", "--remove", "leaderd")
    assert journal(host)[-1] == "stop shutdown"
    names = {path.read_text() for path in host.path("/proc").glob("[0-9]*/comm")}
    assert [name for name in names if "leaderd" in name or "python" in name] == []
    assert host.systemctl("is-enabled", "leaderd", check=False) != "enabled"
    host.run("dpkg", "--purge", "leaderd")
    for gone in ("/var/lib/leaderd", "/run/leaderd", "/etc/leaderd/leaderd.toml"):
        assert not host.path(gone).exists()


def configure(host: Machine) -> None:
    for name, text in (("leaderd.toml", ELECTION), ("index.sh", HOOK)):
        host.path(f"/etc/leaderd/{name}").write_text(text)
        host.path(f"/etc/leaderd/{name}").chmod(0o755)


def journal(host: Machine) -> list[str]:
    """Return what the hook was told, and each time the program was still there."""
    path = host.path("/run/journal")
    lines = path.read_text().splitlines() if path.exists() else []
    assert all(line.endswith(" installed") for line in lines)
    return [line.removesuffix(" installed") for line in lines]


def test_lintian_finds_nothing(lintian: subprocess.Popen[str] | None) -> None:
    """But for what leaderd.lintian-overrides gives a reason for, and all of that is needed."""
    if lintian is None:
        pytest.skip("lintian is not installed")
    text, _ = lintian.communicate(timeout=120)
    assert (lintian.returncode, "unused-override" in text) == (0, False), text
