"""The README's blocks, in their order."""

import re
from typing import NamedTuple

from tests.packages.conftest import ROOT


class Block(NamedTuple):
    """One of them, and the language that it says it is in."""

    language: str
    text: str


def blocks() -> list[Block]:
    """Return all of them."""
    found = re.findall(r"^```(\w*)\n(.*?)^```$", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    return [Block(*each) for each in found]


# A block more or less, and nothing here goes on until it is said who runs it.
MAKE, START, FILE, EXEC, SESSION, CONTAINERS = blocks()
INSTALL, _, RUN = START.text.partition("\n")
