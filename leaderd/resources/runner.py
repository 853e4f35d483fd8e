"""Runs one hook: environment, sequence number, time-out, output, and the end of all that it started."""

import asyncio
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from leaderd import hookenv
from leaderd.clock import Clock
from leaderd.errors import ResourceError
from leaderd.instant import Instant
from leaderd.resources.base import Term
from leaderd.resources.contain import Log, Pods, Run
from leaderd.resources.keeper import MAIN
from leaderd.resources.output import Output
from leaderd.resources.waiting import done_by

# The last part of a hook's time is between SIGTERM and SIGKILL: this share of it, at most so many
# seconds. A hook that needs 95 % of its time must still succeed.
GRACE_SHARE = 0.04
GRACE_LIMIT = 1.0
# After SIGKILL a process is gone within milliseconds, unless the kernel itself hangs.
REAP_TIME = 1.0
# A disk that stalls must not hold up a stop: the number is then given up, seconds.
SEQUENCE_TIME = 0.25


# Exit codes that are no failure. A monitor that finds nothing running has found a failure.
_FINE = {"stop": (0, 7)}

Measure = Callable[..., None]


@dataclass(frozen=True, slots=True)
class Hook:
    """One call of a user's program.

    Attributes:
        name: Of the resource, or what else it is for; for the log.
        action: `LEADERD_ACTION`.
        argv: Program and arguments.
        contain: Whether all that it starts ends with the term.
        extra: Further environment.
        ends: When it is over; see `keeper`.
        streams: Descriptors of its standard input, output and error; None sends its output to the log.
    """

    name: str
    action: str
    argv: Sequence[str]
    contain: bool = False
    extra: dict[str, str] = field(default_factory=dict)
    ends: str = MAIN
    streams: tuple[int, int, int] | None = None


class HookRunner:
    """Runs hooks of one election, one at a time.

    Args:
        election: Its name.
        node: Name of this node.
        state_dir: Keeps the sequence number of hook runs.
        clock: For deadlines.
        log: Takes the hooks' output.
        pods: The processes that run them.
        measure: Takes election, name, action, seconds and `failed` of every run.

    Attributes:
        said: The last line that the last one wrote.
    """

    def __init__(
        self,
        election: str,
        node: str,
        state_dir: str,
        clock: Clock,
        log: Log,
        pods: Pods,
        measure: Measure = lambda *_, **__: None,
    ) -> None:
        self.pods = pods
        self._measure = measure
        self.said = ""
        self._election = election
        self._node = node
        self._state_dir = state_dir
        self._clock = clock
        self._log = log
        self._left: Run | None = None

    async def run(self, hook: Hook, term: Term, deadline: Instant) -> int:
        """Run a hook to its end, or end it with all its descendants by `deadline`.

        A cancelled call kills and reaps the hook first, and is over only then.

        Returns:
            Its exit code, 128 + n for signal n.

        Raises:
            ResourceError: It could not be executed, took too long, or an earlier one could not be
                killed and may still run.
        """
        began, code = self._clock.now(), None
        try:
            code = await self._run(hook, term, deadline)
        except asyncio.CancelledError:
            # Ended for reasons that are not its own.
            code = 0
            raise
        finally:
            self._measure(
                self._election, hook.name, hook.action, self._clock.now().held_since(began),
                failed=code not in _FINE.get(hook.action, (0,)),
            )
        return code

    async def _run(self, hook: Hook, term: Term, deadline: Instant) -> int:
        left = self._clock.now().left_until(deadline)
        # Until then it has time; from then to `deadline` it is being ended.
        term_at = deadline.plus(-min(GRACE_LIMIT, left * GRACE_SHARE))
        self.said = ""
        try:
            if left <= 0:
                raise ResourceError("no time was left for it")
            await self._settle(deadline)
            run, output = await self.launch(hook, term, term_at)
            try:
                return await self._finish(run, term_at, deadline, left)
            finally:
                if output:
                    output.drain()
                    self.said = output.last
        except OSError as error:
            raise ResourceError(f"{hook.name}: {hook.action}: {error.strerror}") from error
        except ResourceError as error:
            raise ResourceError(f"{hook.name}: {hook.action}: {error}") from error

    async def _settle(self, deadline: Instant) -> None:
        if self._left and not await done_by(self._clock, deadline, self._left.done):
            raise ResourceError("an earlier hook could not be killed")
        self._left = None

    async def launch(self, hook: Hook, term: Term, term_at: Instant) -> tuple[Run, Output | None]:
        """Start a hook and do not wait for it; a call that is cancelled has started nothing.

        Returns:
            The run, and its output on the way into the log.

        Raises:
            ResourceError: There is nothing to run it, by `term_at`.
        """
        pods = self.pods
        pod = await (pods.contained(term_at) if hook.contain else pods.plain(term_at))
        env = await self._environment(hook, term, term_at)
        if hook.streams:
            return pod.run(hook.argv, env, hook.streams, hook.ends), None
        read, write = os.pipe2(os.O_CLOEXEC)
        output = self._output(read, hook)
        try:
            return pod.run(hook.argv, env, (write,), hook.ends), output
        finally:
            os.close(write)

    async def _finish(self, run: Run, term_at: Instant, kill_at: Instant, allowed: float) -> int:
        try:
            if await done_by(self._clock, term_at, run.done):
                code = run.done.result()
                if run.failure:
                    raise ResourceError(run.failure)
                return code
            run.term()
            if not await done_by(self._clock, kill_at, run.done):
                run.kill()
                await done_by(self._clock, kill_at.plus(REAP_TIME), run.done)
        except asyncio.CancelledError:
            run.kill()
            await asyncio.wait({run.done})
            raise
        if not run.done.done():
            self._left = run
            raise ResourceError("could not be killed")
        raise ResourceError(f"took longer than {allowed:.1f} s and was killed")

    async def _environment(self, hook: Hook, term: Term, term_at: Instant) -> dict[str, str]:
        number = asyncio.ensure_future(asyncio.to_thread(hookenv.next_sequence, self._state_dir))
        await done_by(self._clock, self._clock.now().plus(SEQUENCE_TIME), number)
        sequence = number.result() if number.done() else 0
        env = hookenv.hook_environment(
            hook.action, self._election, self._node, term.token, term.lease, term.reason,
            term.previous, max(0.0, self._clock.now().left_until(term_at)), sequence,
        )
        return {**env, **hook.extra}

    def _output(self, file: int, hook: Hook) -> Output:
        fields = {"election": self._election, "resource": hook.name, "action": hook.action}
        return Output(
            file,
            self._clock,
            lambda line: self._log("info", "hook output", line=line, **fields),
            lambda lines, size: self._log(
                "warning", "hook output left out", lines=lines, bytes=size, **fields
            ),
        )
