"""A group starts in order, stops in reverse, and never does two things at once."""

import asyncio

import pytest

from leaderd.core.actions import ProbeAddress
from leaderd.core.events import ResourceFailed, ResourcesStarted, ResourcesStopped, StartFailed
from leaderd.core.floor import AddressProbed
from leaderd.core.lease import Lease, Timing
from leaderd.errors import ResourceError
from leaderd.resources.base import Probe, StopCommand, Term
from leaderd.resources.group import ResourceGroup, describe
from tests.resources.conftest import CLOCK, LEASE, TOKEN, Rig


class Fake:
    """A resource that writes down what is asked of it."""

    kind = "fake"
    restarts = 0

    def __init__(self, name: str, diary: list[str], **fails: object) -> None:
        self.name = name
        self.diary = diary
        self.monitor_interval = fails.pop("monitor_interval", 0.0)
        self.fails = fails
        self.hold = asyncio.Event()
        self.hold.set()
        self.terms: list[Term] = []
        self.leases: list[Lease] = []
        self.timeouts: list[float] = []

    async def _do(self, verb: str, term: Term) -> None:
        self.terms.append(term)
        self.diary.append(f"{verb} {self.name}")
        try:
            await self.hold.wait()
        except asyncio.CancelledError:
            self.diary.append(f"{verb} {self.name} cut off")
            raise
        self.diary.append(f"{verb} {self.name} done")
        if verb in self.fails:
            raise self.fails[verb]

    async def start(self, term, lease, timeout):
        self.timeouts.append(timeout)
        self.leases.append(lease)
        await self._do("start", term)

    async def stop(self, term, until):
        await self._do("stop", term)

    async def monitor(self, term):
        await self._do("monitor", term)

    def ended(self):
        return None

    def extend(self, lease):
        self.leases.append(lease)

    def stop_commands(self):
        return (StopCommand(self.name, ("stop", self.name), 1.0),)


class Bench(Rig):
    """A rig around resources that are made by hand."""

    def group_of(self, *fakes: Fake) -> ResourceGroup:
        self.group = ResourceGroup("db", fakes, Timing.scaled(10), CLOCK, self.events.put_nowait)
        return self.group

    async def close(self) -> None:
        await self.group.close(CLOCK.now().plus(10))


@pytest.fixture
async def bench(tmp_path):
    bench = Bench(tmp_path)
    yield bench
    await bench.close()


@pytest.fixture
def diary() -> list[str]:
    return []


async def test_all_start_in_order_and_stop_in_reverse(bench, diary):
    group = bench.group_of(Fake("x", diary), Fake("y", diary))
    assert group.states() == [("x", "fake", "unknown"), ("y", "fake", "unknown")]
    assert await bench.start() == ResourcesStarted(TOKEN)
    assert group.states() == [("x", "fake", "started"), ("y", "fake", "started")]
    assert await bench.stop() == ResourcesStopped(TOKEN, clean=True, detail="")
    assert group.states() == [("x", "fake", "stopped"), ("y", "fake", "stopped")]
    verbs = [line for line in diary if line.endswith("done")]
    assert verbs == ["start x done", "start y done", "stop y done", "stop x done"]


async def test_a_failed_start_ends_the_start_and_everything_is_stopped(bench, diary):
    fakes = Fake("x", diary), Fake("y", diary, start=ResourceError("y: no")), Fake("z", diary)
    group = bench.group_of(*fakes)
    assert await bench.start() == StartFailed(TOKEN, "y: no")
    assert [state for *_, state in group.states()] == ["started", "failed", "unknown"]
    assert "start z" not in diary
    assert await bench.stop() == ResourcesStopped(TOKEN, clean=True, detail="")
    assert [line for line in diary if line.startswith("stop") and line.endswith("done")] == [
        "stop z done", "stop y done", "stop x done",
    ]


