"""The `script` kind: the user's own hook, called with start, stop and monitor.

Source: docs/interfaces.md §3.
"""

import signal
from collections.abc import Mapping, Sequence
from contextlib import suppress

from leaderd.clock import Clock
from leaderd.core.lease import Lease
from leaderd.errors import ResourceError
from leaderd.instant import Instant
from leaderd.resources.base import StopCommand, Term
from leaderd.resources.contain import once
from leaderd.resources.runner import Hook, HookRunner

NOT_RUNNING = 7
# As a shell says it: 128 + n for death by signal n.
SIGNALLED = 128
# A monitor has until the next one is due, but at least this long, in seconds.
MONITOR_LEAST = 1.0


class Script:
    """A hook script as a resource; see `leaderd.resources.base.Resource`.

    Args:
        name: Of the resource.
        commands: Argument vectors by verb; a verb that is missing is never called.
        monitor_interval: Seconds between two monitors; 0 for none.
        contain: Whether all that the hook starts ends with the term.
        restart: How often it may be restarted in place when its monitor fails.
        stop_timeout: Seconds that the guard gives its stop.
        clock: For deadlines.
        runner: Runs the hooks, one at a time for all resources of the election.
    """

    def __init__(
        self,
        name: str,
        commands: Mapping[str, Sequence[str]],
        *,
        monitor_interval: float,
        contain: bool,
        restart: int = 0,
        stop_timeout: float,
        clock: Clock,
        runner: HookRunner,
    ) -> None:
        self.name = name
        self.monitor_interval = monitor_interval if "monitor" in commands else 0.0
        self.restarts = restart
        self._commands = commands
        self._contain = contain
        self._stop_timeout = stop_timeout
        self._clock = clock
        self._runner = runner

    @property
    def kind(self) -> str:
        """Return the kind, with a note where containment was asked for and is not to be had."""
        without = self._contain and self._runner.pods.permitted is False
        return "script (not contained)" if without else "script"

    async def start(self, term: Term, lease: Lease, timeout: float) -> None:
        """Call start; exit code 0 means that it runs."""
        del lease
        code = await self._call("start", term, self._clock.now().plus(timeout))
        if code:
            raise ResourceError(f"{self.name}: start {ended(code)}")

    async def stop(self, term: Term, until: Instant) -> None:
        """Call stop; exit code 0 or 7 means that it does not run."""
        code = await self._call("stop", term, until)
        if code not in {0, NOT_RUNNING}:
            raise ResourceError(f"{self.name}: stop {ended(code)}")

    async def monitor(self, term: Term) -> None:
        """Call monitor; exit code 0 means that it runs."""
        timeout = max(MONITOR_LEAST, self.monitor_interval)
        code = await self._call("monitor", term, self._clock.now().plus(timeout))
        if code == NOT_RUNNING:
            raise ResourceError(f"{self.name}: monitor says it is not running")
        if code:
            raise ResourceError(f"{self.name}: monitor {ended(code)}")

    def ended(self) -> None:
        """Nothing: only its monitor can tell."""

    def extend(self, lease: Lease) -> None:
        """Nothing to note: the kernel's part is the death of the agent, which the guard sees to."""

    def stop_commands(self) -> tuple[StopCommand, ...]:
        """Return the stop hook; in a namespace of its own where its pids are those of one."""
        argv = tuple(self._commands.get("stop", ()))
        if not argv:
            return ()
        if self._contain and self._runner.pods.permitted:
            argv = once(argv)
        return (StopCommand(self.name, argv, self._stop_timeout, (0, NOT_RUNNING)),)

    async def _call(self, verb: str, term: Term, deadline: Instant) -> int:
        if verb not in self._commands:
            return 0
        hook = Hook(self.name, verb, self._commands[verb], self._contain)
        return await self._runner.run(hook, term, deadline)


def ended(code: int) -> str:
    """Return in words how a hook ended that did not end well."""
    with suppress(ValueError):
        return f"was killed by {signal.Signals(code - SIGNALLED).name}"
    return f"failed with exit code {code}"
