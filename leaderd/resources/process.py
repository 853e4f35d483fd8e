"""The `process` kind: a child that lives exactly as long as the leadership.

It runs below a pod (see there), so it dies with the agent by the kernel's hand, contained with all that
it ever started. The guard therefore has nothing to run for it.

Source: docs/interfaces.md §2.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from leaderd.clock import Clock
from leaderd.core.lease import Lease
from leaderd.errors import ResourceError
from leaderd.instant import Instant
from leaderd.resources.base import StopCommand, Term
from leaderd.resources.contain import Run
from leaderd.resources.keeper import ALL, LAST
from leaderd.resources.output import Output
from leaderd.resources.ready import Ready, until_ready
from leaderd.resources.runner import Hook, HookRunner
from leaderd.resources.script import ended
from leaderd.resources.waiting import any_done_by, done_by

# SIGKILL follows SIGTERM when this share of the time is over: what stops after it needs the rest.
TERM_SHARE = 0.75


@dataclass(frozen=True, slots=True)
class ProcessSpec:
    """What to run.

    Attributes:
        command: Program and arguments.
        contain: Whether all that it starts ends with it, however it is detached.
        restart: How often it may be restarted in place.
        ready: What to wait for after its start.
        streams: Descriptors of its standard input, output and error; None sends its output to the log.
    """

    command: Sequence[str]
    contain: bool = True
    restart: int = 0
    ready: Ready = field(default_factory=Ready)
    streams: tuple[int, int, int] | None = None


class Process:
    """A process as a resource; see `leaderd.resources.base.Resource`.

    Args:
        name: Of the resource.
        spec: What to run.
        clock: For deadlines.
        runner: Runs it, and the command that tells whether it is ready.
    """

    # Its end is noticed as it happens.
    monitor_interval = 0.0

    def __init__(self, name: str, spec: ProcessSpec, *, clock: Clock, runner: HookRunner) -> None:
        self.name = name
        self.restarts = spec.restart
        self.run: Run | None = None
        self._spec = spec
        self._clock = clock
        self._runner = runner
        self._output: Output | None = None

    @property
    def kind(self) -> str:
        """Return the kind, with a note where containment was asked for and is not to be had."""
        without = self._spec.contain and self._runner.pods.permitted is False
        return "process (not contained)" if without else "process"

    async def start(self, term: Term, lease: Lease, timeout: float) -> None:
        """Start it and wait until it is ready."""
        del lease
        if self.run is not None and not self.run.done.done():
            return
        deadline = self._clock.now().plus(timeout)
        spec = self._spec
        hook = Hook(
            self.name, "start", spec.command, spec.contain,
            ends=LAST if spec.ready.exits else ALL, streams=spec.streams,
        )
        try:
            self.run, self._output = await self._runner.launch(hook, term, deadline)
        except OSError as error:
            raise ResourceError(f"{self.name}: {error.strerror}") from error
        if spec.ready.asked:
            await self._until_ready(self.run, term, deadline)

    async def stop(self, term: Term, until: Instant) -> None:
        """Send SIGTERM to its process group; after a while, SIGKILL to all that it has started."""
        del term
        run = self.run
        if run is None:
            return
        if not run.done.done():
            run.term()
            left = self._clock.now().left_until(until)
            if not await done_by(self._clock, until.plus(-left * (1 - TERM_SHARE)), run.done):
                run.kill()
                if not await done_by(self._clock, until, run.done):
                    raise ResourceError(f"{self.name}: could not be killed")
        self._drain()
        # A pod that was killed took the process along, but only a namespace all that it had detached.
        if run.done.exception() and run.pod.mode != "namespace":
            raise ResourceError(f"{self.name}: {run.done.exception()}; what it has left behind may still run")
        self.run = None

    async def monitor(self, term: Term) -> None:
        """Look whether it still runs."""
        del term
        if self.run is None:
            raise ResourceError(f"{self.name}: does not run")
        if self.run.done.done():
            self._drain()
            raise ResourceError(f"{self.name}: {self._how_it_ended(self.run)}")

    def ended(self) -> "asyncio.Future[int] | None":
        """Return what is done when it has ended."""
        return self.run.done if self.run else None

    def extend(self, lease: Lease) -> None:
        """Nothing to note: the kernel's part is the death of the agent."""

    def stop_commands(self) -> tuple[StopCommand, ...]:
        """Nothing: it dies with the agent."""
        return ()

    async def _until_ready(self, run: Run, term: Term, deadline: Instant) -> None:
        ready = self._spec.ready
        by = self._clock.now().plus(min(ready.timeout, self._clock.now().left_until(deadline)))

        def once(command: tuple[str, ...], at: Instant) -> "asyncio.Future[int]":
            hook = Hook(self.name, "monitor", command, self._spec.contain)
            return asyncio.ensure_future(self._runner.run(hook, term, at))

        asking: asyncio.Future[Any] = run.left if ready.exits else asyncio.ensure_future(
            until_ready(ready, once, self._clock, by)
        )
        try:
            await any_done_by(self._clock, by, (run.done, asking))
        finally:
            if not asking.done() and not ready.exits:
                asking.cancel()
                await asyncio.wait({asking})
        if run.done.done():
            self._drain()
            raise ResourceError(f"{self.name}: {self._how_it_ended(run)} before it was ready")
        if not asking.done() or asking.cancelled():
            raise ResourceError(f"{self.name}: not ready after {ready.timeout:g} s ({ready.asked})")
        asking.result()

    def _how_it_ended(self, run: Run) -> str:
        if run.failure or run.done.exception():
            return run.failure or str(run.done.exception())
        code = run.done.result()
        return ended(code) if code else "ended with exit code 0"

    def _drain(self) -> None:
        if self._output:
            self._output.drain()
            self._output = None
