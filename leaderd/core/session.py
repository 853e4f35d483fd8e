"""One session: a lease, its key in the queue, when to renew it, and the way from its proof to a takeover."""

from leaderd.core.actions import GatherEvidence, Renew, TakeOver
from leaderd.core.backoff import Backoff
from leaderd.core.control import is_barred
from leaderd.core.events import Joined, Renewed
from leaderd.core.lease import Lease, Timing
from leaderd.core.queue import Queue, is_first
from leaderd.core.records import HolderRecord, Known, Snapshot, fencing_token
from leaderd.core.takeover import Takeover
from leaderd.instant import Instant

# After an attempt that proved nothing the next follows at once, but not sooner than this (seconds).
FAILED_ATTEMPT_PAUSE = 0.05
# How often the next leader looks whether the holder, whose key is gone, has released (seconds): the
# record is no part of the queue, so that the watch does not tell.
WAITING_PERIOD = 0.1


class Session:
    """The session of a candidate or leader.

    Args:
        joined: What etcd granted; the lease counts from the grant until the first proof (R12).
        timing: The configured budget.
        now: The first renewal is due at once.

    Attributes:
        lease: With its deadlines.
        proof: The read of the last proven renewal, None once a takeover was judged on it in vain.
        claim: The record of the takeover transaction under way.
    """

    def __init__(self, joined: Joined, timing: Timing, now: Instant) -> None:
        self.serial = joined.serial
        self.key = joined.key
        self.create_revision = joined.create_revision
        self.lease = Lease(joined.lease, timing.granted(joined.ttl), joined.sent_at)
        self.proof: Snapshot | None = None
        self.claim: HolderRecord | None = None
        self._renew_at = now
        self._renewing = False
        self._again = False
        self._looking = False
        self._claim_backoff = Backoff(FAILED_ATTEMPT_PAUSE, self.lease.timing.retry_period)

    # --- renewals ---

    def renewal(self, now: Instant, known: Known) -> Renew | None:
        """Return the next attempt if it is due."""
        if self._renewing or now.left_until(self._renew_at) > 0:
            return None
        self._renewing, self._again = True, False
        return Renew(self.serial, known)

    def renewed(self, event: Renewed, now: Instant) -> None:
        """Extend the lease by a proven renewal.

        Raises:
            LeaseLostError: It came after `stop_at` (R12).
        """
        self._renewing = False
        self.lease = self.lease.renewed(event.sent_at, now)
        self.proof = event.snapshot
        self._renew_at = now if self._again else event.sent_at.plus(self.lease.timing.retry_period)

    def renewal_failed(self, now: Instant) -> None:
        """Note that an attempt proved nothing."""
        self._renewing = False
        self._renew_at = now if self._again else now.plus(FAILED_ATTEMPT_PAUSE)

    def renew_now(self, now: Instant) -> None:
        """Ask for a renewal at once, or right after the one under way."""
        self._again = self._renewing
        self._renew_at = now

    def head_changed(self, queue: Queue, now: Instant) -> None:
        """Ask for the renewal that shows the new head: at once by the next leader, soon by the others.

        By then the takeover is done, and they neither slow it down nor have to ask again for its outcome.
        """
        if is_first(queue, self.key):
            self.renew_now(now)
        else:
            self.hurry(now)

    def hurry(self, now: Instant) -> None:
        """Renew again soon: while the next leader waits for a window, a release may come any moment."""
        self._renew_at = now.plus(min(WAITING_PERIOD, now.left_until(self._renew_at)))

    # --- the way to a takeover ---

    @property
    def token(self) -> int:
        """The fencing token that a takeover on the present proof would give; 0 without a proof."""
        return fencing_token(self.proof.epoch, self.create_revision) if self.proof else 0

    def has_proof_of(self, head: Queue) -> bool:
        """Return whether the last proof shows this head of the queue."""
        return self.proof is not None and self.proof.queue[:1] == head

    @property
    def is_next(self) -> bool:
        """Whether the last proof shows our key first in the queue."""
        return self.proof is not None and is_first(self.proof.queue, self.key)

    def look(self, now: Instant, takeover: Takeover) -> GatherEvidence | None:
        """Return a look at the holder's lease if one is due (R6b).

        Everybody in the queue looks, not only the next in line: when holder and next die together,
        the third has its evidence too.
        """
        holder = self.proof.holder if self.proof else None
        at = takeover.look_at
        if self._looking or holder is None or at is None or now.wait_until(at) > 0:
            return None
        self._looking = True
        return GatherEvidence(self.serial, holder.token, holder.lease)

    def looked(self) -> None:
        """Note that a look is over."""
        self._looking = False

    def opens_at(self, takeover: Takeover) -> Instant | None:
        """Return from when on a takeover may be sent; None while this session may not send any.

        The marks of operators are judged by the proof, and once more by the transaction itself.
        """
        if not self.is_next or self.claim or self.proof is None or self.proof.broken:
            return None
        return None if is_barred(self.proof, self.proof.queue[0].node) else takeover.opens_at(self.token)

    def take_over(self, now: Instant, takeover: Takeover, node: str) -> TakeOver | None:
        """Return the takeover transaction if rules R3 and R6 allow it now."""
        opens_at, proof = self.opens_at(takeover), self.proof
        if proof is None or opens_at is None or now.wait_until(opens_at) > 0:
            return None
        self.claim = HolderRecord.held(self.token, node, self.lease.id, self.lease.timing)
        return TakeOver(self.serial, self.create_revision, proof.holder_revision, proof.epoch_revision,
                        self.claim)

    def take_over_failed(self, now: Instant) -> None:
        """Judge again on a new proof: somebody was faster, or the answer is lost.

        With growing delay: where etcd refuses every takeover, nobody is served by trying in a loop.
        """
        self.claim = self.proof = None
        pause = self._claim_backoff.failed()
        if now.left_until(self._renew_at) > pause:
            self._renew_at = now.plus(pause)

    # --- timers ---

    def next_timer(self, now: Instant, takeover: Takeover | None) -> float:
        """Return the seconds until this session wants to be looked at; `takeover` for candidates only."""
        times = [self.lease.left(now)]
        if not self._renewing:
            times.append(now.left_until(self._renew_at))
        if takeover is not None:
            if takeover.look_at is not None and not self._looking and self.proof is not None:
                times.append(now.wait_until(takeover.look_at))
            if (opens_at := self.opens_at(takeover)) is not None:
                times.append(now.wait_until(opens_at))
        return min(times)
