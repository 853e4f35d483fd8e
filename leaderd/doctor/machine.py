"""What the doctor finds on this machine."""

import os
import shutil
import signal
import stat
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from leaderd.core.status import AT_LEAST_ONE
from leaderd.doctor.finding import Finding, fail, ok, warn
from leaderd.doctor.trial import Trial
from leaderd.enforcers import covered_without_us
from leaderd.plan import ElectionPlan, Plan
from leaderd.resources.contain import once

_CAPABILITIES: Final = {
    "CAP_KILL": 5, "CAP_NET_ADMIN": 12, "CAP_NET_RAW": 13, "CAP_SYS_ADMIN": 21, "CAP_SYS_BOOT": 22,
}
_GRANT: Final = "run as root, or grant it (AmbientCapabilities= in the unit, --cap-add for a container)"
# What a kernel timer may be late before it is worth a word; measured: within 5 ms. Seconds.
_LATE: Final = 0.05
# The guard syncs its journal before anything starts; a disk this slow is felt at every takeover. Seconds.
_SLOW_SYNC: Final = 0.1


@dataclass(frozen=True, slots=True)
class Trials:
    """What is being tried out while others are looked at."""

    timer: Trial
    priority: Trial
    lifetime: Trial

    @staticmethod
    def begin(interpreter: list[str]) -> "Trials":
        """Start all of them."""
        return Trials(*(Trial(name, interpreter) for name in ("timer", "priority", "lifetime")))


def findings(plan: Plan | None, trials: Trials) -> Iterator[Finding]:
    """Yield everything; without a plan, nothing is known to be needed."""
    elections = plan.elections if plan else ()
    yield _timers(trials.timer)
    yield _priority(trials.priority)
    yield from _privileges(elections)
    yield _namespaces(elections)
    yield _lifetimes(trials.lifetime, needed=_has(elections, "vip"))
    yield from _watchdogs(elections)
    yield from _guarantees(elections)
    if plan:
        yield _state(plan.state_dir)


def _guarantees(elections: Sequence[ElectionPlan]) -> Iterator[Finding]:
    """Say once more what was chosen where it is not what the rest of this program is for."""
    for each in elections:
        if each.guarantee == AT_LEAST_ONE:
            yield ok("guarantee", f"election {each.name}: at least one; without etcd its holder keeps the "
                                  "address, and nodes that cannot hear one another may both have it")


def _has(elections: Sequence[ElectionPlan], *types: str) -> bool:
    return any(resource.type in types for each in elections for resource in each.resources)


def _timers(trial: Trial) -> Finding:
    said = trial.line()
    if "fence_at" not in said:
        trial.end()
        return fail("kernel timers", str(said.get("error") or "none to be had"),
                    "leaderd starts nothing without one; look at ulimit -i (pending signals)")
    trial.stop()
    code, ended_at = trial.end()
    if code != -signal.SIGKILL:
        return fail("kernel timers", "a stopped process was not killed at its deadline",
                    "this kernel cannot enforce a lease; do not use it")
    late = ended_at - said["fence_at"]
    text = f"a stopped process was killed {late * 1000:.1f} ms after its deadline"
    if late > _LATE:
        return warn("kernel timers", text, "the machine is overloaded: kill_time must cover this")
    return ok("kernel timers", text)


def _priority(trial: Trial) -> Finding:
    refused = trial.line().get("refused", ["not tried: the trial ended early"])
    trial.end()
    if refused:
        remedy = "grant CAP_SYS_NICE and CAP_IPC_LOCK: else a busy or swapping machine makes the guard late"
        return warn("guard priority", "; ".join(refused), remedy)
    return ok("guard priority", "real-time priority and locked memory are permitted")


def _privileges(elections: Sequence[ElectionPlan]) -> Iterator[Finding]:
    """Yield which capabilities the configured kinds need, and which of them are missing."""
    needs = {
        "vip": (_has(elections, "vip"), ("CAP_NET_ADMIN", "CAP_NET_RAW")),
        "mount": (_has(elections, "mount"), ("CAP_SYS_ADMIN",)),
        "fence = reboot": (any("reboot" in each.fence for each in elections), ("CAP_SYS_BOOT",)),
    }
    held = _held()
    for what, (needed, names) in needs.items():
        missing = [name for name in names if name not in held]
        if needed and missing:
            yield fail("privileges", f"{what} needs {' and '.join(missing)}", _GRANT)
    yield ok("privileges", f"user {os.geteuid()}, {', '.join(sorted(held)) or 'no capability of interest'}")


