"""What is left of earlier terms, to be stopped and released before the node competes again (R4, R5)."""

from dataclasses import replace

from leaderd.core.actions import Action, Fence, Forget, Release, StopResources
from leaderd.core.backoff import Backoff
from leaderd.core.events import Fenced, PendingRelease, Started
from leaderd.core.lease import Timing
from leaderd.instant import Instant

RELEASE_RETRY = 1.0


class Remains:
    """The chores of a node that does not compete, strictly one after the other.

    First the stop of a term that failed (the guard does that), then one stop of everything, as the
    last run may have crashed; only then may a term be released.

    Args:
        timing: The configured budget.

    Attributes:
        stopping: Token of the stop under way, None without one.
        dirty: Why a stop has not succeeded, or "".
    """

    def __init__(self, timing: Timing) -> None:
        self._timing = timing
        self.stopping: int | None = None
        self.dirty = ""
        self._begun = False
        self._cleaned = False
        self._unclean: int | None = None
        self._pending: PendingRelease | None = None
        self._releasing = False
        self._fencing = False
        self._at: Instant | None = None
        self._backoff = Backoff(1.0, 60.0)

    @property
    def none(self) -> bool:
        """Whether nothing is left to do before competing."""
        idle = self.stopping is None and not self._releasing and not self._fencing
        return self._begun and self._cleaned and idle and self._unclean is None and self._pending is None

    def begin(self, event: Started) -> None:
        """Take over what an earlier run has left."""
        self._begun = True
        self._pending = event.pending
        if event.unclean:
            self._unclean = event.unclean
            self.dirty = "the stop of the last run has not succeeded"

    def due(self, now: Instant) -> Action | None:
        """Return the next chore if it may be done now."""
        if not self._begun or self.stopping is not None or self._releasing or self._fencing:
            return None
        if self._at is not None and now.wait_until(self._at) > 0:
            return None
        self._at = None
        if self._unclean is not None:
            self._fencing = True
            return Fence(self._unclean)
        if not self._cleaned:
            return self._clean_up(now)
        if self._pending is not None:
            self._releasing = True
            released = replace(self._pending.record, state="released")
            return Release(self._pending.token, released, self._pending.holder_revision)
        return None

    def next_timer(self, now: Instant) -> float | None:
        """Return the seconds until a chore is due; None while only an event helps."""
        return None if self._at is None else now.wait_until(self._at)

    # --- stops ---

    def _clean_up(self, now: Instant) -> StopResources:
        return self.stop(0, now.plus(self._timing.stop_timeout), "startup")

    def stop(self, token: int, until: Instant, reason: str) -> StopResources:
        """Begin to stop everything; `stopping` tells which answer counts."""
        self.stopping = token
        return StopResources(token, until, reason)

    def cleaned_up(self, now: Instant, problem: str) -> None:
        """Note the end of the stop at daemon start; `problem` is "" when it succeeded."""
        self.stopping = None
        self._cleaned = not problem
        self.dirty = problem
        if problem:
            self._at = now.plus(self._backoff.failed())

    def stop_failed(self, token: int, problem: str) -> None:
        """Hand a term whose stop failed to the guard: nothing is released (R5)."""
        self.stopping, self._unclean, self.dirty, self._at = None, token, problem, None

    def stopped(self, pending: PendingRelease) -> None:
        """Note that everything of a term is down: now, and only now, it may be released."""
        self.stopping, self._unclean, self.dirty, self._at = None, None, "", None
        self._pending = pending

    # --- the guard's answer ---

    def is_unclean(self, token: int) -> bool:
        """Return whether the guard works on this term."""
        return self._unclean == token

    def fenced(self, event: Fenced, now: Instant) -> None:
        """Take in how the escalation, or a retry of the stops, has ended."""
        self._fencing = False
        if event.clean:
            self._backoff.reset()
            self._unclean, self.dirty = None, ""
        else:
            self.dirty = event.detail
            self._at = now.plus(self._backoff.failed())

    # --- the release ---

    def is_pending(self, token: int) -> bool:
        """Return whether this term is still to be released."""
        return self._pending is not None and self._pending.token == token

    def released(self, token: int) -> Forget:
        """Note that etcd knows."""
        self._pending, self._releasing = None, False
        return Forget(token)

    def release_failed(self, now: Instant) -> None:
        """Try again later; nothing else may come before."""
        self._releasing = False
        self._at = now.plus(RELEASE_RETRY)
