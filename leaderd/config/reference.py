"""Every key as it is declared: the text of docs/reference.md, printed by `make reference`.

Only what the code knows stands there: type, bounds and default. What a key is for is said in
docs/configuration.md; a test demands that it names them all.
"""

from collections.abc import Iterator
from typing import Any

from leaderd.config import kinds, model

# Heading in docs/reference.md → the declared table.
TABLES: dict[str, type[model.Table]] = {
    "Top": model.Daemon,
    "[etcd]": model.Etcd,
    "[api]": model.Api,
    "[[election]]": model.Election,
    "[[election.resource]], type script": model.Script,
    "[[election.resource]], type vip": model.Vip,
    "[[election.resource]], type process": model.Process,
    "ready of a process": model.Ready,
    "[[election.resource]], type mount": kinds.Mount,
    "[[election.resource]], type systemd": kinds.Systemd,
    "[[election.resource]], type ocf": kinds.Ocf,
    "[election.check]": model.Check,
    "[election.notify]": model.Notify,
}
_TYPES = {
    "string": "text", "integer": "whole number", "number": "number", "boolean": "`true` or `false`",
    "object": "table",
}
_BOUNDS = {
    "minimum": "from {}", "exclusiveMinimum": "above {}", "maximum": "to {}", "exclusiveMaximum": "below {}",
}

_INTRO = """\
# Every key

Made by `make reference` from the declarations that `leaderd check` goes by. What each key is for stands in
[configuration.md](configuration.md). Where no default is given the key may be left out, and its value
follows from others or from the machine.
"""


def lines() -> Iterator[str]:
    """Yield the lines of docs/reference.md."""
    yield from _INTRO.splitlines()
    for heading, table in TABLES.items():
        yield from ("", f"## `{heading}`" if heading.startswith("[") else f"## {heading}", "")
        yield from ("| key | value | default |", "|---|---|---|")
        schema = table.model_json_schema()
        needed = schema.get("required", [])
        for key, field in schema["properties"].items():
            yield f"| `{key}` | {_value(field)} | {'**needed**' if key in needed else _default(field)} |"


def _value(field: dict[str, Any]) -> str:
    """Return the type of a key and its bounds, in words."""
    if "anyOf" in field:
        return " or ".join(_value(each) for each in field["anyOf"] if each.get("type") != "null")
    if choices := field.get("enum") or ([field["const"]] if "const" in field else None):
        return ", ".join(f"`{choice}`" for choice in choices)
    if field["type"] == "array":
        return f"list of {_value(field['items'])}"
    bounds = [text.format(f"{field[name]:,}") for name, text in _BOUNDS.items() if name in field]
    return " ".join([_TYPES[field["type"]], *bounds])


def _default(field: dict[str, Any]) -> str:
    default = field.get("default")
    if default is None:
        return ""
    if isinstance(default, bool):
        return f"`{str(default).lower()}`"
    if isinstance(default, list):
        return "`[" + ", ".join(f'"{each}"' for each in default) + "]`"
    return f'`"{default}"`' if isinstance(default, str) else f"`{default}`"


if __name__ == "__main__":
    print("\n".join(lines()))  # noqa: T201 - this is what it is for
