"""Makes an election of the quick options: `--election`, `--ttl`, `--on-start`, `--on-stop`, `--vip`."""

import shlex
from collections.abc import Mapping
from typing import Any

from leaderd.config.explain import Report, show
from leaderd.config.overrides import Given

HOOK = "hook"
# A quick election has no name in its keys: the options are what the user knows it by.
PREFIX = "election"


def quick_election(values: Mapping[str, Given], report: Report) -> dict[str, Any]:
    """Return the table that says the same as the options."""
    if "election" not in values:
        origins = ", ".join(value.origin for value in values.values())
        report.problem("--election", f"is missing: {origins} are about an election of that name")
        return {}
    table: dict[str, Any] = {"name": values["election"].value, "resource": []}
    report.origin(PREFIX, f"{values['election'].origin} {show(table['name'])}")
    report.origin(f"{PREFIX}.name", values["election"].origin)
    if "ttl" in values and values["ttl"].value is not None:
        table["ttl"] = values["ttl"].value
        report.origin(f"{PREFIX}.ttl", values["ttl"].origin)
    for number, address in enumerate(values["vip"].value if "vip" in values else []):
        name = f"vip{number or ''}"
        report.origin(f"{PREFIX}.resource.{name}.type", f"{values['vip'].origin} {show(address)}")
        table["resource"].append({"name": name, "type": "vip", **_vip(address, report, name)})
    if "on_start" in values or "on_stop" in values:
        table["resource"].append(_hook(values, report))
    return table


def _vip(text: str, report: Report, name: str) -> dict[str, Any]:
    """Return address and interface of `ADDR/LEN@IFACE`."""
    address, at, interface = text.rpartition("@")
    for key in ("address", "interface"):
        report.origin(f"{PREFIX}.resource.{name}.{key}", report.label(f"{PREFIX}.resource.{name}.type"))
    if not at:
        report.problem(f"{PREFIX}.resource.{name}.type", "must be ADDR/LEN@IFACE, as 10.0.0.1/24@eth0")
        return {"address": "192.0.2.1/32", "interface": "-"}  # stands in, so that nothing else is said
    return {"address": address, "interface": interface}


def _hook(values: Mapping[str, Given], report: Report) -> dict[str, Any]:
    hook: dict[str, Any] = {"name": HOOK, "type": "script"}
    for action, setting in (("start", "on_start"), ("stop", "on_stop")):
        key = f"{PREFIX}.resource.{HOOK}.{action}"
        report.origin(key, "--" + setting.replace("_", "-"))
        if setting not in values:
            continue
        report.origin(key, values[setting].origin)
        try:
            hook[action] = shlex.split(values[setting].value)
        except ValueError as error:
            report.problem(key, f"{show(values[setting].value)} is no command line: {error}")
            hook[action] = ["-"]  # stands in, so that nothing else is said about it
    return hook
