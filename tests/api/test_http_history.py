"""Past leaderships over HTTP: told to everybody, asked of etcd once."""

import asyncio

import pytest

from tests.api.fakes import UNREACHABLE, FakeSource, election
from tests.api.http import Served, serving


@pytest.fixture
def source() -> FakeSource:
    return FakeSource(election("db"), election("web"))


async def test_it_tells_who_led_newest_first(source: FakeSource) -> None:
    async with serving(source) as served:
        answer = await served.ask("/history?election=db")
        assert answer.code == 200
        assert answer.json["election"] == "db"
        assert [term["node"] for term in answer.json["terms"]] == ["b", "a"]


async def test_it_is_told_of_which_election_and_of_none_that_is_not_there(source: FakeSource) -> None:
    async with serving(source) as served:
        assert (await served.ask("/history")).code == 400
        assert (await served.ask("/history?election=nobody")).code == 404
        assert served.control.calls == []


async def test_fifty_who_ask_at_once_are_one_question_to_etcd_per_election(source: FakeSource) -> None:
    async with serving(source) as served:
        names = ["db", "web"] * 25
        answers = await asyncio.gather(*(served.ask(f"/history?election={name}") for name in names))
        assert [answer.json["election"] for answer in answers] == names
        # Two of each at most, should this machine take more than a second for them.
        assert len(served.control.calls) <= 4


async def test_a_later_question_is_asked_anew(source: FakeSource) -> None:
    async with serving(source) as served:
        await served.ask("/history?election=db")
        await asyncio.sleep(1.05)
        await served.ask("/history?election=db")
        assert served.control.calls == [("history", "db", 200)] * 2


async def test_etcd_that_does_not_answer_is_said(source: FakeSource) -> None:
    async with serving(source) as served:
        served.control.error = UNREACHABLE
        answer = await served.ask("/history?election=db")
        assert answer.code == 503
        assert answer.json == {"error": str(UNREACHABLE)}


async def test_a_history_that_hangs_costs_its_askers_and_nobody_else(source: FakeSource) -> None:
    async with serving(source) as served:
        asked = await hang(served)
        late = [asyncio.ensure_future(served.ask("/history?election=db")) for _ in range(20)]
        await asked.wait()
        assert (await served.ask("/leader?election=db")).code == 200
        assert {answer.code for answer in await asyncio.gather(*late)} == {503}


async def hang(served: Served) -> asyncio.Event:
    """Let no history come; gives the event that it was asked for, which it must be but once."""
    asked = asyncio.Event()

    async def never(*_call: object) -> None:
        assert not asked.is_set()
        asked.set()
        await asyncio.Event().wait()

    served.control._asked = never
    return asked
