"""What an OCF agent says of itself: its parameters, and what it advises about time.

Source: ra-api.xsd of the OCF resource agent API.
"""

import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

# It only prints; one that takes longer is out of order, seconds.
TIMEOUT = 5.0
_UNITS = {"": 1.0, "s": 1.0, "sec": 1.0, "ms": 0.001, "msec": 0.001, "us": 1e-6, "usec": 1e-6, "m": 60.0,
          "min": 60.0, "h": 3600.0, "hr": 3600.0}


@dataclass(frozen=True, slots=True)
class MetaData:
    """An agent's meta-data.

    Attributes:
        parameters: Whether it must be given, by name.
        timeouts: Seconds by action.
        interval: Seconds between two monitors; 0 when it does not say.
        problem: Why there is nothing, or "".
    """

    parameters: Mapping[str, bool] = field(default_factory=dict)
    timeouts: Mapping[str, float] = field(default_factory=dict)
    interval: float = 0.0
    problem: str = ""


def read_meta_data(path: str, env: Mapping[str, str]) -> MetaData:
    """Run an agent with `meta-data`; what is wrong with it stands in the answer."""
    try:
        done = subprocess.run(
            [path, "meta-data"], env=dict(env), stdin=subprocess.DEVNULL, capture_output=True,
            timeout=TIMEOUT, check=False, start_new_session=True,
        )
    except OSError as error:
        return MetaData(problem=f"{path}: {error.strerror}")
    except subprocess.TimeoutExpired:
        return MetaData(problem=f"{path}: meta-data took longer than {TIMEOUT:g} s")
    if done.returncode:
        return MetaData(problem=f"{path}: meta-data failed with exit code {done.returncode}")
    return parse(done.stdout, path)


def parse(text: bytes, path: str) -> MetaData:
    """Read meta-data."""
    from xml.etree import ElementTree as ET  # Only here: few nodes have agents.

    try:
        root = ET.fromstring(text)  # noqa: S314 - of a program that is about to run as root anyway
    except ET.ParseError as error:
        return MetaData(problem=f"{path}: its meta-data is no XML: {error}")
    actions = root.findall("./actions/action")
    monitors = [each for each in actions if _is_simple(each)]
    monitor = next(iter(monitors), None)
    others = [each for each in actions if each.get("name") != "monitor"]
    timeouts = {str(each.get("name")): seconds(each.get("timeout")) for each in others}
    if monitor is not None:
        timeouts["monitor"] = seconds(monitor.get("timeout"))
    return MetaData(
        {
            str(each.get("name")): each.get("required") in ("1", "true", "yes")
            for each in root.findall("./parameters/parameter")
        },
        {action: timeout for action, timeout in timeouts.items() if timeout},
        seconds(monitor.get("interval")) if monitor is not None else 0.0,
    )


def _is_simple(action: "Element") -> bool:
    """Return whether it is the monitor that looks least deep."""
    return action.get("name") == "monitor" and action.get("depth", "0") in ("", "0")


def seconds(text: str | None) -> float:
    """Return a duration as agents write it, as 20s, 20 or 500ms; 0 for what is none."""
    text = (text or "").strip()
    digits = text.rstrip("abcdefghijklmnopqrstuvwxyz ")
    try:
        return float(digits) * _UNITS[text[len(digits):].strip()]
    except (ValueError, KeyError):
        return 0.0
