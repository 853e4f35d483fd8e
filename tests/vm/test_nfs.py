"""`mount` of a network file system: a real server, a real client, a server that is gone."""

import pytest

from tests.vm.leaderd import TTL, Guest
from tests.vm.machine import Machine

pytestmark = [pytest.mark.root, pytest.mark.timeout(300)]

_MOUNT = '''
[[election.resource]]
name = "data"
type = "mount"
device = "{device}"
target = "/srv/data"
fstype = "nfs"
options = "{options}"
'''


def election(device: str = "10.9.0.1:/", options: str = "vers=4.2", more: str = "", **own: object) -> str:
    """An election that mounts what the server has."""
    settings = {"name": "db", "ttl": TTL, **own}
    lines = "\n".join(f"{key} = {value!r}".replace("'", '"') for key, value in settings.items())
    return f"[[election]]\n{lines}\n{_MOUNT.format(device=device, options=options)}{more}"


def mounted(machine: Machine) -> bool:
    """Whether the kernel says so."""
    return machine.attempt("grep -q ' /srv/data ' /proc/self/mountinfo")[0] == 0


@pytest.fixture(autouse=True)
def target(machine: Machine) -> None:
    """The directory that is mounted on."""
    machine.run("mkdir -p /srv/data")


@pytest.mark.parametrize(("device", "options", "shown"), [
    ("10.9.0.1:/", "vers=4.2,noatime", "nfs4"),
    ("10.9.0.1:/srv/export", "vers=3,nolock,proto=tcp,mountproto=tcp,mountport=20048", "nfs"),
], ids=["4.2", "3"])
def test_it_is_mounted_where_the_leader_is(machine: Machine, device: str, options: str, shown: str) -> None:
    """With its options; a user of it is ended at a stop, and the log says whom it was."""
    node = Guest(machine, election(device, options))
    node.start()
    node.wait_leads()
    line = machine.run("grep ' /srv/data ' /proc/self/mountinfo")
    assert f" - {shown} {device.rstrip('/') or device}" in line or f" - {shown} {device}" in line
    machine.run("echo written >/srv/data/file && grep -q written /srv/export/file")
    machine.run("setsid sh -c 'cd /srv/data; exec 9>open; exec sleep 600' >/dev/null 2>&1 & echo $! >/run/user")
    machine.run(f"kill -TERM {node.guard}")
    machine.wait_for("the end", f"! kill -0 {node.guard} 2>/dev/null")
    assert not mounted(machine)
    assert machine.attempt("kill -0 $(cat /run/user)")[0] != 0
    assert "sleep" in node.log()
