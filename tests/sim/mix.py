"""How much of what goes wrong in a schedule."""

from dataclasses import dataclass, field

from leaderd.core import actions as a

WEIGHTS: dict[str, float] = {
    "pause member": 6, "stall member": 6, "isolate member": 3, "crash member": 3, "move leader": 3,
    "failing revokes": 1,
    "cut node": 7, "cut link": 3, "slow link": 3, "lossy link": 2,
    "pause agent": 4, "pause guard": 2, "pause both": 3, "kill agent": 4, "kill guard": 2, "kill both": 2,
    "power off": 4, "shutdown": 3,
    "revoke lease": 5, "delete key": 4, "foreign candidate": 2, "restore": 1,
    "at a step": 6, "slow disk": 2, "laggy node": 2, "bad start": 2, "bad stop": 3, "resource fails": 2,
    "unhealthy": 2, "switchover": 4, "pause election": 1.5, "standby": 2,
}
# Those that are no faults: what operators ask for.
REQUESTS = ("switchover", "pause election", "standby")

STEPS = (a.TakeOver, a.TakeOver, a.ArmGuard, a.StartResources, a.StopResources, a.Release, a.Renew,
         a.ExtendLease)


@dataclass(frozen=True)
class Mix:
    """How much of what goes wrong; times in seconds."""

    length: float = 22.0
    pause: float = 1.1
    contained: float = 0.5
    short: float = 0.35
    longest: float = 8.0
    stop_share: float = 0.15
    aim: float = 0.65
    """How often a fault strikes the holder rather than any node."""
    lag: tuple[float, float] = (0.05, 0.25)
    drifts: tuple[float, ...] = (0.10, 0.10, 0.01)
    steps: tuple[type[a.Action], ...] = STEPS
    hits: tuple[str, ...] = ("pause", "pause both", "kill", "cut", "power off", "revoke", "late news")
    ttls: tuple[int, ...] = (3, 4, 4, 5)
    preferred: float = 0.4
    """How often a node's priority is not that of the others."""
    weights: dict[str, float] = field(default_factory=lambda: WEIGHTS)
