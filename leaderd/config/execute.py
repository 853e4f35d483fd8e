"""Turns `leaderd exec NAME -- CMD…` and a file, if there is one, into the plan of a daemon for it alone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from leaderd.config.load import Loaded, Machine, load
from leaderd.config.source import Source
from leaderd.errors import ConfigError
from leaderd.plan import ApiPlan, ResourcePlan

# Said of the daemon on this machine, not of a command beside it.
_ANOTHER_DAEMON = (
    "LEADERD_STATE_DIR", "LEADERD_SOCKET", "LEADERD_HTTP", "LEADERD_ELECTION", "LEADERD_TTL",
    "LEADERD_ON_START", "LEADERD_ON_STOP", "LEADERD_VIP",
)
COMMAND = "command"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the command line says.

    Attributes:
        election: That must be led.
        command: Program and arguments.
        contain: Whether all that it starts ends with it.
        ttl: Whole seconds; None for the file's, or the default.
    """

    election: str
    command: Sequence[str]
    contain: bool = True
    ttl: int | None = None


def load_exec(source: Source, wanted: Wanted, options: Mapping[str, Any], machine: Machine) -> Loaded:
    """Return the checked plan; its `state_dir` is "" unless an option gives one, and so is its socket.

    Args:
        source: Its `[etcd]`, node and root count, and of the election of that name all but resources.
        wanted: What the command line says.
        options: As for `load`.
        machine: As for `load`.

    Raises:
        ConfigError: With every problem found, a line each.
    """
    tables = {key: value for key, value in source.tables.items() if key not in ("api", "state_dir")}
    tables = {"log": "text", "log_level": "warning", **tables}
    tables["election"] = [_election(source.tables.get("election"), wanted)]
    environ = {key: value for key, value in machine.environ.items() if key not in _ANOTHER_DAEMON}
    loaded = load(Source(tables, source.directory), options, replace(machine, environ=environ))
    plan = loaded.plan
    if not options.get("state_dir"):
        plan = replace(plan, state_dir="")
    if not options.get("socket"):
        plan = replace(plan, api=ApiPlan(socket=""))
    return Loaded(plan, loaded.warnings)


def _election(raw: object, wanted: Wanted) -> dict[str, Any]:
    elections = [table for table in raw if isinstance(table, dict)] if isinstance(raw, list) else []
    found = next((table for table in elections if table.get("name") == wanted.election), {})
    if found.get("resource"):
        problem = "has resources, and exec would lead without them; give another NAME"
        raise ConfigError([f"election.{wanted.election}.resource: {problem}"])
    resource = {
        "name": COMMAND, "type": "process", "command": list(wanted.command), "contain": wanted.contain
    }
    table = {**found, "name": wanted.election, "resource": [resource]}
    return table if wanted.ttl is None else {**table, "ttl": wanted.ttl}


def attach(loaded: Loaded, state_dir: str, link: int) -> Loaded:
    """Return the plan with its state directory and the agent's end of the link to the caller."""
    (election,) = loaded.plan.elections
    (resource,) = election.resources
    attached = ResourcePlan(resource.name, resource.type, {**resource.settings, "link": link})
    plan = replace(
        loaded.plan, state_dir=state_dir, elections=(replace(election, resources=(attached,)),)
    )
    return Loaded(plan, loaded.warnings)
