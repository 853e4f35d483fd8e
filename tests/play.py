"""A dialogue with an election: say what happens and when, and what it must answer.

    play = Player()
    play.begin(0.0)                                            # started, cleaned up, joining
    play.at(0.1, play.joined()).expect(Renew)
    play.at(0.2, play.renewed()).expect(TakeOver)

Times are seconds on `CLOCK_MONOTONIC_RAW`; `CLOCK_BOOTTIME` reads 1000 s more, plus what `suspend` added,
so that a mix-up of the two clocks shows. `Publish` and `Remember` are kept aside, in `status` and
`remembered`, and what goes into the history of leaderships in `history`; every other action must be
expected before the dialogue goes on.
"""

import difflib
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, is_dataclass, replace
from typing import TypeVar

from leaderd.core import actions as a
from leaderd.core import events as e
from leaderd.core.election import Election
from leaderd.core.lease import Timing
from leaderd.core.records import CandidateKey, ControlKey, HolderRecord, Known, Snapshot, fencing_token
from leaderd.core.states import State
from leaderd.core.status import Status
from leaderd.instant import Instant

A = TypeVar("A", bound=a.Action)
Expected = a.Action | type[a.Action]

# CLOCK_BOOTTIME reads this much more than CLOCK_MONOTONIC_RAW before the first suspend.
BOOT_OFFSET = 1000.0
# The defaults for a ttl of 10: V = 8.7, fence_at = s + 8.2, stop_at = s + 6.2.
TEN = Timing.scaled(10)


def at(raw: float, *, suspended: float = 0.0) -> Instant:
    """Return the instant `raw` seconds after boot, `suspended` of them more on the boot clock."""
    return Instant(raw, raw + BOOT_OFFSET + suspended)


@dataclass
class FakeEtcd:
    """What stands in etcd, as far as an election reads it."""

    queue: list[CandidateKey] = field(default_factory=list)
    holder: HolderRecord | None = None
    holder_revision: int = 0
    epoch: int = 0
    epoch_revision: int = 0
    broken: str = ""
    revision: int = 100
    cluster_id: int = 0xC1
    controls: tuple[ControlKey, ...] = ()

    def add(
        self, node: str, lease: int, *, window: float = TEN.window, priority: int = 100
    ) -> CandidateKey:
        """Put a candidate's key at the end of the queue."""
        self.revision += 1
        key = CandidateKey(f"/leaderd/election/db/{lease:x}", lease, self.revision, node, priority, window)
        self.queue.append(key)
        return key

    def ready(self, node: str, intent: int) -> None:
        """Have a candidate say in its key that it is ready for an intent."""
        self.revision += 1
        self.queue = [replace(each, ready_for=intent) if each.node == node else each for each in self.queue]

    def drop(self, lease: int) -> None:
        """Delete a key, as an expiry or a revocation does."""
        self.revision += 1
        self.queue = [each for each in self.queue if each.lease != lease]

    def hold(self, record: HolderRecord) -> int:
        """Put the holder record; return its mod revision."""
        self.revision += 1
        self.holder, self.holder_revision = record, self.revision
        return self.revision

    def held_by(self, node: str, lease: int, timing: Timing = TEN) -> CandidateKey:
        """Let another node join and take over; return its key."""
        key = self.add(node, lease, window=timing.window)
        self.hold(HolderRecord.held(fencing_token(self.epoch, key.create_revision), node, lease, timing))
        return key

    def release(self) -> None:
        """Set the record to released and drop the holder's key, as a clean stop does."""
        if self.holder is None:
            raise AssertionError("nobody holds")
        self.drop(self.holder.lease)
        self.hold(replace(self.holder, state="released"))

    def raise_epoch(self) -> None:
        """Do what `leaderd epoch raise` does."""
        self.revision += 1
        self.epoch, self.epoch_revision = self.epoch + 1, self.revision

    def snapshot(self, received_at: Instant, sent_at: Instant | None = None) -> Snapshot:
        """Return one linearizable read."""
        return Snapshot(
            cluster_id=self.cluster_id, member_id=1, raft_term=2, revision=self.revision,
            sent_at=sent_at or received_at, received_at=received_at, queue=tuple(self.queue),
            holder=None if self.broken else self.holder, holder_revision=self.holder_revision,
            epoch=self.epoch, epoch_revision=self.epoch_revision, broken=self.broken,
            controls=self.controls,
        )


