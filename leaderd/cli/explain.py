"""`leaderd explain`."""

import json
from collections.abc import Mapping
from typing import Any

import click

from leaderd.cli.options import config_option, election_argument, lines_option, socket_of, socket_option
from leaderd.cli.table import print_table
from leaderd.cli.text import printable


@click.command(
    epilog="Example: leaderd explain db",
    short_help="Say why this node leads or does not, in sentences.",
)
@election_argument(required=False)
@lines_option
@config_option
@socket_option
def explain(name: str, output: str, **where: str | None) -> None:
    """Say why this node leads election NAME, or each, or does not.

    Also what it waits for, who can stop each resource, and what happens if this node fails now.
    """
    from leaderd.api.client import fetch_explanation

    answer = fetch_explanation(socket_of(where), name)
    if output == "json":
        click.echo(json.dumps(answer, indent=2))
        return
    for election in answer["elections"]:
        _print(election)


def _print(election: Mapping[str, Any]) -> None:
    click.echo(f"election {election['name']}\n")
    for title, sentences in (
        ("promise", [election["promise"]]),
        ("now", election["why"]),
        ("waits", election["waits"] or ["For nothing."]),
        ("if it fails", election["failure"]),
    ):
        for sentence in sentences:
            click.echo(f"  {title:<12} {printable(sentence)}")
            title = ""  # noqa: PLW2901 - said once
    click.echo("")
    print_table(
        ("resource", "type", "agent stops it", "kernel, when the agent fails", "guard, when the agent fails",
         "all of leaderd dead"),
        [tuple(row.values()) for row in election["enforcers"]],
    )
