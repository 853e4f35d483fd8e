"""What an earlier run has left is stopped first, and the agent is told what remains."""

import signal
import subprocess

from leaderd.clock import boot_id
from leaderd.guard.journal import Journal
from tests.guard.harness import LEASE, TOKEN, deadlines, election, eventually, order, runs, shell


def leave(run, message, phase="armed", boot=None, escalated=False):
    """Write a journal as an earlier run would have."""
    Journal(str(run.state_dir), boot or boot_id()).page(message, phase, escalated=escalated).write()


def test_the_stops_of_the_last_run_come_first(guarded, tmp_path):
    """Before any agent is started, with the journal's commands and the reason guard-died (R13, R4)."""
    run = guarded()
    leave(run, order([shell(f"echo $LEADERD_REASON $LEADERD_TOKEN > {tmp_path}/stopped; sleep 0.3")]))
    recovery = run.start().agent().payload["recovery"]["db"]
    assert (tmp_path / "stopped").read_text() == f"guard-died {TOKEN}\n"
    assert recovery["pending"]["token"] == TOKEN
    assert recovery["unclean"] == 0


def test_what_the_last_run_started_is_killed(guarded, tmp_path):
    """By the marks of node, election and lease; nothing else is touched."""
    run = guarded()
    marks = {"LEADERD_ELECTION": "db", "LEADERD_NODE": "a", "LEADERD_LEASE": f"{LEASE:x}"}
    mine = subprocess.Popen(["sleep", "600"], env=marks | {"PATH": "/usr/bin:/bin"})
    others = [
        subprocess.Popen(["sleep", "600"], env=marks | {"PATH": "/usr/bin:/bin"} | other)
        for other in ({"LEADERD_NODE": "b"}, {"LEADERD_LEASE": "1"}, {"LEADERD_ELECTION": "web"})
    ]
    try:
        leave(run, order())
        run.start().agent()
        assert mine.wait(10) == -signal.SIGKILL
        assert all(runs(other.pid) for other in others)
    finally:
        for process in [mine, *others]:
            process.kill()
            process.wait()


def test_a_stop_that_still_fails_is_handed_on(guarded, tmp_path):
    """The agent hears which token is unclean, may have it tried again, and releases it then."""
    run = guarded()
    leave(run, order([shell(f"test -e {tmp_path}/mended")], times=deadlines(-10, -8, -7.5)))
    agent = run.start().agent()
    recovery = agent.payload["recovery"]["db"]
    assert (recovery["pending"]["token"], recovery["unclean"]) == (TOKEN, TOKEN)
    assert run.journal()["phase"] == "unclean"
    (tmp_path / "mended").touch()
    agent.fence()
    assert agent.hear()["clean"] is True


def test_the_machine_is_fenced_in_the_boot_in_which_the_stop_failed(guarded):
    """A guard that finds resources it cannot stop must not leave them running."""
    run = guarded(election(fence=("kill", "reboot")))
    leave(run, order([shell("exit 1")]))
    run.start().agent()
    assert run.sysrq.read_text() == "b"
    assert run.journal()["escalated"] is True


def test_a_boot_is_never_followed_by_another_for_the_same_term(guarded):
    """After a reboot a stop that fails is only reported, or the machine would boot for ever."""
    run = guarded(election(fence=("kill", "reboot")))
    leave(run, order([shell("exit 1")]), boot="another boot")
    agent = run.start().agent()
    assert agent.payload["recovery"]["db"]["unclean"] == TOKEN
    agent.fence()
    assert agent.hear()["clean"] is False
    assert run.sysrq.read_text() == ""


