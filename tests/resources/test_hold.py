"""A pause of the process at the wrong moment must not lengthen an address's life, nor draw traffic."""

import asyncio
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from ipaddress import ip_interface
from itertools import accumulate
from typing import Any

import pytest

from leaderd.core.lease import Lease, Timing
from leaderd.errors import ResourceError
from leaderd.instant import Instant
from leaderd.resources.addresses import Found, Kernel, Port
from leaderd.resources.announce import Address
from leaderd.resources.hold import BURSTS, Hold, KernelThread, Setup, _pause_before
from leaderd.resources.lifetime import LATE, Lifetimes

ADDRESS = ip_interface("10.0.0.1/24")


@dataclass
class Hands:
    """A clock that is moved by hand, and a kernel that notes what it is told."""

    at: float = 0.0
    pauses: list[float] = field(default_factory=list)
    told: list[int] = field(default_factory=list)
    removed: int = 0
    announced: int = 0

    def now(self) -> Instant:
        return Instant(self.at, self.at)

    def put(self, address: object, index: int, seconds: int) -> None:
        # The pause is between our look at the clock and the kernel's.
        self.at += self.pauses.pop(0) if self.pauses else 0.0
        self.told.append(seconds)

    def remove(self, entry: Found) -> None:
        self.removed += 1

    def port(self, name: str) -> Port:
        return Port(name, 7, b"")

    def found(self, addresses: object) -> list[Found]:
        return [Found(ADDRESS.ip, 24, 7, permanent=False)] if self.told and not self.removed else []

    def announce(self, address: Address) -> None:
        self.announced += 1

    def close(self) -> None: ...


class Inline(KernelThread):
    """Without a thread, so that the clock moves in order."""

    def __init__(self, hands: Hands) -> None:
        self.hands = hands

    async def ask(self, until: Instant, work: Callable[[Kernel], Any]) -> Any:
        kernel: Any = self.hands
        return work(kernel)


@pytest.fixture
async def made():
    hands = Hands()
    setup = Setup((ADDRESS,), "eth0", take=False, announce_interval=60.0, clock=hands,
                  lifetimes=Lifetimes(), thread=Inline(hands), log=lambda *_, **__: None)
    hold = Hold(setup, Port("eth0", 7, b""), Lease(1, Timing.scaled(10, vip=True), Instant(0.0, 0.0)))
    yield hands, hold
    await hold.end()
    hold.close()


FAR = Instant(100.0, 100.0)


async def test_a_quick_telling_counts(made) -> None:
    """8.7 − 1.25 s in whole seconds."""
    hands, hold = made
    await hold.install(FAR)
    assert hands.told == [7]


async def test_a_slow_telling_is_taken_back_at_once(made) -> None:
    """The clock is read again after it, and the kernel is told what is left then."""
    hands, hold = made
    hands.pauses = [3.0, 1.0]
    await hold.install(FAR)
    assert hands.told == [7, 4, 3]
    assert hands.at + hands.told[-1] + LATE <= 8.7
    assert not hands.removed


async def test_what_was_told_too_late_for_any_lifetime_is_removed(made) -> None:
    """Rather than to live on after the lease."""
    hands, hold = made
    hands.pauses = [7.0]
    with pytest.raises(ResourceError, match="too little of the lease is left"):
        await hold.install(FAR)
    assert hands.told == [7]
    assert hands.removed == 1


async def test_a_process_that_is_always_slow_gets_nothing(made) -> None:
    """Five tries."""
    hands, hold = made
    hands.pauses = [0.2] * 9
    with pytest.raises(ResourceError):
        await hold.install(FAR)
    assert len(hands.told) == 5
    assert hands.removed == 1


async def test_nothing_is_announced_after_the_lifetime(made) -> None:
    """Who was stopped and goes on would else draw the traffic away from a successor."""
    hands, hold = made
    hold._wire = hands
    await hold.install(FAR)
    assert hands.announced == 1
    hands.at = 6.9
    hold._announce()
    assert hands.announced == 2
    hands.at = 7.1
    hold._announce()
    assert hands.announced == 2


async def test_nothing_is_installed_once_the_end_has_begun(made) -> None:
    """What the thread still has to do must not undo the stop."""
    hands, hold = made
    await hold.end()
    await hold.install(FAR)
    assert hands.told == []


async def test_an_address_that_has_run_out_is_no_failure(made) -> None:
    """The node is about to step down for want of renewals, and its reason is to be that."""
    hands, hold = made
    await hold.install(FAR)
    hands.at = 7.5
    hands.told.clear()
    assert hold._refresh(hands, extend=False) == []
    hold.extend(Lease(1, Timing.scaled(10, vip=True), Instant(7.0, 7.0)))
    assert hold._refresh(hands, extend=True) == [ADDRESS]
    assert hands.told == [6]


async def test_a_kernel_that_does_not_answer_fails_in_time() -> None:
    """And what is asked next comes after it."""
    from tests.resources.conftest import CLOCK

    thread, held = KernelThread(CLOCK), threading.Event()
    with pytest.raises(ResourceError, match="did not answer in time"):
        await thread.ask(CLOCK.now().plus(0.05), lambda _: held.wait(20))
    asked = asyncio.create_task(thread.ask(CLOCK.now().plus(20), lambda _: held.is_set()))
    held.set()
    assert await asked is True


async def test_another_rhythm_of_announcements_counts_at_once(made) -> None:
    """A reload under an address that is held; what a shorter interval would have told is not made up for."""
    from tests.resources.conftest import until

    hands, hold = made
    hold._wire = hands
    await hold.install(FAR)
    hold._until = Instant(1e9, 1e9)
    hold.watch()
    await asyncio.sleep(0)
    for count in range(1, len(BURSTS)):
        hands.at += 5.0
        # Wakes it: what it waits for in real time is not worth waiting for here.
        hold.announce_every(60.0)
        await until(lambda count=count: hands.announced > count)
    hands.at += 59.0
    hold.announce_every(1.0)
    await until(lambda: hands.announced > len(BURSTS))
    for _ in range(50):
        await asyncio.sleep(0)
    assert hands.announced == len(BURSTS) + 1
    hands.at += 1.0
    hold.announce_every(1.0)
    await until(lambda: hands.announced == len(BURSTS) + 2)


def test_the_schedule_of_announcements() -> None:
    """Five, five more after a few seconds, then one every interval."""
    times = list(accumulate(_pause_before(step, 60.0) for step in range(13)))
    assert times[:10] == pytest.approx(BURSTS)
    assert len([each for each in BURSTS if each < 1]) == 5
    assert times[10:] == pytest.approx([64.4, 124.4, 184.4])
