"""What a right configuration becomes: defaults, precedence, paths, the quick options."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from leaderd.config.load import Machine
from leaderd.config.paths import default_socket, default_state_dir
from leaderd.plan import Plan
from tests.config.helpers import MACHINE, good, loaded, problems


def machine(**environ: str) -> Machine:
    return dataclasses.replace(MACHINE, environ=environ)


QUICK = {"endpoint": ("http://a:2379",), "election": "x"}



@pytest.mark.parametrize(
    "address", ["", "0.0.0.0:80", "[::1]:4040", "[fe80::1%eth0]:1", "localhost:65535", "a.b-c:1"]
)
def test_http_listens_where_it_is_told(address: str) -> None:
    """By default on loopback, since it asks nobody for a password."""
    assert loaded(good()).plan.api.http == "127.0.0.1:4040"
    assert loaded(good(api__http=address)).plan.api.http == address


def test_the_defaults_scale_with_the_ttl() -> None:
    """DESIGN: retry_period 0.12·ttl, attempt 0.1·ttl up to 1 s, hedge 0.35 of it, stop 0.2·ttl."""
    election = loaded(good(election__ttl=20)).plan.elections[0]
    assert (election.retry_period, election.attempt_timeout, election.hedge_after) == (2.4, 1.0, 0.35)
    assert (election.stop_timeout, election.kill_time, election.margin) == (4.0, 0.5, 0.3)
    assert (election.clock_drift, election.start_timeout, election.priority) == (0.10, 30.0, 100)
    assert election.fence == ("kill",)


def test_hedging_scales_with_the_attempt_that_was_set() -> None:
    """Not with the attempt that the TTL would have given."""
    assert loaded(good(election__attempt_timeout=0.4)).plan.elections[0].hedge_after == pytest.approx(0.14)


def test_a_short_ttl_is_valid_and_warned_about() -> None:
    """Below 10 an etcd leader change may cost the leadership."""
    (warning,) = loaded(good(election__ttl=5)).warnings
    assert warning.startswith("election.db: an etcd leader change may cost the leadership")
    assert not loaded(good()).warnings


def test_the_plan_survives_its_journey_to_the_guard() -> None:
    """JSON there and back."""
    plan = loaded(good(election__fence=["kill", "command"], election__fence_command=["/bin/f"])).plan
    assert Plan.decode(plan.encode()) == plan


def test_option_goes_before_variable_before_file_before_default() -> None:
    """INTERFACES: precedence."""
    tables, environ = good(node="file"), machine(LEADERD_NODE="variable")
    assert loaded(tables, environ, node="option").plan.node == "option"
    assert loaded(tables, environ).plan.node == "variable"
    assert loaded(tables, machine(LEADERD_NODE="")).plan.node == "file"
    assert loaded(good(node=None)).plan.node == "host-a"


def test_variables_hold_lists_with_commas() -> None:
    """LEADERD_ENDPOINT=a,b."""
    plan = loaded(good(), machine(LEADERD_ENDPOINT="http://a:1, http://b:2,")).plan
    assert plan.etcd.endpoints == ("http://a:1", "http://b:2")


@pytest.mark.parametrize("given", [("http://a:1,http://b:2",), ("http://a:1", "http://b:2")])
def test_an_option_is_repeated_or_has_commas(given: tuple[str, ...]) -> None:
    """--endpoint a,b as etcdctl takes it."""
    assert loaded(good(), MACHINE, endpoint=given).plan.etcd.endpoints == ("http://a:1", "http://b:2")


def test_a_problem_is_named_after_where_its_value_came_from() -> None:
    """Whoever set LEADERD_NODE looks there, not into the file."""
    (line,) = problems(good(), machine(LEADERD_NODE="A"))
    assert line.startswith("LEADERD_NODE: 'A' must be")
    (line,) = problems(good(), MACHINE, endpoint=("http://a:1", "b"))
    assert line.startswith("--endpoint: 'b' is no URL")


def test_what_a_hook_is_told_does_not_configure_a_daemon() -> None:
    """`leaderd check` within a hook sees the hook's LEADERD_NODE and LEADERD_ELECTION."""
    hook = machine(LEADERD_ACTION="start", LEADERD_NODE="other", LEADERD_ELECTION="other")
    assert loaded(good(), hook).plan.node == "a"


def test_an_unusable_host_name_asks_for_a_node() -> None:
    """There is no guessing at names that other nodes will see."""
    (line,) = problems(good(node=None), dataclasses.replace(MACHINE, hostname="my_host!"))
    assert line.startswith("node: set it; the host name 'my_host!' will not do")


