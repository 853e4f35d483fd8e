"""What a worker does for one term: kill what is left of it, run its stop commands, release it.

Runs in a worker and returns JSON: {"clean": bool, "detail": str, "released": bool}.
"""

import signal
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from threading import Thread

from leaderd.clock import Clock
from leaderd.guard import children
from leaderd.guard.command import run_command
from leaderd.guard.fence import FenceTools, reboot, run_fence_command
from leaderd.guard.journal import Journal
from leaderd.guard.log import Log
from leaderd.guard.wire import Arm, Stop
from leaderd.guard.worker import Result, aside
from leaderd.hookenv import hook_environment, next_sequence
from leaderd.instant import Instant
from leaderd.plan import EtcdPlan

# From SIGKILL to gone: rounds of 5 ms.
_KILL_ROUNDS = 60
# All endpoints together, seconds; the new agent waits for it, and would release as well.
RELEASE_TIME = 3.0
# Over the deadline by so much, in seconds, a worker is not late but stuck.
_ALARM_GRACE = 0.25
# The number of a hook run is given up after so many seconds.
_SEQUENCE_TIME = 0.25


@dataclass(frozen=True, slots=True)
class Tools:
    """What every clean-up of a node shares."""

    node: str
    state_dir: str
    etcd: EtcdPlan
    fence: FenceTools
    journal: Journal
    clock: Clock
    log: Log


@dataclass(frozen=True, slots=True)
class Culprits:
    """Who is to be killed before the stop commands run.

    Attributes:
        candidates: Lists whom to look at.
        marks: Environment variables by which those of the term are known.
        survivors: Who has already survived a SIGKILL; no stop counts while one of them runs.
    """

    candidates: Callable[[], Iterable[int]]
    marks: Mapping[str, str]
    survivors: tuple[int, ...] = ()

    def kill(self) -> None:
        """Kill them without waiting for their end."""
        children.kill(children.marked(self.candidates(), self.marks))

    def left(self) -> list[int]:
        """Kill them; return who still runs."""
        return [
            *children.kill_marked(self.candidates, self.marks, _KILL_ROUNDS),
            *children.running(self.survivors),
        ]


@dataclass(frozen=True, slots=True)
class Cleanup:
    """The work on one term.

    Attributes:
        tools: Of the node.
        order: What the term was armed with.
        reason: For the hooks.
    """

    tools: Tools
    order: Arm
    reason: str

    def stop(self, culprits: Culprits, until: Instant, *, release: bool) -> Result:
        """Kill what is left, run every stop command, and release if all of them succeeded."""
        # SIGALRM ends this worker if it cannot keep the time itself; the release has its own.
        left = max(0.0, self.tools.clock.now().left_until(until))
        signal.setitimer(signal.ITIMER_REAL, left + _ALARM_GRACE)
        if release:
            # Importing HTTP and TLS takes longer than a typical hook: do both at once.
            Thread(target=_import_release, daemon=True).start()
        problems = []
        if alive := culprits.left():
            problems.append(f"processes survive SIGKILL: {', '.join(map(str, alive))}")
        problems += [problem for stop in self.order.stops if (problem := self._run_stop(stop, until))]
        signal.setitimer(signal.ITIMER_REAL, 0)
        if problems:
            return {"clean": False, "detail": "; ".join(problems), "released": False}
        return {"clean": True, "detail": "", "released": release and self.release()}

    def release(self) -> bool:
        """Give the term up in etcd; return whether that has succeeded."""
        from leaderd.guard.release import release  # costs 35 ms and 8 MiB: in workers only

        tools, order = self.tools, self.order
        until = tools.clock.now().plus(RELEASE_TIME)
        problem = release(tools.etcd, order, until, tools.clock)
        if problem:
            tools.log.warning("not released", election=order.election, token=order.token, detail=problem)
            return False
        return True

    def reboot(self, culprits: Culprits, until: Instant) -> Result:
        """Restart the machine; there is an answer only if it did not."""
        culprits.kill()
        problem = reboot(self.tools.fence, until, self.tools.clock, self._logger("reboot"))
        return {"clean": False, "detail": f"reboot: {problem}", "released": False}

    def command(self, culprits: Culprits, argv: tuple[str, ...], until: Instant) -> Result:
        """Run the fence command. Its success isolates the node, yet does not make the term clean."""
        culprits.kill()
        seconds = max(0.0, self.tools.clock.now().left_until(until))
        problem = run_fence_command(
            argv, self._environment("fence", seconds), until, self.tools.clock, self._logger("fence")
        )
        detail = f"fence command failed: {problem}" if problem else "fenced by command"
        return {"clean": False, "detail": detail, "released": False}

    def _run_stop(self, stop: Stop, until: Instant) -> str:
        """Return "" when the command says that its resource is stopped, else what went wrong."""
        now = self.tools.clock.now()
        seconds = min(stop.timeout, now.left_until(until))
        if seconds <= 0:
            return f"{stop.resource}: no time left to stop"
        outcome = run_command(
            stop.argv, {**self._environment("stop", seconds), **stop.env}, now.plus(seconds),
            self.tools.clock, self._logger(stop.resource),
        )
        if outcome in stop.fine:
            return ""
        words = f"exit {outcome}" if isinstance(outcome, int) else outcome
        self.tools.log.error(
            "stop failed", election=self.order.election, resource=stop.resource,
            token=self.order.token, detail=words,
        )
        return f"{stop.resource}: stop: {words}"

    def _environment(self, action: str, seconds: float) -> dict[str, str]:
        return hook_environment(
            action, self.order.election, self.tools.node, self.order.token,
            int(self.order.release.lease, 16), self.reason,
            self.order.env.get("LEADERD_PREVIOUS", ""), seconds, self._sequence(),
        )

    def _sequence(self) -> int:
        # A stop matters more than its number: it must not wait for a disk that stalls.
        return int(aside(lambda: b"%d" % next_sequence(self.tools.state_dir), _SEQUENCE_TIME) or 0)

    def _logger(self, resource: str) -> Callable[[str], None]:
        log, order = self.tools.log, self.order

        def write(line: str) -> None:
            log.info("hook output", line=line, election=order.election, resource=resource, token=order.token)

        return write


def _import_release() -> None:
    import leaderd.guard.release  # noqa: F401 - for its side effect, in the worker alone
