"""`check`: the budget to scale, failover times, enforcers."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from leaderd.budget import draw, failovers, timing_of
from leaderd.cli.main import run_command
from leaderd.enforcers import enforcers
from tests.cli.helpers import leaderd
from tests.config.helpers import good, loaded
from tests.netns import needs_netns

CONFIG = """
node = "a"
[etcd]
endpoints = ["http://127.0.0.1:2379"]
[[election]]
name = "db"
[[election.resource]]
name = "app"
type = "script"
command = ["/no/such/hook"]
[[election.resource]]
name = "inside"
type = "script"
command = ["/bin/true"]
contain = true
"""


def test_a_right_configuration_is_drawn_and_exit_0(tmp_path: Path) -> None:
    """By position, by -c, from standard input: the same."""
    config = tmp_path / "leaderd.toml"
    config.write_text(CONFIG)
    by_position = leaderd("check", str(config))
    assert (by_position.returncode, by_position.stderr) == (0, "")
    assert by_position.stdout == leaderd("check", "-c", str(config)).stdout
    assert leaderd("check", "-", stdin=CONFIG).stdout == by_position.stdout
    assert "election db: at most one, ttl 10 s" in by_position.stdout
    assert "warning: election.db.resource.app.command: '/no/such/hook' is not there" in by_position.stdout


def test_the_same_as_values(tmp_path: Path) -> None:
    """With `-o json`: one object, for whoever checks the files of many nodes."""
    found = json.loads(leaderd("check", "-o", "json", "-", stdin=CONFIG).stdout)
    (db,) = found["elections"]
    assert (db["name"], db["budget"]["stop_at"], db["budget"]["expires_at"]) == ("db", 6.2, 8.7)
    assert {"cause": "node lost", "for": "≤ 10.7 s", "because": "the lease runs out"} in db["failovers"]
    assert [row["alone"] for row in db["enforcers"]] == ["no", "yes"]
    assert any("/no/such/hook" in text for text in found["warnings"])


def test_a_terminal_that_knows_no_unicode(tmp_path: Path) -> None:
    """Question marks, but an answer."""
    result = leaderd("check", "-", stdin=CONFIG, env={"PYTHONIOENCODING": "ascii"})
    assert (result.returncode, result.stderr) == (0, "")


def test_a_wrong_one_is_exit_2_with_every_problem(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """On standard error, a line each."""
    config = tmp_path / "leaderd.toml"
    config.write_text(CONFIG.replace("127.0.0.1:2379", "x").replace('"script"', '"teapot"'))
    assert run_command(["check", str(config)]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert len(captured.err.splitlines()) == 3


def test_the_bar_is_to_scale() -> None:
    """At the defaults: 6.2 s lead, 2 s stop, 0.5 s kill, 1.3 s spare, of 10."""
    plan = loaded(good()).plan.elections[0]
    bar, scale, *_ = draw(timing_of(plan))
    counts = [bar.count(sign) / 76 for sign in "=sk."]
    assert counts == pytest.approx([0.62, 0.20, 0.05, 0.13], abs=0.015)
    assert scale.split() == ["0.00", "6.20", "8.20", "8.70", "10.00"]
    assert abs(scale.index("8.20") - bar.index("k")) <= 1


@pytest.mark.parametrize("ttl", [3, 4, 5, 7, 10, 30, 60, 300])
def test_any_ttl_can_be_drawn(ttl: int) -> None:
    """The instants stay apart and in order."""
    _bar, scale, *_ = draw(timing_of(loaded(good(election__ttl=ttl)).plan.elections[0]))
    numbers = [float(word) for word in scale.split()]
    assert len(numbers) == 5
    assert numbers == sorted(numbers)


def test_failover_times_by_cause() -> None:
    """Worst cases at the defaults, in the issue's words."""
    plan = loaded(good()).plan.elections[0]
    rows = {cause: time for cause, time, _why in failovers(plan, timing_of(plan))}
    assert rows["node lost"] == "≤ 10.7 s"
    assert rows["etcd leader lost"] == "0"
    assert rows["planned stop"] == rows["agent killed"] == "≤ 2.2 s"
    assert rows["lease revoked"] == "≤ 4.4 s"
    assert rows["all of etcd lost"] == "until etcd is back"


def test_a_short_ttl_shows_what_an_etcd_leader_change_costs() -> None:
    """The same thing that the warning says."""
    plan = loaded(good(election__ttl=5)).plan.elections[0]
    rows = {cause: (time, why) for cause, time, why in failovers(plan, timing_of(plan))}
    assert rows["etcd leader lost"][1].startswith("may cost")


def test_the_enforcers_depend_on_containment_and_watchdog() -> None:
    """DESIGN: the table of enforcers."""
    server = ("server", "process", "yes", "yes", "yes", "yes")
    plain = loaded(good()).plan.elections[0]
    assert enforcers(plain) == [("app", "script", "yes", "no", "yes", "no"), server]
    contained = loaded(good(script__contain=True)).plan.elections[0]
    assert enforcers(contained) == [("app", "script", "yes", "yes", "yes", "yes"), server]
    loose = loaded(good(process__contain=False)).plan.elections[0]
    assert enforcers(loose)[1][3] == "the process, not what it detaches"
    lost = {cause: why for cause, _time, why in failovers(loose, timing_of(loose))}["guard and agent lost"]
    assert "app, what server detaches would run on" in lost
    watched = loaded(good(election__fence=["kill", "watchdog"])).plan.elections[0]
    assert enforcers(watched) == [
        ("app", "script", "yes", "no", "yes", "watchdog device"), server
    ]
    bare = loaded(good()).plan.elections[0]
    reasons = [
        why for cause, _time, why in failovers(bare, timing_of(bare)) if cause == "guard and agent lost"
    ]
    assert "app would run on: outside the promise" in reasons[0]


def test_an_interface_that_is_not_here_is_a_warning() -> None:
    """It may come later, and the file may be for another machine."""
    result = leaderd("check", "--endpoint", "http://127.0.0.1:1", "--election", "x",
                     "--vip", "10.0.0.1/24@nowhere0")
    assert result.returncode == 0, result.stderr
    assert "warning: election.x.resource.vip.interface: there is no nowhere0 on this machine" in result.stdout


@needs_netns
@pytest.mark.parametrize(("vip", "warning"), [
    ("10.0.0.9/24@one", "one has no address in 10.0.0.0/24, but two has"),
    ("10.0.0.9/24@two", ""),
    ("10.2.0.9/24@one", ""),
    ("10.0.0.9/32@one", ""),
    ("fe80::9/64@one", ""),
    ("fd00::9/64@one", "one has no address in fd00::/64, but two has"),
])
def test_an_interface_on_another_network_is_a_warning(vip: str, warning: str) -> None:
    """An engine that numbers interfaces anew may have made eth0 another one."""
    script = """set -e
        ip link add one type veth peer name two
        ip addr add 10.1.0.1/24 dev one
        ip addr add 10.0.0.9/24 dev one
        ip addr add 10.0.0.1/24 dev two
        ip addr add fd00::1/64 dev two
        exec "$@"
    """
    command = [sys.executable, "-m", "leaderd", "check", "--endpoint=http://127.0.0.1:1", "--election=x"]
    done = subprocess.run(["unshare", "--net", "sh", "-c", script, "sh", *command, f"--vip={vip}"],
                          capture_output=True, text=True, check=True)
    said = [line for line in done.stdout.splitlines() if ".interface: " in line]
    assert said == ([f"warning: election.x.resource.vip.interface: {warning}"] if warning else [])
