"""A configuration that is right, to be broken in one place at a time."""

import copy
from typing import Any

from leaderd.config.load import Loaded, Machine, load
from leaderd.config.source import Source
from leaderd.errors import ConfigError

MACHINE = Machine(environ={}, uid=0, hostname="host-a", terminal=False)
GOOD: dict[str, Any] = {
    "node": "a",
    "etcd": {"endpoints": ["http://127.0.0.1:2379"]},
    "election": [
        {
            "name": "db",
            "resource": [
                {"name": "app", "type": "script", "command": ["/bin/app"]},
                {"name": "server", "type": "process", "command": ["/bin/server"],
                 "ready": {"tcp": "127.0.0.1:80"}},
            ],
            "check": {"command": ["/bin/check"]},
            "notify": {"command": ["/bin/notify"]},
        }
    ],
}


def good(**changes: Any) -> dict[str, Any]:
    """Return the right configuration with changes, keyed "etcd__ca_file", "election__ttl", "script__stop".

    A change keyed "vip__…" adds a vip to it.
    """
    tables = copy.deepcopy(GOOD)
    vip = {"name": "address", "type": "vip", "address": "10.0.0.1/24", "interface": "eth0"}
    if any(key.startswith("vip__") for key in changes):
        tables["election"][0]["resource"].append(vip)
    places = {
        "etcd": tables["etcd"],
        "api": tables.setdefault("api", {}),
        "election": tables["election"][0],
        "script": tables["election"][0]["resource"][0],
        "process": tables["election"][0]["resource"][1],
        "ready": tables["election"][0]["resource"][1]["ready"],
        "check": tables["election"][0]["check"],
        "vip": vip,
        "notify": tables["election"][0]["notify"],
    }
    for key, value in changes.items():
        place, _, name = key.rpartition("__")
        target = places[place] if place else tables
        if value is None:
            target.pop(name, None)
        else:
            target[name] = value
    return tables


def loaded(tables: dict[str, Any], machine: Machine = MACHINE, **options: Any) -> Loaded:
    """Load tables as a file in / would give them."""
    return load(Source(tables, "/"), options, machine)


def problems(tables: dict[str, Any], machine: Machine = MACHINE, **options: Any) -> list[str]:
    """Return what is wrong; empty when nothing is."""
    try:
        loaded(tables, machine, **options)
    except ConfigError as error:
        return error.problems
    return []
