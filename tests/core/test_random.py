"""Random lives of one election: whatever the environment does, the order of actions holds.

The environment answers what was asked, in any order and with any outcome, repeats old answers, answers
for other sessions and terms, and lets time pass on two clocks that disagree.
"""

import math
from dataclasses import replace
from itertools import count

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from leaderd.core import actions as a
from leaderd.core import events as e
from leaderd.core.election import Election
from leaderd.core.lease import Timing
from leaderd.core.records import HolderRecord, fencing_token
from leaderd.core.states import State
from leaderd.instant import Instant
from tests.play import BOOT_OFFSET, TEN, FakeEtcd

# So many ticks at the times the election asked for must get it somewhere.
ENOUGH_TICKS = 30


class Auditor:
    """Reads the stream of actions and raises at the first one that must not be there."""

    def __init__(self) -> None:
        self.armed: set[int] = set()
        self.asked_to_arm: set[int] = set()
        self.up = 0
        self.clean = True
        self.stopping: int | None = None
        self.session = 0
        self.tokens: list[int] = []
        self.finished = False
        self.ill = False
        self.released: set[int] = set()

    def before(self, event: e.Event, *, answers: bool) -> None:
        """Note what an answer means; one that answers nothing means nothing."""
        if not answers:
            return
        match event:
            case e.GuardArmed():
                self.armed |= {event.token} & self.asked_to_arm
            case e.ResourcesStopped() if event.token == self.stopping:
                self.stopping, self.clean = None, event.clean
                self.up = 0 if event.clean else self.up
            case e.Fenced(clean=True):
                self.up, self.clean = 0, True
            case e.JoinFailed():
                self.session = 0

    def after(self, action: a.Action) -> None:
        """Judge an action."""
        self._in_etcd(action)
        self._here(action)

    def _in_etcd(self, action: a.Action) -> None:
        match action:
            case a.Join():
                assert self.stopping is None
                assert self.up == 0
                assert self.clean
                assert self.session == 0
                assert not self.ill, "an ill node competes"
                self.session = action.serial
            case a.Renew() | a.GatherEvidence() | a.TakeOver():
                assert action.serial == self.session, "an action for a session that is over"
            case a.EndSession():
                assert action.serial == self.session
                assert not (action.give_up and self.up), "the key is deleted while something runs"
                self.session = 0
            case a.Release():
                assert self.up == 0, "R5: released before the stop"
                assert self.clean
                assert self.stopping is None
                assert action.record.state == "released"
                assert action.token not in self.released

    def _here(self, action: a.Action) -> None:
        match action:
            case a.ArmGuard():
                assert not self.tokens or action.token > self.tokens[-1], "tokens must grow"
                self.tokens.append(action.token)
                self.asked_to_arm.add(action.token)
            case a.StartResources():
                assert action.token in self.armed, "R1: not armed"
                assert self.stopping is None
                assert self.session
                assert not self.ill
                self.up = action.token
            case a.StopResources():
                assert self.stopping is None
                assert self.session == 0, "R5: renewing must have ended"
                self.stopping = action.token
            case a.Disarm():
                assert self.up == 0
                assert self.stopping is None
            case a.Forget():
                self.released.add(action.token)
            case a.Finish():
                assert not self.finished
                assert self.session == 0
                assert not action.clean or self.up == 0
                self.finished = True


