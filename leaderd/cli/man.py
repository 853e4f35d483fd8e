"""Writes a manual page for each command, from what click knows of it: `python -m leaderd.cli.man DIRECTORY`.

Own code, since click-man reads the commands of a group before it is asked for them, and leaves the
examples out.

Source: man(7), groff_man_style(7).
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import click

from leaderd.cli.main import cli
from leaderd.version import VERSION

_EXITS = (
    ("0", "Done, or yes."),
    ("1", "No, or refused; nothing was changed."),
    ("2", "The command line or the configuration is wrong."),
    ("4", "The daemon or etcd cannot be reached."),
    ("75", "Leadership was lost or not got."),
)


def write_pages(directory: Path) -> list[Path]:
    """Write all pages into a directory, which is made when missing; return their paths."""
    directory.mkdir(parents=True, exist_ok=True)
    written = []
    for context in contexts(root()):
        path = directory / f"{page_name(context)}.1"
        path.write_text(page(context), encoding="utf-8")
        written.append(path)
    return written


def root() -> click.Context:
    """Return the context of `leaderd` itself."""
    return click.Context(cli, info_name="leaderd", **cli.context_settings)


def contexts(context: click.Context) -> Iterator[click.Context]:
    """Yield a command and all below it."""
    yield context
    group = context.command
    if isinstance(group, click.Group):
        for name in group.list_commands(context):
            if command := group.get_command(context, name):
                yield from contexts(click.Context(command, info_name=name, parent=context))


def page_name(context: click.Context) -> str:
    """Return the name of a command's page, as `man` is asked for it."""
    return context.command_path.replace(" ", "-")


def page(context: click.Context) -> str:
    """Return the page of one command, in man's language."""
    command, name = context.command, page_name(context)
    short = command.get_short_help_str(limit=200).rstrip(".")
    lines = [
        f'.TH "{_escape(name.upper())}" 1 "" "leaderd {VERSION}" "leaderd"',
        ".SH NAME", f"{_escape(name)} \\- {_escape(short[:1].lower() + short[1:])}",
        ".SH SYNOPSIS", f".B {_escape(context.command_path)}",
        _escape(" ".join(command.collect_usage_pieces(context))),
        ".SH DESCRIPTION", *_paragraphs(command.help or ""),
        *_options(context), *_commands(context),
        ".SH EXIT STATUS", *(line for code, text in _EXITS for line in (".TP", f".B {code}", _escape(text))),
    ]
    if command.epilog:
        example = command.epilog.removeprefix("Example: ")
        lines += [".SH EXAMPLE", ".nf", _escape(example), ".fi"]
    if context.parent:
        lines += [".SH SEE ALSO", f".BR {_escape(page_name(context.parent))} (1)"]
    return "\n".join(lines) + "\n"


def _paragraphs(text: str) -> Iterator[str]:
    for number, paragraph in enumerate(text.strip().split("\n\n")):
        if number:
            yield ".PP"
        yield _escape(" ".join(paragraph.split()))


def _options(context: click.Context) -> Iterator[str]:
    yield ".SH OPTIONS"
    for parameter in context.command.get_params(context):
        if isinstance(parameter, click.Option) and (record := parameter.get_help_record(context)):
            yield from (".TP", f".B {_escape(record[0])}", _escape(record[1]))


def _commands(context: click.Context) -> Iterator[str]:
    group = context.command
    if isinstance(group, click.Group):
        yield ".SH COMMANDS"
        for name in group.list_commands(context):
            if command := group.get_command(context, name):
                yield from (".TP", f".BR {_escape(page_name(context))}\\-{_escape(name)} (1)")
                yield _escape(command.get_short_help_str(limit=200))


def _escape(text: str) -> str:
    """Return the text so that man shows it as it is: no minus for a hyphen, no command in a first dot."""
    escaped = text.replace("\\", "\\e").replace("-", "\\-")
    return f"\\&{escaped}" if escaped[:1] in (".", "'") else escaped


if __name__ == "__main__":
    write_pages(Path(sys.argv[1]))
