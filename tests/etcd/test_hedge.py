"""The race over endpoints, and the loop that tries again."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from leaderd.clock import BootClock
from leaderd.errors import EtcdError, EtcdRefusedError
from leaderd.etcd.hedge import first_answer
from leaderd.etcd.retry import retrying


def endpoints(*names: str) -> Any:
    """Stand-ins: the race looks at nothing but their addresses."""
    return [SimpleNamespace(url=name) for name in names]


class Legs:
    """Legs that answer after so many seconds, or fail; counts what became of each."""

    def __init__(self, **answers: float | Exception) -> None:
        self.answers = answers
        self.begun: list[str] = []
        self.cancelled: list[str] = []

    async def __call__(self, endpoint: Any) -> str:
        self.begun.append(endpoint.url)
        answer = self.answers[endpoint.url]
        if isinstance(answer, Exception):
            raise answer
        try:
            await asyncio.sleep(answer)
        except asyncio.CancelledError:
            self.cancelled.append(endpoint.url)
            raise
        return str(endpoint.url)


async def test_a_quick_answer_asks_nobody_else() -> None:
    """One leg."""
    legs = Legs(a=0.0, b=0.0)
    endpoint, result = await first_answer(endpoints("a", "b"), legs, hedge_after=1.0, timeout=5.0)
    assert (endpoint.url, result, legs.begun) == ("a", "a", ["a"])


async def test_a_slow_one_is_overtaken_and_cancelled() -> None:
    """Before the race returns."""
    legs = Legs(a=9.0, b=0.0, c=0.0)
    endpoint, _ = await first_answer(endpoints("a", "b", "c"), legs, hedge_after=0.05, timeout=5.0)
    assert (endpoint.url, legs.begun, legs.cancelled) == ("b", ["a", "b"], ["a"])


async def test_a_failure_starts_the_next_at_once() -> None:
    """Without waiting for hedge_after."""
    legs = Legs(a=EtcdError("a: refused"), b=0.0)
    async with asyncio.timeout(1.0):
        endpoint, _ = await first_answer(endpoints("a", "b"), legs, hedge_after=5.0, timeout=9.0)
    assert endpoint.url == "b"


async def test_all_failures_are_told() -> None:
    """In one error, at once; refused for good if one was."""
    legs = Legs(a=EtcdError("a: down"), b=EtcdError("b: down"))
    with pytest.raises(EtcdError, match="a: down; b: down") as caught:
        await first_answer(endpoints("a", "b"), legs, hedge_after=5.0, timeout=9.0)
    assert not isinstance(caught.value, EtcdRefusedError)
    legs = Legs(a=EtcdError("a: down"), b=EtcdRefusedError("b: denied"))
    with pytest.raises(EtcdRefusedError):
        await first_answer(endpoints("a", "b"), legs, hedge_after=5.0, timeout=9.0)


async def test_the_whole_is_bounded() -> None:
    """And nothing runs on."""
    legs = Legs(a=9.0, b=9.0)
    with pytest.raises(EtcdError, match=r"a, b: no answer within 0.2 s"):
        await first_answer(endpoints("a", "b"), legs, hedge_after=0.05, timeout=0.2)
    assert sorted(legs.cancelled) == ["a", "b"]


async def test_cancelling_the_race_cancels_its_legs() -> None:
    """No leg outlives it."""
    legs = Legs(a=9.0, b=9.0)
    race = asyncio.ensure_future(first_answer(endpoints("a", "b"), legs, hedge_after=0.01, timeout=9.0))
    await asyncio.sleep(0.1)
    race.cancel()
    await asyncio.gather(race, return_exceptions=True)
    assert sorted(legs.cancelled) == ["a", "b"]


async def test_a_bug_comes_through_and_ends_the_other_legs() -> None:
    """It is no failure of an endpoint."""
    legs = Legs(a=9.0, b=ZeroDivisionError())
    with pytest.raises(ZeroDivisionError):
        await first_answer(endpoints("a", "b"), legs, hedge_after=0.01, timeout=9.0)
    assert legs.cancelled == ["a"]


async def test_retries_end_at_their_deadline() -> None:
    """The last attempt begins before it; the error is the last one's."""
    clock, tries = BootClock(), 0

    async def fail() -> None:
        nonlocal tries
        tries += 1
        raise EtcdError(f"try {tries}")

    begun = clock.now()
    with pytest.raises(EtcdError, match="try") as caught:
        await retrying(clock, begun.plus(0.5))(fail)
    assert 0.3 < clock.now().held_since(begun) < 1.5
    assert str(caught.value) == f"try {tries}"
    assert tries > 2


async def test_no_retry_where_it_is_no_use() -> None:
    """Refused for good, a bug, or the number of attempts is up."""
    clock = BootClock()
    for error, attempts, expected in (
        (EtcdRefusedError("no"), None, 1),
        (ZeroDivisionError(), None, 1),
        (EtcdError("down"), 3, 3),
    ):
        tries = 0

        async def fail(error: Exception = error) -> None:
            nonlocal tries
            tries += 1
            raise error

        with pytest.raises(type(error)):
            await retrying(clock, clock.now().plus(5.0), attempts)(fail)
        assert tries == expected
