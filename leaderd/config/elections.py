"""Checks one election with its resources and turns it into its part of the plan."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from leaderd.config import model
from leaderd.config.explain import Report, dotted, show
from leaderd.config.kinds import TYPES, kind_plan
from leaderd.config.processes import process_plan
from leaderd.config.vip import is_vip, vip_plan
from leaderd.core.lease import Timing, default_parts
from leaderd.core.status import AT_LEAST_ONE, AT_MOST_ONE
from leaderd.errors import InvariantError
from leaderd.plan import CheckPlan, ElectionPlan, NotifyPlan, ResourcePlan

_Table = TypeVar("_Table", bound=model.Table)
_SUB_TABLES = ("resource", "check", "notify")
_PARTS = ("retry_period", "attempt_timeout", "stop_timeout", "kill_time")
_LISTS = {"election": "[[election]]", "resource": "[[election.resource]]"}


def list_of_tables(raw: object, key: str, report: Report) -> list[Mapping[str, Any]]:
    """Return a list of tables as it stands, or nothing with the problem noted."""
    if isinstance(raw, list) and all(isinstance(item, dict) for item in raw):
        return raw
    header = _LISTS[key.rpartition(".")[2]]
    report.problem(key, f"must be a list of tables, each under {header}, not {show(raw)}")
    return []


def prefixes(key: str, tables: Sequence[Mapping[str, Any]], report: Report) -> list[str]:
    """Return what to call each table: by its name, or its position where the name does not tell."""
    names = [table.get("name") for table in tables]
    texts = Counter(name for name in names if isinstance(name, str))
    for name, count in texts.items():
        if count > 1:
            report.problem(f"{key}.{dotted(name)}", f"{count} of that name; names must differ")
    return [
        f"{key}.{dotted(name)}" if isinstance(name, str) and name and texts[name] == 1 else f"{key}[{number}]"
        for number, name in enumerate(names)
    ]


def election_plan(
    raw: Mapping[str, Any], prefix: str, absolute: Callable[[str], str], report: Report
) -> ElectionPlan | None:
    """Return the plan of one election, or None with all its problems noted.

    Args:
        raw: Its table.
        prefix: What to call it in problems.
        absolute: Makes a path of the file absolute.
        report: Takes problems and warnings.
    """
    own = {key: value for key, value in raw.items() if key not in _SUB_TABLES}
    table = report.checked(model.Election, own, prefix)
    notify = _sub_table(raw, prefix, "notify", model.Notify, report)
    check = _sub_table(raw, prefix, "check", model.Check, report)
    tables = list_of_tables(raw.get("resource", []), f"{prefix}.resource", report)
    resources = _resources(tables, f"{prefix}.resource", report)
    vip = any(map(is_vip, tables))
    if table is None:
        # A budget that does not add up is news of its own, whatever else is wrong.
        budget = {key: value for key, value in own.items() if key in model.Budget.model_fields}
        if (parts := Report().checked(model.Budget, budget, prefix)) is not None:
            _timing(parts, prefix, report, vip=vip)
        return None
    _check_fence(table, prefix, report)
    if table.guarantee == AT_LEAST_ONE:
        _check_at_least_one(table, prefix, tables, report)
    if "preempt_delay" in table.model_fields_set and not table.preempt:
        report.warning(f"{prefix}.preempt_delay", "has no effect as long as preempt is not true")
    timing = _timing(table, prefix, report, vip=vip)
    if timing is None:
        return None
    return ElectionPlan(
        name=table.name,
        ttl=timing.ttl,
        retry_period=timing.retry_period,
        attempt_timeout=timing.attempt_timeout,
        hedge_after=timing.hedge_after,
        stop_timeout=timing.stop_timeout,
        kill_time=timing.kill_time,
        start_timeout=timing.start_timeout,
        margin=timing.margin,
        clock_drift=timing.clock_drift,
        guarantee=table.guarantee,
        priority=table.priority,
        preempt=table.preempt,
        preempt_delay=table.preempt_delay,
        fence=tuple(table.fence),
        fence_command=tuple(table.fence_command),
        watchdog_device=absolute(table.watchdog_device),
        resources=tuple(resources),
        notify=NotifyPlan(tuple(notify.command), notify.timeout) if notify else None,
        check=CheckPlan(**{**check.model_dump(), "command": tuple(check.command)}) if check else None,
    )


def _timing(table: model.Budget, prefix: str, report: Report, *, vip: bool) -> Timing | None:
    parts = default_parts(table.ttl, vip=vip)
    parts |= {name: value for name in _PARTS if (value := getattr(table, name)) is not None}
    # Scales with the attempt that is in force, not with the one that the TTL would have given.
    parts["hedge_after"] = (
        0.35 * parts["attempt_timeout"] if table.hedge_after is None else table.hedge_after
    )
    try:
        timing = Timing(
            ttl=table.ttl,
            start_timeout=table.start_timeout,
            margin=table.margin,
            clock_drift=table.clock_drift,
            retry_period=parts["retry_period"],
            attempt_timeout=parts["attempt_timeout"],
            hedge_after=parts["hedge_after"],
            stop_timeout=parts["stop_timeout"],
            kill_time=parts["kill_time"],
            vip=vip,
        )
    except InvariantError as error:
        report.problem(prefix, str(error))
        return None
    for warning in timing.warnings():
        report.warning(prefix, warning)
    return timing


def _check_fence(table: model.Election, prefix: str, report: Report) -> None:
    steps = table.fence
    if len(set(steps)) < len(steps):
        report.problem(f"{prefix}.fence", f"{show(steps)} names a step twice")
    if "command" in steps and not table.fence_command:
        report.problem(f"{prefix}.fence_command", 'is missing: fence names "command"')
    if table.fence_command and "command" not in steps:
        report.problem(f"{prefix}.fence_command", 'has no effect: add "command" to fence')
    if "watchdog_device" in table.model_fields_set and "watchdog" not in steps:
        report.warning(f"{prefix}.watchdog_device", 'has no effect as long as fence does not name "watchdog"')


def _check_at_least_one(
    table: model.Election, prefix: str, tables: Sequence[Mapping[str, Any]], report: Report
) -> None:
    """Note what two nodes must never have at the same time, and what would keep them from it."""
    others = sorted({str(each.get("type")) for each in tables if not is_vip(each)})
    if others:
        report.problem(
            f"{prefix}.guarantee",
            f'"{AT_LEAST_ONE}" is for addresses alone, as without etcd two nodes may hold: put what is of '
            f'type {" and ".join(others)} into an election of its own with "{AT_MOST_ONE}"',
        )
    elif not tables:
        report.problem(f"{prefix}.guarantee", f'"{AT_LEAST_ONE}" needs a resource of type vip: only an '
                                              "address can be asked for without etcd")
    if table.fence != ["kill"]:
        report.problem(f"{prefix}.fence", f'must be left out: with "{AT_LEAST_ONE}" nobody is fenced')


def _sub_table(
    raw: Mapping[str, Any], prefix: str, key: str, kind: type[_Table], report: Report
) -> _Table | None:
    if key not in raw:
        return None
    if not isinstance(raw[key], dict):
        report.problem(f"{prefix}.{key}", f"must be a table, not {show(raw[key])}")
        return None
    return report.checked(kind, raw[key], f"{prefix}.{key}")


def _resources(tables: list[Mapping[str, Any]], key: str, report: Report) -> list[ResourcePlan]:
    plans = []
    for table, prefix in zip(tables, prefixes(key, tables, report), strict=True):
        if plan := _resource(table, prefix, report):
            plans.append(plan)
    return plans


def _resource(raw: Mapping[str, Any], prefix: str, report: Report) -> ResourcePlan | None:
    kind = raw.get("type")
    supported = ", ".join(model.SUPPORTED_TYPES)
    if "type" not in raw:
        report.problem(f"{prefix}.type", f"is missing; supported: {supported}")
        return None
    if kind not in model.SUPPORTED_TYPES:
        report.problem(f"{prefix}.type", f"{show(kind)} is no type of resource; supported: {supported}")
        return None
    if is_vip(raw):
        return vip_plan(raw, prefix, report)
    if kind in TYPES:
        return kind_plan(raw, prefix, report)
    return process_plan(raw, prefix, report) if kind == "process" else _script_plan(raw, prefix, report)


def _script_plan(raw: Mapping[str, Any], prefix: str, report: Report) -> ResourcePlan | None:
    table = report.checked(model.Script, raw, prefix)
    if table is None or not _script_adds_up(table, prefix, report):
        return None
    settings = table.model_dump(exclude={"name", "type"}, exclude_none=True)
    return ResourcePlan(table.name, table.type, {"monitor_interval": 0.0, **settings})


def _script_adds_up(table: model.Script, prefix: str, report: Report) -> bool:
    before = len(report.problems)
    if table.restart and table.monitor_interval is None:
        report.problem(f"{prefix}.restart", "has no effect without monitor_interval")
    if table.command is not None:
        for action in ("start", "stop", "monitor"):
            if getattr(table, action) is not None:
                report.problem(
                    f"{prefix}.{action}", f"stands beside command, which is run as COMMAND {action}; drop one"
                )
        return len(report.problems) == before
    if table.start is None and table.stop is None and table.monitor is None:
        report.problem(f"{prefix}.command", "is missing; give command, or start and stop")
        return False
    if table.start is None:
        report.problem(f"{prefix}.start", 'is missing; write "true" where there is nothing to start')
    if table.stop is None:
        report.problem(
            f"{prefix}.stop",
            'is missing: nothing would end what start began; write "true" where there is nothing to end',
        )
    if table.monitor is None and table.monitor_interval is not None:
        report.problem(f"{prefix}.monitor_interval", "has no effect without monitor")
    if table.monitor is not None and table.monitor_interval is None:
        report.problem(f"{prefix}.monitor", "has no effect without monitor_interval")
    return len(report.problems) == before
