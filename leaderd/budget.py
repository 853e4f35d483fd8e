"""The time budget of one election: from its plan, and what `check` and `explain` say of it.

Pure: values in, lines and rows out.
"""

import math
from collections.abc import Sequence

from leaderd.core.floor import TAKE_TIME, patience
from leaderd.core.lease import ETCD_LEADER_CHANGE, WAITER_FACTOR, Timing
from leaderd.core.status import AT_LEAST_ONE
from leaderd.enforcers import covered_without_us
from leaderd.plan import CheckPlan, ElectionPlan

_WIDTH = 76
# Etcd looks for expired leases every 0.5 s, the waiter for evidence every 0.1 s, and both need a moment.
# Source: `runLoop` in etcd's lease/lessor.go; measured 0.01 to 0.51 s.
_EXPIRY_LATE = 0.7
# A release, the watch event and the takeover transaction (seconds).
_HAND_OVER = 0.15
# An attempt that proved nothing is followed by the next after this pause (seconds).
_ATTEMPT_PAUSE = 0.05


def timing_of(plan: ElectionPlan) -> Timing:
    """Return the time budget of a checked election."""
    return Timing(
        ttl=plan.ttl,
        retry_period=plan.retry_period,
        attempt_timeout=plan.attempt_timeout,
        hedge_after=plan.hedge_after,
        stop_timeout=plan.stop_timeout,
        kill_time=plan.kill_time,
        start_timeout=plan.start_timeout,
        margin=plan.margin,
        clock_drift=plan.clock_drift,
        vip=any(resource.type == "vip" for resource in plan.resources),
    )


def draw(timing: Timing) -> list[str]:
    """Return the budget as a bar to scale, with the instants below it and what each part is for."""
    instants = (0.0, timing.stop_after, timing.fence_after, timing.window, float(timing.ttl))
    columns = [round(instant / timing.ttl * _WIDTH) for instant in instants]
    bar = "".join(
        sign * (right - left) for sign, left, right in zip("=sk.", columns, columns[1:], strict=False)
    )
    lost = 1 + int(
        (timing.stop_after - timing.retry_period - timing.attempt_timeout)
        / (timing.attempt_timeout + _ATTEMPT_PAUSE)
        + 1e-9
    )
    held = f"renewed every {timing.retry_period:g} s; {lost} tries of {timing.attempt_timeout:g} s may fail"
    spare = f"{timing.clock_drift:.0%} clock_drift and {timing.margin:g} s margin"
    return [
        f"|{bar}|",
        _scale(columns, instants),
        f"= {timing.stop_after:6.2f} s  the node leads; {held} in a row",
        f"s {timing.stop_timeout:6.2f} s  from stop_at on the resources are stopped (stop_timeout)",
        f"k {timing.kill_time:6.2f} s  from fence_at on what is left is killed (kill_time)",
        f". {timing.ttl - timing.window:6.2f} s  from expires_at on nothing runs here: {spare}",
    ]


def _scale(columns: Sequence[int], instants: Sequence[float]) -> str:
    """Return the instants under their columns, pushed apart where they would touch."""
    line = ""
    for column, instant in zip(columns, instants, strict=True):
        text = f"{instant:.2f}"
        line = line.ljust(max(column, len(line) + 1 if line else 0)) + text
    return line


def failovers(plan: ElectionPlan, timing: Timing) -> list[tuple[str, str, str]]:
    """Return cause, worst time without a leader, and why, for each cause of a change of leader.

    The start hooks of the next node come on top, everywhere.
    """
    stop = timing.stop_timeout
    expiry = timing.ttl + _EXPIRY_LATE
    notice = timing.retry_period + timing.attempt_timeout
    kept = timing.stop_after >= timing.retry_period + ETCD_LEADER_CHANGE + timing.attempt_timeout - 1e-9
    uncovered = [
        f"what {r.name} detaches" if r.type == "process" else r.name
        for r in plan.resources if not covered_without_us(r, plan)
    ]
    outside = f"; {', '.join(uncovered)} would run on: outside the promise" if uncovered else ""
    return [
        ("planned stop", _seconds(stop + _HAND_OVER), "stop hooks, then the key is given up"),
        *_unhealthy(plan.check, stop),
        ("agent killed", _seconds(stop + _HAND_OVER), "the guard stops, then gives the key up"),
        (
            "agent hangs",
            _seconds(timing.stop_after + 0.1 + stop + _HAND_OVER),
            "the guard waits for stop_at, kills, stops, gives the key up",
        ),
        ("guard killed", _seconds(stop + _HAND_OVER), "the agent stops, gives the key up, ends"),
        ("guard and agent lost", _seconds(expiry), f"the lease runs out{outside}"),
        ("node lost", _seconds(expiry), "the lease runs out"),
        (
            "node and etcd leader lost",
            _seconds(expiry + ETCD_LEADER_CHANGE),
            "a new etcd leader grants every lease its full ttl again",
        ),
        (
            "etcd leader lost",
            "0" if kept else _seconds(stop + _HAND_OVER + ETCD_LEADER_CHANGE),
            "the leadership is kept" if kept else "may cost the leadership: ttl is short for that",
        ),
        (
            "lease revoked",
            _seconds(notice + stop + _HAND_OVER),
            f"noticed, stopped, released; {_seconds(_revoked_unreleased(timing))} if the node cannot release",
        ),
        *_etcd_lost(plan, timing),
    ]


def _etcd_lost(plan: ElectionPlan, timing: Timing) -> list[tuple[str, str, str]]:
    """Return the rows of an etcd that is gone, or that some nodes cannot reach."""
    if plan.guarantee != AT_LEAST_ONE:
        why = f"the leader stops {timing.stop_after:.1f} s after its last renewal"
        return [("all of etcd lost", "until etcd is back", why)]
    taken = patience(timing, 0) + timing.retry_period + TAKE_TIME
    return [
        ("all of etcd lost", "0", "the leader keeps the address, as long as no other host answers for it"),
        ("leader lost without etcd", _seconds(taken), f"taken when nobody has had it for {timing.ttl} s"),
        (
            "guard and agent lost without etcd",
            _seconds(taken + timing.window + 1.0),
            "the kernel ends the address first",
        ),
        ("nodes cannot hear one another", "0", "both sides may have the address until they can: the price"),
    ]


def without_etcd(plan: ElectionPlan, timing: Timing) -> list[str]:
    """Return in sentences what the budget means where a proof is not demanded; none elsewhere."""
    if plan.guarantee != AT_LEAST_ONE:
        return []
    asks = f"without etcd, the holder asks every {timing.retry_period:g} s who else has the address"
    ends = f"the kernel ends the address, at most {timing.window:.1f} s after the last silence"
    return [f"{asks}, and silence extends the budget;", f"there is no token, guard or fence then: {ends}"]


def _unhealthy(check: CheckPlan | None, stop: float) -> list[tuple[str, str, str]]:
    """Return the row of a check; from the illness to its verdict the node leads on."""
    if check is None:
        return []
    verdict = check.interval + (check.fall - 1) * max(check.interval, check.timeout) + check.timeout
    why = f"the check says so {_seconds(verdict)} after it began; then as planned"
    return [("unhealthy", _seconds(stop + _HAND_OVER), why)]


def _revoked_unreleased(timing: Timing) -> float:
    """Return how long the next in line waits for a holder that says nothing more (rule R6c)."""
    return WAITER_FACTOR * timing.window + timing.margin + _HAND_OVER


def _seconds(value: float) -> str:
    return f"≤ {math.ceil(value * 10 - 1e-6) / 10:.1f} s"
