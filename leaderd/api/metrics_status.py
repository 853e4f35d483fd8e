"""The status report as gauges, made when Prometheus asks: nothing here can be out of date."""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from leaderd.api.http_answers import leads
from leaderd.core.states import State

Election = dict[str, Any]

# Name, help, value of one election.
_GAUGES: tuple[tuple[str, str, Callable[[Election], float]], ...] = (
    ("leader", "1 while this node leads and stop_at lies ahead.", leads),
    ("unproven", "1 while this node holds an address without etcd, under at-least-one.",
     lambda e: leads(e) and not e["proven"]),
    ("fencing_token", "Token of the own term, else the newest seen.", lambda e: e["token"]),
    ("lease_remaining_seconds", "Left until stop_at while leading.", lambda e: max(0.0, e["valid_for"])),
    ("session", "1 while the node has a lease in etcd.", lambda e: bool(e["lease"])),
    ("leader_known", "1 while this node knows of a leader.", lambda e: bool(e["leader"])),
    ("healthy", "1 while the node may lead.", lambda e: e["healthy"]),
    ("paused", "1 while the election is paused.", lambda e: e["paused"]),
    ("blocked", "1 while nobody may be promoted here.", lambda e: bool(e["blocked"])),
    ("candidates", "Keys in the queue, the leader's included.", lambda e: len(e["candidates"])),
)


class StatusCollector(Collector):
    """Reads the report at every scrape.

    Args:
        report: Gives it; called from the HTTP thread.
        budgets: Of each election, its `ttl` and what a renewal refills the lease to, in seconds.
        agent_starts: Agents that the guard has started so far, this one included.
    """

    def __init__(
        self,
        report: Callable[[], dict[str, Any]],
        budgets: Mapping[str, tuple[float, float]],
        agent_starts: int,
    ) -> None:
        self._report = report
        self._budgets = budgets
        self._agent_starts = agent_starts

    def collect(self) -> Iterable[Metric]:
        """Yield every gauge with a sample for each election."""
        report = self._report()
        info = GaugeMetricFamily("leaderd_info", "Which this is.", labels=["node", "version"])
        info.add_metric([report["node"], report["version"]], 1)
        yield info
        elections = report["elections"]
        for name, text, value in _GAUGES:
            gauge = GaugeMetricFamily(f"leaderd_{name}", text, labels=["election"])
            for election in elections:
                gauge.add_metric([election["name"]], float(value(election)))
            yield gauge
        yield from self._plans()
        yield _states(elections)
        yield _resources(elections)
        yield from self._processes(report["pids"])

    def _plans(self) -> Iterator[Metric]:
        for place, name, text in (
            (0, "leaderd_lease_ttl_seconds", "As configured."),
            (1, "leaderd_lease_budget_seconds", "What a renewal refills the remaining seconds to."),
        ):
            gauge = GaugeMetricFamily(name, text, labels=["election"])
            for election, budget in self._budgets.items():
                gauge.add_metric([election], budget[place])
            yield gauge

    def _processes(self, pids: dict[str, int]) -> Iterator[Metric]:
        for which, pid in pids.items():
            gauge = GaugeMetricFamily(f"leaderd_{which}_start_time_seconds", "Unix time of its start.")
            if started := _start_time(pid):
                gauge.add_metric([], started)
            yield gauge
        restarts = CounterMetricFamily("leaderd_agent_restarts", "Agents that this guard has started again.")
        restarts.add_metric([], self._agent_starts - 1)
        yield restarts


def _states(elections: list[Election]) -> Metric:
    gauge = GaugeMetricFamily("leaderd_state", "1 for the state it is in.", labels=["election", "state"])
    for election in elections:
        for state in State:
            gauge.add_metric([election["name"], state.value], float(election["state"] == state.value))
    return gauge


def _resources(elections: list[Election]) -> Metric:
    labels = ["election", "resource", "type"]
    gauge = GaugeMetricFamily("leaderd_resource_started", "1 while started here.", labels=labels)
    for election in elections:
        for each in election["resources"]:
            gauge.add_metric(
                [election["name"], each["name"], each["type"]], float(each["state"] == "started")
            )
    return gauge


def _start_time(pid: int) -> float:
    """Return when a process started, in Unix time; 0 when it is gone.

    Source: proc(5), /proc/pid/stat field 22 in clock ticks since boot, and `btime` in /proc/stat.
    """
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            ticks = int(file.read().rpartition(")")[2].split()[19])
        with open("/proc/stat", encoding="ascii") as file:
            boot = next(int(line.split()[1]) for line in file if line.startswith("btime"))
    except (OSError, StopIteration):
        return 0.0
    return boot + ticks / os.sysconf("SC_CLK_TCK")
