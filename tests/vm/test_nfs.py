"""`mount` of a network file system: a real server, a real client, a server that is gone."""

import json

import pytest

from tests.vm.leaderd import TTL, Guest
from tests.vm.machine import Machine

pytestmark = [pytest.mark.root, pytest.mark.vm, pytest.mark.timeout(300)]

_MOUNT = """
[[election.resource]]
name = "data"
type = "mount"
device = "10.9.0.1:/"
target = "/srv/data"
fstype = "nfs"
options = "{options}"
"""


def election(options: str = "vers=4.2", **own: object) -> str:
    """An election that mounts what the server has."""
    settings = {"name": "db", "ttl": TTL, **own}
    lines = "\n".join(f"{key} = {json.dumps(value)}" for key, value in settings.items())
    return f"[[election]]\n{lines}\n{_MOUNT.format(options=options)}"


def mounted(machine: Machine) -> bool:
    """Whether the kernel says so."""
    return machine.attempt("grep -q ' /srv/data ' /proc/self/mountinfo")[0] == 0


@pytest.fixture(autouse=True)
def target(machine: Machine) -> None:
    """The directory that is mounted on."""
    machine.run("mkdir -p /srv/data")


def test_it_is_mounted_where_the_leader_is(machine: Machine) -> None:
    """With its options; a user of it is ended at a stop, and the log says whom it was."""
    node = Guest(machine, election("vers=4.2,noatime"))
    node.start()
    node.wait_leads()
    line = machine.run("grep ' /srv/data ' /proc/self/mountinfo")
    assert " rw,noatime " in line
    assert " - nfs4 10.9.0.1:/ rw,vers=4.2," in line
    machine.run("echo written >/srv/data/file && grep -q written /srv/export/file")
    use = "cd /srv/data; exec 9>open; exec sleep 600"
    machine.run(f"setsid sh -c '{use}' >/dev/null 2>&1 & echo $! >/run/user")
    machine.run(f"kill -TERM {node.guard}")
    machine.wait_for("the end", f"! kill -0 {node.guard} 2>/dev/null")
    assert not mounted(machine)
    assert machine.attempt("kill -0 $(cat /run/user)")[0] != 0
    assert "sleep" in node.log()


def test_a_server_that_is_gone_is_never_called_unmounted(machine: Machine) -> None:
    """A hard mount hangs: the stop keeps to its time, the next step of the fence is taken by `expires_at`."""
    note = "cut -d' ' -f1 /proc/uptime >/run/fenced; cat /proc/self/mountinfo >>/run/fenced"
    command = ["/bin/sh", "-c", note]
    node = Guest(machine, election(fence=["kill", "command"], fence_command=command, stop_timeout=4.0,
                                   kill_time=4.0))
    node.start()
    node.wait_leads()
    machine.run("setsid sh -c 'exec 9>/srv/data/open; exec sleep 600' >/dev/null 2>&1 & true")
    machine.run("ip link set client down")
    machine.attempt("timeout 1 sh -c 'echo dirty >>/srv/data/open'")
    machine.run("kill -STOP $(pidof etcd)")
    ends_by = node.stops_by().last + 4.0 + 4.0
    machine.run(f"kill -TERM {node.guard}")
    machine.wait_for("the fence command", "test -s /run/fenced", 60)
    uptime, mountinfo = machine.run("cat /run/fenced").split("\n", 1)
    fenced = machine.on_host(float(uptime)).last
    print(f"server gone: fenced {ends_by - fenced:.2f} s before expires_at; {node.said('data')}")
    assert fenced <= ends_by
    assert " /srv/data " in mountinfo
    assert mounted(machine)
    assert "sync of /srv/data takes long" in node.said("data")
    assert "released" not in machine.run("kill -CONT $(pidof etcd); sleep 1; ETCDCTL_API=3 etcdctl get"
                                         " /leaderd/control/db/holder --print-value-only")


def test_a_private_mount_ends_with_the_agent(machine: Machine) -> None:
    """Guard and agent killed at once: the kernel unmounts it."""
    private = election().replace('fstype = "nfs"', 'fstype = "nfs"\nprivate = true')
    node = Guest(machine, private)
    node.start()
    node.wait_leads()
    assert not mounted(machine)
    assert "10.9.0.1:/" in machine.run("cat /proc/[0-9]*/mountinfo | grep ' /srv/data '")
    machine.run(f"kill -KILL {node.guard} {node.agent}")
    anywhere = "cat /proc/[0-9]*/mountinfo 2>/dev/null | grep ' /srv/data '"
    machine.wait_for("the kernel to unmount it", f"! {anywhere}", 10)
