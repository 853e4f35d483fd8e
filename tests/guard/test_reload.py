"""SIGHUP at the guard: it takes over what is safe, passes it on, names the rest, and never stops for it."""

import json
import signal
from dataclasses import asdict, replace

import pytest

from leaderd.guard.reload import Reloader
from leaderd.plan import ApiPlan, CheckPlan, EtcdPlan, NotifyPlan, Plan
from tests.guard.harness import CLOCK, GuardRun, eventually, order, shell

FAILED = "reload failed, nothing has changed"


class Reloading:
    """A guard whose configuration is a file that the test writes."""

    def __init__(self, guarded, tmp_path):
        self.answer = tmp_path / "answer"
        self.run: GuardRun = guarded(reread=["/bin/cat", str(self.answer)])
        self.plan = self.run.plan
        self.run.start()

    def configure(self, **changes):
        """Change elections' fields and, with a prefix `plan_`, those of the plan."""
        own = {key: value for key, value in changes.items() if not key.startswith("plan_")}
        top = {key.removeprefix("plan_"): value for key, value in changes.items() if key.startswith("plan_")}
        (election,) = self.plan.elections
        self.plan = replace(self.plan, **top, elections=(replace(election, **own),))
        self.say(plan=asdict(self.plan), warnings=[])

    def say(self, **answer):
        self.answer.write_text(json.dumps(answer))

    def hup(self):
        self.run.signal(signal.SIGHUP)


@pytest.fixture
def reloading(guarded, tmp_path):
    return Reloading(guarded, tmp_path)


def test_what_is_safe_reaches_this_agent_and_the_next(reloading):
    """The next one starts with the plan that was reloaded, not with the one of the start."""
    run, agent = reloading.run, reloading.run.agent()
    reloading.configure(priority=7, notify=NotifyPlan(("/bin/notify",), 2.0), plan_log_level="info")
    reloading.hup()
    changes = agent.hear()["changes"]
    assert [path for path, _ in changes] == [
        ["log_level"], ["election", "db", "priority"], ["election", "db", "notify"],
    ]
    run.logged("reloaded", changed="log_level, election.db.priority, election.db.notify")
    agent.signal(signal.SIGKILL)
    again = run.agent()
    assert again.payload["plan"]["log_level"] == "info"
    assert again.payload["plan"]["elections"][0]["priority"] == 7
    assert again.payload["plan"]["elections"][0]["notify"] == {"command": ["/bin/notify"], "timeout": 2.0}


def test_the_rest_is_refused_by_name_and_does_not_come_in_later(reloading):
    """In one line; what is safe beside it is taken over all the same; the next agent has the old values."""
    run, agent = reloading.run, reloading.run.agent()
    reloading.configure(ttl=20, priority=7, plan_root="/other")
    reloading.hup()
    assert agent.hear()["changes"] == [[["election", "db", "priority"], 7]]
    line = run.logged("reload refused")
    assert (line["keys"], line["detail"]) == ("root, election.db.ttl", "restart to apply them")
    agent.signal(signal.SIGKILL)
    plan = run.agent().payload["plan"]
    (election,) = plan["elections"]
    assert (plan["root"], election["ttl"], election["priority"]) == ("/leaderd", 10, 7)


@pytest.mark.parametrize(("answer", "said"), [
    ('{"problems": ["election.db.ttl: is no number", "node: is too long"]}', "node: is too long"),
    ("Traceback", "reading the configuration ended with exit code 0"),
    ("", "reading the configuration ended with exit code 0"),
    (json.dumps({"problems": ["x" * 400] * 500}), "too much at once"),
])
def test_a_configuration_that_is_not_right_changes_nothing(reloading, answer, said):
    """Every problem has a line; the guard goes on, and the next reload works."""
    run, agent = reloading.run, reloading.run.agent()
    reloading.answer.write_text(answer)
    reloading.hup()

    def told():
        return [line for line in run.log(FAILED) if said in line["detail"]]

    eventually(told, said)
    reloading.configure(priority=8)
    reloading.hup()
    assert agent.hear()["changes"] == [[["election", "db", "priority"], 8]]


def test_too_much_for_one_message_is_refused_whole(reloading):
    """Rather than half of it."""
    run, agent = reloading.run, reloading.run.agent()
    reloading.configure(priority=7, check=CheckPlan(("/bin/check", "x" * 60_000)))
    reloading.hup()
    assert "too much at once" in run.logged(FAILED)["detail"]
    agent.signal(signal.SIGKILL)
    assert run.agent().payload["plan"]["elections"][0]["priority"] == 100


def test_a_term_under_way_is_not_touched(reloading, tmp_path):
    """Reloads between arming and the agent's death; the stops are those of the term."""
    run, agent = reloading.run, reloading.run.agent()
    agent.arm(order([shell(f"touch {tmp_path}/stopped")]))
    reloading.configure(priority=7, check=CheckPlan(("/bin/check",)))
    reloading.hup()
    agent.hear()
    agent.extend()
    agent.signal(signal.SIGKILL)
    run.logged("guard stopped it")
    assert (tmp_path / "stopped").exists()


def test_a_reader_that_hangs_is_given_up():
    """Its worker is killed at its deadline, as any is; then the next signal is heard again."""
    asked, lines = [], []

    class Hanging:
        def submit(self, lane, job, done, until):
            asked.append((done, until))

    class Lines:
        def error(self, event, **fields):
            lines.append((event, fields["detail"]))

    begun = CLOCK.now()
    plan = Plan("a", "/", "/", "json", "info", EtcdPlan(()), ApiPlan(""), ())
    reloader = Reloader(["cat"], Hanging(), CLOCK, Lines(), lambda *_: pytest.fail("nothing was read"))
    reloader.begin(plan)
    (done, until), = asked
    assert begun.left_until(until) == pytest.approx(0, abs=15)
    done(None)
    assert lines == [(FAILED, "the configuration could not be read within 10 s")]
    reloader.begin(plan)
    assert len(asked) == 2


def test_signals_in_a_row_end_with_the_newest_configuration(guarded, tmp_path):
    """One that comes while the file is being read has it read once more."""
    go, answer = tmp_path / "go", tmp_path / "answer"
    script = f"cat {answer}; echo x >> {tmp_path}/reads; while [ ! -e {go} ]; do sleep 0.02; done"
    run = guarded(reread=["/bin/sh", "-c", script])
    plan = run.plan
    run.start()
    agent = run.agent()
    answer.write_text(json.dumps({"plan": asdict(plan), "warnings": []}))
    run.signal(signal.SIGHUP)
    eventually((tmp_path / "reads").exists, "the first reading")
    newest = replace(plan, elections=(replace(plan.elections[0], priority=9),))
    answer.write_text(json.dumps({"plan": asdict(newest), "warnings": ["a warning"]}))
    for _ in range(5):
        run.signal(signal.SIGHUP)
    go.touch()
    assert agent.hear()["changes"] == [[["election", "db", "priority"], 9]]
    run.logged("beware", detail="a warning")
    run.logged("reloaded", changed="nothing")


def test_without_a_configuration_to_read_it_says_so(guarded):
    """As with `leaderd exec`."""
    run = guarded().start()
    run.agent()
    run.signal(signal.SIGHUP)
    assert run.logged("reload refused")["detail"] == "leaderd exec has nothing to reload"
