"""Brings one term down step by step; each step is a worker with a deadline, and success ends it."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from leaderd.guard.cleanup import RELEASE_TIME, Cleanup, Culprits
from leaderd.guard.term import Step
from leaderd.guard.worker import Job, Result, Workers
from leaderd.instant import Instant


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an escalation has ended.

    Attributes:
        clean: Every stop command has succeeded and nothing of the term runs.
        detail: What failed on the way, one line for people.
        released: Etcd knows.
    """

    clean: bool
    detail: str
    released: bool


class Escalation:
    """One clean-up of one term.

    Args:
        cleanup: The work.
        culprits: Whom to kill first.
        steps: In order; what comes after a failed one is its successor.
        command: The user's fence command.
        release: Whether to give the term up after a clean stop.
        workers: Do the work.
        failed: Called at the first failure, before the next step: the watchdog is not fed from then on.
        done: Called at the end.
    """

    def __init__(
        self,
        cleanup: Cleanup,
        culprits: Culprits,
        steps: tuple[Step, ...],
        command: tuple[str, ...],
        *,
        release: bool,
        workers: Workers,
        failed: Callable[[str], None],
        done: Callable[[Outcome], None],
    ) -> None:
        self._cleanup = cleanup
        self._culprits = culprits
        self._steps = list(steps)
        self._command = command
        self._release = release
        self._workers = workers
        self._failed = failed
        self._done = done
        self._problems: list[str] = []
        self._waiting: Instant | None = None

    @property
    def waiting(self) -> bool:
        """Whether it waits for time to pass, without a worker."""
        return self._waiting is not None

    def advance(self) -> None:
        """Take the next step, or end."""
        if not self._steps:
            self._done(Outcome(clean=False, detail="; ".join(self._problems), released=False))
            return
        step = self._steps.pop(0)
        until = step.until
        match step.kind:
            case "watchdog":
                self._problems.append("watchdog not fed any more")
                self._waiting = until if self._steps else None
                if not self._steps:
                    self.advance()
            case "reboot":
                self._work(partial(self._cleanup.reboot, self._culprits, until), until)
            case "command":
                self._work(partial(self._cleanup.command, self._culprits, self._command, until), until)
            case _:
                # A worker that also releases has longer to live, so one that hangs is noticed later:
                # not where something harder waits for its failure.
                release = self._release and all(step.kind == "kill" for step in self._steps)
                job = partial(self._cleanup.stop, self._culprits, until, release=release)
                self._work(job, until.plus(RELEASE_TIME) if release else until)

    def tick(self, now: Instant) -> None:
        """Go on when the time of a step without a worker is over."""
        if self._waiting is not None and now.left_until(self._waiting) <= 0:
            self._waiting = None
            self.advance()

    def _work(self, job: Job, until: Instant) -> None:
        self._workers.submit(self._cleanup.order.election, job, self._worked, until)

    def _worked(self, result: Result | None) -> None:
        if result is not None and result["clean"]:
            self._done(Outcome(clean=True, detail="; ".join(self._problems), released=result["released"]))
            return
        problem = "a worker did not finish in time" if result is None else str(result["detail"])
        self._problems.append(problem)
        self._failed(problem)
        self.advance()