async def test_every_stop_is_tried_and_every_failure_told(bench, diary):
    stuck, odd = ResourceError("x: stuck"), OSError("odd")
    group = bench.group_of(Fake("x", diary, stop=stuck), Fake("y", diary), Fake("z", diary, stop=odd))
    event = await bench.stop()
    assert event == ResourcesStopped(TOKEN, clean=False, detail="OSError: odd; x: stuck")
    assert [state for *_, state in group.states()] == ["failed", "stopped", "failed"]


async def test_a_stop_cuts_a_start_off_and_waits_for_its_end(bench, diary):
    slow = Fake("x", diary)
    slow.hold.clear()
    bench.group_of(slow)
    bench.begin_start()
    while not diary:
        await asyncio.sleep(0)
    bench.begin_stop()
    slow.hold.set()
    assert await bench.event() == ResourcesStopped(TOKEN, clean=True, detail="")
    assert diary == ["start x", "start x cut off", "stop x", "stop x done"]
    assert bench.events.empty()


async def test_a_start_that_cannot_be_ended_makes_the_stop_unclean_and_no_hook_runs_beside_it(bench, diary):
    class Immortal(Fake):
        async def start(self, term, lease, timeout):
            diary.append("start")
            while not self.hold.is_set():
                try:
                    await self.hold.wait()
                except asyncio.CancelledError:
                    diary.append("deaf")

    fake = Immortal("x", diary)
    fake.hold.clear()
    bench.group_of(fake)
    bench.begin_start()
    while not diary:
        await asyncio.sleep(0)
    event = await bench.stop(within=0.3)
    assert event == ResourcesStopped(TOKEN, clean=False, detail="what ran before could not be killed")
    assert "stop x" not in diary
    fake.hold.set()
    await bench.event()
    assert await bench.stop() == ResourcesStopped(TOKEN, clean=True, detail="")


async def test_a_second_stop_waits_for_the_first(bench, diary):
    slow = Fake("x", diary)
    slow.hold.clear()
    bench.group_of(slow)
    bench.begin_stop(token=1)
    bench.begin_stop(token=2)
    while not diary:
        await asyncio.sleep(0)
    slow.hold.set()
    assert [(await bench.event()).token, (await bench.event()).token] == [1, 2]
    assert diary == ["stop x", "stop x done"] * 2


async def test_a_start_right_after_a_stop_waits_for_its_end(bench, diary):
    bench.group_of(Fake("x", diary))
    bench.begin_stop(token=1)
    bench.begin_start(token=2)
    assert [type(await bench.event()), type(await bench.event())] == [ResourcesStopped, ResourcesStarted]
    assert diary == ["stop x", "stop x done", "start x", "start x done"]


async def test_monitors_run_one_at_a_time_and_end_with_the_term(bench, diary):
    bench.group_of(Fake("x", diary, monitor_interval=0.02), Fake("y", diary, monitor_interval=0.05))
    await bench.start()
    while diary.count("monitor y done") < 2:
        await asyncio.sleep(0.01)
    await bench.stop()
    seen = len(diary)
    await asyncio.sleep(0.2)
    assert len(diary) == seen
    for first, second in zip(diary[::2], diary[1::2], strict=True):
        assert second in {f"{first} done", f"{first} cut off"}


async def test_a_monitor_in_flight_is_cut_off_before_the_stop(bench, diary):
    fake = Fake("x", diary, monitor_interval=0.01)
    bench.group_of(fake)
    await bench.start()
    fake.hold.clear()
    while diary[-1] != "monitor x":
        await asyncio.sleep(0)
    bench.begin_stop()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    fake.hold.set()
    await bench.event()
    assert diary[-3:] == ["monitor x cut off", "stop x", "stop x done"]