def test_a_term_from_before_the_boot_does_not_starve_a_watchdog_that_others_use(guarded, tmp_path):
    """Or the machine would boot for ever; a guard that is started again in this boot still knows."""
    device = tmp_path / "watchdog"
    device.touch()
    fence = {"fence": ("kill", "watchdog"), "watchdog_device": str(device)}
    run = guarded(election(**fence), election(name="web", **fence))
    leave(run, order([shell("exit 1")]), boot="another boot")
    for token in (TOKEN + 1, TOKEN + 2):
        agent = run.start().agent()
        assert agent.payload["recovery"]["db"]["unclean"] == TOKEN
        agent.arm(order(name="web", token=token))
        size = device.stat().st_size
        eventually(lambda size=size: device.stat().st_size > size, "feeding")
        run.signal(signal.SIGKILL)
        run.wait()
        eventually(lambda agent=agent: not runs(agent.pid), "the agent's end")


def test_instants_of_another_boot_mean_nothing(guarded, tmp_path):
    """Deadlines far in the past do not cut the stops short."""
    run = guarded()
    leave(
        run,
        order([shell(f"sleep 0.3; touch {tmp_path}/stopped")], times=deadlines(-9e6, -9e6, -9e6)),
        boot="x",
    )
    run.start().agent()
    assert (tmp_path / "stopped").exists()


def test_a_pending_release_survives(guarded):
    """A stopped term is not stopped again; its release goes to the agent when etcd is out of reach."""
    run = guarded()
    leave(run, order([shell("exit 1")]), phase="stopped")
    recovery = run.start().agent().payload["recovery"]["db"]
    assert recovery["unclean"] == 0
    assert recovery["pending"]["holder_revision"] == 77
    assert not run.log("guard stops")


def test_elections_that_are_no_longer_configured_are_stopped_too(guarded, tmp_path):
    """The journal, not the configuration, says what may run."""
    run = guarded(election(name="web"))
    leave(run, order([shell(f"touch {tmp_path}/stopped")]))
    run.start().agent()
    assert (tmp_path / "stopped").exists()


def test_a_damaged_journal_is_named(guarded):
    """It cannot be acted on; the agent's own stop at start is what remains."""
    run = guarded()
    leave(run, order())
    (run.state_dir / "terms" / "db").write_text("{")
    assert run.start().agent().payload["recovery"] == {}
    assert "terms/db" in run.logged("journal not readable")["detail"]


def test_a_journal_that_cannot_be_used_is_one_clear_line(guarded):
    """Without a journal nothing may start."""
    run = guarded()
    (run.state_dir / "terms").write_text("")
    assert run.start().wait() == 1
    assert "terms" in run.logged("state_dir cannot be used")["detail"]
    assert len(run.log_path.read_text().splitlines()) == 1


def test_guard_and_agent_killed_together(guarded, tmp_path):
    """The next run stops what both have left behind, daemons included."""
    run = guarded().start()
    agent = run.agent()
    marks = {"LEADERD_ELECTION": "db", "LEADERD_NODE": "a", "LEADERD_LEASE": f"{LEASE:x}"}
    agent.arm(order([shell(f"touch {tmp_path}/stopped")]))
    agent.do(daemon=str(tmp_path / "daemon"), env=marks)
    daemon = int(
        eventually(lambda: (tmp_path / "daemon").exists() and (tmp_path / "daemon").read_text(), "daemon")
    )
    run.signal(signal.SIGSTOP)
    agent.signal(signal.SIGKILL)
    run.signal(signal.SIGKILL)
    run.wait()
    assert runs(daemon)
    assert run.journal()["phase"] == "armed"
    run.start().agent()
    assert (tmp_path / "stopped").exists()
    assert not runs(daemon)


def test_sigterm_during_recovery_ends_the_daemon(guarded, tmp_path):
    """No agent is started; what was stopped stays in the journal until it is released."""
    run = guarded()
    leave(run, order([shell(f"touch {tmp_path}/stopping; sleep 0.5")]))
    run.start()
    eventually((tmp_path / "stopping").exists, "the stop")
    run.signal(signal.SIGTERM)
    assert run.wait() == 0
    assert run.journal()["phase"] == "stopped"
    assert not run.log("agent started")
