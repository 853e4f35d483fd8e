"""Manual pages: one for each command, none that man would stumble over."""

import shutil
import subprocess
from pathlib import Path

import click
import pytest

from leaderd.cli.main import COMMANDS
from leaderd.cli.man import contexts, page, page_name, root, write_pages

PAGES = [pytest.param(context, id=page_name(context)) for context in contexts(root())]


def test_every_command_has_a_page(tmp_path: Path) -> None:
    """Those of groups too, under the names that man is asked for."""
    written = {path.name for path in write_pages(tmp_path / "man")}
    assert {f"leaderd-{name}.1" for name in COMMANDS} <= written
    assert {"leaderd.1", "leaderd-epoch-raise.1"} <= written


@pytest.mark.parametrize("context", PAGES)
def test_a_page_has_what_the_help_has(context: click.Context) -> None:
    """Every option and the example; and every line that begins with a dot is a command of man's."""
    text = page(context)
    for parameter in context.command.get_params(context):
        for option in parameter.opts if isinstance(parameter, click.Option) else ():
            assert option.replace("-", "\\-") in text
    assert ".SH EXAMPLE" in text
    macros = {line.split()[0] for line in text.splitlines() if line.startswith(".")}
    assert macros <= {".TH", ".SH", ".TP", ".B", ".BR", ".PP", ".nf", ".fi"}


@pytest.mark.skipif(shutil.which("groff") is None, reason="groff (groff-base) is not installed")
@pytest.mark.parametrize("context", PAGES)
def test_man_can_show_it(context: click.Context) -> None:
    """Without a warning, and dots, dashes and backslashes come out as they went in."""
    shown = subprocess.run(["groff", "-man", "-Tutf8", "-Kutf8", "-wall", "-P-c"], input=page(context),
                           capture_output=True, text=True, check=True)
    assert shown.stderr == ""
    example = (context.command.epilog or "").removeprefix("Example: ")
    assert example.split()[-1] in shown.stdout
