"""The check says whether the node may lead: rise and fall, time-out, environment."""

import asyncio

import pytest

from leaderd.core.events import HealthChanged
from leaderd.core.states import State
from leaderd.core.status import Status
from leaderd.plan import CheckPlan
from tests.resources.conftest import Rig, until

WELL = HealthChanged(healthy=True, detail="")


@pytest.fixture
async def checking(rig):
    """A rig whose check succeeds while the file `ok` is there, and notes each call."""
    tasks = []

    def begin(text: str = "echo $LEADERD_ACTION $LEADERD_TOKEN >> calls; [ -e ok ]", **plan) -> Rig:
        settings = {"interval": 0.05, "timeout": 10.0, "rise": 2, "fall": 3, **plan}
        rig.build(check=CheckPlan(rig.script("check", text), **settings))
        tasks.append(asyncio.create_task(rig.check.run()))
        return rig

    yield begin
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks)


def calls(rig: Rig) -> int:
    path = rig.directory / "calls"
    return path.read_text().count("\n") if path.exists() else 0


async def test_the_first_result_decides_at_once(rig, checking):
    (rig.directory / "ok").touch()
    checking(rise=50)
    assert await rig.event() == WELL


async def test_fall_and_rise_count_results_in_a_row(rig, checking):
    (rig.directory / "ok").touch()
    checking()
    assert await rig.event() == WELL
    (rig.directory / "ok").unlink()
    assert await rig.event() == HealthChanged(healthy=False, detail="check: it failed with exit code 1")
    failed = [fields for _, event, fields in rig.lines if event == "check failed"]
    assert [(fields["row"], fields["of"]) for fields in failed] == [(1, 3), (2, 3), (3, 3)]
    before = calls(rig)
    (rig.directory / "ok").touch()
    assert await rig.event() == WELL
    assert calls(rig) - before >= 2


async def test_a_single_failure_is_forgotten(rig, checking):
    checking("echo x >> calls; case $(wc -l < calls) in 3|5|6|8) exit 1;; esac")
    assert await rig.event() == WELL
    await until(lambda: calls(rig) > 12)
    assert rig.events.empty()


async def test_a_check_that_hangs_has_failed(rig, checking):
    checking("sleep 60", timeout=0.3)
    event = await rig.event()
    assert event.healthy is False
    assert "took longer than 0.3 s and was killed" in event.detail


async def test_a_check_that_is_not_there_has_failed(rig):
    rig.build(check=CheckPlan(("/nonexistent/check",), 0.05, 5.0))
    task = asyncio.create_task(rig.check.run())
    event = await rig.event()
    task.cancel()
    await asyncio.wait({task})
    assert event == HealthChanged(
        healthy=False, detail="check: check: /nonexistent/check: No such file or directory")


async def test_it_is_told_what_it_is_for(rig, checking):
    checking("env | grep ^LEADERD_ > told; echo x >> calls; sleep 0.05")
    rig.check.publish(Status("db", State.LEADER, "elected", token=77, lease=0xAB))
    await until(lambda: calls(rig) > 2)
    said = dict(line.split("=", 1) for line in (rig.directory / "told").read_text().splitlines())
    assert said["LEADERD_ACTION"] == "check"
    assert (said["LEADERD_TOKEN"], said["LEADERD_LEASE"], said["LEADERD_REASON"]) == ("77", "ab", "elected")


async def test_another_check_starts_from_the_verdict_that_stands(rig, checking):
    """A reload: one failure of the new one is not `fall` of them, and the old one is not run any more."""
    (rig.directory / "ok").touch()
    checking()
    assert await rig.event() == WELL
    rig.check.change(CheckPlan(rig.script("other", "echo x >> others; exit 1"), 0.05, 10.0, 1, 3))
    event = await rig.event()
    assert event.healthy is False
    assert (rig.directory / "others").read_text().count("x") == 3
    before = calls(rig)
    await until(lambda: (rig.directory / "others").read_text().count("x") > 6)
    assert calls(rig) == before


async def test_without_a_check_a_node_is_healthy(rig, checking):
    """It is taken away from an ill node, which may lead from then on; and one is given to it again."""
    checking("exit 1")
    assert (await rig.event()).healthy is False
    rig.check.change(None)
    assert await rig.event() == WELL
    rig.check.change(CheckPlan(rig.script("other", "exit 1"), 0.05, 10.0, 1, 2))
    assert (await rig.event()).healthy is False
    assert [fields["row"] for _, event, fields in rig.lines if event == "check failed"] == [1, 1, 2]


async def test_a_long_interval_is_not_waited_out(rig, checking):
    """What is reloaded counts at once."""
    (rig.directory / "ok").touch()
    checking(interval=3600.0)
    assert await rig.event() == WELL
    rig.check.change(CheckPlan(rig.script("other", "exit 1"), 0.05, 10.0, 1, 1))
    assert (await rig.event()).healthy is False


async def test_a_result_of_the_old_check_is_dropped(rig, checking):
    """It was under way when the check was changed."""
    checking("echo x >> calls; while [ ! -e go ]; do sleep 0.02; done; exit 1")
    await until(lambda: calls(rig) == 1)
    rig.check.change(CheckPlan(rig.script("other", "exit 0"), 0.05, 10.0, 1, 1))
    (rig.directory / "go").touch()
    assert await rig.event() == WELL
    assert not [event for _, event, _ in rig.lines if event == "check failed"]
