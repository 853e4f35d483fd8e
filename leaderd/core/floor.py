"""An address while etcd does not answer: who keeps it, who takes it, who lets it go (`at-least-one`).

Where there is no proof, the network is asked instead: a *probe* asks who has the address, and nobody's
answer extends what the node gives itself, by the arithmetic of a lease, as a keepalive does with etcd. So an
agent that is dead or stopped loses the address by the kernel's lifetime, at most one window later. This
makes nobody the only one: two nodes that cannot hear one another both find the address free.

    idle ─ the elected term ends for want of etcd ─► holding ─ elected anew ─► idle
      └─ no etcd ─► looking ─ free for a whole ttl ─► taking ─► holding ─ somebody else has it,
                                                                           or not asked in time ─► dropping

Two who hear one another settle it by their hardware addresses: the larger lets go at the first answer, the
smaller only when the other has not let go after a few, for then that one was elected. Every pair of stance
and fact is decided in `STEPS` or `STAYS`. `core.atleast` draws the facts and performs the steps.

Source: docs/design.md §5.
"""

from dataclasses import dataclass
from enum import Enum

from leaderd.core.actions import ProbeAddress
from leaderd.core.events import Event
from leaderd.core.lease import Lease, Timing
from leaderd.errors import InvariantError, LeaseLostError
from leaderd.instant import Instant

# A contested address is asked for again so soon (seconds), and kept so often by who need not yield at once.
CONTEST_PAUSE = 0.1
CONTESTS = 3
# What a probe and the start of an address may take: so much after one node another may take it (seconds).
TAKE_TIME = 1.0


@dataclass(frozen=True, slots=True)
class AddressProbed(Event):
    """The network was asked, or could not be."""

    serial: int
    """Of the question."""
    sent_at: Instant
    """Just before it was asked."""
    sent: bool
    """It was asked on a link that is up: otherwise silence means nothing."""
    other: str = ""
    """Who else has an address of the group, for people; "" for nobody."""
    yields: bool = False
    """The other one's hardware address is the smaller, so that this node lets go first."""


class Stance(Enum):
    """What a node does about the address without etcd."""

    IDLE = "idle"
    """Nothing: the elected term, if there is one, holds it."""
    LOOKING = "looking"
    """Asks for it, to take it once it is free for long enough."""
    TAKING = "taking"
    """Is installing it."""
    HOLDING = "holding"
    """Has it, without a proof."""
    DROPPING = "dropping"
    """Is removing it."""


class Fact(Enum):
    """What bears on a stance."""

    KEPT = "the elected term has ended for want of etcd; its address is kept"
    ELECTED = "the election starts the address with a proof"
    SILENT = "etcd does not answer"
    ANSWERED = "etcd answers"
    FREE = "nobody has had the address for long enough"
    TAKEN = "somebody else has it, and does not let go"
    OUTVOTED = "etcd shows that somebody else leads, and lives"
    LATE = "the network was not asked in time"
    BARRED = "the node must not hold: it ends, is ill, unclean or taken out"
    STARTED = "the address is installed"
    FAILED = "it could not be installed, or was lost for good"
    STOPPED = "the address is removed, as far as we could"


_I, _L, _T, _H, _D = Stance
STEPS: dict[tuple[Stance, Fact], Stance] = {
    (_I, Fact.KEPT): _H,
    (_I, Fact.SILENT): _L,
    (_L, Fact.ANSWERED): _I,
    (_L, Fact.BARRED): _I,
    (_L, Fact.ELECTED): _I,
    (_L, Fact.FREE): _T,
    (_T, Fact.STARTED): _H,
    (_D, Fact.STOPPED): _I,
    # The start waits for whatever is under way, and ends as the elected term's own.
    **{(stance, Fact.ELECTED): _I for stance in (_T, _H, _D)},
    **{(stance, fact): _D for stance in (_T, _H)
       for fact in (Fact.TAKEN, Fact.OUTVOTED, Fact.LATE, Fact.BARRED, Fact.FAILED)},
}
_WHY: dict[Fact, str] = {
    Fact.KEPT: "only an elected term leaves an address, and with it nothing else stands",
    Fact.ELECTED: "nothing to give over",
    Fact.SILENT: "known",
    Fact.ANSWERED: "an answer elects nobody: the address stays until somebody is elected",
    Fact.FREE: "asked for no more, or had",
    Fact.TAKEN: "nothing is held that could be let go",
    Fact.OUTVOTED: "nothing is held that could be let go",
    Fact.LATE: "nothing is held that could run out",
    Fact.BARRED: "nothing is held, or it goes already",
    Fact.STARTED: "the start was overtaken by a drop or by the election",
    Fact.FAILED: "it goes already, or is the elected term's",
    Fact.STOPPED: "the stop of an earlier hold",
}
STAYS: dict[tuple[Stance, Fact], str] = {
    (stance, fact): why for fact, why in _WHY.items() for stance in Stance if (stance, fact) not in STEPS
}


