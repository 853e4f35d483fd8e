"""The page and the monitoring before real daemons, a real etcd and a real Prometheus."""

import json
import os
import re
import shutil
import signal
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from leaderd.demo.nodes import Node
from tests.api.http import free_port
from tests.cluster import Cluster
from tests.faults.trio import nobody_holds, wait_for
from tests.monitoring.test_monitoring import RULES, queries

_ELECTION = """
[[election]]
name = "db"
ttl = 5

  [[election.resource]]
  name = "app"
  type = "script"
  command = ["{hook}"]
  monitor_interval = 1.0
"""


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Node]]:
    """Two daemons that serve HTTP; a leads."""
    directory = tmp_path_factory.mktemp("page")
    hook = directory / "hook.sh"
    hook.write_text("#!/bin/sh\nexit 0\n", encoding="utf-8")
    hook.chmod(0o755)
    with Cluster(1, directory=tmp_path_factory.mktemp("etcd")) as cluster:
        nobody_holds(cluster, "db")
        made = {
            name: Node(name, directory / name, cluster.endpoints, _ELECTION.format(hook=hook),
                       http=f"127.0.0.1:{free_port()}")
            for name in ("a", "b")
        }
        try:
            for name, state in (("a", "leader"), ("b", "candidate")):
                made[name].start()
                wait_for(f"{name} to be {state}", lambda: told(made[name])["state"] == state, 20)  # noqa: B023
            yield made
        finally:
            for node in made.values():
                node.kill()


def address(node: Node) -> str:
    found = re.search(r'http = "([^"]+)"', node.config.read_text(encoding="utf-8"))
    assert found
    return f"http://{found[1]}/"


def ask(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=5) as answer:
        return json.load(answer)


def told(node: Node) -> dict[str, Any]:
    """Return the election as the node tells it; nothing while it does not answer."""
    try:
        found: dict[str, Any] = ask(address(node) + "status")["elections"][0]
    except OSError:
        return {"state": "", "leader": ""}
    return found


def headline(page: Any, text: str) -> None:
    page.locator(".who").filter(has_text=text).wait_for(timeout=20_000)


def test_leadership_is_shown_moves_and_is_not_believed_of_a_stopped_node(
    browser: Any, nodes: dict[str, Node]
) -> None:
    context = browser.new_context()
    try:
        here, there = context.new_page(), context.new_page()
        here.goto(address(nodes["a"]))
        there.goto(address(nodes["b"]))
        headline(here, "a leads")
        headline(there, "a leads")
        assert here.locator(".resources li").inner_text() == "app\nstarted\nscript"
        assert there.locator(".rows li").first.inner_text().startswith("a\nleads")
        left = [float(here.locator(".meter.lease .figure").inner_text().split()[0]) for _ in range(3)]
        assert min(left) > 0
        assert max(left) < 5
        # Guard and agent: the kernel's timer kills the agent when its time is up, and b takes over.
        nodes["a"].signal(signal.SIGSTOP, guard=True, agent=True)
        try:
            headline(here, "No proof of leadership")
            headline(there, "b leads")
            assert there.locator(".meter.lease").is_visible()
        finally:
            os.kill(nodes["a"].guard, signal.SIGCONT)
        headline(here, "b leads")
        # The history in etcd: who led, and how the stopped node's term ended.
        terms = here.locator(".terms li")
        terms.filter(has_text="ended:").first.wait_for(timeout=10_000)
        told_of = [text.split("\n")[0] for text in terms.all_inner_texts()]
        assert told_of == ["b", "a"]
        assert not here.get_by_text("seen by this page").count()
    finally:
        context.close()


@pytest.fixture
def prometheus(nodes: dict[str, Node], tmp_path: Path) -> Iterator[str]:
    """A Prometheus that scrapes both daemons every 200 ms, with the alert rules; gives its URL."""
    if shutil.which("prometheus") is None:
        pytest.skip("prometheus is not installed")
    targets = [urllib.parse.urlsplit(address(node)).netloc for node in nodes.values()]
    configuration = tmp_path / "prometheus.yml"
    configuration.write_text(json.dumps({
        "global": {"scrape_interval": "200ms", "scrape_timeout": "200ms", "evaluation_interval": "500ms"},
        "rule_files": [str(RULES)],
        "scrape_configs": [{"job_name": "leaderd", "static_configs": [{"targets": targets}]}],
    }), encoding="utf-8")
    listen = f"127.0.0.1:{free_port()}"
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            ["prometheus", f"--config.file={configuration}", f"--storage.tsdb.path={tmp_path / 'data'}",
             f"--web.listen-address={listen}"], stdout=log, stderr=log,
        )
    try:
        yield f"http://{listen}/api/v1/"
    finally:
        process.terminate()
        process.wait(20)


def test_every_panel_has_figures_and_every_rule_is_evaluated(prometheus: str, nodes: dict[str, Node]) -> None:
    def query(expression: str) -> list[Any]:
        try:
            answer = ask(f"{prometheus}query?{urllib.parse.urlencode({'query': expression})}")
        except OSError:
            return []
        return list(answer["data"]["result"])

    wait_for("one leader in Prometheus",
             lambda: [each["value"][1] for each in query("sum(leaderd_leader)")] == ["1"], 20)

    def empty() -> set[str]:
        """Titles without figures. Nothing is announced here, and no term begins or ends meanwhile."""
        found = {title for title, expression in queries()
                 if "announcements" not in expression and not query(expression)}
        return found - {"New terms", "Terms ended, by reason"}

    # A rate needs two scrapes of a series.
    wait_for("figures in every panel", lambda: not empty(), 30)
    rules = [rule for group in ask(f"{prometheus}rules")["data"]["groups"] for rule in group["rules"]]
    wait_for("all rules to be evaluated", lambda: all(
        rule["health"] == "ok"
        for group in ask(f"{prometheus}rules")["data"]["groups"] for rule in group["rules"]
    ), 20)
    assert len(rules) == RULES.read_text(encoding="utf-8").count("- alert:")
    alerts = ask(f"{prometheus}alerts")["data"]["alerts"]
    assert {each["labels"]["alertname"] for each in alerts if each["state"] == "firing"} == set()
