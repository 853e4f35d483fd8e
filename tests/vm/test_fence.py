"""The machine is brought down: a watchdog device that is no longer fed, SysRq, reboot."""

import pytest

from tests.vm.leaderd import TTL, Guest
from tests.vm.machine import Machine

pytestmark = [pytest.mark.root, pytest.mark.vm, pytest.mark.timeout(300)]
STOP, KILL = 2.0, 4.0


def election(fence: list[str], stop: str = "true", kill_time: float = KILL) -> str:
    """An election with a hook whose stop is this."""
    steps = ", ".join(f'"{step}"' for step in fence)
    return f"""
[[election]]
name = "db"
ttl = {TTL}
stop_timeout = {STOP}
kill_time = {kill_time}
fence = [{steps}]
[[election.resource]]
name = "hook"
type = "script"
start = ["true"]
stop = ["/bin/sh", "-c", "test $LEADERD_REASON = startup || {stop}"]
"""


def led(machine: Machine, text: str) -> Guest:
    """Start a node; return it once it leads."""
    node = Guest(machine, text)
    node.start()
    node.wait_leads()
    return node


def silent(machine: Machine, node: Guest) -> float:
    """Let no renewal come any more; return by when nothing may hold, on the host's clock."""
    machine.run("kill -STOP $(pidof etcd)")
    return node.stops_by().last + STOP + KILL


def was_reset(machine: Machine) -> bool:
    """Whether the guest has restarted the machine, or the watchdog has."""
    return bool(machine.monitor.heard("SHUTDOWN") or machine.monitor.heard("WATCHDOG"))


def test_the_device_resets_a_machine_whose_agent_and_stop_hang(machine: Machine) -> None:
    """By `expires_at`, on the clock of the host."""
    node = led(machine, election(["kill", "watchdog"], stop="sleep 600"))
    agent = node.agent
    assert "watchdog armed" in node.log()
    ends_by = silent(machine, node)
    machine.run(f"kill -STOP {agent}")
    reset = machine.monitor.wait("WATCHDOG", 60)
    assert reset.data["action"] == "reset"
    print(f"watchdog, agent and stop hang: reset {ends_by - reset.at:.2f} s before expires_at")
    assert reset.at <= ends_by


def test_the_device_resets_a_machine_on_which_all_of_leaderd_was_killed(machine: Machine) -> None:
    """Nobody is left to feed it."""
    node = led(machine, election(["kill", "watchdog"]))
    pids = f"{node.guard} {node.agent}"
    ends_by = silent(machine, node)
    machine.run(f"kill -KILL {pids}")
    reset = machine.monitor.wait("WATCHDOG", 60)
    print(f"watchdog, guard and agent killed: reset {ends_by - reset.at:.2f} s before expires_at")
    assert reset.at <= ends_by


def test_the_device_is_closed_in_peace(machine: Machine) -> None:
    """After a clean end the machine goes on for longer than the device counts."""
    node = led(machine, election(["kill", "watchdog"]))
    counts = float(machine.run("cat /sys/class/watchdog/watchdog0/timeout"))
    assert machine.run("cat /sys/class/watchdog/watchdog0/state") == "active\n"
    machine.run(f"kill -TERM {node.guard}")
    machine.wait_for("the end", f"! kill -0 {node.guard} 2>/dev/null")
    assert machine.run("cat /sys/class/watchdog/watchdog0/state") == "inactive\n"
    with pytest.raises(TimeoutError):
        machine.monitor.wait("WATCHDOG", counts + 1)


def test_sysrq_resets_the_machine(machine: Machine) -> None:
    """A stop that fails, and nothing but a reboot left."""
    node = led(machine, election(["kill", "reboot"], stop="false"))
    ends_by = silent(machine, node)
    machine.attempt(f"kill -TERM {node.guard}")
    reset = machine.monitor.wait("SHUTDOWN", 60)
    print(f"sysrq: reset {ends_by - reset.at:.2f} s before expires_at")
    assert reset.data["reason"] == "guest-reset"
    assert reset.at <= ends_by


def test_reboot_resets_the_machine_where_sysrq_is_out_of_reach(machine: Machine) -> None:
    """As where /proc/sysrq-trigger is read-only."""
    machine.run("mount --bind /dev/null /proc/sysrq-trigger")
    node = led(machine, election(["kill", "reboot"], stop="false"))
    ends_by = silent(machine, node)
    machine.attempt(f"kill -TERM {node.guard}")
    reset = machine.monitor.wait("SHUTDOWN", 60)
    print(f"reboot -f: reset {ends_by - reset.at:.2f} s before expires_at")
    assert reset.data["reason"] == "guest-reset"
    assert reset.at <= ends_by
