"""The etcd side of one agent: carries out the core's etcd actions against the model, as the adapter does.

Renewals are hedged over the members, proven with `core.proof`, bounded in time, and their late answers
are dropped; every answer carries what was known before its request left (rule R8).
"""

from collections.abc import Callable
from typing import Any, Protocol

from leaderd.core import actions as a
from leaderd.core import events as e
from leaderd.core.control import PAUSED, SWITCHOVER, Intent
from leaderd.core.lease import Timing
from leaderd.core.records import ControlKey, Snapshot
from leaderd.instant import Instant
from tests.sim.engine import Engine
from tests.sim.etcd import Etcd
from tests.sim.network import Link
from tests.sim.store import CLUSTER_ID

RELIST = 5.0
Shown = tuple[Any, ...]


class Process(Protocol):
    """The agent process that all this runs in."""

    def clock(self) -> Instant:
        """Read both clocks."""

    def do(self, call: Callable[..., None], *args: Any) -> None:
        """Call when the process gets to it: later when it is stopped, never when it is dead."""

    def post(self, event: e.Event) -> None:
        """Hand an event to the election."""


class Client:
    """What `ElectionStore` is in production."""

    def __init__(self, engine: Engine, etcd: Etcd, links: list[Link], process: Process,
                 node: str, timing: Timing, ttl: int, priority: int) -> None:
        self.engine = engine
        self.etcd = etcd
        self.links = links
        self.process = process
        self.node = node
        self.timing = timing
        self.ttl = ttl
        self.priority = priority
        self.endpoint = engine.rng.randrange(len(links))
        self.watched = engine.rng.randrange(len(links))
        self.joined: e.Joined | None = None
        self.seen: Snapshot | None = None
        self.calls: list[Call] = []

    # --- plumbing ---

    def ask(self, endpoint: int, call: Callable[..., None], *args: Any,
            then: Callable[..., None], failed: Callable[..., None]) -> None:
        """Send a request to a member; `then` or `failed` happen here when the answer arrives."""
        link, do = self.links[endpoint], self.process.do
        link.send(call, self.etcd.members[endpoint], *args,
                  lambda *answer: link.back(do, then, *answer), lambda: link.back(do, failed))

    def timer(self, delay: float, call: Callable[..., None], *args: Any) -> None:
        """Call later in this process."""
        self.engine.after(delay + 0.003 * self.engine.rng.random(), self.process.do, call, *args)

    def snapshot(self, member: int, term: int, shown: Shown, sent_at: Instant) -> Snapshot:
        """Return a linearizable read as the core gets it."""
        revision, queue, holder, holder_revision, epoch, epoch_revision, controls = shown
        return Snapshot(CLUSTER_ID, member, term, revision, sent_at, self.process.clock(), queue,
                        holder, holder_revision, epoch, epoch_revision, controls=controls)

    def shown(self) -> Shown:
        """Return what a range in a transaction that commits now would show."""
        store = self.etcd.store
        return (store.revision, store.queue, store.holder, store.holder_revision, store.epoch,
                store.epoch_revision, store.controls)

    # --- the watch ---

    def queue_changed(self) -> None:
        """The store's queue changed: a watch may bring it."""
        link, member = self.links[self.watched], self.etcd.members[self.watched]
        if member.ready and self.etcd.has_quorum() and not link.cut_back:
            store = self.etcd.store
            link.back(self.process.do, self._queue_seen, store.revision, store.queue)

    def controls_changed(self) -> None:
        """What operators have written changed: a watch may bring it."""
        link, member = self.links[self.watched], self.etcd.members[self.watched]
        if member.ready and self.etcd.has_quorum() and not link.cut_back:
            store = self.etcd.store
            link.back(self.process.do, self._controls_seen, store.revision, store.controls)

    def relist(self) -> None:
        """List all every 5 s: a watch can go silent."""
        self.timer(RELIST, self.relist)
        self.watched = self.engine.rng.randrange(len(self.links))
        self.ask(self.watched, self.etcd.read, then=self._listed, failed=nothing)

    def _listed(self, member: int, term: int, shown: Shown) -> None:
        self._queue_seen(shown[0], shown[1])
        self._controls_seen(shown[0], shown[-1])

    def _controls_seen(self, revision: int, controls: tuple[ControlKey, ...]) -> None:
        self.process.post(e.ControlChanged(revision, controls))

    def _queue_seen(self, revision: int, queue: tuple[Any, ...]) -> None:
        self.process.post(e.QueueChanged(revision, queue))

    # --- actions ---

    def perform(self, action: a.Action) -> None:
        """Start what an etcd action asks for."""
        if isinstance(action, a.EndSession):
            self._end(action)
            return
        if isinstance(action, a.WriteIntent | a.DropIntent | a.AnswerIntent):
            self._wish(action)
            return
        if isinstance(action, a.Join):
            self.joined = None
        call = CALLS[type(action)](self, action)
        self.calls = [other for other in self.calls if not other.done]
        self.calls.append(call)
        call.begin()

    def _end(self, action: a.EndSession) -> None:
        for call in self.calls:
            if call.serial == action.serial:
                call.done = True
        if action.give_up and self.joined is not None and self.joined.serial == action.serial:
            self.give_up(self.joined.lease, self.joined.key)

    def _wish(self, action: a.WriteIntent | a.DropIntent | a.AnswerIntent) -> None:
        """Send what nobody waits for an answer to."""
        store, joined = self.etcd.store, self.joined

        def change() -> None:
            match action:
                case a.WriteIntent():
                    stands = any(entry.lease == action.lease for entry in store.queue)
                    if stands and not store.control(SWITCHOVER) and not store.control(PAUSED):
                        intent = Intent(action.token, action.to, action.reason, 0)
                        store.put_control(SWITCHOVER, intent.encode(), action.lease)
                case a.DropIntent():
                    if store.control(SWITCHOVER) == action.revision:
                        store.drop_control(SWITCHOVER)
                case a.AnswerIntent() if joined is not None:
                    store.answer(joined.key, joined.lease, joined.create_revision, action.intent)

        self.ask(self.endpoint, self.etcd.propose, change, then=nothing, failed=nothing)

    def give_up(self, lease: int, key: str) -> None:
        """Delete a key that never held, and revoke its lease: best effort, at two members."""
        store = self.etcd.store

        def change() -> None:
            store.delete(key)
            store.revoke(lease)

        for step in (0, 1):
            self.ask((self.endpoint + step) % len(self.links), self.etcd.propose, change,
                     then=nothing, failed=nothing)


def nothing(*answer: Any) -> None:
    """Ignore an answer."""


# Which class carries out which action; filled by `calls`, which needs this module first.
CALLS: dict[type[a.Action], Callable[[Client, Any], "Call"]] = {}


class Call:
    """One thing that the client does, up to the event that ends it."""

    __slots__ = ("client", "done", "serial")

    def __init__(self, client: Client, serial: int) -> None:
        self.client = client
        self.serial = serial
        self.done = False

    def begin(self) -> None:
        """Send the first request."""
        raise NotImplementedError

    def finish(self, event: e.Event) -> None:
        """End with an event; whatever else is answered later is dropped."""
        if not self.done:
            self.done = True
            self.client.process.post(event)

    def next_endpoint(self) -> None:
        """Start at another member the next time."""
        self.client.endpoint = (self.client.endpoint + 1) % len(self.client.links)
