"""The README's commands for containers, as they stand: from nothing to an answer, broken, and gone again."""

import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.compose import documented
from tests.compose.conftest import NEWER
from tests.compose.deployment import PLUGIN, STANDALONE, Deployment, compose_commands
from tests.compose.engine import docker
from tests.packages.readme import CONTAINERS

pytestmark = pytest.mark.timeout(240)


@pytest.mark.compose_faults
@pytest.mark.parametrize("command", [PLUGIN, STANDALONE], ids=" ".join)
def test_the_readme_can_be_copied(
    images_used: Mapping[str, str], tmp_path: Path, command: tuple[str, ...],
) -> None:
    if command not in compose_commands():
        pytest.skip(f"{' '.join(command)} is not installed")
    nodes = Deployment("leaderd-readme", images_used, NEWER, command=command)
    nodes.down()
    try:
        seen = documented.run(CONTAINERS.text, nodes, tmp_path)
    finally:
        left = docker("ps", "--all", "--quiet", f"--filter=name={nodes.project}")
        nodes.down()
    # The state of a node; the names of containers have another word.
    assert re.search(r"\bleader\b", seen)
    assert not left