class Floor:
    """The stance of one node, and what it has heard on the network.

    Args:
        timing: The configured budget: a window, a ttl and a retry period mean the same without etcd.

    Attributes:
        stance: See above.
        lease: What the node gives itself while it takes, holds or drops; its id is 0.
        other: Who else had the address at the last probe, for people; "" for nobody.
    """

    def __init__(self, timing: Timing) -> None:
        self.stance = Stance.IDLE
        self.lease: Lease | None = None
        self.other = ""
        self._timing = timing
        self._serial = 0
        self._asking = False
        self._ask_at: Instant | None = None
        self._free_since: Instant | None = None
        self._free_until: Instant | None = None
        self._contests = 0

    def step(self, fact: Fact, now: Instant) -> Stance | None:
        """Take in a fact; return the stance that was left, None where nothing has changed.

        Raises:
            InvariantError: Nobody decided the pair: a bug.
        """
        before, after = self.stance, STEPS.get((self.stance, fact))
        if after is None:
            if (before, fact) not in STAYS:
                raise InvariantError(f"nobody decided {fact.name} while {before.value}")
            return None
        self.stance = after
        if before is Stance.IDLE:
            self._serial += 1
            self._asking, self._ask_at, self._contests, self.other = False, now, 0, ""
            self._free_since = self._free_until = None
        if fact is Fact.KEPT:
            self.lease = Lease(0, self._timing, now)
        elif fact is Fact.FREE and self._free_until is not None:
            # From the probe that found it free: what follows has no other ground.
            self.lease = Lease(0, self._timing, self._free_until)
        elif after in (Stance.IDLE, Stance.LOOKING):
            self.lease = None
        return before

    @property
    def holds(self) -> bool:
        """Whether the address may be here without a proof."""
        return self.stance in (Stance.TAKING, Stance.HOLDING, Stance.DROPPING)

    # --- the network ---

    def ask(self, now: Instant) -> ProbeAddress | None:
        """Return the next question if it is due."""
        if self.stance in (Stance.IDLE, Stance.DROPPING) or self._asking:
            return None
        if self._ask_at is not None and now.left_until(self._ask_at) > 0:
            return None
        self._asking = True
        self._serial += 1
        return ProbeAddress(self._serial)

    def probed(self, event: AddressProbed, now: Instant, *, led_by_another: bool) -> None:
        """Take in an answer, or that there was none.

        Args:
            event: The answer.
            now: When it is looked at.
            led_by_another: Etcd shows another leader: whoever answers is taken to be that one.
        """
        if event.serial != self._serial or not self._asking:
            return
        self._asking = False
        self.other = event.other
        if event.other:
            self._contests += 1 if not (event.yields or led_by_another) else CONTESTS
            self._free_since = self._free_until = None
            self._ask_at = now.plus(CONTEST_PAUSE if self.holds else self._timing.retry_period)
            return
        self._ask_at = event.sent_at.plus(self._timing.retry_period)
        if event.sent:
            self._contests = 0
            self._is_free(event.sent_at, now)
        else:
            self._free_since = self._free_until = None

    def _is_free(self, sent_at: Instant, now: Instant) -> None:
        # Who did not ask for a while knows nothing of that while.
        if self._free_until is None or sent_at.held_since(self._free_until) > 3 * self._timing.retry_period:
            self._free_since = sent_at
        self._free_until = sent_at
        if self.lease is not None:
            try:
                self.lease = self.lease.renewed(sent_at, now)
            except LeaseLostError:
                return  # `facts` says that it is late.

    def facts(self, now: Instant, patience: float) -> list[Fact]:
        """Return what follows from the network and from the time.

        Args:
            now: Both clocks.
            patience: Seconds for which the address must be free before this node takes it.
        """
        found = []
        if self.lease is not None and self.lease.left(now) <= 0:
            found.append(Fact.LATE)
        if self._contests >= CONTESTS:
            found.append(Fact.TAKEN)
        if self._free_since is not None and self._free_until is not None \
                and self._free_until.waited_since(self._free_since) >= patience:
            found.append(Fact.FREE)
        return found

    def next_timer(self, now: Instant) -> float | None:
        """Return the seconds until this wants to be looked at; None while only an event helps."""
        if self.stance in (Stance.IDLE, Stance.DROPPING):
            return None
        times = [] if self.lease is None else [self.lease.left(now)]
        if not self._asking and self._ask_at is not None:
            times.append(now.left_until(self._ask_at))
        return min(times, default=None)


def patience(timing: Timing, place: int) -> float:
    """Return for how long the address must be free before a node takes it, in seconds.

    Args:
        timing: Of the election.
        place: How many others may go first; each shall be heard by the next before that one's time comes.
    """
    return timing.ttl + place * (2 * timing.retry_period + TAKE_TIME)
