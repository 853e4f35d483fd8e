"""The own term, from the takeover to the last stop."""

from leaderd.core.actions import Action, ArmGuard, StartResources
from leaderd.core.records import HolderRecord, Snapshot, token_epoch
from leaderd.core.session import Session
from leaderd.instant import Instant

# A term at least this long shows that its resources work: failures are counted anew (seconds).
GOOD_TERM = 60.0
# A guard that has not written a term down by then is stopped, or its disk is: let others lead (seconds).
ARM_TIMEOUT = 5.0


class Term:
    """How far a term has come.

    Args:
        record: What the takeover transaction put; its token names the term.
        holder_revision: Mod revision of that record.
        previous: Node that held before, or "".
        released: It has let go cleanly.
        before: Token of that term, 0 for none.

    Attributes:
        arming_at: When the guard was told.
        armed: The guard has answered (R1).
        starting: A start was asked for, so that there may be something to stop.
        led_at: When all was started.
    """

    def __init__(
        self, record: HolderRecord, holder_revision: int, previous: str, *, released: bool = False,
        before: int = 0,
    ) -> None:
        self.record = record
        self.holder_revision = holder_revision
        self.previous = previous
        self.released = released
        self.before = before
        self.arming_at: Instant | None = None
        self.armed = False
        self.starting = False
        self.led_at: Instant | None = None

    @staticmethod
    def after(holder: HolderRecord | None, record: HolderRecord, holder_revision: int) -> "Term":
        """Return the term that follows the one of `holder`, the record that it has overwritten."""
        if holder is None:
            return Term(record, holder_revision, "")
        released = holder.state == "released"
        return Term(record, holder_revision, holder.node, released=released, before=holder.token)

    @property
    def token(self) -> int:
        """The term's fencing token."""
        return self.record.token

    @property
    def arming(self) -> bool:
        """Whether the guard was told, so that it must be told of the end as well."""
        return self.arming_at is not None

    def guard_is_silent(self, now: Instant) -> bool:
        """Return whether the guard should have answered by now."""
        if self.arming_at is None or self.armed:
            return False
        return now.held_since(self.arming_at) >= ARM_TIMEOUT

    def was_good(self, now: Instant) -> bool:
        """Return whether the resources ran long enough to be trusted again."""
        return self.led_at is not None and now.held_since(self.led_at) >= GOOD_TERM

    def is_disowned(self, snapshot: Snapshot) -> bool:
        """Return whether a proven read shows that somebody changed the holder record under this term.

        Successors judge by that record alone (R6): without it they would not wait for this window.
        A read from before the own takeover does not count, but one of a restored history does.
        """
        if snapshot.revision < self.holder_revision and snapshot.epoch == token_epoch(self.token):
            return False
        return snapshot.holder is None or snapshot.holder.token != self.token

    def next_step(self, session: Session, now: Instant) -> Action | None:
        """Return the next step of the promotion, None while it must wait.

        Each step wants enough lease left (R2), and nothing starts before the guard answered (R1).
        """
        if not self.has_budget(session, now):
            return None
        if not self.arming:
            self.arming_at = now
            return ArmGuard(self.token, session.lease, self.record, self.holder_revision, self.previous)
        if self.may_start():
            self.starting = True
            return StartResources(self.token, session.lease, "elected", self.previous, self.released)
        return None

    def has_budget(self, session: Session, now: Instant) -> bool:
        """Return whether enough of the lease is left to start something (R2)."""
        return session.lease.left(now) >= session.lease.timing.start_budget

    def may_start(self) -> bool:
        """Return whether the guard has answered and nothing was started yet (R1)."""
        return self.armed and not self.starting
