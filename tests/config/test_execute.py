"""What `leaderd exec` makes of a name, a command and a file."""

from dataclasses import replace

import pytest

from leaderd.config.execute import Wanted, attach, load_exec
from leaderd.config.load import Loaded
from leaderd.config.source import Source
from leaderd.errors import ConfigError
from leaderd.plan import ApiPlan, Plan
from tests.config.helpers import MACHINE

ETCD = {"etcd": {"endpoints": ["http://127.0.0.1:2379"]}}
WANTED = Wanted("job", ("/bin/report", "-x"))


def made(
    tables: dict, wanted: Wanted = WANTED, environ: dict[str, str] | None = None, **options: str
) -> Loaded:
    machine = replace(MACHINE, environ=environ or {})
    return load_exec(Source({**ETCD, **tables}, "/"), wanted, options, machine)


def test_without_a_file_there_is_one_election_with_one_process() -> None:
    """Contained, never restarted; no socket, no state directory, and only warnings in the log."""
    plan = made({}).plan
    (election,) = plan.elections
    (resource,) = election.resources
    assert (election.name, election.ttl, resource.type) == ("job", 10, "process")
    assert resource.settings == {
        "command": ["/bin/report", "-x"], "contain": True, "restart": 0, "ready": {}
    }
    assert (plan.state_dir, plan.api, plan.log, plan.log_level) == ("", ApiPlan(""), "text", "warning")


def test_a_file_gives_etcd_and_the_budget_of_the_election_of_that_name() -> None:
    """Its daemon's socket and state directory are its daemon's, and so are other elections."""
    plan = made({
        "node": "n", "root": "/r", "state_dir": "/s", "api": {"socket": "/run/s"}, "log_level": "debug",
        "election": [{"name": "other", "ttl": 99}, {"name": "job", "ttl": 20, "priority": 7}],
    }).plan
    (election,) = plan.elections
    assert (plan.node, plan.root, plan.state_dir, plan.api.socket) == ("n", "/r", "", "")
    assert (election.ttl, election.priority, plan.log_level) == (20, 7, "debug")


def test_options_win() -> None:
    """And only they give a socket and a state directory; the environment may be another daemon's."""
    environ = {
        "LEADERD_STATE_DIR": "/d", "LEADERD_SOCKET": "/d/s", "LEADERD_ON_START": "x", "LEADERD_NODE": "m"
    }
    plan = made({}, environ=environ).plan
    assert (plan.node, plan.state_dir, plan.api.socket) == ("m", "", "")
    plan = made({}, replace(WANTED, ttl=30), environ, state_dir="/mine", socket="/mine/s").plan
    assert (plan.state_dir, plan.api.socket, plan.elections[0].ttl) == ("/mine", "/mine/s", 30)


def test_an_election_with_resources_is_refused() -> None:
    """The command would lead without them."""
    with pytest.raises(ConfigError, match=r"election.job.resource: has resources"):
        made({"election": [{"name": "job", "resource": [{"name": "x"}]}]})


@pytest.mark.parametrize("wanted", [Wanted("Job", ("x",)), Wanted("job", ("nul\0",)), replace(WANTED, ttl=1)])
def test_what_is_wrong_is_told(wanted: Wanted) -> None:
    """As in a file."""
    with pytest.raises(ConfigError):
        made({}, wanted)


def test_the_link_goes_with_the_process() -> None:
    """By its number, through the guard to the agent."""
    plan = attach(made({}), "/tmp/x", 9).plan
    assert plan.state_dir == "/tmp/x"
    assert Plan.decode(plan.encode()).elections[0].resources[0].settings["link"] == 9