class Lives(RuleBasedStateMachine):
    """One `Election`, an etcd that does as it likes, and a clock that stumbles."""

    def __init__(self) -> None:
        super().__init__()
        self.etcd = FakeEtcd()
        self.election = Election("db", "a", TEN)
        self.now = Instant(50.0, 50.0 + BOOT_OFFSET)
        self.auditor = Auditor()
        self.asked: list[a.Action] = []
        self.past: list[e.Event] = []
        self.leases = count(0xA1)
        self.own = 0

    def feed(self, event: e.Event, *, answers: bool = True) -> None:
        """Hand an event over; audit and keep what is asked."""
        self.auditor.before(event, answers=answers)
        for action in self.election.handle(event, self.now):
            self.auditor.after(action)
            if isinstance(action, a.EndSession):
                self.asked = [each for each in self.asked if not isinstance(
                    each, a.Join | a.Renew | a.GatherEvidence | a.TakeOver)]
            elif not isinstance(action, a.Publish | a.Remember):
                self.asked.append(action)
        if answers and not isinstance(event, e.Tick):
            self.past.append(event)

    @initialize(unclean=st.booleans(), pending=st.booleans(), checked=st.booleans())
    def begin(self, unclean: bool, pending: bool, checked: bool) -> None:
        """Start, with or without something left by an earlier run."""
        self.etcd.revision = 100
        record = HolderRecord.held(77, "a", 0x77, TEN)
        left = e.PendingRelease(77, 90, record) if pending or unclean else None
        if unclean:
            self.auditor.up, self.auditor.clean = 77, False
        self.auditor.ill = checked
        self.feed(e.Started(pending=left, unclean=77 if unclean else 0, healthy=not checked))

    # --- time ---

    @rule(seconds=st.floats(0, 12), suspended=st.sampled_from([0.0, 0.0, 0.0, 0.3, 20.0]))
    def time_passes(self, seconds: float, suspended: float) -> None:
        """Let time go by, now and then asleep."""
        self.now = Instant(self.now.raw + seconds, self.now.boot + seconds + suspended)

    @rule()
    def tick_when_wanted(self) -> None:
        """Tick at the very time that `next_timer` names."""
        wait = self.election.next_timer(self.now)
        if wait is not None:
            self.now = self.now.plus(wait)
            self.feed(e.Tick())

    @rule()
    def tick(self) -> None:
        """Tick without being asked."""
        self.feed(e.Tick())

    # --- etcd behind the election's back ---

    @rule(window=st.sampled_from([0.0, 8.7, 20.0]))
    def somebody_queues(self, window: float) -> None:
        """Let another candidate, ours or foreign, queue up."""
        self.etcd.add("y", next(self.leases), window=window)

    @precondition(lambda self: self.etcd.queue)
    @rule(which=st.integers(0, 3))
    def somebody_goes(self, which: int) -> None:
        """Drop a key from the queue, perhaps our own."""
        self.etcd.drop(self.etcd.queue[which % len(self.etcd.queue)].lease)

    @precondition(lambda self: self.etcd.queue and self.etcd.queue[0].lease != self.own)
    @rule()
    def somebody_takes_over(self) -> None:
        """Let whoever stands first become holder."""
        first = self.etcd.queue[0]
        token = fencing_token(self.etcd.epoch, first.create_revision)
        self.etcd.hold(HolderRecord.held(token, first.node, first.lease, TEN))

    @precondition(lambda self: self.etcd.holder is not None and self.etcd.holder.lease != self.own)
    @rule()
    def somebody_releases(self) -> None:
        """Let another holder stop cleanly."""
        self.etcd.release()

    @rule(what=st.sampled_from(["restore", "raise", "break", "mend", "erase"]))
    def operator_meddles(self, what: str) -> None:
        """Restore a backup, raise the epoch, break or erase the record."""
        match what:
            case "restore":
                self.etcd.revision = max(1, self.etcd.revision - 20)
                self.etcd.queue = [each for each in self.etcd.queue
                                   if each.create_revision <= self.etcd.revision]
                if self.etcd.holder_revision > self.etcd.revision:
                    self.etcd.holder, self.etcd.holder_revision = None, 0
            case "raise":
                self.etcd.raise_epoch()
            case "break":
                self.etcd.broken = "not readable"
            case "mend":
                self.etcd.broken = ""
            case "erase":
                self.etcd.holder, self.etcd.holder_revision = None, 0
                self.etcd.revision += 1

    # --- answers ---

    @precondition(lambda self: self.asked)
    @rule(which=st.integers(0, 7), good=st.sampled_from([True, True, True, False]),
          slow=st.floats(0, 1.5))
    def answer(self, which: int, good: bool, slow: float) -> None:
        """Answer one of the open questions, well or badly."""
        action = self.asked.pop(which % len(self.asked))
        sent_at = Instant(self.now.raw - slow, self.now.boot - slow)
        event = self._answer(action, sent_at, good=good)
        if event is not None:
            self.feed(event)

    def _answer(self, action: a.Action, sent_at: Instant, *, good: bool) -> e.Event | None:
        match action:
            case a.Join():
                return self._joined(action, sent_at) if good else e.JoinFailed(action.serial, "no")
            case a.Renew() if any(each.lease == self.own for each in self.etcd.queue):
                snapshot = self.etcd.snapshot(self.now, sent_at)
                proven = e.Renewed(action.serial, sent_at, snapshot, action.known)
                return proven if good else e.RenewalFailed(action.serial, "no")
            case a.Renew():
                return e.SessionGone(action.serial, "gone") if good else e.RenewalFailed(action.serial, "no")
            case a.GatherEvidence():
                found = e.EvidenceGathered(action.serial, action.token, 1, 10, sent_at, self.now)
                return found if good else e.EvidenceFailed(action.serial, "no")
            case a.TakeOver():
                return self._took_over(action, good=good)
            case a.Release():
                return e.Released(action.token) if good else e.ReleaseFailed(action.token, "no")
            case _:
                return _locally(action, good=good)

    def _joined(self, join: a.Join, sent_at: Instant) -> e.Joined:
        self.own = next(self.leases)
        key = self.etcd.add("a", self.own)
        return e.Joined(join.serial, self.own, 10, sent_at, key.key, key.create_revision,
                        self.etcd.snapshot(self.now, sent_at), join.known)

    def _took_over(self, order: a.TakeOver, *, good: bool) -> e.Event:
        queue = self.etcd.queue
        allowed = (
            queue and queue[0].lease == self.own and queue[0].create_revision == order.create_revision
            and self.etcd.holder_revision == order.holder_revision
            and self.etcd.epoch_revision == order.epoch_revision
        )
        if not allowed:
            return e.TakeoverRefused(order.serial)
        revision = self.etcd.hold(order.record)
        return (e.TookOver(order.serial, order.record.token, revision) if good
                else e.TakeoverFailed(order.serial, "no answer"))

    @rule()
    def watch(self) -> None:
        """Show the queue."""
        self.feed(e.QueueChanged(self.etcd.revision, tuple(self.etcd.queue)))

    @precondition(lambda self: self.past)
    @rule(which=st.integers(0, 50))
    def old_answer_again(self, which: int) -> None:
        """Repeat something that was answered before."""
        event = self.past[which % len(self.past)]
        if not isinstance(event, e.Started | e.Shutdown | e.GuardLost | e.HealthChanged):
            self.feed(self._harmless(event), answers=False)

    @rule(serial=st.integers(0, 5), token=st.integers(0, 1 << 41), kind=st.integers(0, 9))
    def wrong_answer(self, serial: int, token: int, kind: int) -> None:
        """Answer for a session or term that is not the present one, or for one not asked about."""
        events: list[e.Event] = [
            e.GuardArmed(token), e.ResourcesStarted(token), e.StartFailed(token, ""),
            e.ResourceFailed(token, ""), e.Released(token + 1), e.ReleaseFailed(token + 1, ""),
            e.TakeoverRefused(serial), e.TakeoverFailed(serial, ""), e.RenewalFailed(serial, ""),
            e.JoinFailed(serial + 1000, ""),
        ]
        self.feed(events[kind], answers=False)

    @precondition(lambda self: self.auditor.up)
    @rule()
    def resource_fails(self) -> None:
        """Let a resource die."""
        self.feed(e.ResourceFailed(self.auditor.up, "died"))

    @rule(healthy=st.booleans())
    def health(self, healthy: bool) -> None:
        """Let the node's own check change its mind, or say the same again."""
        self.auditor.ill = not healthy
        self.feed(e.HealthChanged(healthy, "" if healthy else "ill"))

    @rule(priority=st.integers(0, 200), patience=st.none() | st.floats(0.5, 5.0))
    def prefer(self, priority: int, patience: float | None) -> None:
        """Reload another priority."""
        self.feed(e.PreferenceChanged(priority, patience))

    @rule(lost=st.booleans(), really=st.sampled_from([False] * 9 + [True]))
    def end(self, lost: bool, really: bool) -> None:
        """Shut down, or lose the guard."""
        if really:
            self.feed(e.GuardLost() if lost else e.Shutdown())

    def _harmless(self, event: e.Event) -> e.Event:
        """Return a repetition as an adapter might make it: of the same term, never of the stop under way."""
        if isinstance(event, e.ResourcesStopped | e.Fenced | e.Released | e.ReleaseFailed):
            return replace(event, token=event.token + 1)
        return event

    # --- what must always be true ---

    @invariant()
    def a_leader_runs_what_was_armed(self) -> None:
        """In promoting and leader there is a session, and a leader has started something."""
        if self.election.state in (State.PROMOTING, State.LEADER):
            assert self.auditor.session
        if self.election.state is State.LEADER:
            assert self.auditor.up == self.election.status().token

    @invariant()
    def an_ill_node_does_not_compete(self) -> None:
        """It holds no session, and its status says so."""
        assert not (self.auditor.ill and self.auditor.session)
        assert self.election.status().healthy is not self.auditor.ill

    @invariant()
    def it_never_spins(self) -> None:
        """Ticks at the times asked for come to an end: a wait for an answer, or time that goes by."""
        wait = self.election.next_timer(self.now)
        assert wait is None or (0 <= wait < math.inf)