async def test_a_failed_monitor_is_told_once(bench, diary):
    bench.group_of(Fake("x", diary, monitor_interval=0.01, monitor=ResourceError("x: gone")))
    await bench.start()
    assert await bench.event() == ResourceFailed(TOKEN, "x: gone")
    await asyncio.sleep(0.1)
    assert bench.events.empty()
    assert bench.group.states() == [("x", "fake", "failed")]


async def test_a_bug_in_a_kind_is_answered_like_a_failure(bench, diary):
    bench.group_of(Fake("x", diary, start=ZeroDivisionError("oh\nno"), stop=KeyError("k")))
    assert await bench.start() == StartFailed(TOKEN, "ZeroDivisionError: oh no")
    assert await bench.stop() == ResourcesStopped(TOKEN, clean=False, detail="KeyError: 'k'")


async def test_the_start_time_is_one_for_the_group(bench, diary):
    slow, last = Fake("x", diary), Fake("y", diary)
    slow.hold.clear()
    bench.group_of(slow, last)
    bench.begin_start()
    await asyncio.sleep(0.2)
    slow.hold.set()
    await bench.event()
    assert slow.timeouts[0] > 29.9
    assert last.timeouts[0] < 29.9


async def test_renewals_reach_every_resource_and_those_that_start_later(bench, diary):
    slow, last = Fake("x", diary), Fake("y", diary)
    slow.hold.clear()
    group = bench.group_of(slow, last)
    bench.begin_start()
    await asyncio.sleep(0)
    lease = Lease(LEASE, Timing.scaled(10), CLOCK.now())
    group.extend(lease)
    slow.hold.set()
    await bench.event()
    assert slow.leases[-1] is lease
    assert last.leases == [lease, lease]


async def test_a_stop_of_another_term_tells_nothing_of_this_one(bench, diary):
    fake = Fake("x", diary)
    bench.group_of(fake)
    await bench.start()
    bench.begin_stop(token=3, reason="startup")
    await bench.event()
    assert fake.terms[-1] == Term(3, 0, "startup", "")


async def test_stop_commands_come_in_reverse(bench, diary):
    group = bench.group_of(Fake("x", diary), Fake("y", diary))
    assert [command.resource for command in group.stop_commands()] == ["y", "x"]


async def test_an_empty_group_starts_and_stops_at_once(bench):
    bench.group_of()
    assert await bench.start() == ResourcesStarted(TOKEN)
    assert await bench.stop() == ResourcesStopped(TOKEN, clean=True, detail="")


def test_our_errors_are_told_as_they_are_and_others_with_their_type():
    assert describe(ResourceError("a\nb")) == "a b"
    assert describe(ValueError("a")) == "ValueError: a"


class Asked(Fake):
    """One whose network can be asked."""

    async def probe(self):
        return self.fails["probe"]


async def test_the_network_is_asked_about_all_addresses_and_one_answer_says_it(bench, diary):
    """One that could not be asked leaves the whole unasked; who outranks us for one does so for all."""
    answers = {"x": Probe(sent=True, other="x is in use", yields=True), "y": Probe(sent=False)}
    group = bench.group_of(*(Asked(name, diary, probe=answer) for name, answer in answers.items()))
    before = CLOCK.now()
    group.perform(ProbeAddress(7))
    event = await bench.event()
    assert isinstance(event, AddressProbed)
    assert (event.serial, event.sent, event.other, event.yields) == (7, False, "x is in use", True)
    assert event.sent_at.held_since(before) < 1.0


async def test_a_start_where_things_run_already_takes_them_over(bench, diary):
    """An election at least one begins a term without a stop; what watched the last one ends first."""
    fake = Fake("x", diary, monitor_interval=0.01)
    bench.group_of(fake)
    assert await bench.start() == ResourcesStarted(TOKEN)
    bench.begin_start(TOKEN + 1)
    assert await bench.event() == ResourcesStarted(TOKEN + 1)
    fake.fails["monitor"] = ResourceError("x: gone")
    assert await bench.event() == ResourceFailed(TOKEN + 1, "x: gone")
