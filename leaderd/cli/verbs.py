"""What operators do to an election: `switchover`, `standby`, `online`, `pause`, `resume`, `epoch raise`.

None of them asks back. What would leave an election without a leader wants `--force`.
"""

import json
from collections.abc import Mapping
from typing import Any

import click

from leaderd.cli.options import (
    complete_nodes,
    config_option,
    election_argument,
    lines_option,
    socket_of,
    socket_option,
)
from leaderd.cli.text import printable


@click.command(
    epilog="Example: leaderd switchover db --to b",
    short_help="Hand the leadership over, in order.",
)
@election_argument()
@click.option("--to", metavar="NODE", default="", shell_complete=complete_nodes,
              help="Node that shall lead; default: the fittest.")
@click.option("--timeout", metavar="SECONDS", default=120.0, show_default=True,
              type=click.FloatRange(min=0, min_open=True, max=86400),
              help="Stop waiting for the new leader after so long; the handover itself goes on.")
@lines_option
@config_option
@socket_option
def switchover(name: str, to: str, timeout: float, output: str, **where: str | None) -> None:
    """Hand the leadership of election NAME over, and wait until the new leader has started its resources.

    Refused, with nothing changed, where nobody is fit to take over. Exits 0 when the new leader leads.
    """
    from leaderd.api.client import switch_over
    from leaderd.errors import RefusedError

    step: Mapping[str, Any] = {"done": False}
    for step in switch_over(socket_of(where), name, to, timeout):
        click.echo(json.dumps(step) if output == "json" else printable(_step(step)))
    if not step["done"]:
        raise RefusedError(f"{name}: the switchover did not finish; see `leaderd status {name}`")


def _step(step: Mapping[str, Any]) -> str:
    facts = {
        "leader": step["leader"],
        "token": step["token"],
        "gap": "" if step["gap"] is None else f"{step['gap']:.3f}s",
    }
    return " ".join([step["text"], *(f"{key}={value}" for key, value in facts.items() if value)])


_node_option = click.option(
    "--node", metavar="NODE", default="", shell_complete=complete_nodes,
    help="Another node; default: this one.",
)


@click.command(
    epilog="Example: leaderd standby db --node b",
    short_help="Take a node out of the competition.",
)
@election_argument(required=False)
@_node_option
@click.option("--force", is_flag=True, help="Also where that leaves an election without a leader.")
@lines_option
@config_option
@socket_option
def standby(*, name: str, node: str, force: bool, output: str, **where: str | None) -> None:
    """Take this node, or another, out of election NAME or of all: it stops its resources first.

    It stays out, across restarts, until `leaderd online`. Exits 0 when it has left, 1 when it was refused, or
    the node, though marked, has not left in time.
    """
    from leaderd.api.client import set_standby

    set_standby(socket_of(where), name, node, standby=True, force=force)
    text = f"{node or 'this node'} is on standby in {name or 'all its elections'}"
    _report(output, text, election=name, node=node, standby=True)


@click.command(
    epilog="Example: leaderd online db --node b",
    short_help="Let a node compete again.",
)
@election_argument(required=False)
@_node_option
@lines_option
@config_option
@socket_option
def online(name: str, node: str, output: str, **where: str | None) -> None:
    """Let this node, or another, compete again in election NAME or in all."""
    from leaderd.api.client import set_standby

    set_standby(socket_of(where), name, node, standby=False, force=False)
    text = f"{node or 'this node'} competes again in {name or 'all its elections'}"
    _report(output, text, election=name, node=node, standby=False)


@click.command(
    epilog="Example: leaderd pause db",
    short_help="Let nobody be newly promoted.",
)
@election_argument()
@lines_option
@config_option
@socket_option
def pause(name: str, output: str, **where: str | None) -> None:
    """Let no node be newly promoted in election NAME, until `leaderd resume`.

    A leader goes on leading as long as it renews its lease; it does not outlive an outage of etcd.
    """
    from leaderd.api.client import set_paused

    set_paused(socket_of(where), name, paused=True)
    _report(output, f"{name} is paused: nobody is newly promoted", election=name, paused=True)


@click.command(
    epilog="Example: leaderd resume db",
    short_help="Let nodes be promoted again.",
)
@election_argument()
@lines_option
@config_option
@socket_option
def resume(name: str, output: str, **where: str | None) -> None:
    """Let nodes be promoted again in election NAME."""
    from leaderd.api.client import set_paused

    set_paused(socket_of(where), name, paused=False)
    _report(output, f"{name} is not paused any more", election=name, paused=False)


@click.group(
    no_args_is_help=False,
    epilog="Example: leaderd epoch raise db",
    short_help="Keep tokens growing after a restore of etcd.",
)
def epoch() -> None:
    """Keep fencing tokens growing after a restore of etcd."""


@epoch.command(
    name="raise",
    epilog="Example: leaderd epoch raise db",
    short_help="Accept that etcd's revisions went back.",
)
@election_argument()
@lines_option
@config_option
@socket_option
def raise_(name: str, output: str, **where: str | None) -> None:
    """Accept, for election NAME, that etcd's revisions went back; tokens of the new epoch are larger.

    Do this once, on one node, after etcd was restored from a backup and every old leader has stopped.
    """
    from leaderd.api.client import raise_epoch

    new = raise_epoch(socket_of(where), name)
    _report(output, f"{name}: epoch {new}", election=name, epoch=new)


def _report(output: str, text: str, **facts: object) -> None:
    """Say what was done: as a sentence, or as one JSON object."""
    click.echo(json.dumps(facts) if output == "json" else text)
