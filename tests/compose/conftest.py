"""An engine, the images, and three nodes in containers; `--compose-faults` runs the whole list of faults."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.compose.deployment import Deployment, compose_commands
from tests.compose.engine import NoEngineError, docker, engine
from tests.compose.images import ROOT, images
from tests.compose.observed import Observer
from tests.faults.conftest import pytest_terminal_summary

__all__ = ["pytest_terminal_summary"]

IMAGE, NEWER = "leaderd-test/leaderd:now", "leaderd-test/leaderd:newer"


@pytest.fixture(scope="session")
def images_used() -> Iterator[Mapping[str, str]]:
    """The variables that name the images, ours newly built among them."""
    if os.geteuid() != 0:
        pytest.skip("needs root: the network is watched from the host")
    try:
        with engine():
            used = images()
            words = ["--build-arg", f"PYTHON_IMAGE={used['PYTHON_IMAGE']}", str(ROOT)]
            docker("build", "--quiet", "--tag", IMAGE, *words, timeout=600)
            docker("build", "--quiet", "--label", "newer=yes", "--tag", NEWER, *words, timeout=600)
            yield {**used, "LEADERD_IMAGE": IMAGE}
    except NoEngineError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def deployment(images_used: Mapping[str, str]) -> Iterator[Deployment]:
    """The project of docker-compose.yml, brought up."""
    if not compose_commands():
        pytest.skip("neither compose v2 nor docker-compose is installed")
    found = Deployment("leaderd-test", images_used, NEWER)
    found.down()
    try:
        found.up()
        yield found
    finally:
        found.down()


@pytest.fixture(scope="module")
def observer(deployment: Deployment, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Observer]:
    """Who answers for the address, from now on."""
    path: Path = tmp_path_factory.mktemp("observer") / "seen"
    found = deployment.observer(path)
    try:
        yield found
    finally:
        found.close()
