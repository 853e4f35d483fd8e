"""The `mount` kind: a file system that is mounted where the leader is, and nowhere else.

Mounting and unmounting is a helper program's (`mounter`), as either may hang in the kernel. A private
mount is made in the mount namespace of the term's pod, so the kernel ends it with the last process there.

Source: docs/configuration.md, `mount`.
"""

import asyncio
import os

from leaderd.clock import Clock
from leaderd.core.lease import Lease
from leaderd.errors import ResourceError
from leaderd.instant import Instant
from leaderd.resources.base import StopCommand, Term
from leaderd.resources.contain import helper
from leaderd.resources.mountinfo import Mounted, mounts, top
from leaderd.resources.mountspec import MountSpec
from leaderd.resources.runner import HookRunner
from leaderd.resources.script import Calls, Script


class Mount(Script):
    """A mount as a resource; see `leaderd.resources.base.Resource`.

    Args:
        name: Of the resource.
        spec: What to mount where.
        monitor_interval: Seconds between two looks at the kernel's list.
        restart: How often it may be mounted again when it is gone.
        stop_timeout: Seconds that the guard gives its stop.
        clock: For deadlines.
        runner: Runs the helper, in turn with the election's hooks.
    """

    def __init__(
        self, name: str, spec: MountSpec, *, monitor_interval: float, restart: int, stop_timeout: float,
        clock: Clock, runner: HookRunner,
    ) -> None:
        words = {verb: helper("mounter", verb, spec.encode()) for verb in ("start", "stop", "monitor")}
        super().__init__(
            name, Calls(words, "mount", contain=spec.private, tells=True), monitor_interval=monitor_interval,
            restart=restart, stop_timeout=stop_timeout, clock=clock, runner=runner,
        )
        self._spec = spec
        self._found: Mounted | None = None

    @property
    def kind(self) -> str:
        """Return the kind: a private mount that is not to be had is refused, so there is nothing to note."""
        return "mount"

    async def start(self, term: Term, lease: Lease, timeout: float) -> None:
        """Mount it and look whether the kernel has it."""
        self._found = None
        await super().start(term, lease, timeout)
        # Looking the target up may touch a file server, so not in the agent's own thread.
        target = await asyncio.to_thread(os.path.realpath, self._spec.target)
        self._found = self._look(target)
        if self._found is None:
            raise ResourceError(f"{self.name}: the kernel shows nothing on {target}")

    async def stop(self, term: Term, until: Instant) -> None:
        """Unmount it, whoever uses it."""
        self._found = None
        await super().stop(term, until)

    async def monitor(self, term: Term) -> None:
        """Look whether the same mount is still there, uncovered, and as writable as it was."""
        del term
        found = self._found
        if found is None:
            return
        now = self._look(found.target)
        if now is None:
            raise ResourceError(f"{self.name}: {found.target} was unmounted by somebody else")
        if now.id != found.id:
            raise ResourceError(f"{self.name}: {found.target} is covered by a mount of {now.source}")
        if now.read_only and not found.read_only:
            raise ResourceError(f"{self.name}: {found.target} has become read-only")

    def stop_commands(self) -> tuple[StopCommand, ...]:
        """Return the helper; of a private mount it only waits until the kernel has let the device go."""
        argv = self._calls.commands["stop"]
        return (StopCommand(self.name, tuple(argv), self._stop_timeout, (0,)),)

    def _look(self, target: str) -> Mounted | None:
        try:
            pid = self._runner.pods.contained_pid() if self._spec.private else "self"
            return top(mounts(pid), target)
        except OSError as error:
            raise ResourceError(f"{self.name}: its mount namespace is gone: {error.strerror}") from error
