"""The alert rules and the dashboard: tried by promtool, and in step with the documents."""

import itertools
import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
RULES = ROOT / "deploy/prometheus/alerts.yml"
DASHBOARD = json.loads((ROOT / "deploy/grafana/leaderd.json").read_text(encoding="utf-8"))
_ROW = re.compile(r"^\| `(\w+)` \| (\w+) \| ([^|]*)\|", re.MULTILINE)
_ENDINGS = ("_bucket", "_sum", "_count")
# What the client library shows of a process, and what Prometheus adds to every target.
_COMMON = {"up", "process_cpu_seconds_total", "process_resident_memory_bytes"}
_ADDED = {"job", "instance", "le"}

promtool = pytest.mark.skipif(
    shutil.which("promtool") is None, reason="promtool is not installed (Debian: prometheus)"
)


def documented() -> dict[str, set[str]]:
    """Return the labels of every metric of docs/metrics.md, histograms by their parts too."""
    found = {}
    for name, kind, labels in _ROW.findall((ROOT / "docs/metrics.md").read_text(encoding="utf-8")):
        for each in (name + end for end in _ENDINGS) if kind == "histogram" else (name,):
            found[each] = set(re.findall(r"`(\w+)`", labels))
    return found


def panels() -> list[dict[str, Any]]:
    return [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]


def plain(query: str) -> str:
    """Return a query of the dashboard as Prometheus takes it."""
    for variable, value in (
        ("$job", ".*"), ("$election", ".*"), ("$__rate_interval", "1m"), ("$__interval", "1m"),
    ):
        query = query.replace(variable, value)
    return query


def queries() -> Iterator[tuple[str, str]]:
    """Yield each query of the dashboard with the title of its panel."""
    for panel in panels():
        for target in panel["targets"]:
            yield panel["title"], plain(target["expr"])
    for annotation in DASHBOARD["annotations"]["list"]:
        yield annotation["name"], plain(annotation["expr"])


def rules() -> str:
    """Return the rules without comments and texts."""
    lines = RULES.read_text(encoding="utf-8").splitlines()
    said = re.compile(r"\s*(#|summary:|description:|runbook:|- (alert|name):)")
    return "\n".join(line for line in lines if not said.match(line))


def run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@promtool
def test_the_rules_fire_when_they_should_and_only_then() -> None:
    run("promtool", "test", "rules", str(RULES.with_name("alerts_test.yml")))


@promtool
def test_prometheus_understands_every_query_of_the_dashboard(tmp_path: Path) -> None:
    listed = [{"record": f"q{number}", "expr": query} for number, (_, query) in enumerate(queries())]
    path = tmp_path / "queries.yml"
    # JSON is YAML.
    path.write_text(json.dumps({"groups": [{"name": "dashboard", "rules": listed}]}), encoding="utf-8")
    run("promtool", "check", "rules", str(path))


def test_every_metric_and_label_is_one_that_leaderd_documents() -> None:
    known = documented()
    text = "\n".join([rules(), *(query for _, query in queries())])
    names = set(re.findall(r"\b(?:leaderd|process)_\w+", text))
    assert names - known.keys() - _COMMON == set()
    for name, matchers in re.findall(r"\b(leaderd_\w+)\{([^}]*)\}", text):
        used = set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", matchers))
        assert used - known[name] - _ADDED == set(), name


def test_what_matters_most_is_watched() -> None:
    """State, lease, renewals, changes, hooks, restarts and early vanishes: none is measured for nobody."""
    text = "\n".join([rules(), *(query for _, query in queries())])
    unused = {name for name in documented() if name not in text}
    assert {name for name in unused if not name.endswith(_ENDINGS)} == {
        "leaderd_lease_ttl_seconds", "leaderd_leader_known",
        "leaderd_guard_start_time_seconds", "leaderd_agent_start_time_seconds",
    }


def test_every_alert_is_tried_and_explained() -> None:
    named = re.findall(r"- alert: (\w+)", RULES.read_text(encoding="utf-8"))
    tried = RULES.with_name("alerts_test.yml").read_text(encoding="utf-8")
    document = (ROOT / "docs/monitoring.md").read_text(encoding="utf-8")
    explained = re.findall(r"^### (\w+)$", document, re.MULTILINE)
    assert [name for name in named if name not in tried] == []
    assert explained == named
    anchors = re.findall(r"runbook: docs/monitoring.md#(\w+)", RULES.read_text(encoding="utf-8"))
    assert anchors == [name.lower() for name in named]


def test_the_dashboard_is_laid_out_and_takes_its_data_source_from_a_variable() -> None:
    everything = DASHBOARD["panels"]
    assert len({panel["id"] for panel in everything}) == len(everything)
    for panel in everything:
        assert panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24
    for one, other in itertools.combinations((panel["gridPos"] for panel in everything), 2):
        beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        below = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert beside or below, (one, other)
    for panel in panels():
        assert panel["title"]
        assert panel["description"]
        assert {each["datasource"]["uid"] for each in [panel, *panel["targets"]]} == {"${datasource}"}
    assert [each["name"] for each in DASHBOARD["templating"]["list"]] == ["datasource", "job", "election"]