class Player:
    """Plays one node's election against a `FakeEtcd`.

    Args:
        timing: The configured budget.
        etcd: Shared between the players of several nodes.
        node: Of this node.
        lease: Of the first session; later ones count up.
    """

    def __init__(
        self, timing: Timing = TEN, *, etcd: FakeEtcd | None = None, node: str = "a", lease: int = 0xA1
    ) -> None:
        self.etcd = etcd or FakeEtcd()
        self.node = node
        self.election = Election("db", node, timing)
        self.now = at(0.0)
        self.lease = lease - 1
        self.status: Status | None = None
        self.published: list[Status] = []
        self.remembered: list[Known] = []
        self.history: list[a.Action] = []
        self._suspended = 0.0
        self._open: list[a.Action] = []

    # --- the dialogue ---

    def suspend(self, seconds: float) -> None:
        """Let the boot clock run on while the raw clock stands still."""
        self._suspended += seconds

    def instant(self, raw: float) -> Instant:
        """Return the instant that both clocks show at `raw`."""
        return at(raw, suspended=self._suspended)

    def at(self, raw: float, event: e.Event | None = None) -> "Player":
        """Let an event happen; a `Tick` where none is given."""
        self._all_expected()
        self.now = self.instant(raw)
        for action in self.election.handle(event or e.Tick(), self.now):
            self._sort(action)
        return self

    def expect(self, *expected: Expected) -> "Player":
        """Demand exactly these actions, in this order; a bare class matches any of its kind."""
        got, self._open = self._open, []
        if len(got) != len(expected) or not all(map(_matches, got, expected)):
            wanted = [_show(_merged(each, got)) for each in expected]
            diff = difflib.ndiff(wanted, [_show(each) for each in got])
            raise AssertionError(f"at {self.now.raw:g} (- expected, + got):\n" + "\n".join(diff))
        return self

    def nothing(self) -> "Player":
        """Demand silence."""
        return self.expect()

    def whatever(self) -> "Player":
        """Accept any actions: this test is about something else."""
        self._open = []
        return self

    def is_now(self, state: State, reason: str | None = None) -> "Player":
        """Demand a state, and its reason where one is given."""
        got = self.election.state, self.election.reason
        wanted = state, self.election.reason if reason is None else reason
        if got != wanted:
            raise AssertionError(f"at {self.now.raw:g}: expected {wanted}, got {got}")
        return self

    def timer(self) -> float:
        """Return in how many seconds the election wants a `Tick`."""
        wait = self.election.next_timer(self.now)
        if wait is None:
            raise AssertionError(f"at {self.now.raw:g}: no timer")
        return wait

    def last(self, kind: type[A]) -> A:
        """Return the newest action of a kind."""
        return next(each for each in reversed(self.history) if isinstance(each, kind))

    def count(self, kind: type[a.Action]) -> int:
        """Return how many actions of a kind there were."""
        return sum(isinstance(each, kind) for each in self.history)

    def _sort(self, action: a.Action) -> None:
        self.history.append(action)
        match action:
            case a.Publish():
                self.status = action.status
                self.published.append(action.status)
            case a.Remember():
                self.remembered.append(action.known)
            case a.RecordStart() | a.RecordEnd():
                pass
            case _:
                self._open.append(action)

    def _all_expected(self) -> None:
        if self._open:
            left = "\n".join(map(_show, self._open))
            raise AssertionError(f"nobody expected, at {self.now.raw:g}:\n{left}")

    # --- events, answering the newest action of their kind ---

    @property
    def token(self) -> int:
        """The token of the newest takeover."""
        return self.last(a.TakeOver).record.token

    @property
    def key(self) -> CandidateKey:
        """The own key, as it stands or stood last."""
        return next(each for each in self.etcd.queue if each.lease == self.lease)

    def joined(self, sent: float | None = None, *, ttl: int = 10) -> e.Joined:
        """Grant a new lease and put our key."""
        self.lease += 1
        join = self.last(a.Join)
        granted = self.election.timing.granted(ttl) if ttl != 10 else self.election.timing
        key = self.etcd.add(self.node, self.lease, window=granted.window)
        sent_at = self.now if sent is None else self.instant(sent)
        return e.Joined(join.serial, self.lease, granted.ttl, sent_at, key.key, key.create_revision,
                        self.etcd.snapshot(self.now), join.known)

    def renewed(self, sent: float | None = None, received: float | None = None) -> e.Renewed:
        """Prove a renewal whose keepalive left at `sent`; by default at the last event."""
        renew = self.last(a.Renew)
        sent_at = self.now if sent is None else self.instant(sent)
        received_at = sent_at if received is None else self.instant(received)
        return e.Renewed(renew.serial, sent_at, self.etcd.snapshot(received_at, sent_at), renew.known)

    def renewal_failed(self) -> e.RenewalFailed:
        """Fail the newest attempt."""
        return e.RenewalFailed(self.last(a.Renew).serial, "no answer")

    def gone(self) -> e.SessionGone:
        """Show that our key is gone."""
        self.etcd.drop(self.lease)
        return e.SessionGone(self.last(a.Renew).serial, "the key is gone")

    def queue_changed(self) -> e.QueueChanged:
        """Show the queue as the watch does."""
        return e.QueueChanged(self.etcd.revision, tuple(self.etcd.queue))

    def took_over(self) -> e.TookOver:
        """Commit the takeover transaction."""
        order = self.last(a.TakeOver)
        return e.TookOver(order.serial, order.record.token, self.etcd.hold(order.record))

    def released(self) -> e.Released:
        """Commit the release."""
        order = self.last(a.Release)
        self.etcd.drop(order.record.lease)
        if self.etcd.holder_revision == order.holder_revision:
            self.etcd.hold(order.record)
        return e.Released(order.token)

    def evidence(self, remaining: int, started: float, ended: float | None = None) -> e.EvidenceGathered:
        """Answer the newest look at the holder's lease."""
        look = self.last(a.GatherEvidence)
        ended_at = self.instant(started if ended is None else ended)
        return e.EvidenceGathered(look.serial, look.token, remaining, 10, self.instant(started), ended_at)

    def stopped(self, detail: str = "") -> e.ResourcesStopped:
        """End the newest stop; unclean where a detail is given."""
        return e.ResourcesStopped(self.last(a.StopResources).token, not detail, detail)

    # --- stretches of life that are not the point of a test ---

    def begin(self, raw: float, started: e.Started | None = None) -> "Player":
        """Start, clean up, and be about to join."""
        self.at(raw, started or e.Started()).expect(a.StopResources)
        return self.at(raw, self.stopped()).expect(a.Join)

    def queue_up(self, raw: float) -> "Player":
        """Become a candidate whose first renewal is under way."""
        self.begin(raw)
        return self.at(raw, self.joined()).expect(a.Renew)

    def elected(self, raw: float) -> "Player":
        """Send the takeover: after a released holder, so that nothing is waited for."""
        if self.etcd.holder is None:
            self.etcd.held_by("z", 0xFF)
            self.etcd.release()
        self.queue_up(raw)
        return self.at(raw, self.renewed()).expect(a.TakeOver)

    def promote(self, raw: float) -> "Player":
        """Win the takeover and be arming the guard."""
        self.elected(raw)
        return self.at(raw, self.took_over()).expect(a.ArmGuard)

    def start(self, raw: float) -> "Player":
        """Be starting the resources."""
        self.promote(raw)
        return self.at(raw, e.GuardArmed(self.token)).expect(a.StartResources)

    def lead(self, raw: float) -> "Player":
        """Become leader."""
        self.start(raw)
        return self.at(raw, e.ResourcesStarted(self.token)).nothing().is_now(State.LEADER)

    def demote(self, raw: float) -> "Player":
        """Lead, lose the key, and be stopping."""
        self.lead(raw)
        return self.at(raw, self.gone()).expect(a.EndSession, a.ReportStopping, a.StopResources)

    def fence(self, raw: float) -> "Player":
        """Have a stop fail and the guard at work."""
        self.demote(raw)
        return self.at(raw, self.stopped("hook: exit 1")).expect(a.Fence)


