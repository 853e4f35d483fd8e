"""Every key refuses what it cannot mean, and names itself in one line."""

import math
from typing import Any

import pytest

from leaderd.config import model
from tests.config.helpers import good, loaded, problems

LABEL = {
    "etcd": "etcd",
    "api": "api",
    "election": "election.db",
    "script": "election.db.resource.app",
    "process": "election.db.resource.server",
    "ready": "election.db.resource.server.ready",
    "check": "election.db.check",
    "vip": "election.db.resource.address",
    "notify": "election.db.notify",
}
NOT_TEXT = [1, 1.5, True, [], {}, "", "nul\0"]
NOT_SECONDS = ["1", 0, -1, True, math.nan, math.inf, [], 1e9]
NOT_COMMAND = ["ls", [], [1], {}, ["nul\0"], [["a"]]]
NOT_COUNT = ["1", 1.0, True, [], 1 << 40]
NOT_NAME = [1, True, "", "A", "-a", "a b", "a\n", "ä", "a" * 64, [], {}]
BAD: dict[str, list[Any]] = {
    "node": NOT_NAME,
    "root": [1, "", "leaderd", "/", "/a/", "/a//b", "/a b", "/a\n"],
    "state_dir": NOT_TEXT,
    "log": [1, "", "xml", "TEXT"],
    "log_level": [1, "", "trace"],
    "etcd__endpoints": [
        None,
        1,
        [],
        "http://a:1",
        [1],
        [""],
        ["a"],
        ["a:2379"],
        ["http://a"],
        ["http://a:0"],
        ["http://a:99999"],
        ["http://a:b"],
        ["ftp://a:1"],
        ["http://:1"],
        ["http://u:p@a:1"],
        ["http://a:1/x"],
        ["http://a:1?x"],
        ["http://[::1:1"],
        ["http://a b:1"],
        ["http://a:1", "http://a:1/"],
    ],
    "etcd__ca_file": [*NOT_TEXT, "/nope", "/proc/self"],
    "etcd__cert_file": [*NOT_TEXT, "/nope"],
    "etcd__key_file": [*NOT_TEXT, "/nope"],
    "etcd__user": NOT_TEXT,
    "etcd__password_file": [*NOT_TEXT, "/nope"],
    "api__socket": [*NOT_TEXT, "/" + "s" * 107],
    "api__socket_group": [1, True, [], "no-such-group", "nul\0"],
    "api__http": [
        1, True, "4040", ":4040", "127.0.0.1", "127.0.0.1:0", "127.0.0.1:65536", "127.0.0.1:http", "::1:4040",
        "[::1", "[::1]", "[127.0.0.1]:4040", "[a]:4040", "http://127.0.0.1:4040", "a b:4040", "a:4040 ",
        "-a:1", "1.2.3.4:" + "9" * 100,
    ],
    "election__name": [None, *NOT_NAME],
    "election__guarantee": [1, "", "exactly-one"],
    "election__ttl": [0, 1, 301, -5, 10.0, "10", True, math.nan],
    "election__retry_period": NOT_SECONDS,
    "election__attempt_timeout": NOT_SECONDS,
    "election__hedge_after": NOT_SECONDS,
    "election__stop_timeout": NOT_SECONDS,
    "election__kill_time": NOT_SECONDS,
    "election__start_timeout": NOT_SECONDS,
    "election__margin": NOT_SECONDS,
    "election__clock_drift": ["0.1", -0.1, 0.5, 1, math.nan, True],
    "election__priority": ["1", 1.0, -1, 1 << 40, True],
    "election__preempt": [1, "no"],
    "election__preempt_delay": NOT_SECONDS,
    "election__fence": ["kill", [], ["explode"], [1], ["kill", "kill"]],
    "election__fence_command": ["x", [1], ["/bin/fence"]],
    "election__watchdog_device": NOT_TEXT,
    "script__name": [None, *NOT_NAME],
    "script__type": [None, 1, "", "mounted", "Script", ["script"]],
    "script__command": [None, *NOT_COMMAND],
    "script__start": [*NOT_COMMAND, ["x"]],
    "script__stop": [*NOT_COMMAND, ["x"]],
    "script__monitor": [*NOT_COMMAND, ["x"]],
    "script__monitor_interval": NOT_SECONDS,
    "script__contain": [0, "yes", []],
    "script__restart": [*NOT_COUNT, -1, 5],
    "process__name": [None, *NOT_NAME],
    "process__type": [None, 1, "", "Process"],
    "process__command": [None, *NOT_COMMAND],
    "process__contain": [0, "yes", []],
    "process__restart": [*NOT_COUNT, -1],
    "ready__tcp": [*NOT_TEXT, "80", ":80", "a:", "a:0", "a:65536", "a:b", "a:٣"],
    "ready__http": [*NOT_TEXT, "a", "ftp://a/", "http://", "http://a b/", "http://a:x/", "http://a/ä"],
    "ready__command": NOT_COMMAND,
    "ready__exits": [0, "yes", []],
    "ready__timeout": NOT_SECONDS,
    "check__command": [None, *NOT_COMMAND],
    "check__interval": NOT_SECONDS,
    "check__timeout": NOT_SECONDS,
    "check__rise": [*NOT_COUNT, 0, -1],
    "check__fall": [*NOT_COUNT, 0, -1],
    "vip__name": [None, *NOT_NAME],
    "vip__type": [None, 1, "", "Vip", ["vip"]],
    "vip__address": [
        None, *NOT_TEXT, "10.0.0.1", "10.0.0.1/33", "10.0.0.0/24", "10.0.0.255/24", "0.0.0.0/0", "1.2.3.4/0",
        "224.0.0.1/24", "127.0.0.1/8", "255.255.255.255/32", "::1/128", "ff02::1/64", "fe80::1%eth0/64",
        "::ffff:10.0.0.1/96", "2001:db8::1/129", "x/24", "10.0.0.1/24@eth0",
    ],
    "vip__addresses": [[], "10.0.0.1/24", [1], ["10.0.0.1"]],
    "vip__interface": [None, *NOT_TEXT, ".", "..", "a/b", "a b", "eth0:1", "sixteen-letters-", "\u00e9"],
    "vip__on_conflict": ["ask", "", 1, True],
    "vip__announce_interval": [*NOT_SECONDS, 0.5],
    "notify__command": [None, *NOT_COMMAND],
    "notify__timeout": NOT_SECONDS,
}
MODELS = {
    "": model.Daemon,
    "etcd": model.Etcd,
    "api": model.Api,
    "election": model.Election,
    "script": model.Script,
    "process": model.Process,
    "ready": model.Ready,
    "check": model.Check,
    "vip": model.Vip,
    "notify": model.Notify,
}


