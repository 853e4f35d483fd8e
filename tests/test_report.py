"""What the daemon tells of itself."""

from dataclasses import replace

import pytest

from leaderd.api.http_answers import fit, ready
from leaderd.core.states import State
from leaderd.core.status import Status
from leaderd.instant import Instant
from leaderd.plan import ApiPlan, EtcdPlan, Plan
from leaderd.report import Report

PLAN = Plan("a", "/leaderd", "/tmp", "json", "info", EtcdPlan(("http://127.0.0.1:1",)), ApiPlan("/tmp/s"), ())


class SetClock:
    """A clock that stands where the test puts it."""

    def __init__(self) -> None:
        self.at = 100.0

    def now(self) -> Instant:
        return Instant(self.at, self.at)


class Source:
    """An election that only has a status."""

    def __init__(self, state: State) -> None:
        self.status = Status("db", state, lease=0x1234, stop_at=Instant(104.0, 104.0))

    def read(self) -> Status:
        return self.status


def report_of(source: Source, clock: SetClock) -> Report:
    report = Report(PLAN, clock, {"guard": 1, "agent": 2}, "b00t")
    report.add(source.read, list)
    return report


def valid_for(report: Report) -> float:
    found: float = report.report()["elections"][0]["valid_for"]
    return found


def test_a_renewal_that_is_no_news_still_moves_valid_for() -> None:
    clock, source = SetClock(), Source(State.LEADER)
    report = report_of(source, clock)
    clock.at = 103.0
    source.status = replace(source.status, stop_at=Instant(107.0, 107.0))
    assert valid_for(report) == 4.0


def test_valid_for_runs_below_zero_when_nothing_renews() -> None:
    clock, source = SetClock(), Source(State.LEADER)
    report = report_of(source, clock)
    clock.at = 105.0
    assert valid_for(report) == -1.0


def test_nobody_but_a_leader_has_anything_valid() -> None:
    for state in set(State) - {State.LEADER}:
        assert valid_for(report_of(Source(state), SetClock())) == 0.0


@pytest.mark.parametrize("state", [State.LEADER, State.PROMOTING, State.CANDIDATE])
def test_a_session_is_over_at_its_deadline_whether_or_not_anybody_ended_it(state: State) -> None:
    """The daemon was stopped, and answers before its elections have had their turn (R12)."""
    clock, source = SetClock(), Source(state)
    report = report_of(source, clock)
    assert report.report()["elections"][0]["lease"] == "1234"
    clock.at = 104.0
    assert report.report()["elections"][0]["lease"] == ""
    assert not ready(report.report()["elections"][0])
    assert not fit(report.report()["elections"][0])


def test_only_news_are_worth_a_log_line() -> None:
    source = Source(State.LEADER)
    report = report_of(source, SetClock())
    assert not report.update(replace(source.status, stop_at=Instant(107.0, 107.0)))
    assert report.update(replace(source.status, state=State.DEMOTING))
