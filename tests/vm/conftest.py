"""One boot for all cases: a machine with a file server, an etcd and its drivers, brought back for each."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.vm.leaderd import start_etcd
from tests.vm.machine import Machine
from tests.vm.parts import NoMachineError, Parts, parts


@pytest.fixture(scope="session")
def place() -> Iterator[Path]:
    """A directory for images and sockets; in /var/tmp, since /tmp may be memory."""
    directory = Path(tempfile.mkdtemp(prefix="leaderd-vm-", dir="/var/tmp"))
    yield directory
    shutil.rmtree(directory)


@pytest.fixture(scope="session")
def made(place: Path) -> Parts:
    """What is booted, or a reason why there is nothing to boot."""
    try:
        return parts(place)
    except NoMachineError as problem:
        pytest.skip(str(problem))


@pytest.fixture(scope="session")
def booted(place: Path, made: Parts) -> Path:
    """The state of a machine that has booted and has everything that a case needs."""
    machine = Machine(place / "boot", made)
    try:
        machine.run("modprobe i6300esb", 60)
        machine.run("sh /server.sh", 60)
        start_etcd(machine)
        # A server that has just started answers nobody who opens a file: others may have locks of before.
        machine.wait_for("the file server", "mkdir -p /tmp/try; timeout 20 mount -t nfs 10.9.0.1:/ /tmp/try"
                         " && touch /tmp/try/ready && umount /tmp/try")
        machine.save(place / "state")
    finally:
        machine.end()
    return place / "state"


@pytest.fixture
def machine(place: Path, made: Parts, booted: Path) -> Iterator[Machine]:
    """A machine that has just booted, for one case."""
    machine = Machine(Path(tempfile.mkdtemp(dir=place)), made, booted)
    yield machine
    machine.end()
