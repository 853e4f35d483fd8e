"""Stops that fail or hang: escalation in the configured order, watchdog, what a living agent may ask for."""

import errno
import os
import signal
import struct
import time
from types import SimpleNamespace

import pytest

from leaderd.guard.fence import FenceTools, Watchdogs
from leaderd.guard.wire import Disarm, Forget, Stopping
from tests.guard.harness import CLOCK, TOKEN, deadlines, election, eventually, order, runs, shell

SOON = {"stop": 0.2, "fence": 0.8, "expire": 1.6}


def fence(*steps, **changes):
    return election(fence=steps, **changes)


@pytest.fixture
def device(tmp_path):
    """A file in place of /dev/watchdog."""
    path = tmp_path / "watchdog"
    path.write_text("")
    return path


def test_a_living_agent_keeps_its_other_elections(guarded, tmp_path):
    """Fencing one election kills what belongs to it, runs its stops, and leaves the rest alone."""
    run = guarded(election(), election(name="web")).start()
    agent = run.agent()
    agent.arm(order([shell(f"echo $LEADERD_REASON > {tmp_path}/stopped")]))
    agent.arm(order([shell(f"touch {tmp_path}/web")], name="web"))
    ours = agent.do(spawn=["sh", "-c", "sleep 600 & wait"])
    others = agent.do(spawn=["sleep", "600"], env={"LEADERD_ELECTION": "web"})
    agent.do(daemon=str(tmp_path / "daemon"))
    daemon = int(
        eventually(lambda: (tmp_path / "daemon").exists() and (tmp_path / "daemon").read_text(), "daemon")
    )
    agent.send(Stopping("db", TOKEN))
    agent.fence()
    assert agent.hear() == {"type": "fenced", "election": "db", "token": TOKEN, "clean": True, "detail": ""}
    assert (tmp_path / "stopped").read_text() == "resource-failed\n"
    assert not runs(ours)
    assert not runs(daemon)
    assert runs(others)
    assert runs(agent.pid)
    assert not (tmp_path / "web").exists()
    eventually(lambda: run.journal()["phase"] == "stopped", "the stopped term in the journal")
    agent.send(Forget("db", TOKEN))
    eventually(lambda: run.journal() is None, "the end of the journal")


def test_an_unclean_term_can_be_tried_again(guarded, tmp_path):
    """A stop that fails is reported; a later fence runs it again, without fencing the machine twice."""
    run = guarded(
        fence("kill", "command", fence_command=("/bin/sh", "-c", f"echo x >> {tmp_path}/fenced"))
    ).start()
    agent = run.agent()
    agent.arm(order([shell(f"test -e {tmp_path}/mended")], times=deadlines(**SOON)))
    agent.fence()
    answer = agent.hear()
    assert answer["clean"] is False
    assert "index: stop: exit 1" in answer["detail"]
    assert "fenced by command" in answer["detail"]
    eventually(lambda: run.journal()["phase"] == "unclean", "the unclean term in the journal")
    agent.send(Disarm("db", TOKEN))
    agent.send(Forget("db", TOKEN))
    agent.fence()
    assert agent.hear()["clean"] is False
    assert run.journal()["phase"] == "unclean"
    assert (tmp_path / "fenced").read_text() == "x\n"
    (tmp_path / "mended").touch()
    agent.fence()
    assert agent.hear()["clean"] is True


def test_steps_come_in_the_configured_order(guarded, tmp_path):
    """kill, then command, then reboot: by SysRq first, by command when the machine is still there."""
    command = (
        "/bin/sh",
        "-c",
        f"echo $LEADERD_ACTION $LEADERD_TOKEN > {tmp_path}/command; test ! -e {tmp_path}/rebooted",
    )
    run = guarded(fence("kill", "command", "reboot", fence_command=command)).start()
    agent = run.agent()
    agent.arm(order([shell(f"echo x >> {tmp_path}/stops; exit 1")], times=deadlines(**SOON)))
    agent.signal(signal.SIGKILL)
    run.logged("not stopped")
    assert (tmp_path / "stops").read_text() == "x\nx\n"
    assert (tmp_path / "command").read_text() == f"fence {TOKEN}\n"
    assert run.sysrq.read_text() == "b"
    assert run.rebooted.exists()
    details = [line["detail"] for line in run.log("fencing")]
    assert details[0] == details[1] == "index: stop: exit 1"
    assert details[2] == "fenced by command"
    assert details[3].startswith("reboot: ")


