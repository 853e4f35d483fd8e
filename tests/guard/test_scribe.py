"""The scribe: nothing is armed before its page is on disk, and nothing waits for it that need not.

A scribe that is stopped by a signal stands for one whose disk does not answer: as long as it is, it neither
writes nor answers. A real disk that stalls is in tests/faults/test_disk.py.
"""

import os
import select
import signal
import subprocess
import sys
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from leaderd.guard import children
from leaderd.guard.log import Log
from leaderd.guard.scribe import Page
from leaderd.guard.wire import MAX_PACKET, Disarm, Fence
from leaderd.guard.worker import Workers
from leaderd.slots import SlotFile
from tests.guard.harness import CLOCK, TOKEN, deadlines, election, eventually, order, runs, shell

# A guard whose scribe never comes to the end of its first page.
_NEVER_DONE = """
import time
from leaderd.guard.log import Log
from leaderd.guard.scribe import Page
from leaderd.guard.worker import Workers

Page.write = lambda _: time.sleep(600)
workers = Workers(Log("json", "info", 2), {1})
workers.write("db", Page("/nowhere", "text"), print)
print(workers.scribe, flush=True)
time.sleep(600)
"""


def scribe_of(run, other_than=0):
    """Return the pid of a guard's scribe once it serves."""

    def find():
        for pid in children.children(run.process.pid):
            # A worker may be gone by now.
            with suppress(OSError):
                if pid != other_than and Path(f"/proc/{pid}/comm").read_text() == "leaderd-scribe\n":
                    return pid
        return 0

    return eventually(find, "the scribe")


def taken_in(agent):
    """Wait until the guard has taken in all that was sent; return what it has answered on the way."""
    agent.send(Fence("nobody", 1))
    heard = []
    while (answer := agent.hear())["type"] != "fenced":
        heard.append(answer)
    return heard