def _held() -> set[str]:
    with open("/proc/self/status", encoding="ascii", errors="replace") as file:
        mask = next((int(line.split()[1], 16) for line in file if line.startswith("CapEff:")), 0)
    return {name for name, number in _CAPABILITIES.items() if mask >> number & 1}


def _namespaces(elections: Sequence[ElectionPlan]) -> Finding:
    tried = subprocess.run(once(["true"]), capture_output=True, text=True, check=False, timeout=10)
    if tried.returncode == 0:
        return ok("namespaces", "PID namespaces are permitted: contained processes end with the agent")
    contained = any(r.settings.get("contain") for each in elections for r in each.resources)
    why = (tried.stderr.strip().splitlines() or ["no reason given"])[-1]
    text = f"PID namespaces are not permitted: {why}"
    if contained:
        return warn("namespaces", f"{text}; when the agent dies, the guard ends what is contained", _GRANT)
    return warn("namespaces", text, f"to contain something: {_GRANT}")


def _lifetimes(trial: Trial, *, needed: bool) -> Finding:
    said = trial.line()
    trial.end()
    check = "address lifetimes"
    if "seconds" in said:
        lived, told = said["seconds"], said["lifetime"]
        return ok(check, f"the kernel removed an address after {lived:.2f} s that was to live {told} s")
    if "skipped" in said:
        return warn(check, f"not tried: no network namespace ({said['skipped']})", "run this as root")
    text = str(said.get("error") or "the trial ended early")
    if needed:
        return fail(check, text, "a vip outlives its lease on this kernel: use another kernel")
    return warn(check, text, "do not configure a vip here")


def _watchdogs(elections: Sequence[ElectionPlan]) -> Iterator[Finding]:
    """Yield each configured device, and which resources would need one."""
    for election in elections:
        if "watchdog" in election.fence:
            yield _device(election.watchdog_device)
        elif loose := [r.name for r in election.resources if not covered_without_us(r, election)]:
            yield warn("watchdog", f"election {election.name}: when all of leaderd dies at once, "
                       f"{', '.join(loose)} would run on", 'contain = true, or fence = ["kill", "watchdog"]')
    if not any("watchdog" in election.fence for election in elections):
        there = os.path.exists("/dev/watchdog")
        yield ok("watchdog", f"none configured; /dev/watchdog {'is there' if there else 'is not there'}")


def _device(path: str) -> Finding:
    # Not opened: that would start it.
    try:
        device = stat.S_ISCHR(os.stat(path).st_mode)
    except OSError as error:
        return fail("watchdog", f"{path}: {error.strerror}", "load its driver, such as softdog")
    if not device:
        return fail("watchdog", f"{path} is no device", "name the device in watchdog_device")
    if not os.access(path, os.W_OK):
        return fail("watchdog", f"{path} may not be written to", "run as root, or grant access to the device")
    return ok("watchdog", f"{path} is there; it was not opened, since that starts it")


def _state(path: str) -> Finding:
    directory = path
    while not os.path.isdir(directory):
        directory = os.path.dirname(directory)
    if not os.access(directory, os.W_OK | os.X_OK):
        return fail("state_dir", f"{path}: {directory} may not be written to", "give another --state-dir")
    try:
        free, seconds = shutil.disk_usage(directory).free, _sync_time(directory)
    except OSError as error:
        return fail("state_dir", f"{directory}: {error.strerror}", "make room, or give --state-dir")
    text = f"{path}: written and synced in {seconds * 1000:.1f} ms, {free >> 20} MiB free"
    if seconds > _SLOW_SYNC:
        return warn("state_dir", text, "nothing starts before the guard has synced: use a faster disk")
    return ok("state_dir", text)


def _sync_time(directory: str) -> float:
    began = time.clock_gettime(time.CLOCK_BOOTTIME)
    with tempfile.TemporaryFile(dir=directory) as file:
        file.write(b"leaderd doctor")
        file.flush()
        os.fsync(file.fileno())
    return time.clock_gettime(time.CLOCK_BOOTTIME) - began