def test_a_hanging_stop_is_killed_at_fence_at_and_the_machine_brought_down_before_expiry(guarded, tmp_path):
    """A stop that ignores SIGTERM costs no more than its share of the time."""
    run = guarded(fence("kill", "reboot", kill_time=2.0)).start()
    agent = run.agent()
    times = deadlines(stop=0.2, fence=1.0, expire=3.0)
    hang = shell(
        f"echo $$ >> {tmp_path}/pids; trap '' TERM; setsid sleep 600 & echo $! >> {tmp_path}/pids; sleep 600",
        timeout=60.0,
    )
    agent.arm(order([hang], times=times))
    agent.signal(signal.SIGSTOP)
    eventually(run.sysrq.read_text, "the reboot")
    assert CLOCK.now().left_until(times.expires_at) > 0
    for pid in (tmp_path / "pids").read_text().split():
        eventually(lambda pid=pid: not runs(int(pid)), f"the end of {pid}")


def test_a_stop_that_hangs_once_is_tried_again(guarded, tmp_path):
    """At fence_at the hook is killed with its descendants and run again; then the term is clean."""
    run = guarded().start()
    agent = run.agent()
    script = f"test -e {tmp_path}/once && exit 0; touch {tmp_path}/once; sleep 600"
    agent.arm(order([shell(script, timeout=60.0)], times=deadlines(stop=0.1, fence=0.8, expire=1.3)))
    agent.signal(signal.SIGKILL)
    assert run.agent().payload["recovery"]["db"]["pending"]["token"] == TOKEN
    assert "timed out" in run.log("fencing")[0]["detail"]


@pytest.mark.parametrize("argv", [("/nonexistent",), ("/etc/passwd",)])
def test_a_stop_that_cannot_be_run_is_a_failed_stop(guarded, argv):
    """Missing or not executable: not stopped."""
    from leaderd.guard.wire import Stop

    run = guarded().start()
    agent = run.agent()
    agent.arm(order([Stop("index", argv, 2.0)], times=deadlines(**SOON)))
    agent.signal(signal.SIGKILL)
    assert run.agent().payload["recovery"]["db"]["unclean"] == TOKEN
    assert f"cannot run {argv[0]}" in run.log("fencing")[0]["detail"]


def test_not_running_counts_as_stopped(guarded):
    """Exit 7 of a stop is fine."""
    run = guarded().start()
    agent = run.agent()
    agent.arm(order([shell("exit 7")]))
    agent.signal(signal.SIGKILL)
    assert run.agent().payload["recovery"]["db"]["unclean"] == 0


def test_the_watchdog_is_fed_while_the_term_lives_and_closed_in_peace(guarded, device):
    """Opened at arm, fed again and again, closed with the magic character when the term is over."""
    run = guarded(fence("kill", "watchdog", watchdog_device=str(device))).start()
    agent = run.agent()
    assert device.read_bytes() == b""
    agent.arm(order())
    eventually(lambda: device.read_bytes().count(b"\0") >= 4, "feeding")
    agent.send(Disarm("db", TOKEN))
    eventually(lambda: device.read_bytes().endswith(b"V"), "a peaceful close")
    size = device.stat().st_size
    time.sleep(0.5)
    assert device.stat().st_size == size


def test_the_watchdog_is_closed_in_peace_when_the_daemon_ends(guarded, device):
    """A clean exit does not reset the machine."""
    run = guarded(fence("watchdog", watchdog_device=str(device))).start()
    agent = run.agent()
    agent.arm(order())
    run.signal(signal.SIGTERM)
    agent.hear()
    agent.send(Disarm("db", TOKEN))
    agent.send(Forget("db", TOKEN))
    agent.tell(exit=0)
    assert run.wait() == 0
    assert device.read_bytes().endswith(b"V")


def test_the_watchdog_starves_after_a_failed_stop(guarded, device):
    """Not fed, not closed in peace: the machine resets."""
    run = guarded(fence("kill", "watchdog", watchdog_device=str(device))).start()
    agent = run.agent()
    agent.arm(order([shell("exit 1")]))
    eventually(device.read_bytes, "feeding")
    agent.fence()
    assert "watchdog not fed any more" in agent.hear()["detail"]
    size = device.stat().st_size
    time.sleep(0.6)
    assert device.stat().st_size == size
    run.signal(signal.SIGTERM)
    agent.hear()
    agent.tell(exit=0)
    assert run.wait() == 1
    assert b"V" not in device.read_bytes()