def test_every_key_that_may_be_written_is_tried() -> None:
    """A new key needs its own wrong values here."""
    keys = {
        f"{place}__{name}" if place else name for place, each in MODELS.items() for name in each.model_fields
    }
    assert keys == set(BAD)


@pytest.mark.parametrize(("key", "value"), [(key, value) for key, values in BAD.items() for value in values])
def test_a_wrong_value_is_refused_by_its_dotted_key(key: str, value: Any) -> None:
    """One line names the key; no line is longer than a terminal can show in three."""
    found = problems(good(**{key: value}))
    assert found
    place, _, name = key.rpartition("__")
    label = f"{LABEL[place]}.{name}" if place else name
    if key in ("election__name", "script__name", "vip__name", "process__name"):
        for named in ("db", "app", "address", "server"):
            label = label.replace(f".{named}.name", "")  # the name is what is wrong
    if key.startswith("election__") and isinstance(value, float):
        assert any(line.startswith(("election.db:", label)) for line in found)
    else:
        assert any(line.startswith(label) for line in found), found
    for line in found:
        assert line.isprintable()
        assert len(line) < 400


@pytest.mark.parametrize("place", list(MODELS))
def test_an_unknown_key_is_refused_in_every_table(place: str) -> None:
    """A key with a slip of the finger must not count as its default."""
    key = f"{place}__tpyo" if place else "tpyo"
    assert problems(good(**{key: 1})) == [
        f"{LABEL[place]}.tpyo: unknown key" if place else "tpyo: unknown key"
    ]


def test_a_near_miss_is_told_what_it_may_have_meant() -> None:
    """`retry_perod` is `retry_period`."""
    assert problems(good(election__retry_perod=1.0)) == [
        "election.db.retry_perod: unknown key; did you mean retry_period?"
    ]


@pytest.mark.parametrize("table", ["etcd", "api", "election"])
@pytest.mark.parametrize("value", [1, "x", [1], True])
def test_a_table_that_is_none_is_refused(table: str, value: Any) -> None:
    """`[[etcd]]`, `etcd = 1` and their like."""
    assert any(line.startswith(f"{table}: must be a") for line in problems(good(**{table: value})))


def test_keys_of_later_versions_are_refused_unless_they_say_what_is_done_anyway() -> None:
    """A preemption that never comes: better no start than a false promise."""
    loaded(
        good(
            election__preempt=False,
            election__preempt_delay=60.0,
            election__guarantee="at-most-one",
            api__http="",
        )
    )


def test_everything_wrong_is_said_at_once() -> None:
    """Top, etcd, api, elections, resources, budget: one start finds them all."""
    tables = good(node="A", etcd__endpoints=["x"], api__http="x", election__fence=["x"], script__contain=1)
    tables["election"] += [{"name": "tight", "stop_timeout": 8.0}, {"name": "twin"}, {"name": "twin"}]
    keys = [line.split(": ")[0] for line in problems(tables)]
    assert sorted(keys) == [
        "api.http",
        "election.db.fence[0]",
        "election.db.resource.app.contain",
        "election.tight",
        "election.twin",
        "etcd.endpoints[0]",
        "node",
    ]


def test_a_budget_that_does_not_add_up_names_every_term() -> None:
    """The user sees which part to shorten."""
    (line,) = problems(good(election__ttl=4, election__stop_timeout=2.0))
    assert line.startswith("election.db: the time budget does not add up")
    for term in ("stop_timeout", "4·(1 − 0.1)", "kill_time", "retry_period", "margin"):
        assert term in line


def test_a_password_in_a_url_is_not_repeated() -> None:
    """The line may end up in a log."""
    (line,) = problems(good(etcd__endpoints=["http://me:secret@a:1"]))
    assert "secret" not in line


def test_a_bad_key_does_not_hide_a_budget_that_does_not_add_up() -> None:
    """Both are said in one go; a budget with a bad part of its own is not judged."""
    found = problems(good(election__name="D B", election__stop_timeout=9.0))
    assert any("name" in line for line in found)
    assert any("does not add up" in line for line in found)
    found = problems(good(election__ttl="ten", election__stop_timeout=9.0))
    assert not any("does not add up" in line for line in found)
