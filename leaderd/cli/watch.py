"""`leaderd watch`."""

import json
from collections.abc import Mapping
from typing import Any

import click

from leaderd.cli.options import config_option, election_argument, lines_option, socket_of, socket_option
from leaderd.cli.text import printable
from leaderd.core.status import AT_MOST_ONE


@click.command(epilog="Example: leaderd watch db -o json", short_help="Print one line per change.")
@election_argument(required=False)
@lines_option
@config_option
@socket_option
def watch(name: str, output: str, **where: str | None) -> None:
    """Print how election NAME, or each, stands, then one line per change, until the daemon stops."""
    from leaderd.api.client import watch_status

    for change in watch_status(socket_of(where), name):
        click.echo(json.dumps(change) if output == "json" else printable(_line(change)))


def _line(change: Mapping[str, Any]) -> str:
    words = [change["since"], change["node"], change["name"], change["state"]]
    facts = {
        "reason": change["reason"],
        "guarantee": "" if change["guarantee"] == AT_MOST_ONE else change["guarantee"],
        "proven": "" if change["proven"] else "no",
        "leader": change["leader"],
        "token": change["token"],
        "valid_for": f"{change['valid_for']:.1f}" if change["valid_for"] > 0 else "",
        "detail": json.dumps(change["detail"]) if change["detail"] else "",
        "blocked": change["blocked"],
        "paused": "yes" if change["paused"] else "",
        "queue": ",".join(key["node"] for key in change["candidates"]),
    }
    return " ".join([*words, *(f"{key}={value}" for key, value in facts.items() if value)])
