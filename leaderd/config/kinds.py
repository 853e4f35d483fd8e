"""Checks resources of type mount, systemd and ocf, and that no two of them are about the same thing."""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from leaderd.config import model
from leaderd.config.explain import Report, dotted
from leaderd.plan import ElectionPlan, ResourcePlan

# How often a mount is looked for when the file does not say: it costs the reading of one file, seconds.
MOUNT_INTERVAL = 1.0
# Asking systemd starts a program, so less often, seconds.
UNIT_INTERVAL = 5.0
_UNIT = re.compile(r"[A-Za-z0-9:_.@\\][A-Za-z0-9:_.@\\-]*")
# Source: systemd.unit(5).
_UNIT_TYPES = (
    "service", "socket", "device", "mount", "automount", "swap", "target", "path", "timer", "slice", "scope",
)
_AGENT = re.compile(r"ocf:[A-Za-z0-9_][A-Za-z0-9_.-]*:[A-Za-z0-9_][A-Za-z0-9_.-]*")
_PARAMETER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# These change a mount that is there instead of making one.
_NOT_MOUNTING = {"remount", "move"}


def _device(value: str) -> str:
    if value.startswith("-") or not value.isprintable():
        raise ValueError("is no device: write /dev/NAME, UUID=…, LABEL=…, HOST:/PATH, a directory or tmpfs")
    return value


def _target(value: str) -> str:
    if not value.startswith("/") or ".." in value.split("/"):
        raise ValueError('must be an absolute path without ".."')
    path = os.path.normpath("/" + value.lstrip("/"))
    if path == "/":
        raise ValueError("is the root of the file system; name a directory below it")
    return path


def _options(value: str) -> str:
    if not value.isprintable() or value.startswith("-"):
        raise ValueError("is no list of mount options, as noatime,nodev")
    if wrong := _NOT_MOUNTING & set(value.split(",")):
        raise ValueError(f"has {' and '.join(sorted(wrong))} in it, which mounts nothing")
    return value


def _unit(value: str) -> str:
    if not _UNIT.fullmatch(value):
        raise ValueError("is no name of a unit, as nginx.service")
    return value if value.rpartition(".")[2] in _UNIT_TYPES else f"{value}.service"


def _agent(value: str) -> str:
    if not _AGENT.fullmatch(value):
        raise ValueError("is no agent: write ocf:PROVIDER:NAME, as ocf:heartbeat:IPaddr2")
    return value


class Mount(model.Table):
    """`[[election.resource]]` of type mount."""

    name: model.Name
    type: Literal["mount"]
    device: Annotated[model.Path, AfterValidator(_device)]
    target: Annotated[model.Path, AfterValidator(_target)]
    fstype: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]*$")] = ""
    options: Annotated[model.Text, AfterValidator(_options)] = ""
    private: bool = False
    monitor_interval: model.Seconds = MOUNT_INTERVAL
    restart: model.Restarts = 0


class Systemd(model.Table):
    """`[[election.resource]]` of type systemd."""

    name: model.Name
    type: Literal["systemd"]
    unit: Annotated[model.Path, AfterValidator(_unit)]
    monitor_interval: model.Seconds = UNIT_INTERVAL
    restart: model.Restarts = 0


class Ocf(model.Table):
    """`[[election.resource]]` of type ocf; without `monitor_interval` the agent's own advice counts."""

    name: model.Name
    type: Literal["ocf"]
    agent: Annotated[model.Path, AfterValidator(_agent)]
    params: Annotated[dict[str, model.Text | bool | int | float], Field(default_factory=dict)]
    monitor_interval: model.Seconds | None = None
    restart: model.Restarts = 0


_TABLES: dict[str, type[Mount | Systemd | Ocf]] = {"mount": Mount, "systemd": Systemd, "ocf": Ocf}
TYPES = tuple(_TABLES)


def kind_plan(raw: Mapping[str, Any], prefix: str, report: Report) -> ResourcePlan | None:
    """Return the plan of one of them, or None with all its problems noted."""
    table = report.checked(_TABLES[raw["type"]], raw, prefix)
    if table is None:
        return None
    settings = table.model_dump(exclude={"name", "type"}, exclude_none=True)
    if isinstance(table, Ocf):
        before = len(report.problems)
        for name in table.params:
            if not _PARAMETER.fullmatch(name):
                report.problem(f"{prefix}.params.{dotted(name)}", "is no name of a parameter: a-z 0-9 _")
        if len(report.problems) > before:
            return None
        settings["params"] = {name: _as_text(value) for name, value in table.params.items()}
    return ResourcePlan(table.name, table.type, settings)


def _as_text(value: str | float) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def check_one_each(plans: Sequence[tuple[str, ElectionPlan]], report: Report) -> None:
    """Note every target, device, unit or agent's state that two resources of this node would share.

    Args:
        plans: With what to call each in problems.
        report: Takes the problems.
    """
    seen: dict[tuple[str, str], str] = {}
    for prefix, plan in plans:
        for resource in plan.resources:
            for field, thing in _things(resource):
                key = f"{prefix}.resource.{dotted(resource.name)}.{field}"
                if (first := seen.get((field, thing))) is None:
                    seen[field, thing] = key
                else:
                    report.problem(key, f"{thing} is what {report.label(first)} has already; one must go")


def _things(resource: ResourcePlan) -> Iterator[tuple[str, str]]:
    settings = resource.settings
    match resource.type:
        case "mount":
            yield "target", settings["target"]
            if settings["device"].startswith("/dev/"):
                yield "device", settings["device"]
        case "systemd":
            yield "unit", settings["unit"]
        case "ocf":
            # Agents name their state after the resource, whatever election it is in.
            yield "agent", f"{settings['agent']} under the name {resource.name}"
