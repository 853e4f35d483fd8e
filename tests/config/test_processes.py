"""Process resources, checks and restarts, from the file to the plan."""

from leaderd.plan import CheckPlan, Plan
from tests.config.helpers import good, loaded, problems


def test_a_process_has_its_defaults_filled_in() -> None:
    """Contained, never restarted, ready as soon as it runs."""
    election = loaded(good(process__ready=None)).plan.elections[0]
    assert election.resources[1].settings == {
        "command": ["/bin/server"], "contain": True, "restart": 0, "ready": {}
    }
    assert election.check == CheckPlan(("/bin/check",), 2.0, 1.0, 2, 3)


def test_everything_survives_the_way_to_the_agent() -> None:
    """The plan is handed over as JSON."""
    plan = loaded(good(check__rise=7, process__ready={"command": ["x"], "timeout": 3.0})).plan
    assert Plan.decode(plan.encode()) == plan
    assert plan.elections[0].resources[1].settings["ready"] == {
        "command": ["x"], "exits": False, "timeout": 3.0
    }


def test_ready_asks_one_question() -> None:
    """Neither none nor two."""
    prefix = "election.db.resource.server.ready"
    every = "give one of tcp, http, command, exits"
    assert problems(good(process__ready={})) == [f"{prefix}: asks nothing: {every}"]
    assert problems(good(process__ready={"exits": False})) == [f"{prefix}: asks nothing: {every}"]
    assert problems(good(ready__exits=True)) == [f"{prefix}: has tcp and exits; drop all but one: {every}"]
    assert problems(good(process__ready=1)) == [
        f'{prefix}: must be a table such as {{ tcp = "127.0.0.1:80" }}, not 1'
    ]


def test_a_process_in_the_background_is_better_contained() -> None:
    """Only a namespace ends what has detached itself, when everything of ours is killed at once."""
    warnings = loaded(good(process__ready={"exits": True}, process__contain=False)).warnings
    assert any(line.startswith("election.db.resource.server.contain: is false") for line in warnings)


def test_a_restart_of_what_nobody_watches_is_refused() -> None:
    """A script fails by its monitor only."""
    assert problems(good(script__restart=1)) == [
        "election.db.resource.app.restart: has no effect without monitor_interval"
    ]
    assert loaded(good(script__restart=1, script__monitor_interval=5.0))
