"""When the next leader may take over: rule R6, judged by the holder record alone.

The holder's window must be over for good. Three things can say so: the holder released; *evidence*
from its lease's remaining time; or a full window since its key was seen gone. Whoever waits believes
the slower of its clocks.

Source: docs/design.md R6; the argument is Claim 2 of docs/etcd.md §1.
"""

import math

from leaderd.core.events import EvidenceGathered
from leaderd.core.lease import WAITER_FACTOR, Timing
from leaderd.core.queue import key_of_token
from leaderd.core.records import HolderRecord, Snapshot, token_epoch, token_revision
from leaderd.instant import Instant, earlier_opening

# How often the holder's lease is looked at once evidence may be near, in seconds.
FAST_LOOK = 0.1


class Takeover:
    """What one node has seen of the holder, and what follows from it.

    Args:
        timing: This node's own budget.
    """

    def __init__(self, timing: Timing) -> None:
        self._timing = timing
        self._longest = timing.window
        self._holder: HolderRecord | None = None
        self._gone_at: Instant | None = None
        self._closes_at: Instant | None = None
        self._blank_at: Instant | None = None
        self._epoch = 0
        self._epoch_at: Instant | None = None
        self.look_at: Instant | None = None
        """When the holder's lease is to be looked at next; None for no more."""

    def observe(self, snapshot: Snapshot) -> None:
        """Note what a linearizable read shows of holder, epoch and queue."""
        holder = snapshot.holder
        self._longest = max([self._longest, holder.window if holder else 0.0]
                            + [entry.window for entry in snapshot.queue])
        if holder is None:
            self._blank_at = self._blank_at or snapshot.received_at
        else:
            self._blank_at = None
        if self._epoch_at is None or snapshot.epoch != self._epoch:
            self._epoch, self._epoch_at = snapshot.epoch, snapshot.received_at
        if _term_of(holder) != _term_of(self._holder):
            self._gone_at = self._closes_at = None
            self.look_at = snapshot.received_at
        self._holder = holder
        if holder is None or holder.state == "released":
            self.look_at = None
        elif key_of_token(snapshot.queue, holder.token) is not None:
            self._gone_at = None
        elif self._gone_at is None:
            # Counted from when the answer came: the deletion cannot be later than that.
            self._gone_at = snapshot.received_at

    def opens_at(self, own_token: int) -> Instant | None:
        """Return from when on this node may take over if it is first in the queue.

        Args:
            own_token: The fencing token that this node's key stands for.

        Returns:
            An instant to be waited for, in the past where nothing needs waiting for; None while
            nothing observed allows any.
        """
        holder = self._holder
        if holder is not None and holder.token > own_token:
            # Only an etcd that went back can show this, to a node that remembers nothing (R8).
            return None
        opening = self._full_window(self._blank_at)
        if holder is not None:
            opening = self._holder_opens_at(holder, own_token)
            if token_epoch(holder.token) >= self._epoch or holder.token == own_token:
                return opening
        fresh = self._full_window(self._epoch_at)
        if opening is None or fresh is None:
            return None
        return Instant(max(opening.raw, fresh.raw), max(opening.boot, fresh.boot))

    def _holder_opens_at(self, holder: HolderRecord, own_token: int) -> Instant | None:
        # Our own takeover whose answer was lost: told by the key, for the epoch may have been raised since.
        ours = token_revision(holder.token) == token_revision(own_token)
        if holder.state == "released" or ours:
            return Instant(-math.inf, -math.inf)
        gone = self._gone_at and self._gone_at.plus(WAITER_FACTOR * holder.window + self._timing.margin)
        if gone is None or self._closes_at is None:
            return gone or self._closes_at
        return earlier_opening(gone, gone, self._closes_at)

    def _full_window(self, since: Instant | None) -> Instant | None:
        return since and since.plus(WAITER_FACTOR * self._longest + self._timing.margin)

    def learn(self, event: EvidenceGathered) -> None:
        """Draw what follows from the remaining time of the holder's lease (R6b).

        Its last counted renewal was sent no later than `x`. If the holder was past its `stop_at`
        already when we began to look, R12 keeps it from ever coming back, and its hold ends one
        window after `x` whatever happens later.
        """
        holder = self._holder
        if holder is None or holder.token != event.token or holder.state != "held":
            return
        if event.granted <= 0 or not 0 <= event.remaining <= event.granted:
            self.missed(event.ended_at)
            return
        pace = 1 - max(self._timing.clock_drift, holder.clock_drift)
        x = event.ended_at.plus(-(event.granted - event.remaining - 1) * pace)
        if event.started_at.waited_since(x) >= WAITER_FACTOR * holder.stop:
            closes_at = x.plus(WAITER_FACTOR * holder.window)
            self._closes_at = earlier_opening(event.ended_at, self._closes_at, closes_at)
            self.look_at = None
            return
        # A lease shrinks by one second a second and otherwise only grows: no look before
        # `useful` can show anything, so a healthy holder is hardly ever asked about.
        useful = math.floor(event.granted - 1 - WAITER_FACTOR * holder.stop / pace) + 1
        self.look_at = event.ended_at.plus(max(FAST_LOOK, event.remaining - useful))

    def missed(self, now: Instant) -> None:
        """Note that a look gave nothing; look again after a retry period."""
        if self.look_at is not None:
            self.look_at = now.plus(self._timing.retry_period)

    @property
    def may_open_early(self) -> bool:
        """Whether a holder whose key is gone may still release before its window has closed."""
        return self._gone_at is not None and self._holder is not None and self._holder.state == "held"

    def waits_for(self) -> str:
        """Return whom the next leader waits for, a sentence for people; "" when for nobody."""
        holder = self._holder
        if holder is None:
            return "no holder record: waits one full window, in case somebody still holds"
        if token_epoch(holder.token) > self._epoch:
            return f"the holder's token {holder.token} is of a later epoch than etcd's: raise the epoch"
        if token_epoch(holder.token) < self._epoch:
            return "the epoch is new: waits one full window, in case somebody still holds"
        if holder.state == "held" and self._gone_at is not None:
            return f"{holder.node} left without releasing: waits until its window has closed"
        return ""


def _term_of(holder: HolderRecord | None) -> int:
    return holder.token if holder is not None else 0
