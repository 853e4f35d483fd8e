"""The guard as a process: arming, deadlines, the agent's death, shutdown."""

import json
import os
import signal
import time
from itertools import pairwise

from leaderd.clock import boot_id
from leaderd.guard.process import Restarts
from leaderd.guard.wire import Disarm, Extend, Fence, Forget, Stopping
from tests.guard.harness import CLOCK, LEASE, TOKEN, deadlines, election, eventually, order, runs, shell


def test_it_is_armed_only_once_the_journal_is_on_disk(guarded):
    """By the time the agent hears "armed" the file holds all that the next run needs (R13)."""
    run = guarded().start()
    agent = run.agent()
    message = order([shell("true")])
    agent.arm(message)
    entry = run.journal()
    assert entry["phase"] == "armed"
    assert entry["order"]["token"] == TOKEN
    assert entry["order"]["holder_revision"] == 77
    assert entry["order"]["stops"][0]["argv"] == ["/bin/sh", "-c", "true"]
    assert entry["boot_id"] == boot_id()


def test_it_does_not_arm_without_a_journal(guarded):
    """A disk that refuses the journal means that nothing may start."""
    run = guarded().start()
    agent = run.agent()
    folder = run.state_dir / "terms"
    folder.rmdir()
    agent.send(order())
    run.logged("journal not written")
    folder.mkdir()
    agent.send(Disarm("db", TOKEN))
    eventually(run.journal, "the disarmed term in the journal")
    agent.send(order(token=TOKEN + 1))
    assert agent.hear() == {"type": "armed", "election": "db", "token": TOKEN + 1}


def test_a_killed_agent_leaves_nothing_behind(guarded, tmp_path):
    """Children, sessions and daemons all die, then the stops run in order, with the hook contract."""
    run = guarded().start(env={"LEADERD_SECRET": "x"})
    agent = run.agent()
    assert agent.env["PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION"] == "python"
    assert "LEADERD_SECRET" not in agent.env
    child = agent.do(spawn=["sleep", "600"])
    agent.do(daemon=str(tmp_path / "daemon"))
    daemon = int(
        eventually(lambda: (tmp_path / "daemon").exists() and (tmp_path / "daemon").read_text(), "daemon")
    )
    record = (
        f"env | grep -e ^LEADERD -e ^PROTOCOL | sort > {tmp_path}/$0; echo $0 >> {tmp_path}/order; "
        f"! kill -0 {daemon}"
    )
    stops = [shell(record.replace("$0", name), name) for name in ("second", "first")]
    agent.arm(order(stops))
    agent.signal(signal.SIGKILL)
    run.logged("guard stopped it", released=False)
    assert not runs(child)
    assert not runs(daemon)
    assert (tmp_path / "order").read_text().split() == ["second", "first"]
    told = dict(line.split("=", 1) for line in (tmp_path / "second").read_text().splitlines())
    timeout, sequence = told.pop("LEADERD_TIMEOUT"), told.pop("LEADERD_SEQUENCE")
    assert 0 < float(timeout) <= 2.0
    assert sequence == "1"
    assert told == {
        "LEADERD_ACTION": "stop",
        "LEADERD_ELECTION": "db",
        "LEADERD_NODE": "a",
        "LEADERD_TOKEN": str(TOKEN),
        "LEADERD_LEASE": f"{LEASE:x}",
        "LEADERD_REASON": "agent-died",
        "LEADERD_PREVIOUS": "b",
    }
    again = run.agent()
    recovery = again.payload["recovery"]["db"]
    assert recovery["unclean"] == 0
    assert recovery["pending"]["token"] == TOKEN
    assert recovery["pending"]["holder_revision"] == 77
    assert json.loads(recovery["pending"]["record"])["state"] == "held"
    assert again.payload["guard_pid"] == run.process.pid
    assert again.payload["plan"]["node"] == "a"


def test_a_new_agent_waits_for_the_end_of_what_the_old_one_left(guarded):
    """The sweep takes all that hangs below the guard: an agent that came too early would be swept as well."""
    run = guarded().start()
    agent = run.agent()
    # The more there are, the surer one of them is still dying when the guard looks.
    for _ in range(40):
        agent.do(spawn=["sleep", "600"])
    agent.signal(signal.SIGKILL)
    again = run.agent()
    again.arm(order())
    assert len(run.log("agent started")) == 2
    assert len(run.log("agent ended")) == 1


def test_agents_are_restarted_with_growing_delay(guarded):
    """An agent that dies again and again is not started in a tight loop."""
    run = guarded().start()
    seen = []
    for _ in range(4):
        agent = run.agent()
        seen.append(time.monotonic())
        agent.tell(exit=1)
    gaps = [later - earlier for earlier, later in pairwise(seen)]
    assert gaps[1] >= 0.5
    assert gaps[2] >= 1.0


def test_delays_grow_and_start_again_after_a_good_life():
    """0, 0.5, 1, 2, … 30 s; a minute of work is proof enough."""
    restarts = Restarts()
    delays = [restarts.delay_after(1.0) for _ in range(10)]
    assert delays == [0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0]
    assert restarts.delay_after(61.0) == 0.0
    assert restarts.delay_after(59.0) == 0.5


