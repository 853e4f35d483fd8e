"""`doctor` against real etcd, on this machine as it is, and on it with something taken away."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.helpers import environment, leaderd
from tests.cluster import Cluster

CONFIG = """
node = "a"
state_dir = "{directory}/state"
[etcd]
endpoints = [{endpoints}]
[[election]]
name = "db"
ttl = 5
{election}
"""
HOOK = '[[election.resource]]\nname = "app"\ntype = "script"\ncommand = ["/bin/true"]\n'
VIP = '[[election.resource]]\nname = "vip"\ntype = "vip"\naddress = "192.0.2.9/24"\ninterface = "lo"\n'


@pytest.fixture(scope="module")
def etcd() -> Iterator[Cluster]:
    """A member as it comes."""
    with Cluster(1) as cluster:
        yield cluster


def config(directory: Path, *endpoints: str, election: str = HOOK) -> str:
    """Write a configuration; return its path."""
    path = directory / "leaderd.toml"
    quoted = ", ".join(f'"{endpoint}"' for endpoint in endpoints)
    path.write_text(CONFIG.format(directory=directory, endpoints=quoted, election=election))
    return str(path)


def findings(*arguments: str, wrap: tuple[str, ...] = ()) -> tuple[int, list[dict[str, str]]]:
    """Run doctor, perhaps by another program; return exit code and what it found."""
    result = subprocess.run(
        [*wrap, sys.executable, "-m", "leaderd", "doctor", "-o", "json", *arguments],
        env=environment(), capture_output=True, text=True, timeout=60, check=False,
    )
    assert result.stderr == ""
    return result.returncode, [json.loads(line) for line in result.stdout.splitlines()]


def results(found: list[dict[str, str]]) -> dict[str, str]:
    """Return the worst result of each check."""
    order = ("ok", "warn", "fail")
    worst = sorted(found, key=lambda each: order.index(each["result"]))
    return {each["check"]: each["result"] for each in worst}


def about(found: list[dict[str, str]], check: str) -> str:
    """Return all that was said of one check."""
    return " | ".join(f"{each['text']}; {each['remedy']}" for each in found if each["check"] == check)


def test_a_healthy_member_and_machine(etcd: Cluster, tmp_path: Path) -> None:
    """All of it is looked at, nothing fails, and the machine is as it was."""
    (endpoint,) = etcd.endpoints
    code, found = findings("-c", config(tmp_path, endpoint))
    seen = results(found)
    assert code == 0, found
    assert "fail" not in seen.values()
    assert {
        "configuration", f"etcd {endpoint}", f"round trip {endpoint}", f"JSON gateway {endpoint}",
        "minimum ttl", "kernel timers", "guard priority", "privileges", "namespaces", "address lifetimes",
        "watchdog", "state_dir",
    } <= seen.keys()
    assert "answered in" in about(found, f"etcd {endpoint}")
    assert "leases of 2 s and longer" in about(found, "minimum ttl")
    assert seen[f"JSON gateway {endpoint}"] == "ok"
    # Both of Debian's and of the wheel's releases have something wrong with them.
    assert "upgrade to" in about(found, "etcd version")
    assert "app would run on" in about(found, "watchdog")
    assert etcd.etcdctl("lease", "list").split()[1] == "0"
    assert not list(tmp_path.glob("state*"))


def test_one_line_each_for_people(etcd: Cluster, tmp_path: Path) -> None:
    """Result first, no colours without a terminal; what is to be done comes last."""
    result = leaderd("doctor", "-c", config(tmp_path, *etcd.endpoints))
    assert (result.returncode, result.stderr) == (0, "")
    assert {line.split()[0] for line in result.stdout.splitlines()} <= {"ok", "warn", "fail"}
    assert "\x1b" not in result.stdout


def test_an_endpoint_where_nobody_is(etcd: Cluster, tmp_path: Path) -> None:
    """That one fails, with what to look at; the other is looked at all the same."""
    (endpoint,) = etcd.endpoints
    code, found = findings("-c", config(tmp_path, endpoint, "http://127.0.0.1:1"))
    assert code == 1
    assert results(found)["etcd http://127.0.0.1:1"] == "fail"
    assert results(found)[f"etcd {endpoint}"] == "ok"
    assert "firewall" in about(found, "etcd http://127.0.0.1:1")


def test_an_etcd_that_is_slow_to_elect_and_has_no_gateway(tmp_path: Path) -> None:
    """Leases are longer than was asked, and a crash of the agent costs more: both are said."""
    options = ("--election-timeout", "3400", "--heartbeat-interval", "340", "--enable-grpc-gateway=false")
    with Cluster(1, options=options) as slow:
        code, found = findings("-c", config(tmp_path, *slow.endpoints))
    assert code == 0
    assert results(found)["minimum ttl"] == "warn"
    assert "longer; election db asks for 5 s; set its ttl to 6 or more" in about(found, "minimum ttl")
    assert results(found)[f"JSON gateway {slow.endpoints[0]}"] == "warn"
    assert "404" in about(found, f"JSON gateway {slow.endpoints[0]}")


@pytest.mark.root
@pytest.mark.skipif(shutil.which("setpriv") is None, reason="setpriv (util-linux) is not installed")
def test_without_privileges(tmp_path: Path) -> None:
    """What a vip needs fails, what merely helps is warned about."""
    where = config(tmp_path, "http://127.0.0.1:1", election=VIP)
    code, found = findings("-c", where, wrap=("setpriv", "--bounding-set=-all", "--inh-caps=-all"))
    seen = results(found)
    assert code == 1
    assert (seen["privileges"], seen["namespaces"], seen["guard priority"]) == ("fail", "warn", "warn")
    assert "vip needs CAP_NET_ADMIN and CAP_NET_RAW" in about(found, "privileges")
    assert seen["kernel timers"] == "ok"


def test_without_kernel_timers(tmp_path: Path) -> None:
    """A limit of 0 pending signals: leaderd could start nothing."""
    limited = ("bash", "-c", 'ulimit -i 0 && exec "$@"', "bash")
    code, found = findings(wrap=limited)
    assert (code, results(found)["kernel timers"]) == (1, "fail")
    assert "ulimit -i" in about(found, "kernel timers")


def test_watchdogs_that_are_configured_and_a_state_directory_that_cannot_be(tmp_path: Path) -> None:
    """A device must be there, and be one; it is not opened. The directory is named."""
    fence = 'fence = ["kill", "watchdog"]\nwatchdog_device = "{}"\n'
    more = fence.format("/dev/nowhere") + HOOK
    for name, device in (("web", "/etc/passwd"), ("mail", "/dev/null")):
        more += f'[[election]]\nname = "{name}"\n{fence.format(device)}{HOOK}'
    where = config(tmp_path, "http://127.0.0.1:1", election=more)
    code, found = findings("-c", where, "--state-dir", "/proc/nope")
    assert code == 1
    said = [(each["result"], each["text"]) for each in found if each["check"] == "watchdog"]
    assert said == [
        ("fail", "/dev/nowhere: No such file or directory"), ("fail", "/etc/passwd is no device"),
        ("ok", "/dev/null is there; it was not opened, since that starts it"),
    ]
    assert results(found)["state_dir"] == "fail"


def test_without_anything_the_machine_alone(tmp_path: Path) -> None:
    """And with an endpoint alone, etcd and the machine."""
    code, found = findings()
    assert (code, results(found)["etcd"]) == (0, "warn")
    assert "state_dir" not in results(found)
    code, found = findings("--endpoint", "http://127.0.0.1:1")
    assert code == 1
    assert {"configuration", "state_dir"}.isdisjoint(results(found))


def test_a_wrong_configuration_is_exit_2(tmp_path: Path) -> None:
    """As everywhere."""
    result = leaderd("doctor", "-c", config(tmp_path, "nonsense"))
    assert (result.returncode, result.stdout) == (2, "")
    assert "etcd.endpoints[0]" in result.stderr
