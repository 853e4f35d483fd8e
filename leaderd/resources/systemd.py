"""The `systemd` kind: a unit that runs where the leader is. Everything goes through systemctl(1).

Source: systemctl(1), systemd.unit(5).
"""

from leaderd.resources.contain import helper
from leaderd.resources.script import Calls

SYSTEMCTL = ("systemctl", "--no-ask-password")


def calls(unit: str) -> Calls:
    """Return how a unit is started, stopped and looked at.

    `start` and `stop` wait for the job; `is-active` prints the state that it has instead.
    """
    return Calls(
        {
            "start": (*SYSTEMCTL, "start", "--", unit),
            "stop": helper("unit", unit),
            "monitor": (*SYSTEMCTL, "is-active", "--", unit),
        },
        "systemd",
        tells=True,
    )
