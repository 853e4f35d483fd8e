"""Who can stop a resource of a leader that may lead no longer: the table of assumption A6.

Pure: plans in, rows out. What cannot be stopped without any of leaderd's processes is outside the promise
when guard and agent die together, unless a watchdog device restarts the machine.

Source: docs/design.md §2, A6 and R13.
"""

from leaderd.plan import ElectionPlan, ResourcePlan

# Who sees to a stop that has failed, where `kill` alone cannot.
HARDER = ("watchdog", "reboot", "command")


def enforcers(plan: ElectionPlan) -> list[tuple[str, str, str, str, str, str]]:
    """Return for each resource who can stop it: name, type, agent, kernel, guard, without any of us."""
    rows = []
    for resource in plan.resources:
        alone = "the process, not what it detaches" if resource.type == "process" else "no"
        kernel = "yes" if ended_by_kernel(resource) else alone
        last = kernel if kernel == "yes" or "watchdog" not in plan.fence else "watchdog device"
        rows.append((resource.name, resource.type, "yes", kernel, "yes", last))
    return rows


def ended_by_kernel(resource: ResourcePlan) -> bool:
    """Return whether the kernel ends it with the agent: an address, what is contained, a private mount."""
    settings = resource.settings
    return resource.type == "vip" or bool(settings.get("contain")) or bool(settings.get("private"))


def covered_without_us(resource: ResourcePlan, plan: ElectionPlan) -> bool:
    """Return whether the resource ends even when everything of leaderd is dead at once."""
    return ended_by_kernel(resource) or "watchdog" in plan.fence


def outside(plan: ElectionPlan) -> list[str]:
    """Return in sentences what of an election is outside the promise, and what would bring it inside."""
    loose = [r.name for r in plan.resources if r.type != "process" and not ended_by_kernel(r)]
    if not loose:
        return []
    names, found = ", ".join(loose), []
    if "watchdog" not in plan.fence:
        found.append(
            f'{names}: outside the promise when guard and agent die together; add "watchdog" to fence'
        )
    if not set(HARDER) & set(plan.fence):
        found.append(
            f'{names}: outside the promise when a stop fails, as fence has nothing but "kill"; '
            'add "watchdog", "reboot" or "command"'
        )
    return found
