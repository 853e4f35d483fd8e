"""What etcd remembers of an election: `history`, `verify`."""

import json
from collections.abc import Mapping
from typing import Any

import click

from leaderd.cli.options import (
    config_option,
    election_argument,
    lines_option,
    output_option,
    socket_of,
    socket_option,
)
from leaderd.cli.table import print_table

_LARGEST_TOKEN = 2**64 - 1


@click.command(
    epilog="Example: leaderd history db -o json",
    short_help="Show past leaderships.",
)
@election_argument(required=False)
@click.option("-n", "--limit", metavar="COUNT", type=click.IntRange(min=1), default=20, show_default=True,
              help="Newest of each election to show; at most 200 are kept.")
@output_option
@config_option
@socket_option
def history(name: str, limit: int, output: str, **where: str | None) -> None:
    """Show past leaderships of election NAME, or of all that this node competes in, newest first."""
    from leaderd.api.client import fetch_history

    terms = fetch_history(socket_of(where), name, min(limit, 2**32 - 1))
    if output == "json":
        click.echo(json.dumps(terms, indent=2))
        return
    if not terms:
        click.echo("nobody has led yet")
    print_table(
        ("election", "token", "node", "from", "to", "reason", "end", "gap"),
        [_row(term) for term in terms],
    )


def _row(term: Mapping[str, Any]) -> tuple[str, ...]:
    end = "clean" if term["clean"] else "unclean"
    return (
        term["election"], str(term["token"]), term["node"], term["from"], term["to"], term["reason"],
        end if term["to"] else "", "" if term["gap"] is None else f"{term['gap']:.3f} s",
    )


@click.command(
    epilog="Example: leaderd verify db 1234",
    short_help="Tell whether a fencing token is the newest.",
)
@election_argument()
@click.argument("token", type=click.IntRange(min=1, max=_LARGEST_TOKEN))
@lines_option
@config_option
@socket_option
@click.pass_context
def verify(ctx: click.Context, /, name: str, token: int, output: str, **where: str | None) -> None:
    """Tell whether TOKEN is the newest fencing token of election NAME, by asking etcd.

    Exits 0 when it is, 1 when not, 4 when etcd cannot say. It may be stale a moment later: a resource that
    must not be written to by an old leader compares tokens itself.
    """
    from leaderd.api.client import verify_token

    answer = verify_token(socket_of(where), name, token)
    if output == "json":
        click.echo(json.dumps({"election": name, "token": token, **answer}))
    elif answer["valid"]:
        click.echo(f"{token} is the newest token of {name}")
    elif token < answer["newest"]:
        click.echo(f"{token} is stale: the newest token of {name} is {answer['newest']}")
    else:
        click.echo(f"{token} was never handed out in {name}: the newest token is {answer['newest']}")
    ctx.exit(0 if answer["valid"] else 1)