def _locally(action: a.Action, *, good: bool) -> e.Event | None:
    """Return what guard or resources answer."""
    match action:
        case a.ArmGuard():
            return e.GuardArmed(action.token)
        case a.Fence():
            return e.Fenced(action.token, good, "" if good else "no")
        case a.StartResources():
            return e.ResourcesStarted(action.token) if good else e.StartFailed(action.token, "no")
        case a.StopResources():
            return e.ResourcesStopped(action.token, good, "" if good else "no")
        case _:
            return None


TestLives = Lives.TestCase
TestLives.settings = settings(max_examples=150, stateful_step_count=60, deadline=None)


def run_alone(election: Election, now: Instant, seconds: float) -> int:
    """Tick at the wanted times, answering nothing; return how many ticks that took."""
    until, ticks = now.plus(seconds), 0
    while ticks < 1000:
        wait = election.next_timer(now)
        if wait is None or now.plus(wait).raw > until.raw:
            break
        now = now.plus(wait)
        election.handle(e.Tick(), now)
        ticks += 1
    return ticks


@settings(max_examples=200, deadline=None)
@given(start=st.floats(0, 1e8), ttl=st.integers(3, 300), skew=st.floats(0, 1e6))
def test_an_election_that_nobody_answers_does_not_spin(start: float, ttl: int, skew: float) -> None:
    """Whatever the uptime, ticking when asked makes progress: few ticks until only an event helps."""
    timing = Timing.scaled(ttl)
    etcd = FakeEtcd()
    etcd.held_by("z", 0xFF, timing)
    now = Instant(start, start + skew)
    election = Election("db", "a", timing)
    election.handle(e.Started(), now)
    election.handle(e.ResourcesStopped(0, True, ""), now)
    key = etcd.add("a", 0xA1)
    read, known = etcd.snapshot(now), election.history.known
    election.handle(e.Joined(1, 0xA1, ttl, now, key.key, key.create_revision, read, known), now)
    election.handle(e.Renewed(1, now, read, known), now)
    assert run_alone(election, now, 1000.0) <= ENOUGH_TICKS
