"""`leaderd doctor`."""

import asyncio
import json
import os
import sys
from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from leaderd.cli.options import daemon_options, lines_option
from leaderd.cli.text import printable

if TYPE_CHECKING:
    from leaderd.config.load import Loaded
    from leaderd.doctor.finding import Finding

_COLOURS = {"ok": "green", "warn": "yellow", "fail": "red"}
# Stands in where only etcd is named: the machine is looked at for an election that asks for nothing.
_STAND_IN = {"node": "doctor", "election": "doctor", "on_start": "true", "on_stop": "true"}


@click.command(
    epilog="Example: leaderd doctor -c /etc/leaderd/leaderd.toml",
    short_help="Probe etcd and this machine, and say what to do.",
)
@lines_option
@daemon_options
@click.pass_context
def doctor(ctx: click.Context, /, output: str, config: str | None, **options: Any) -> None:
    """Probe etcd and this machine: a line for each thing, ok, warn or fail, and what to do about it.

    Changes nothing. Options and variables count as they would for `run`; without any, only the machine is
    looked at. Exits 0, or 1 when something fails.
    """
    failed = False
    for finding in _findings(config, options):
        failed |= finding.result == "fail"
        click.echo(json.dumps(asdict(finding)) if output == "json" else _line(finding))
    ctx.exit(1 if failed else 0)


def _findings(config: str | None, options: dict[str, Any]) -> Iterator["Finding"]:
    from leaderd.cli.configured import load_configuration
    from leaderd.cli.run import interpreter
    from leaderd.config.source import chosen_file
    from leaderd.doctor.finding import ok, warn
    from leaderd.doctor.machine import Trials, findings

    environ = os.environ
    named = chosen_file(config, environ) or options["election"] or environ.get("LEADERD_ELECTION")
    reachable = named or options["endpoint"] or environ.get("LEADERD_ENDPOINT")
    stand_in = {} if named else {name: options[name] or value for name, value in _STAND_IN.items()}
    loaded = load_configuration(config, {**options, **stand_in}) if reachable else None
    # Processes first: gRPC does not like to be forked.
    trials = Trials.begin(interpreter())
    machine = list(findings(loaded.plan if loaded and named else None, trials))
    if loaded is None:
        yield warn("etcd", "not looked at: nobody says where it is", "give -c FILE or --endpoint URL")
    else:
        if named:
            plan = loaded.plan
            names = ", ".join(election.name for election in plan.elections)
            yield ok("configuration", f"node {plan.node}, elections {names}, keys under {plan.root}")
            yield from (warn("configuration", text) for text in loaded.warnings)
        yield from _at_etcd(loaded)
    yield from machine


def _at_etcd(loaded: "Loaded") -> list["Finding"]:
    # As the agent has it: etcd3's stubs load under no other implementation.
    os.environ.setdefault("PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION", "python")
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    from leaderd.doctor.cluster import findings

    return asyncio.run(findings(loaded.plan))


def _line(finding: "Finding") -> str:
    colour = _COLOURS[finding.result] if _coloured() else None
    text = printable(f"{finding.check}: {finding.text}{'; ' if finding.remedy else ''}{finding.remedy}")
    return f"{click.style(f'{finding.result:<4}', fg=colour) if colour else f'{finding.result:<4}'}  {text}"


def _coloured() -> bool:
    """Return whether colours are welcome. Source: no-color.org."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR")
