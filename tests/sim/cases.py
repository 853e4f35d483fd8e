"""One case for each rule: what is switched off, what else must be off, and what goes wrong then.

Each case has its own mix of faults, so that it needs few seeds. Where another rule covers for the one
in question, that one is switched off in both runs.
"""

from dataclasses import dataclass, replace

from leaderd.core import actions as a
from tests.sim.mix import REQUESTS, WEIGHTS, Mix


@dataclass(frozen=True)
class Case:
    """One rule.

    Attributes:
        rule: Its switch in `rules`.
        mix: The faults under which it matters.
        covers: Switches that are off in the comparison as well.
        finds: What is found without the rule; the first word of a violation.
        seeds: How many schedules may be needed.
    """

    rule: str
    mix: Mix
    covers: tuple[str, ...] = ()
    finds: str = "overlap"
    seeds: int = 600


def _mix(base: Mix, **weights: float) -> Mix:
    return replace(base, weights={kind.replace("_", " "): weight for kind, weight in weights.items()})


# What an operator asks for takes none of the room in which the other faults must meet.
_FAULTS = Mix(
    weights={kind: weight for kind, weight in WEIGHTS.items() if kind not in REQUESTS}, preferred=0.0
)
_CONTAINED = Mix(contained=1.0)
_PLAIN = Mix(contained=0.0)
# A takeover whose answer is lost with the network; back after `stop_at`, while the lease still stands;
# then the lease is revoked. Long stops leave time to come back in.
_LATE = Mix(contained=0.0, stop_share=0.28, ttls=(6,), short=0.0, longest=5.0, pause=1.5, length=50.0,
            steps=(a.TakeOver,), hits=("cut",))
# A node whose kernel is as late as the margin allows, before an etcd whose clock runs fast.
_TIGHT = Mix(contained=1.0, ttls=(3, 4), short=0.0, longest=5.0, pause=0.8, aim=1.0, lag=(0.2, 0.27),
             drifts=(0.10,))
_AT_TAKEOVER = Mix(contained=0.0, short=0.0, steps=(a.TakeOver,), hits=("pause",))
_OLD_NEWS = Mix(steps=(a.StopResources, a.ArmGuard), hits=("late news",))

CASES = [
    Case("R1", _mix(_PLAIN, slow_disk=8, pause_agent=8, kill_agent=4, cut_node=3, revoke_lease=4,
                    shutdown=4)),
    Case("R1", _mix(_CONTAINED, slow_disk=8, pause_agent=8, kill_agent=2, cut_node=3, revoke_lease=4,
                    shutdown=4), covers=("kernel timer",)),
    Case("R2", _mix(_AT_TAKEOVER, at_a_step=10, laggy_node=5, shutdown=3, kill_agent=3),
         covers=("R12", "R7")),
    Case("R3", _FAULTS, finds="tokens"),
    Case("R4", _mix(_PLAIN, crash_service=6, shutdown=2, resource_fails=2)),
    Case("R5", _FAULTS),
    Case("R5 guard", _FAULTS),
    Case("R6", _FAULTS),
    Case("R6b", _FAULTS),
    Case("R6c", _FAULTS),
    Case("R7", _mix(_FAULTS, revoke_lease=6, delete_key=6, shutdown=2, kill_agent=1),
         covers=("R6c, most of it",)),
    Case("R8", _mix(_FAULTS, restore=3, shutdown=5, revoke_lease=5, delete_key=3, cut_node=3, power_off=3),
         finds="tokens"),
    Case("R9", _mix(_OLD_NEWS, at_a_step=10, revoke_lease=5, delete_key=5, bad_stop=3)),
    Case("R10", _mix(_AT_TAKEOVER, at_a_step=10, laggy_node=5, shutdown=3, kill_agent=3),
         covers=("R1", "R7")),
    Case("R11", _FAULTS),
    Case("R12", _mix(_LATE, at_a_step=3, delete_key=4, revoke_lease=4, bad_stop=3, move_leader=4)),
    Case("R13", _mix(_PLAIN, pause_agent=8, cut_node=2, shutdown=2), covers=("kernel timer",)),
    Case("marks", Mix(), finds="barred"),
    Case("marks, in the takeover", _mix(_FAULTS, pause_election=8, standby=8, shutdown=4, slow_link=6,
                                        switchover=6), finds="barred"),
    Case("margin", _mix(_TIGHT, pause_both=6, laggy_node=12), covers=("R6c",)),
    Case("drift", _mix(_TIGHT, pause_both=6, laggy_node=12), covers=("R6c",)),
]
