"""Tables: drawn by rich on a terminal, plain columns for everybody else."""

import sys
from collections.abc import Sequence

import click

from leaderd.cli.text import printable


def print_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Write a table and an empty line to standard output; nothing when there are no rows."""
    if not rows:
        return
    rows = [[printable(cell) for cell in row] for row in rows]
    if sys.stdout.isatty():
        _draw(header, rows)
        return
    lines = [[name.upper() for name in header], *[[cell or "-" for cell in row] for row in rows]]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    for line in lines:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
    click.echo("")


def _draw(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in header:
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*[Text(cell) for cell in row])  # Text: what stands in brackets is no markup
    Console().print(table)