def stopped(pid):
    """Stop a process, and wait until it is."""
    os.kill(pid, signal.SIGSTOP)
    eventually(lambda: Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T", "the stop")


@contextmanager
def watched(pid, out, *options):
    """Have strace look at what a process syncs and sends."""
    command = ["strace", "-p", str(pid), "-e", "trace=fsync,fdatasync,sendto", "-o", str(out), *options]
    try:
        strace = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    except FileNotFoundError:
        pytest.skip("strace is not installed")
    with strace.stderr:
        try:
            line = strace.stderr.readline()
            if "attached" not in line:
                pytest.skip(f"nothing may be traced here: {line.strip()}")
            yield
        finally:
            # What it looked at goes on.
            strace.send_signal(signal.SIGINT)
            strace.wait()


# --- nothing is armed before the page is on disk ---


def test_the_answer_comes_after_the_sync(guarded, tmp_path):
    """And not because the write was quick: the scribe's own calls show the order."""
    run = guarded().start()
    agent = run.agent()
    with watched(scribe_of(run), tmp_path / "trace"):
        agent.arm(order())
    calls = [line for line in (tmp_path / "trace").read_text().splitlines() if "(" in line]
    *synced, said = [line.split("(")[0] for line in calls if not line.startswith("---")]
    assert said == "sendto"
    assert synced
    assert set(synced) <= {"fsync", "fdatasync"}
    assert all(line.endswith("= 0") for line in calls[: len(synced)])


def test_a_sync_that_fails_arms_nothing(guarded, tmp_path):
    """What the disk does not confirm is not there; the scribe itself goes on."""
    run = guarded().start()
    agent = run.agent()
    pid = scribe_of(run)
    with watched(pid, tmp_path / "trace", "-e", "inject=fsync,fdatasync:error=EIO"):
        agent.send(order())
        run.logged("journal not written", election="db")
        assert "Input/output error" in run.log("worker failed")[0]["detail"]
        assert taken_in(agent) == []
    agent.send(Disarm("db", TOKEN))
    agent.arm(order(token=TOKEN + 1))
    assert scribe_of(run) == pid


def test_nothing_is_armed_while_the_scribe_has_the_page(guarded):
    """Once it goes on, the term is armed."""
    run = guarded().start()
    agent = run.agent()
    stopped(pid := scribe_of(run))
    agent.send(order())
    assert taken_in(agent) == []
    assert run.journal() is None
    os.kill(pid, signal.SIGCONT)
    assert agent.hear() == {"type": "armed", "election": "db", "token": TOKEN}
    assert run.journal()["phase"] == "armed"


# --- nothing else waits ---


def test_a_stalled_scribe_holds_up_one_page_and_nothing_else(guarded, tmp_path):
    """Other elections are armed, and a late agent is killed and its term stopped, by the same deadlines."""
    run = guarded(*(election(name=name) for name in ("db", "web", "mail"))).start()
    agent = run.agent()
    stopped(scribe_of(run))
    agent.send(order(name="web"))
    agent.arm(order(name="mail"))
    times = deadlines(stop=1.0, fence=4.0, expire=4.5)
    agent.arm(order([shell(f"touch {tmp_path}/down")], times=times))
    run.logged("agent killed")
    eventually((tmp_path / "down").exists, "the stop")
    assert CLOCK.now().left_until(times.fence_at) > 0
    eventually(lambda: run.journal()["phase"] == "stopped", "the stop in the journal")
    assert run.journal("web") is None


def test_the_page_of_a_scribe_that_is_killed_is_written_by_a_worker(guarded):
    """And only then the term is armed; the page after it finds another scribe."""
    run = guarded().start()
    agent = run.agent()
    stopped(pid := scribe_of(run))
    agent.send(order())
    assert taken_in(agent) == []
    os.kill(pid, signal.SIGKILL)
    assert agent.hear() == {"type": "armed", "election": "db", "token": TOKEN}
    assert run.journal()["phase"] == "armed"
    run.logged("worker failed", detail="the scribe of the journal has died")
    agent.send(Disarm("db", TOKEN))
    scribe_of(run, other_than=pid)


def test_a_scribe_that_is_killed_and_a_disk_that_refuses_arm_nothing(guarded):
    """What no scribe has confirmed, a worker must."""
    run = guarded().start()
    agent = run.agent()
    stopped(pid := scribe_of(run))
    agent.send(order())
    assert taken_in(agent) == []
    (run.state_dir / "terms").rmdir()
    os.kill(pid, signal.SIGKILL)
    run.logged("journal not written", election="db")
    assert taken_in(agent) == []


def test_an_idle_scribe_that_is_killed_costs_nothing(guarded):
    """The next page finds another."""
    run = guarded().start()
    agent = run.agent()
    os.kill(pid := scribe_of(run), signal.SIGKILL)
    agent.arm(order())
    agent.send(Disarm("db", TOKEN))
    scribe_of(run, other_than=pid)


def test_the_last_answer_of_a_dead_scribe_counts(tmp_path):
    """It wrote, answered and died before the guard looked."""
    with _Made(tmp_path) as (made, results):
        made.write("db", Page(str(tmp_path / "db"), "one"), results.append)
        pid = made.scribe
        assert select.select([made.answers], [], [], 10)[0]
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        assert made.ended(pid)
        assert results == [{}]
        assert made.idle


def test_pages_of_one_election_are_written_in_order(tmp_path):
    """Also where a worker could write the second while the scribe has the first; never backwards."""
    with _Made(tmp_path) as (made, results):
        db, web = str(tmp_path / "db"), str(tmp_path / "web")
        made.begin()
        stopped(made.scribe)
        for text in ("one", "two"):
            made.write("db", Page(db, text), lambda result, text=text: results.append((text, result)))
        made.write("web", Page(web, "other"), lambda result: results.append(("other", result)))
        _until(made, lambda: results, "the worker's page")
        assert results == [("other", {})]
        assert SlotFile(db).read() is None
        os.kill(made.scribe, signal.SIGCONT)
        _until(made, lambda: made.idle, "all pages")
        assert results[1:] == [("one", {}), ("two", {})]
        assert SlotFile(db).read() == "two"


def test_a_page_that_is_too_long_for_a_packet_is_written(tmp_path):
    """By a worker."""
    with _Made(tmp_path) as (made, results):
        text = "x" * (2 * MAX_PACKET)
        made.write("db", Page(str(tmp_path / "db"), text), results.append)
        _until(made, lambda: made.idle, "the page")
        assert results == [{}]
        assert SlotFile(str(tmp_path / "db")).read() == text


# --- a process that is in nobody's way ---


def test_it_ends_with_the_guard(guarded):
    """Before it, when that ends in order: the state directory is free for the next run at once."""
    run = guarded().start()
    agent = run.agent()
    pid = scribe_of(run)
    run.signal(signal.SIGTERM)
    assert agent.hear() == {"type": "shutdown"}
    agent.tell(exit=0)
    assert run.wait() == 0
    assert not runs(pid)
    assert not run.locked()


def test_it_dies_with_the_guard_even_on_its_way():
    """It holds the lock, so that no other run starts while it may still write."""
    guard = subprocess.Popen([sys.executable, "-c", _NEVER_DONE], stdout=subprocess.PIPE, text=True)
    with guard.stdout:
        pid = int(guard.stdout.readline())
        assert runs(pid)
        guard.kill()
        guard.wait()
    eventually(lambda: not runs(pid), "the scribe's death")


def test_it_holds_no_link_and_no_device(guarded, tmp_path):
    """The agent must see the guard's death, and a watchdog its last user's, whatever the scribe does."""
    device = tmp_path / "watchdog"
    device.write_text("")
    run = guarded(election(fence=["kill", "watchdog"], watchdog_device=str(device))).start()
    agent = run.agent()
    first = scribe_of(run)
    agent.arm(order())
    os.kill(first, signal.SIGKILL)
    eventually(lambda: not Path(f"/proc/{first}").exists(), "the end of the first")
    agent.send(Disarm("db", TOKEN))
    pid = scribe_of(run, other_than=first)
    assert str(device) not in _files(pid)
    assert sum(name.startswith("socket:") for name in _files(pid)) == 1


def test_it_survives_the_stops_of_an_election_that_the_environment_names(guarded, tmp_path):
    """LEADERD_ELECTION is an option of `run`, and the mark by which a term's own processes are known."""
    run = guarded().start(env={"LEADERD_ELECTION": "db"})
    agent = run.agent()
    pid = scribe_of(run)
    agent.arm(order([shell(f"touch {tmp_path}/down")]))
    agent.signal(signal.SIGKILL)
    run.logged("guard stopped it")
    assert (tmp_path / "down").exists()
    assert scribe_of(run) == pid


def _files(pid):
    return [os.readlink(file) for file in Path(f"/proc/{pid}/fd").iterdir()]


class _Made:
    """Workers for the time of a block, and a list for results."""

    def __init__(self, folder):
        self._fd = os.open(folder / "log", os.O_WRONLY | os.O_CREAT)
        self._made = Workers(Log("json", "info", self._fd), set())

    def __enter__(self):
        return self._made, []

    def __exit__(self, *_):
        self._made.close()
        os.close(self._fd)


def _until(made, condition, what):
    def look():
        for pid in made.pids - {made.scribe}:
            if os.waitpid(pid, os.WNOHANG)[0]:
                assert made.ended(pid)
        made.heed()
        return condition()

    eventually(look, what)