def test_a_late_agent_is_killed_and_its_term_stopped(guarded, tmp_path):
    """An agent that is stopped past stop_at + 0.1 s dies, not before, and the stops run before fence_at."""
    run = guarded().start()
    agent = run.agent()
    times = deadlines(stop=0.6, fence=5.0, expire=5.5)
    agent.arm(order([shell(f"touch {tmp_path}/stopped")], times=times))
    agent.signal(signal.SIGSTOP)
    eventually(lambda: not runs(agent.pid), "the end of the late agent")
    assert CLOCK.now().left_until(times.stop_at) <= -0.1
    eventually((tmp_path / "stopped").exists, "the stop")
    assert CLOCK.now().left_until(times.fence_at) > 0
    assert "has not begun to stop in time" in run.logged("agent killed")["detail"]


def test_an_agent_that_stops_has_until_fence_at(guarded, tmp_path):
    """Once the agent has said that it is stopping, the guard waits until fence_at, then kills."""
    run = guarded().start()
    agent = run.agent()
    times = deadlines(stop=0.3, fence=1.5, expire=2.0)
    agent.arm(order([shell(f"touch {tmp_path}/stopped")], times=times))
    agent.send(Stopping("db", TOKEN))
    eventually(lambda: not runs(agent.pid), "the end of the overdue agent")
    assert -1.0 < CLOCK.now().left_until(times.fence_at) <= 0
    eventually((tmp_path / "stopped").exists, "the stop")


def test_a_renewal_moves_the_deadlines(guarded):
    """An extended term is judged by its new deadlines."""
    run = guarded().start()
    agent = run.agent()
    agent.arm(order(times=deadlines(stop=0.5, fence=0.8, expire=1.0)))
    agent.extend(stop=1.5, fence=5.0, expire=6.0)
    time.sleep(0.9)
    assert runs(agent.pid)
    eventually(lambda: not runs(agent.pid), "the end of the agent after the last deadline")


def test_news_of_an_old_term_changes_nothing(guarded):
    """Neither disarm nor forget nor a renewal with another token touches the term."""
    run = guarded().start()
    agent = run.agent()
    agent.arm(order(times=deadlines(stop=0.8, fence=5.0, expire=6.0)))
    agent.send(Disarm("db", TOKEN - 1))
    agent.send(Forget("db", TOKEN - 1))
    agent.send(Extend("db", TOKEN - 1, deadlines(stop=60.0, fence=61.0, expire=62.0)))
    agent.send(order(token=TOKEN - 1, times=deadlines(60.0, 61.0, 62.0)))
    eventually(lambda: not runs(agent.pid), "the end of the agent")
    assert run.journal()["order"]["token"] == TOKEN


def test_a_stopped_guard_hears_everything_before_it_judges(guarded):
    """Renewals that came while the guard was stopped count, though the old deadline has long passed."""
    run = guarded().start()
    agent = run.agent()
    agent.arm(order(times=deadlines(stop=0.4, fence=0.8, expire=1.0)))
    run.signal(signal.SIGSTOP)
    for _ in range(20):
        agent.extend(stop=30.0, fence=31.0, expire=32.0)
    time.sleep(1.2)
    run.signal(signal.SIGCONT)
    agent.send(Stopping("db", TOKEN))
    agent.send(Disarm("db", TOKEN))
    eventually(lambda: run.journal()["phase"] == "stopped", "the disarmed term in the journal")
    assert runs(agent.pid)
    assert not run.log("agent killed")


def test_a_forgotten_term_leaves_no_journal(guarded):
    """After disarm and forget nothing is left to do, whatever happens to the agent."""
    run = guarded().start()
    agent = run.agent()
    agent.arm(order([shell("exit 1")]))
    agent.send(Disarm("db", TOKEN))
    agent.send(Forget("db", TOKEN))
    eventually(lambda: run.journal() is None, "an empty journal")
    agent.signal(signal.SIGKILL)
    assert run.agent().payload["recovery"] == {}
    assert not run.log("guard stops")


def test_shutdown_goes_through_the_agent(guarded):
    """SIGTERM becomes a message, and the guard exits 0 when the agent has."""
    run = guarded().start()
    agent = run.agent()
    run.signal(signal.SIGTERM)
    assert agent.hear() == {"type": "shutdown"}
    agent.tell(exit=0)
    assert run.wait() == 0


def test_an_agent_that_dies_in_shutdown_is_cleaned_up_after(guarded, tmp_path):
    """The guard then stops, exits 1, and starts no other."""
    run = guarded().start()
    agent = run.agent()
    agent.arm(order([shell(f"touch {tmp_path}/stopped")]))
    run.signal(signal.SIGINT)
    assert agent.hear() == {"type": "shutdown"}
    agent.signal(signal.SIGKILL)
    assert run.wait() == 1
    assert (tmp_path / "stopped").exists()
    assert run.journal()["phase"] == "stopped"


