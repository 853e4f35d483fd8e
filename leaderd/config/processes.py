"""Checks a `process` resource and turns it into its part of the plan."""

from collections.abc import Mapping
from typing import Any

from leaderd.config import model
from leaderd.config.explain import Report, show
from leaderd.plan import ResourcePlan

_QUESTIONS = ("tcp", "http", "command", "exits")


def process_plan(raw: Mapping[str, Any], prefix: str, report: Report) -> ResourcePlan | None:
    """Return the plan of a process, or None with all its problems noted."""
    table = report.checked(model.Process, {k: v for k, v in raw.items() if k != "ready"}, prefix)
    before = len(report.problems)
    ready = _ready(raw["ready"], f"{prefix}.ready", report) if "ready" in raw else {}
    if table is None or len(report.problems) > before:
        return None
    if ready.get("exits") and not table.contain:
        report.warning(
            f"{prefix}.contain", "is false: when everything of leaderd is killed at once, what runs in the "
            "background runs on"
        )
    settings = table.model_dump(exclude={"name", "type"})
    return ResourcePlan(table.name, table.type, {**settings, "ready": ready})


def _ready(raw: object, prefix: str, report: Report) -> dict[str, Any]:
    if not isinstance(raw, dict):
        report.problem(prefix, f'must be a table such as {{ tcp = "127.0.0.1:80" }}, not {show(raw)}')
        return {}
    table = report.checked(model.Ready, raw, prefix)
    if table is None:
        return {}
    asked = [question for question in _QUESTIONS if getattr(table, question)]
    if len(asked) != 1:
        which = f"has {' and '.join(asked)}; drop all but one" if asked else "asks nothing"
        report.problem(prefix, f"{which}: give one of {', '.join(_QUESTIONS)}")
    return table.model_dump(exclude_none=True)