def test_paths_of_the_file_count_from_the_file_and_those_of_options_from_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same file means the same wherever it is read from."""
    monkeypatch.chdir(tmp_path)
    plan = loaded(good(state_dir="var/state", api__socket="run/s")).plan
    assert (plan.state_dir, plan.api.socket) == ("/var/state", "/run/s")
    assert loaded(good(), MACHINE, state_dir="x").plan.state_dir == str(tmp_path / "x")


def test_tls_and_user_come_in_pairs(tmp_path: Path) -> None:
    """Half of a pair is of no use, and TLS without https is none."""
    file = tmp_path / "f"
    file.write_text("x")
    path = str(file)
    https = ["https://a:1"]
    assert problems(good(etcd__endpoints=https, etcd__cert_file=path)) == [
        "etcd.key_file: is missing: cert_file is of no use without it"
    ]
    assert problems(good(etcd__user="u")) == ["etcd.password_file: is missing: user is of no use without it"]
    assert problems(good(etcd__ca_file=path)) == [
        "etcd.ca_file: has no effect: no endpoint begins with https://"
    ]
    full: dict[str, Any] = {
        f"etcd__{name}": path for name in ("ca_file", "cert_file", "key_file", "password_file")
    }
    plan = loaded(good(etcd__endpoints=https, etcd__user="u", **full)).plan
    assert (plan.etcd.ca_file, plan.etcd.user) == (path, "u")


def test_quick_options_make_one_election_with_one_hook() -> None:
    """Split as a shell would, run without one, without an added word."""
    plan = loaded({}, MACHINE, **QUICK, ttl="5", on_start="echo 'a b' c", on_stop="true").plan
    (election,) = plan.elections
    (hook,) = election.resources
    assert (election.name, election.ttl, hook.name, hook.type) == ("x", 5, "hook", "script")
    assert hook.settings == {
        "start": ["echo", "a b", "c"],
        "stop": ["true"],
        "contain": False,
        "restart": 0,
        "monitor_interval": 0.0,
    }


def test_quick_options_from_the_environment() -> None:
    """A container is set up by variables alone."""
    environ = machine(LEADERD_ENDPOINT="http://a:1", LEADERD_ELECTION="x", LEADERD_TTL="7")
    assert loaded({}, environ).plan.elections[0].ttl == 7


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (
            {"on_start": "x", "on_stop": "y"},
            "--election: is missing: --on-start, --on-stop are about an election",
        ),
        ({"election": "x", "ttl": "ten"}, "--ttl: must be a whole number, not 'ten'"),
        ({"election": "x", "ttl": "1"}, "--ttl: must be at least 2, not 1"),
        ({"election": "X"}, "--election: 'X' must be"),
        ({"election": "x", "on_start": "a 'b", "on_stop": "x"}, '--on-start: "a \'b" is no command line'),
        ({"election": "x", "on_start": "a"}, "--on-stop: is missing"),
        ({"election": "x", "vip": ("10.0.0.1@eth0",)}, "--vip '10.0.0.1@eth0': '10.0.0.1' has no prefix"),
        ({"election": "x", "vip": ("10.0.0.1/24@",)}, "--vip '10.0.0.1/24@': '' is no name of an interface"),
        ({"election": "x", "on_start": "", "on_stop": "x"}, "--on-start: must not be empty"),
        (
            {"election": "x", "vip": ("10.0.0.1/24@eth0", "10.0.0.2/24")},
            "--vip '10.0.0.2/24': must be ADDR/LEN@IFACE, as 10.0.0.1/24@eth0",
        ),
    ],
)
def test_wrong_quick_options_are_named_as_they_were_typed(options: dict[str, Any], line: str) -> None:
    """Never by a dotted key that the user has not written."""
    found = problems({}, MACHINE, endpoint=("http://a:1",), **options)
    assert any(each.startswith(line) for each in found), found


def test_quick_options_and_elections_of_a_file_exclude_each_other() -> None:
    """Nothing says which should win."""
    assert problems(good(), MACHINE, election="x") == [
        "--election: cannot be used with a file that has [[election]] in it"
    ]


def test_nothing_at_all_says_what_is_needed() -> None:
    """Endpoints have no default: two nodes with an etcd each would both lead."""
    assert [line.split(":")[0] for line in problems({})] == ["etcd.endpoints", "election"]


def test_a_script_needs_a_stop_and_monitors_only_with_an_interval() -> None:
    """What has no stop cannot be taken away."""
    split: dict[str, Any] = {"script__command": None, "script__start": ["a"], "script__stop": ["b"]}
    assert not problems(good(**split))
    assert "stop: is missing" in problems(good(**{**split, "script__stop": None}))[0]
    assert "monitor: has no effect" in problems(good(**split, script__monitor=["m"]))[0]
    assert "monitor_interval: has no effect" in problems(good(**split, script__monitor_interval=1.0))[0]
    assert not problems(good(script__monitor_interval=1.0))


def test_effects_that_depend_on_another_key_are_warned_about() -> None:
    """A watchdog device that nobody opens."""
    (warning,) = loaded(good(election__watchdog_device="/dev/watchdog1")).warnings
    assert warning.startswith("election.db.watchdog_device: has no effect")


@pytest.mark.parametrize(
    ("uid", "environ", "expected"),
    [
        (0, {}, "/run/leaderd/leaderd.sock"),
        (5, {"XDG_RUNTIME_DIR": "/run/user/5"}, "/run/user/5/leaderd/leaderd.sock"),
        (5, {"XDG_STATE_HOME": "/s", "XDG_RUNTIME_DIR": "relative"}, "/s/leaderd/leaderd.sock"),
    ],
)
def test_the_default_socket(uid: int, environ: dict[str, str], expected: str) -> None:
    """INTERFACES: /run, or under $XDG_RUNTIME_DIR when not root."""
    assert default_socket(environ, uid) == expected


def test_the_default_state_directory() -> None:
    """INTERFACES: /var/lib/leaderd/<node>, or under $XDG_STATE_HOME when not root."""
    assert default_state_dir({}, 0, "n") == "/var/lib/leaderd/n"
    assert default_state_dir({"XDG_STATE_HOME": "/s"}, 5, "n") == "/s/leaderd/n"
    assert default_state_dir({}, 5, "n").endswith("/.local/state/leaderd/n")