def test_a_second_signal_does_not_wait_for_the_agent(guarded, tmp_path):
    """Who insists gets the agent killed and its resources stopped by the guard."""
    run = guarded().start()
    agent = run.agent()
    agent.arm(order([shell(f"touch {tmp_path}/stopped")]))
    run.signal(signal.SIGTERM)
    assert agent.hear() == {"type": "shutdown"}
    run.signal(signal.SIGTERM)
    assert run.wait() == 1
    assert (tmp_path / "stopped").exists()


def test_an_agent_that_breaks_the_protocol_is_killed(guarded):
    """What cannot be understood may have been a disarm: better no agent than a misunderstood one."""
    run = guarded().start()
    agent = run.agent()
    agent.tell(send="no json")
    eventually(lambda: not runs(agent.pid), "the end of the agent")


def test_an_agent_that_closes_its_link_while_it_holds_is_killed(guarded):
    """Nobody may hold out of the guard's hearing."""
    run = guarded().start()
    agent = run.agent()
    agent.arm(order())
    agent.tell(close=True)
    eventually(lambda: not runs(agent.pid), "the end of the agent")


def test_the_agent_holds_the_lock_when_the_guard_is_dead(guarded):
    """While an agent of a dead guard lives, no other daemon may start beside it."""
    run = guarded().start()
    agent = run.agent()
    agent.do(spin=True)
    run.signal(signal.SIGKILL)
    run.wait()
    assert run.locked()
    agent.signal(signal.SIGKILL)
    eventually(lambda: not run.locked(), "the lock free")


def test_elections_are_kept_apart(guarded, tmp_path):
    """The death of the agent stops every election, each with its own commands."""
    run = guarded(election(), election(name="web")).start()
    agent = run.agent()
    for name in ("db", "web"):
        agent.arm(order([shell(f"touch {tmp_path}/{name}")], name=name))
    agent.send(Disarm("web", TOKEN))
    agent.signal(signal.SIGKILL)
    again = run.agent()
    assert (tmp_path / "db").exists()
    assert not (tmp_path / "web").exists()
    assert set(again.payload["recovery"]) == {"db", "web"}


def test_hook_output_is_logged_and_bounded(guarded):
    """Lines appear in the log with their resource; a flood is cut."""
    run = guarded().start()
    agent = run.agent()
    agent.arm(
        order(
            [shell("echo hello; seq 100000; (sleep 600 &) ", "noisy", timeout=10.0)],
            times=deadlines(20, 25, 26),
        )
    )
    agent.signal(signal.SIGKILL)
    run.agent()
    lines = [line["line"] for line in run.log("hook output")]
    assert lines[0] == "hello"
    assert len(lines) == 501
    assert "more lines left out" in lines[-1]


def test_fence_of_an_unknown_term_is_answered(guarded):
    """Who asks for fencing waits for the answer."""
    run = guarded().start()
    agent = run.agent()
    agent.send(Fence("db", 5))
    answer = agent.hear()
    assert answer["type"] == "fenced"
    assert answer["clean"] is False
    assert os.getpgid(agent.pid) == agent.pid


def test_the_guard_keeps_its_promises_while_nobody_reads_its_log(guarded, tmp_path):
    """A full pipe on standard error must not stop it."""
    run = guarded()
    os.mkfifo(run.log_path)
    reader = os.open(run.log_path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        agent = run.start().agent()
        agent.arm(order([shell("seq 100000 | head -c 200000; touch " + str(tmp_path / "stopped"))]))
        agent.signal(signal.SIGKILL)
        eventually((tmp_path / "stopped").exists, "the stop")
        run.agent().arm(order(token=TOKEN + 1))
    finally:
        os.close(reader)
        run.log_path = tmp_path / "none"


def test_a_long_arm_message_arrives_whole(guarded):
    """Many resources with long commands fit into one packet."""
    run = guarded().start()
    agent = run.agent()
    agent.arm(order([shell("x" * 20000, f"r{number}") for number in range(10)]))
    assert len(run.journal()["order"]["stops"]) == 10


def test_real_time_priority_is_not_inherited(guarded):
    """The guard may have it; hooks and agent never do."""
    run = guarded().start()
    agent = run.agent()
    assert os.sched_getscheduler(agent.pid) == os.SCHED_OTHER
    if os.geteuid() == 0 and not run.log("guard runs without"):
        assert os.sched_getscheduler(run.process.pid) & ~os.SCHED_RESET_ON_FORK == os.SCHED_RR


def test_it_imports_little(guarded):
    """Neither asyncio nor gRPC nor TLS: the guard must start fast, be small and have little to fail."""
    import subprocess
    import sys

    program = "import leaderd.guard.main, sys; print(*sys.modules)"
    modules = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    ).stdout.split()
    for heavy in (
        "asyncio",
        "grpc",
        "ssl",
        "http.client",
        "subprocess",
        "pydantic",
        "structlog",
        "leaderd.core.lease",
        "argparse",
        "logging",
    ):
        assert heavy not in modules
