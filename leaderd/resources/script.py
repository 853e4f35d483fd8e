"""The `script` kind: the user's own hook, called with start, stop and monitor; `ocf` and `systemd` alike.

Source: docs/interfaces.md §3.
"""

import signal
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

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


@dataclass(frozen=True, slots=True)
class Calls:
    """How the programs of a resource are called.

    Attributes:
        commands: Argument vectors by verb; a verb that is missing is never called.
        kind: Of the resource.
        contain: Whether all that they start ends with the term.
        env: Variables beside those of the hook contract.
        tells: The last line of the output says what went wrong, and is worth repeating.
    """

    commands: Mapping[str, Sequence[str]]
    kind: str = "script"
    contain: bool = False
    env: Mapping[str, str] = field(default_factory=dict)
    tells: bool = False


class Script:
    """Programs called with verbs as a resource; see `leaderd.resources.base.Resource`.

    Args:
        name: Of the resource.
        calls: The programs.
        monitor_interval: Seconds between two monitors; 0 for none.
        restart: How often it may be restarted in place when its monitor fails.
        stop_timeout: Seconds that the guard gives its stop.
        clock: For deadlines.
        runner: Runs the hooks, one at a time for all resources of the election.
    """

    def __init__(
        self,
        name: str,
        calls: Calls,
        *,
        monitor_interval: float,
        restart: int = 0,
        stop_timeout: float,
        clock: Clock,
        runner: HookRunner,
    ) -> None:
        self.name = name
        self.monitor_interval = monitor_interval if "monitor" in calls.commands else 0.0
        self.restarts = restart
        self._calls = calls
        self._stop_timeout = stop_timeout
        self._clock = clock
        self._runner = runner
        self._monitor_timeout = 0.0

    @property
    def kind(self) -> str:
        """Return the kind, with a note where containment was asked for and is not to be had."""
        without = self._calls.contain and self._runner.pods.permitted is False
        return f"{self._calls.kind} (not contained)" if without else self._calls.kind

    async def start(self, term: Term, lease: Lease, timeout: float) -> None:
        """Call start; exit code 0 means that it runs."""
        del lease
        code = await self._call("start", term, self._clock.now().plus(timeout))
        if code:
            raise self._error("start", code)

    async def stop(self, term: Term, until: Instant) -> None:
        """Call stop; exit code 0 or 7 means that it does not run."""
        code = await self._call("stop", term, until)
        if code not in {0, NOT_RUNNING}:
            raise self._error("stop", code)

    async def monitor(self, term: Term) -> None:
        """Call monitor; exit code 0 means that it runs."""
        timeout = self._monitor_timeout or max(MONITOR_LEAST, self.monitor_interval)
        code = await self._call("monitor", term, self._clock.now().plus(timeout))
        if code == NOT_RUNNING:
            raise ResourceError(f"{self.name}: monitor says it is not running")
        if code:
            raise self._error("monitor", code)

    def ended(self) -> None:
        """Nothing: only its monitor can tell."""

    def extend(self, lease: Lease) -> None:
        """Nothing to note: the kernel's part is the death of the agent, which the guard sees to."""

    def stop_commands(self) -> tuple[StopCommand, ...]:
        """Return the stop hook; in a namespace of its own where its pids are those of one."""
        argv = tuple(self._calls.commands.get("stop", ()))
        if not argv:
            return ()
        if self._calls.contain and self._runner.pods.permitted:
            argv = once(argv)
        env = dict(self._calls.env)
        return (StopCommand(self.name, argv, self._stop_timeout, (0, NOT_RUNNING), env),)

    async def _call(self, verb: str, term: Term, deadline: Instant) -> int:
        if verb not in self._calls.commands:
            return 0
        argv, env = self._calls.commands[verb], self._environment(verb, deadline)
        return await self._runner.run(Hook(self.name, verb, argv, self._calls.contain, env), term, deadline)

    def _environment(self, verb: str, deadline: Instant) -> dict[str, str]:
        """Return what stands beside the hook contract; a kind may say more about the call."""
        del verb, deadline
        return dict(self._calls.env)

    def _error(self, verb: str, code: int) -> ResourceError:
        if self._calls.tells and (why := self._runner.said):
            return ResourceError(f"{self.name}: {verb}: {why}")
        return ResourceError(f"{self.name}: {verb} {ended(code)}")


def ended(code: int) -> str:
    """Return in words how a hook ended that did not end well."""
    with suppress(ValueError):
        return f"was killed by {signal.Signals(code - SIGNALLED).name}"
    return f"failed with exit code {code}"
