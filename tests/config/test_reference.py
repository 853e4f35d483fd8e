"""What the documentation says of the configuration is what the code goes by."""

import re
from pathlib import Path

import pytest

from leaderd.config import kinds, model
from leaderd.config.reference import TABLES, lines

DOCS = Path(__file__).parents[2] / "docs"


def test_the_reference_is_up_to_date() -> None:
    """After a change of the declarations: make reference."""
    assert (DOCS / "reference.md").read_text(encoding="utf-8") == "\n".join(lines()) + "\n"


def test_every_declared_table_is_in_it() -> None:
    declared = {
        table for table in (*vars(model).values(), *vars(kinds).values())
        if isinstance(table, type) and issubclass(table, model.Table)
    } - {model.Table, model.Budget}
    assert declared == set(TABLES.values())


@pytest.mark.parametrize("heading", TABLES)
def test_every_key_is_explained(heading: str) -> None:
    """In the section of its table, as code."""
    text = (DOCS / "configuration.md").read_text(encoding="utf-8")
    sections = re.split(r"^## ", text, flags=re.MULTILINE)
    name = "`[[election.resource]]`, type `process`" if heading == "ready of a process" else heading
    found = [each for each in sections if _plain(each.splitlines()[0]) == _plain(name)] if sections else []
    assert found, f"configuration.md has no section {heading}"
    missing = [key for key in TABLES[heading].model_fields if not re.search(rf"`{key}\b", found[0])]
    assert missing == []


def _plain(heading: str) -> str:
    return heading.replace("`", "")
