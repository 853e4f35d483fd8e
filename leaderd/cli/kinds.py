"""What `leaderd check` finds on this machine about mounts, units and OCF agents.

What may still be put right before `run` is a warning; a parameter that an agent does not know, or misses,
is a problem wherever it is looked at.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field

from leaderd.plan import ElectionPlan, Plan, ResourcePlan

# A question to systemctl or to an agent has so long, seconds.
_PATIENCE = 10.0
_CAP_SYS_ADMIN = 21
# What an agent says of parameters alone; the others may be the machine's fault.
_PARAMETERS_WRONG = (2, 6)


@dataclass(frozen=True, slots=True)
class Findings:
    """What was found, one line each.

    Attributes:
        problems: Must be mended; exit code 2.
        warnings: May surprise.
    """

    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def findings(plan: Plan) -> Findings:
    """Look at every resource of these kinds."""
    found = Findings()
    for election in plan.elections:
        for resource in election.resources:
            prefix = f"election.{election.name}.resource.{resource.name}"
            match resource.type:
                case "mount":
                    found.warnings.extend(f"{prefix}.{line}" for line in _mount(resource))
                case "systemd":
                    found.warnings.extend(f"{prefix}.{line}" for line in _unit(resource))
                case "ocf":
                    _ocf(election, resource, prefix, found)
    return found


def _mount(resource: ResourcePlan) -> Iterator[str]:
    settings = resource.settings
    if not _privileged():
        what = "private: a mount namespace" if settings["private"] else "type: mounting"
        yield f"{what} needs CAP_SYS_ADMIN, which this user has not; the start would be refused"
    if not shutil.which("mount"):
        yield "type: there is no mount(8) on this machine"
    if not os.path.isdir(settings["target"]) and "x-mount.mkdir" not in settings["options"]:
        yield f"target: there is no directory {settings['target']} on this machine"
    if settings["device"].startswith("/") and not os.path.exists(settings["device"]):
        yield f"device: there is no {settings['device']} on this machine now"
    if _mounted_at_boot(settings["target"]):
        yield f"target: /etc/fstab mounts {settings['target']} at boot, on every node; add noauto there"


def _privileged() -> bool:
    with open("/proc/self/status", encoding="ascii", errors="replace") as file:
        effective = next(int(line.split()[1], 16) for line in file if line.startswith("CapEff"))
    return bool(effective >> _CAP_SYS_ADMIN & 1)


def _mounted_at_boot(target: str) -> bool:
    try:
        with open("/etc/fstab", encoding="utf-8", errors="replace") as file:
            rows = [line.split() for line in file if not line.lstrip().startswith("#")]
    except OSError:
        return False
    here = [row for row in rows if len(row) > 3 and row[1].rstrip("/") == target]
    return any("noauto" not in row[3].split(",") for row in here)


def _unit(resource: ResourcePlan) -> Iterator[str]:
    unit = resource.settings["unit"]
    try:
        asked = subprocess.run(
            ["systemctl", "is-enabled", "--", unit], capture_output=True, text=True, timeout=_PATIENCE,
            check=False, stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        yield f"unit: systemctl does not answer here: {error}"
        return
    if asked.stdout.strip() in ("enabled", "enabled-runtime"):
        yield f"unit: {unit} is enabled, so systemd starts it on every node; systemctl disable {unit}"
    elif not asked.stdout.strip():
        yield f"unit: {' '.join(asked.stderr.split()) or f'{unit} is not known here'}"


def _ocf(election: ElectionPlan, resource: ResourcePlan, prefix: str, found: Findings) -> None:
    from leaderd.hookenv import inherited
    from leaderd.resources.ocf import OcfAgent
    from leaderd.resources.ocfmeta import read_meta_data

    params = resource.settings["params"]
    agent = OcfAgent.named(resource.settings["agent"], resource.name, params)
    env = {**inherited(), **agent.env}
    known = read_meta_data(agent.path, env)
    if known.problem:
        found.warnings.append(f"{prefix}.agent: {known.problem}")
        return
    missing = [name for name, required in known.parameters.items() if required and name not in params]
    found.problems.extend(f"{prefix}.params.{name}: is missing; the agent requires it" for name in missing)
    for name in params:
        if name not in known.parameters:
            names = ", ".join(sorted(known.parameters)) or "none"
            line = f"{prefix}.params.{name}: the agent knows no such parameter; it has {names}"
            found.problems.append(line)
    for action, ours in (("start", election.start_timeout), ("stop", election.stop_timeout)):
        if known.timeouts.get(action, 0.0) > ours:
            found.warnings.append(
                f"{prefix}.agent: it advises {known.timeouts[action]:g} s for {action}; "
                f"{action}_timeout of the election is {ours:g} s"
            )
    if not missing:
        _validate(agent.path, env, prefix, found)


def _validate(path: str, env: dict[str, str], prefix: str, found: Findings) -> None:
    """Have an agent judge its parameters."""
    try:
        asked = subprocess.run(
            [path, "validate-all"], env=env, capture_output=True, text=True, errors="replace",
            timeout=_PATIENCE, check=False, stdin=subprocess.DEVNULL, start_new_session=True,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        found.warnings.append(f"{prefix}.agent: validate-all: {error}")
        return
    if asked.returncode:
        lines = (asked.stdout + asked.stderr).strip().splitlines() or ["it does not say why"]
        why = next((line for line in lines if line.startswith("ocf-exit-reason:")), lines[-1])
        line = f"{prefix}.params: validate-all: {why.removeprefix('ocf-exit-reason:')} ({asked.returncode})"
        (found.problems if asked.returncode in _PARAMETERS_WRONG else found.warnings).append(line)
