"""What differs between two plans, and which of it a running daemon takes over.

What could move a deadline, a stop command, a key or a lock of a term that is under way is refused: guard
and agent would disagree about it, or the other nodes. What is not named here as safe is refused.

Standard library only: the guard decides by this.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Final, NamedTuple

from leaderd.errors import GuardError
from leaderd.plan import ElectionPlan, EtcdPlan, Plan, ResourcePlan

Path = tuple[str, ...]

SAFE: Final[Mapping[type, frozenset[str]]] = {
    Plan: frozenset({"log", "log_level"}),
    EtcdPlan: frozenset({"endpoints", "ca_file", "cert_file", "key_file", "user", "password_file"}),
    ElectionPlan: frozenset({"priority", "preempt", "preempt_delay", "notify", "check"}),
}
# By the type of the resource.
SAFE_SETTINGS: Final[Mapping[str, frozenset[str]]] = {"vip": frozenset({"announce_interval"})}
# Fields that are looked into.
_PARTS: Final = frozenset({"etcd", "api", "elections", "resources", "settings"})
_BARE_KEY: Final = re.compile(r"[A-Za-z0-9_-]+\Z")


class Change(NamedTuple):
    """One key, with its new value as JSON has it; the path is ("election", NAME, "priority") and the like."""

    path: Path
    value: Any

    @property
    def key(self) -> str:
        """The dotted key, as `leaderd check` writes it."""
        return ".".join(part if _BARE_KEY.match(part) else repr(part) for part in self.path)


@dataclass(frozen=True, slots=True)
class Difference:
    """What differs: `safe` is taken over, `refused` needs a restart."""

    safe: tuple[Change, ...]
    refused: tuple[Change, ...]


def compare(old: Plan, new: Plan) -> Difference:
    """Return what has changed from one plan to the other. The order of elections means nothing."""
    found = list(_changes(old, new))
    return Difference(
        tuple(change for change, safe in found if safe), tuple(change for change, safe in found if not safe)
    )


def adopt(plan: Plan, changes: Sequence[Change]) -> Plan:
    """Return the plan with the changes in it.

    Raises:
        GuardError: One of them is not safe, or of nothing that is in the plan.
    """
    tables = asdict(plan)
    try:
        for path, value in changes:
            table = _table(tables, path)
            if path[-1] not in table:
                raise KeyError(path[-1])
            table[path[-1]] = value
        new = Plan.decode(json.dumps(tables))
    except (KeyError, TypeError, ValueError, StopIteration) as error:
        raise GuardError(f"changes that the plan has no place for: {error!r}") from error
    if refused := compare(plan, new).refused:
        raise GuardError(f"{refused[0].key} cannot change while the daemon runs")
    return new


def _table(tables: dict[str, Any], path: Path) -> dict[str, Any]:
    """Return the table of a plan that the last part of a path is a key of."""
    found: dict[str, Any] = tables
    match path:
        case (_,):
            return tables
        case ("election", election, *rest):
            found = _named(tables["elections"], election)
            if len(rest) == 3:
                found = _named(found["resources"], rest[1])["settings"]
        case (table, _):
            found = tables[table]
        case _:
            raise KeyError(path)
    return found


def _named(tables: Sequence[dict[str, Any]], name: str) -> dict[str, Any]:
    return next(table for table in tables if table["name"] == name)


def _changes(old: Plan, new: Plan) -> Iterator[tuple[Change, bool]]:
    """Yield each difference, and whether it is safe."""
    yield from _of_fields((), old, new)
    yield from _of_fields(("etcd",), old.etcd, new.etcd)
    yield from _of_fields(("api",), old.api, new.api)
    before, after = ({each.name: each for each in plan.elections} for plan in (old, new))
    for name in {**before, **after}:
        path = ("election", name)
        if name in before and name in after:
            yield from _of_fields(path, before[name], after[name])
            yield from _of_resources((*path, "resource"), before[name].resources, after[name].resources)
        else:
            yield Change(path, None), False


def _of_resources(
    path: Path, old: Sequence[ResourcePlan], new: Sequence[ResourcePlan]
) -> Iterator[tuple[Change, bool]]:
    if [each.name for each in old] != [each.name for each in new]:
        yield Change(path, None), False
        return
    for one, other in zip(old, new, strict=True):
        yield from _of_fields((*path, one.name), one, other)
        if one.type == other.type:
            safe = SAFE_SETTINGS.get(one.type, frozenset())
            for key in {**one.settings, **other.settings}:
                if one.settings.get(key) != other.settings.get(key):
                    yield Change((*path, one.name, key), other.settings.get(key)), key in safe


def _of_fields(path: Path, old: Any, new: Any) -> Iterator[tuple[Change, bool]]:
    values, safe = asdict(new), SAFE.get(type(old), frozenset())
    for name in (field.name for field in fields(old)):
        if name not in _PARTS and getattr(old, name) != getattr(new, name):
            yield Change((*path, name), values[name]), name in safe
