"""`leaderd check`."""

import json
import os
import shutil
from collections.abc import Iterator
from typing import Any

import click

from leaderd.cli.options import daemon_options, output_option
from leaderd.cli.table import print_table
from leaderd.plan import ElectionPlan, Plan

_CAUSE = ("cause", "for", "because")
_ENFORCER = ("resource", "type", "agent", "kernel", "guard", "alone")


@click.command(
    epilog="Example: leaderd check /etc/leaderd/leaderd.toml",
    short_help="Validate a configuration and draw its time budget.",
)
@click.argument("file", required=False)
@output_option
@daemon_options
def check(file: str | None, output: str, config: str | None, **options: Any) -> None:
    """Validate a configuration; print its time budget, worst failover times and who enforces what.

    Options and variables count as they would for `run`. Exits 0, or 2 with everything that is wrong.
    """
    from leaderd.cli.configured import load_configuration
    from leaderd.cli.interfaces import unfit
    from leaderd.cli.kinds import findings
    from leaderd.errors import ConfigError

    if file and config:
        raise click.UsageError("FILE and --config say the same; give one")
    loaded = load_configuration(file or config, options)
    plan = loaded.plan
    found = findings(plan)
    if found.problems:
        raise ConfigError(found.problems)
    warnings = [*loaded.warnings, *_missing_programs(plan), *unfit(plan), *found.warnings]
    if output == "json":
        click.echo(json.dumps({
            "node": plan.node, "endpoints": plan.etcd.endpoints, "root": plan.root,
            "state_dir": plan.state_dir, "socket": plan.api.socket,
            "elections": [_facts(each) for each in plan.elections], "warnings": warnings,
        }, indent=2))
        return
    click.echo(f"node {plan.node}, etcd {', '.join(plan.etcd.endpoints)}, keys under {plan.root}")
    click.echo(f"state in {plan.state_dir}, socket {plan.api.socket}")
    for election in plan.elections:
        _print_election(election)
    for warning in warnings:
        click.echo(f"warning: {warning}")
    click.echo("the configuration is valid")


def _facts(plan: ElectionPlan) -> dict[str, Any]:
    """Return what is printed of an election as values; durations in seconds after a keepalive was sent."""
    from leaderd.budget import failovers, timing_of
    from leaderd.enforcers import enforcers

    timing = timing_of(plan)
    return {
        "name": plan.name, "guarantee": plan.guarantee, "ttl": plan.ttl, "priority": plan.priority,
        "budget": {
            "retry_period": timing.retry_period, "attempt_timeout": timing.attempt_timeout,
            "stop_at": round(timing.stop_after, 3), "fence_at": round(timing.fence_after, 3),
            "expires_at": round(timing.window, 3),
        },
        "failovers": [dict(zip(_CAUSE, row, strict=True)) for row in failovers(plan, timing)],
        "enforcers": [dict(zip(_ENFORCER, row, strict=True)) for row in enforcers(plan)],
    }


def _print_election(plan: ElectionPlan) -> None:
    from leaderd.budget import draw, failovers, timing_of, without_etcd
    from leaderd.enforcers import enforcers, outside

    timing = timing_of(plan)
    guarantee = plan.guarantee.replace("-", " ")
    click.echo(f"\nelection {plan.name}: {guarantee}, ttl {plan.ttl} s, priority {plan.priority}\n")
    for line in [*draw(timing), *without_etcd(plan, timing)]:
        click.echo(f"  {line}")
    click.echo(f"\nnobody leads for (on top, the start of the resources: at most {plan.start_timeout:g} s)")
    print_table(_CAUSE, failovers(plan, timing))
    if not plan.resources:
        click.echo("no resources: this election only decides who leads\n")
    print_table(
        ("resource", "type", "agent stops it", "kernel, when the agent fails", "guard, when the agent fails",
         "all of leaderd dead"),
        enforcers(plan),
    )
    for line in outside(plan):
        click.echo(f"  {line}")


def _missing_programs(plan: Plan) -> Iterator[str]:
    """Yield what cannot be run as things stand here; it may still be put there, so it is no error."""
    for election in plan.elections:
        prefix = f"election.{election.name}"
        commands = [(f"{prefix}.fence_command", list(election.fence_command))]
        if election.notify:
            commands.append((f"{prefix}.notify.command", list(election.notify.command)))
        if election.check:
            commands.append((f"{prefix}.check.command", list(election.check.command)))
        for resource in election.resources:
            ready = resource.settings.get("ready", {})
            commands.append((f"{prefix}.resource.{resource.name}.ready.command", ready.get("command", [])))
            commands += [
                (f"{prefix}.resource.{resource.name}.{key}", resource.settings.get(key, []))
                for key in ("command", "start", "stop", "monitor")
            ]
        for key, command in commands:
            if command and not _runnable(command[0]):
                yield f"{key}: {command[0]!r} is not there, or not executable"


def _runnable(program: str) -> bool:
    return os.path.isfile(found) if (found := shutil.which(program)) else False