def _merged(expected: Expected, got: Sequence[a.Action]) -> Expected:
    """Show a bare class as what it matched, so that a diff holds only what differs."""
    if isinstance(expected, type):
        return next((each for each in got if isinstance(each, expected)), expected)
    return expected


def _matches(got: a.Action, expected: Expected) -> bool:
    if isinstance(expected, type):
        return isinstance(got, expected)
    return type(got) is type(expected) and _rounded(got) == _rounded(expected)


def _show(action: Expected) -> str:
    return action.__name__ if isinstance(action, type) else repr(_rounded(action))


def _rounded(value: object) -> object:
    """Return the value with every float rounded to microseconds: sums may differ in the last bits."""
    if isinstance(value, float):
        return round(value, 6)
    if isinstance(value, Instant):
        return Instant(round(value.raw, 6), round(value.boot, 6))
    if is_dataclass(value) and not isinstance(value, type):
        parts = {each.name: _rounded(getattr(value, each.name)) for each in fields(value)}
        return _Shown(type(value).__name__, parts)
    return tuple(map(_rounded, value)) if isinstance(value, tuple) else value


@dataclass(frozen=True)
class _Shown:
    """A dataclass taken apart, for comparison and for the diff."""

    name: str
    parts: dict[str, object]

    def __repr__(self) -> str:
        return f"{self.name}({', '.join(f'{name}={value!r}' for name, value in self.parts.items())})"
