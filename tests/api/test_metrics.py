"""What is measured, where it is measured, and that the documentation lists exactly that."""

import re
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from leaderd.api.metrics import Metrics
from leaderd.api.metrics_status import StatusCollector
from leaderd.core.events import RenewalFailed, Renewed
from leaderd.core.records import Known, Snapshot
from leaderd.core.states import State
from leaderd.core.status import Status
from leaderd.instant import Instant
from tests.api.fakes import FakeSource
from tests.api.test_hub import StandingClock

DOCUMENT = Path(__file__).parents[2] / "docs" / "metrics.md"
_ROW = re.compile(r"^\| `(leaderd_\w+)` \| (\w+) \| ([^|]*)\|", re.MULTILINE)


@pytest.fixture
def clock() -> StandingClock:
    return StandingClock()


@pytest.fixture
def metrics(clock: StandingClock) -> Metrics:
    metrics = Metrics(clock)
    metrics.add(Status("db", State.STANDBY))
    return metrics


def samples(metrics: Metrics) -> dict[str, float]:
    """Return every sample by its name and labels as they are written."""
    text, _ = metrics.expose("")
    found = {}
    for line in text.decode().splitlines():
        if not line.startswith("#"):
            name, _, value = line.rpartition(" ")
            found[name] = float(value)
    return found


def everything(metrics: Metrics) -> None:
    """Make each counter count once."""
    metrics.registry.register(StatusCollector(FakeSource().report, {"db": (10, 5.2)}, 3))
    metrics.published(Status("db", State.CANDIDATE))
    meter = metrics.renewals("db", ["http://e:1"])
    meter.renewal("http://e:1", "proven")
    meter.keepalive("http://e:1", 0.003)
    metrics.hook("db", "app", "start", 0.2, failed=True)
    metrics.announced("db", "address")
    metrics.http.answered("/leader", 503)


def test_the_document_lists_every_metric_with_type_and_labels_and_no_other(metrics: Metrics) -> None:
    """Alerts and dashboards are written from it."""
    everything(metrics)
    rows = _ROW.findall(DOCUMENT.read_text())
    documented = {name: (kind, set(re.findall(r"\w+", labels))) for name, kind, labels in rows}
    text, _ = metrics.expose("")
    shown: dict[str, Any] = {}
    for family in text_string_to_metric_families(text.decode()):
        if family.name.startswith("leaderd_"):
            labels = {label for sample in family.samples for label in sample.labels} - {"le"}
            name = family.name + ("_total" if family.type == "counter" else "")
            shown[name] = (family.type, labels)
    assert shown == documented


def test_the_budget_is_what_was_left_when_the_renewal_came(metrics: Metrics, clock: StandingClock) -> None:
    """Before it is taken in: afterwards it would always look full."""
    status = Status("db", State.LEADER, stop_at=Instant(5.0, 5.0))
    events: list[object] = []
    post = metrics.tap(lambda: status, events.append)
    clock.seconds = 4.2
    at = Instant(4.1, 4.1)
    renewed = Renewed(1, at, Snapshot(1, 1, 1, 1, sent_at=at, received_at=at), Known())
    for event in (renewed, RenewalFailed(1, "no answer")):
        post(event)
    assert len(events) == 2
    found = samples(metrics)
    assert found['leaderd_renewal_budget_seconds_count{election="db"}'] == 1
    assert found['leaderd_renewal_budget_seconds_sum{election="db"}'] == pytest.approx(0.8)


def test_time_without_leader_counts_until_somebody_leads(metrics: Metrics, clock: StandingClock) -> None:
    """Also between two scrapes during which nothing happens."""
    name = 'leaderd_leaderless_seconds_total{election="db"}'
    clock.seconds = 2.0
    assert samples(metrics)[name] == 2.0
    clock.seconds = 3.0
    metrics.published(Status("db", State.CANDIDATE, leader="b"))
    clock.seconds = 50.0
    assert samples(metrics)[name] == 3.0
    metrics.published(Status("db", State.CANDIDATE, leader=""))
    clock.seconds = 51.0
    assert samples(metrics)[name] == 4.0


def test_a_lease_that_vanishes_before_its_time_is_counted(metrics: Metrics, clock: StandingClock) -> None:
    """One that has run out is not, nor is a state that only got another detail."""
    leading = Status("db", State.LEADER, "elected", stop_at=Instant(5.0, 5.0), leader="a")
    metrics.published(leading)
    clock.seconds = 1.0
    metrics.published(Status("db", State.DEMOTING, "lease-lost"))
    metrics.published(Status("db", State.DEMOTING, "lease-lost", "the own key is gone"))
    metrics.published(leading)
    clock.seconds = 6.0
    metrics.published(Status("db", State.DEMOTING, "lease-lost"))
    found = samples(metrics)
    assert found['leaderd_lease_vanished_total{election="db"}'] == 1
    assert found['leaderd_transitions_total{election="db",reason="lease-lost",state="demoting"}'] == 2


def test_restarts_and_starts_are_those_of_the_processes(metrics: Metrics) -> None:
    import os
    import time

    report = {**FakeSource().report(), "pids": {"guard": os.getpid(), "agent": 2**30}}
    metrics.registry.register(StatusCollector(lambda: report, {}, 3))
    found = samples(metrics)
    assert found["leaderd_agent_restarts_total"] == 2
    assert 0 < time.time() - found["leaderd_guard_start_time_seconds"] < 3600
    assert "leaderd_agent_start_time_seconds" not in found
