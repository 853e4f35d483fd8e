"""Checks a resource of type vip, and that no address is held twice."""

from collections.abc import Mapping, Sequence
from typing import Any

from leaderd.config import model
from leaderd.config.explain import Report, dotted
from leaderd.plan import ElectionPlan, ResourcePlan


def vip_plan(raw: Mapping[str, Any], prefix: str, report: Report) -> ResourcePlan | None:
    """Return the plan of one vip, or None with all its problems noted."""
    table = report.checked(model.Vip, raw, prefix)
    if table is None:
        return None
    if table.address is not None and table.addresses is not None:
        report.problem(f"{prefix}.address", "stands beside addresses; drop one")
        return None
    addresses = table.addresses if table.address is None else [table.address]
    if addresses is None:
        report.problem(f"{prefix}.address", "is missing; write it with its prefix length, as 10.0.0.1/24")
        return None
    settings = {
        "addresses": addresses,
        "interface": table.interface,
        "on_conflict": table.on_conflict,
        "announce_interval": table.announce_interval,
    }
    return ResourcePlan(table.name, table.type, settings)


def is_vip(raw: Mapping[str, Any]) -> bool:
    """Return whether a table of a resource, right or wrong, is about an address."""
    return raw.get("type") == "vip"


def check_distinct(plans: Sequence[tuple[str, ElectionPlan]], report: Report) -> None:
    """Note every address that more than one resource would hold: each would remove it under the other.

    Args:
        plans: With what to call each in problems.
        report: Takes the problems.
    """
    seen: dict[str, str] = {}
    for prefix, plan in plans:
        for resource in plan.resources:
            key = f"{prefix}.resource.{dotted(resource.name)}.address"
            for address in resource.settings.get("addresses", ()):
                ip = address.partition("/")[0]
                if ip in seen:
                    report.problem(key, f"{ip} is held by {report.label(seen[ip])} already; one must go")
                seen[ip] = key
