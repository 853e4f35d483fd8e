"""Workers: one job after the other, results, failures, and time that is over."""

import os
import select
import signal
import time

import pytest

from leaderd.guard import children
from leaderd.guard.log import Log
from leaderd.guard.worker import Workers
from tests.guard.harness import CLOCK, eventually, runs


@pytest.fixture
def workers(tmp_path):
    """Workers, and a function that reaps until they are idle."""
    fd = os.open(tmp_path / "log", os.O_WRONLY | os.O_CREAT)
    made = Workers(Log("json", "info", fd), set())

    def finish():
        def idle():
            for pid in made.pids:
                if os.waitpid(pid, os.WNOHANG)[0]:
                    assert made.ended(pid)
            made.kill_overdue(CLOCK.now())
            return made.idle and not made.pids

        eventually(idle, "idle workers")

    yield made, finish
    os.close(fd)


def test_jobs_of_one_lane_run_one_after_the_other(workers, tmp_path):
    """In order, while other lanes go on beside them."""
    made, finish = workers
    results = []

    def job(name):
        def work():
            with (tmp_path / "order").open("a") as file:
                file.write(f"+{name}")
            time.sleep(0.05)
            with (tmp_path / "order").open("a") as file:
                file.write(f"-{name}")
            return {"name": name}

        return work

    for name in "abc":
        made.submit("db", job(name), results.append)
    finish()
    assert (tmp_path / "order").read_text() == "+a-a+b-b+c-c"
    assert results == [{"name": name} for name in "abc"]


def test_a_job_that_raises_has_no_result(workers, tmp_path):
    """It is logged, and the guard goes on."""
    made, finish = workers
    results = []
    made.submit("db", lambda: {"x": 1 // 0}, results.append)
    finish()
    assert results == [None]
    assert "ZeroDivisionError" in (tmp_path / "log").read_text()


def test_a_worker_whose_time_is_over_is_killed_with_all_it_started(workers, tmp_path):
    """Also what has left its session."""
    made, finish = workers
    results = []

    def hang():
        pid = os.spawnlp(
            os.P_NOWAIT, "setsid", "setsid", "-w", "sh", "-c", f"echo $$ > {tmp_path}/pid; exec sleep 600"
        )
        os.waitpid(pid, 0)
        return {}

    made.submit("db", hang, results.append, CLOCK.now().plus(0.3))
    pid = int(eventually(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text(), "the child"))
    finish()
    assert results == [None]
    assert not runs(pid)


def test_a_worker_that_cannot_be_killed_is_left_behind(workers, monkeypatch):
    """What waits for it goes on without it; a worker in the kernel's hands may never end."""
    made, finish = workers
    results = []
    monkeypatch.setattr(children, "kill_tree", lambda _pid: None)
    made.submit("db", lambda: time.sleep(600) or {}, results.append, CLOCK.now().plus(0.1))
    made.submit("db", lambda: {"next": True}, results.append)
    (stuck,) = made.pids
    eventually(lambda: made.kill_overdue(CLOCK.now()) or results, "the failure")
    assert results == [None]
    os.kill(stuck, signal.SIGKILL)
    finish()
    assert results == [None, {"next": True}]


def test_a_worker_does_not_keep_the_link_open(workers):
    """The agent must see the guard's death even while a worker goes on."""
    made, finish = workers
    reading, writing = os.pipe()
    made.submit("db", lambda: time.sleep(0.5) or {}, lambda _: None)
    os.close(writing)
    assert select.select([reading], [], [], 0.4)[0]
    assert os.read(reading, 1) == b""
    os.close(reading)
    finish()


def test_a_worker_is_deaf_to_signals_for_the_service(workers, tmp_path):
    """A service manager that signals the whole group must not cut a stop short."""
    made, finish = workers
    results = []

    def work():
        (tmp_path / "ready").touch()
        time.sleep(0.3)
        return {"through": True}

    made.submit("db", work, results.append)
    eventually((tmp_path / "ready").exists, "the worker")
    for pid in made.pids:
        os.kill(pid, signal.SIGTERM)
        os.kill(pid, signal.SIGHUP)
    finish()
    assert results == [{"through": True}]
