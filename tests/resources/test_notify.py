"""The notify hook hears of every transition, in order, one at a time."""

import asyncio

from leaderd.core.states import State
from leaderd.core.status import Status
from leaderd.plan import NotifyPlan
from leaderd.resources.notify import QUEUE_LIMIT
from tests.resources.conftest import CLOCK, runs, script


def status(state: State, leader: str = "", **more) -> Status:
    return Status("db", state, leader=leader, **more)


async def told(rig, lines: int) -> list[str]:
    return (await rig.text("told", lines)).splitlines()


async def test_it_hears_every_transition_in_order_and_never_two_at_a_time(rig):
    hook = rig.script(
        "notify",
        "mkdir running || echo overlap >> told; sleep 0.05; rmdir running\n"
        'echo "$# $LEADERD_ACTION $LEADERD_STATE [$LEADERD_LEADER] $LEADERD_TOKEN $LEADERD_LEASE '
        '$LEADERD_REASON" >> told',
    )
    rig.build(notify=NotifyPlan(hook))
    rig.notifier.publish(status(State.CANDIDATE, "b"))
    rig.notifier.publish(status(State.PROMOTING, token=5, lease=255, reason="elected"))
    rig.notifier.publish(status(State.LEADER, "a", token=5, lease=255, reason="elected"))
    assert await told(rig, 3) == [
        "0 notify candidate [b] 0 0 ",
        "0 notify promoting [] 5 ff elected",
        "0 notify leader [a] 5 ff elected",
    ]


async def test_it_hears_of_a_new_leader_elsewhere_and_of_nothing_else(rig):
    rig.build(notify=NotifyPlan(rig.script("notify", 'echo "$LEADERD_STATE $LEADERD_LEADER" >> told')))
    for leader, detail in (("b", ""), ("b", "renewed"), ("c", ""), ("c", "again")):
        rig.notifier.publish(status(State.CANDIDATE, leader, detail=detail))
    await rig.notifier.close(CLOCK.now().plus(20))
    assert await told(rig, 2) == ["candidate b", "candidate c"]


async def test_a_failure_and_a_time_out_are_logged_and_the_next_news_come(rig):
    hook = rig.script(
        "notify",
        "case $LEADERD_STATE in candidate) exit 3 ;; promoting) sleep 1000 ;; esac\n"
        'echo "$LEADERD_STATE" >> told',
    )
    rig.build(notify=NotifyPlan(hook, timeout=0.5))
    for state in (State.CANDIDATE, State.PROMOTING, State.STANDBY):
        rig.notifier.publish(status(state))
    assert await told(rig, 1) == ["standby"]
    assert [fields["detail"] for level, event, fields in rig.lines if event == "notify failed"] == [
        "notify: it failed with exit code 3",
        "notify: notify: took longer than 0.5 s and was killed",
    ]


async def test_the_queue_is_bounded_and_the_newest_news_survive(rig):
    text = 'echo "$LEADERD_LEADER" >> told; while [ ! -e go ]; do sleep 0.05; done'
    hook = rig.script("notify", text)
    rig.build(notify=NotifyPlan(hook, timeout=60.0))
    rig.notifier.publish(status(State.CANDIDATE, "first"))
    await rig.text("told")
    for number in range(QUEUE_LIMIT + 3):
        rig.notifier.publish(status(State.CANDIDATE, f"n{number}"))
    (rig.directory / "go").touch()
    lines = await told(rig, QUEUE_LIMIT + 1)
    assert lines == ["first", *(f"n{number}" for number in range(3, QUEUE_LIMIT + 3))]
    assert sum("cannot keep up" in event for _, event, _ in rig.lines) == 3


async def test_it_never_holds_up_a_start_or_a_stop(rig):
    mark = f"55{id(rig)}"
    rig.build(
        script("x", rig.script("hook", "exit 0")),
        notify=NotifyPlan(rig.script("notify", f"echo up > up; exec sleep {mark}"), timeout=60.0),
    )
    rig.notifier.publish(status(State.LEADER))
    await rig.text("up")
    before = CLOCK.now()
    await rig.start()
    assert (await rig.stop()).clean
    assert CLOCK.now().held_since(before) < 10
    await rig.notifier.close(CLOCK.now())
    assert not runs(mark)


async def test_without_news_there_is_nothing_to_finish(rig):
    rig.build(notify=NotifyPlan(rig.script("notify", "exit 0")))
    await rig.notifier.close(CLOCK.now().plus(1))
    await asyncio.sleep(0)


async def test_another_hook_is_told_from_the_next_news_on(rig):
    """A reload: none, then one, then another; nothing is told twice."""
    rig.build()
    rig.notifier.publish(status(State.CANDIDATE, "b"))
    rig.notifier.change(NotifyPlan(rig.script("one", 'echo "one $LEADERD_LEADER" >> told')))
    rig.notifier.publish(status(State.CANDIDATE, "b"))
    rig.notifier.publish(status(State.CANDIDATE, "c"))
    assert await told(rig, 1) == ["one c"]
    rig.notifier.change(NotifyPlan(rig.script("two", 'echo "two $LEADERD_LEADER" >> told')))
    rig.notifier.publish(status(State.CANDIDATE, "d"))
    assert await told(rig, 2) == ["one c", "two d"]
    rig.notifier.change(None)
    rig.notifier.publish(status(State.CANDIDATE, "e"))
    await rig.notifier.close(CLOCK.now().plus(20))
    assert await told(rig, 2) == ["one c", "two d"]
