"""`leaderd status`."""

import json
from collections.abc import Mapping
from typing import Any

import click

from leaderd.cli.options import config_option, election_argument, output_option, socket_of, socket_option
from leaderd.cli.table import print_table
from leaderd.cli.text import printable
from leaderd.clock import BootClock
from leaderd.core.status import AT_MOST_ONE


@click.command(
    epilog="Example: leaderd status db -o json",
    short_help="Show this node and what it knows of the others.",
)
@election_argument(required=False)
@output_option
@click.option("--leader", is_flag=True, help="Print nothing; exit 0 when this node leads, 1 when not.")
@config_option
@socket_option
@click.pass_context
def status(ctx: click.Context, /, name: str, output: str, **options: Any) -> None:
    """Show this node and what it knows of the others, of election NAME or of all.

    Exits 0 when the daemon answered, 4 when it did not.
    """
    from leaderd.api.client import fetch_status

    clock = BootClock()
    asked_at = clock.now()
    report = fetch_status(socket_of(options), name)
    if options["leader"]:
        # The answer may have waited for us: what it grants counts from when it was asked for.
        ctx.exit(0 if _leads(report, clock.now().held_since(asked_at)) else 1)
    if output == "json":
        click.echo(json.dumps(report, indent=2))
    else:
        _print(report)


def _leads(report: Mapping[str, Any], age: float) -> bool:
    elections = report["elections"]
    if len(elections) > 1:
        names = ", ".join(election["name"] for election in elections)
        raise click.UsageError(f"--leader needs the name of one election: {names}")
    return any(each["state"] == "leader" and each["valid_for"] - age > 0 for each in elections)


def _print(report: Mapping[str, Any]) -> None:
    elections = report["elections"]
    click.echo(f"node {report['node']}, leaderd {report['version']}")
    for warning in report["warnings"]:
        click.echo(printable(f"warning: {warning}"))
    click.echo("")
    print_table(
        ("election", "state", "leader", "token", "valid for", "since", "reason"),
        [_election_row(election) for election in elections],
    )
    print_table(
        ("election", "node", "state", "priority", "reason"),
        [_node_row(election, node) for election in elections for node in election["nodes"]],
    )
    print_table(
        ("election", "resource", "type", "state"),
        [
            (election["name"], resource["name"], resource["type"], resource["state"])
            for election in elections
            for resource in election["resources"]
        ],
    )


def _election_row(election: Mapping[str, Any]) -> tuple[str, ...]:
    guarantee = "" if election["guarantee"] == AT_MOST_ONE else election["guarantee"]
    # A candidate's detail has it already: it is what it waits for.
    pause = "paused" if election["paused"] and "paused" not in election["detail"] else ""
    why = [guarantee, election["reason"], election["detail"], election["blocked"], pause]
    return (
        election["name"],
        election["state"],
        election["leader"],
        str(election["token"] or ""),
        f"{election['valid_for']:.1f} s" if election["valid_for"] > 0 else "",
        election["since"],
        ": ".join(word for word in why if word),
    )


def _node_row(election: Mapping[str, Any], node: Mapping[str, Any]) -> tuple[str, ...]:
    key = next((each for each in election["candidates"] if each["node"] == node["node"]), None)
    priority = "" if key is None else "not leaderd" if key["foreign"] else str(key["priority"])
    return (election["name"], node["node"], node["state"], priority, node["reason"])