def test_the_watchdog_starves_when_the_deadline_has_passed(guarded, device):
    """From fence_at on nothing is fed, even while the last round of stops still tries."""
    run = guarded(fence("kill", "watchdog", watchdog_device=str(device), kill_time=2.0)).start()
    agent = run.agent()
    times = deadlines(stop=0.2, fence=0.8, expire=2.8)
    agent.arm(order([shell("sleep 600", timeout=60.0)], times=times))
    agent.send(Stopping("db", TOKEN))
    eventually(lambda: CLOCK.now().left_until(times.fence_at) < -0.1, "fence_at")
    size = device.stat().st_size
    run.logged("not stopped")
    assert device.stat().st_size == size
    assert b"V" not in device.read_bytes()


def test_a_watchdog_without_way_out_is_fed_for_ever(guarded, device):
    """A device that goes on counting after close must not be closed."""
    run = guarded(fence("watchdog", watchdog_device=str(device)))
    run.nowayout.write_text("1\n")
    agent = run.start().agent()
    agent.arm(order())
    agent.send(Disarm("db", TOKEN))
    eventually(lambda: run.journal()["phase"] == "stopped", "the stopped term")
    size = device.stat().st_size
    eventually(lambda: device.stat().st_size > size + 2, "feeding")
    assert b"V" not in device.read_bytes()


def test_without_its_watchdog_a_term_is_not_armed(guarded, tmp_path):
    """Nothing starts without the enforcer that the configuration promises."""
    run = guarded(fence("watchdog", watchdog_device=str(tmp_path / "none"))).start()
    agent = run.agent()
    agent.send(order())
    run.logged("watchdog not armed")
    assert run.journal() is None


def counts(least):
    """Answer as a device that cannot count less than so many seconds; none can be had here."""
    return lambda _fd, _request, wanted: struct.pack("i", max(least, *struct.unpack("i", wanted)))


def refuses(_fd, _request, _wanted):
    raise OSError(errno.ENOTTY, "not a watchdog")


@pytest.mark.parametrize(
    ("ioctl", "longest", "armed", "seconds"),
    [(counts(1), 2.5, True, 1), (counts(2), 2.5, True, 2), (counts(60), 2.5, False, 60),
     (refuses, 2.5, True, 1)],
)
def test_a_device_that_counts_too_long_is_no_enforcer(device, ioctl, longest, armed, seconds):
    """It would reset too late, or a healthy node while it leads; what it really counts is reckoned with."""
    lines = []
    log = SimpleNamespace(**{
        level: lambda event, **fields: lines.append((event, fields)) for level in ("info", "warning", "error")
    })
    watchdogs = Watchdogs(log, FenceTools(ioctl=ioctl))
    assert watchdogs.start(str(device), 0.5, longest) is armed
    assert watchdogs.seconds(str(device)) == seconds
    assert watchdogs.start(str(device), 0.5, longest) is armed
    assert ("watchdog not armed" in dict(lines)) != armed
    assert watchdogs.open is armed
    assert device.read_bytes() == (b"" if armed else b"V")
    watchdogs.stop(str(device))
    assert device.read_bytes().endswith(b"V")


def test_a_shared_watchdog_is_fed_only_while_all_agree(guarded, device):
    """One failed election is enough to starve it."""
    plans = [fence("watchdog", name=name, watchdog_device=str(device)) for name in ("db", "web")]
    run = guarded(*plans).start()
    agent = run.agent()
    agent.arm(order([shell("exit 1")]))
    agent.arm(order(name="web"))
    agent.fence()
    agent.hear()
    size = device.stat().st_size
    time.sleep(0.5)
    assert device.stat().st_size == size


def test_a_flood_and_a_lingering_grandchild_do_not_hold_up_a_stop(guarded):
    """The end of a hook is the end of its process, whoever still has its output open."""
    run = guarded().start()
    agent = run.agent()
    stop = shell("(while :; do echo flood; done) & head -c 50000000 /dev/zero; exit 0", timeout=30.0)
    agent.arm(order([stop], times=deadlines(30, 35, 36)))
    agent.signal(signal.SIGKILL)
    started = time.monotonic()
    assert run.agent().payload["recovery"]["db"]["unclean"] == 0
    assert time.monotonic() - started < 10
    assert max(len(line) for line in run.log_path.read_bytes().splitlines()) <= 4096
    assert os.path.getsize(run.log_path) < 5_000_000
