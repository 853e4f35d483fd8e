"""What the command line and the environment say over the file: option, then variable, then file."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from leaderd.config.explain import Report, show

Kind = Literal["text", "path", "list", "number"]


@dataclass(frozen=True, slots=True)
class Setting:
    """One option of `run` that may also come as a variable.

    Attributes:
        name: Of the option, with underscores; `LEADERD_` and its capitals is the variable.
        kind: How a text becomes a value.
        key: Where it stands in the file; empty for the options that make an election.
    """

    name: str
    kind: Kind
    key: tuple[str, ...] = ()

    @property
    def option(self) -> str:
        """The option as typed."""
        return "--" + self.name.replace("_", "-")

    @property
    def variable(self) -> str:
        """The name in the environment."""
        return "LEADERD_" + self.name.upper()


SETTINGS = (
    Setting("node", "text", ("node",)),
    Setting("state_dir", "path", ("state_dir",)),
    Setting("log", "text", ("log",)),
    Setting("endpoint", "list", ("etcd", "endpoints")),
    Setting("ca_file", "path", ("etcd", "ca_file")),
    Setting("cert_file", "path", ("etcd", "cert_file")),
    Setting("key_file", "path", ("etcd", "key_file")),
    Setting("user", "text", ("etcd", "user")),
    Setting("password_file", "path", ("etcd", "password_file")),
    Setting("socket", "path", ("api", "socket")),
    Setting("http", "text", ("api", "http")),
)
QUICK = (
    Setting("election", "text"),
    Setting("ttl", "number"),
    Setting("on_start", "text"),
    Setting("on_stop", "text"),
    Setting("vip", "list"),
)
# A hook is told these; they say what its daemon does, not what another one is to do.
_TOLD_TO_HOOKS = ("LEADERD_NODE", "LEADERD_ELECTION")


@dataclass(frozen=True, slots=True)
class Given:
    """A value from outside the file, and the option or variable that it came from."""

    value: Any
    origin: str


def given(
    settings: tuple[Setting, ...], options: Mapping[str, Any], environ: Mapping[str, str], report: Report
) -> dict[str, Given]:
    """Return what options and environment say, by the setting's name.

    An empty variable counts as not set, as compose files leave them; so does an option not given.
    """
    found = {}
    for setting in settings:
        raw, origin = options.get(setting.name), setting.option
        if raw is None or raw == ():
            inside_hook = "LEADERD_ACTION" in environ and setting.variable in _TOLD_TO_HOOKS
            raw, origin = ("" if inside_hook else environ.get(setting.variable, "")), setting.variable
            if not raw:
                continue
        found[setting.name] = Given(_value(setting.kind, raw, origin, report), origin)
    return found


def _value(kind: Kind, raw: Any, origin: str, report: Report) -> Any:
    """Return a text as the value that would stand in the file; it is checked as one from there."""
    if kind == "list":
        texts = ",".join([raw] if isinstance(raw, str) else raw).split(",")
        return [text.strip() for text in texts if text.strip()]
    if kind == "path" and raw:
        return os.path.abspath(raw)
    if kind == "number":
        if re.fullmatch(r"[0-9]{1,9}", raw):
            return int(raw)
        report.problem(origin, f"must be a whole number, not {show(raw)}")
        return None
    return raw


def lay_over(tables: dict[str, Any], values: Mapping[str, Given], report: Report) -> dict[str, Any]:
    """Return the tables of a file with the given values in their places.

    A file whose `[etcd]` or `[api]` is no table keeps it: that is reported where tables are checked.
    """
    merged = {key: dict(value) if isinstance(value, dict) else value for key, value in tables.items()}
    for setting in SETTINGS:
        if setting.name not in values:
            continue
        value = values[setting.name]
        *outer, last = setting.key
        table = merged.setdefault(outer[0], {}) if outer else merged
        if isinstance(table, dict):
            table[last] = value.value
            report.origin(".".join(setting.key), value.origin)
    return merged
