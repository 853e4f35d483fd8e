"""The same three hosts with what others use: keepalived, and `etcdctl lock` with a script.

Both are set up as their manuals show it. A daemon is started and stopped with the address, as with leaderd:
by keepalived's notify scripts, and by the script that has the lock.
"""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from leaderd.demo.journal import Hold
from leaderd.demo.nodes import children, descendants
from leaderd.etcd.embedded import find_etcdctl, tied
from tests.faults.actions import pause_for
from tests.faults.trio import MARK, WRITER, Journal, wait_for
from tests.net.hosts import EtcdHosts
from tests.net.sight import Sight
from tests.net.switch import NODES, Switch
from tests.netns import inside

ROOT = Path(__file__).parents[2]
# Seconds between advertisements; three that are missing make another take over.
ADVERT = 1

WORK = """#!/bin/sh
exec env LEADERD_NODE={node} LEADERD_TOKEN=$(date +%s%N) {python} -I -S {writer} {journal} $1
"""
KEEPALIVED = """global_defs {{
    router_id {node}
    script_user root
}}
vrrp_instance vip {{
    state BACKUP
    nopreempt
    interface eth0
    virtual_router_id {number}
    priority {priority}
    advert_int {advert}
    virtual_ipaddress {{
        {address}/24
    }}
    notify_master "{work} start"
    notify_backup "{work} stop"
    notify_fault "{work} stop"
    notify_stop "{work} stop"
}}
"""
# What the lock is held for. The kernel announces nothing, so that is done here.
LOCKED = """#!/bin/sh
trap '{work} stop; ip addr del {address}/24 dev eth0; exit 0' TERM INT
ip addr add {address}/24 dev eth0
{python} -c "
from ipaddress import ip_address
from leaderd.resources.announce import Wire
Wire('eth0', bytes.fromhex('{mac}')).announce(ip_address('{address}'))" &
{work} start
while :; do sleep 1 & wait $!; done
"""


def why_no_keepalived() -> str:
    """Return why keepalived cannot be tested here, or ""."""
    return "" if shutil.which("keepalived") else "keepalived is not installed"


class PeerNode:
    """One host's daemon.

    Attributes:
        host: Name of the host.
    """

    def __init__(self, name: str, host: str, space: str, directory: Path, command: list[str]) -> None:
        self.name = name
        self.host = host
        self._space = space
        self._directory = directory
        self._command = command
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it."""
        mark = {MARK: str(self._directory), "PYTHONPATH": str(ROOT), "ETCDCTL_API": "3"}
        with inside(self._space), (self._directory / "log").open("ab") as log:
            self._process = subprocess.Popen(
                tied(self._command, signal.SIGKILL), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env={**os.environ, **mark}, start_new_session=True,
            )

    @property
    def running(self) -> bool:
        """Whether its first process lives."""
        return self._process is not None and self._process.poll() is None

    @property
    def guard(self) -> int:
        """The process that watches the other."""
        return self._process.pid if self._process else 0

    @property
    def agent(self) -> int:
        """The process that does the work."""
        return next(iter(children(self.guard)), 0)

    def kill_agent(self) -> None:
        """Kill it alone."""
        os.kill(self.agent, signal.SIGKILL)

    def signal(self, number: signal.Signals, *, guard: bool = False, agent: bool = False) -> None:
        """Send a signal to either or both."""
        for pid in [self.guard] * guard + [self.agent] * agent:
            if pid:
                os.kill(pid, number)

    def stop(self) -> None:
        """Ask for an orderly end."""
        os.kill(self.guard, signal.SIGTERM)

    def wait(self, timeout: float) -> int:
        """Wait for the end."""
        return self._process.wait(timeout) if self._process else 0

    def kill(self) -> None:
        """Kill all that stems from it, until nothing is left."""
        while pids := self.marked():
            for pid in pids:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    continue
            if self._process:
                self._process.poll()
        self.wait(10)

    def marked(self) -> list[int]:
        """Return all processes that stem from it and are no zombies."""
        mark = f"{MARK}={self._directory}\0".encode()
        found = [*descendants(self.guard), self.guard] if self.running else []
        for name in filter(str.isdigit, os.listdir("/proc")):
            try:
                if mark in Path(f"/proc/{name}/environ").read_bytes() + b"\0":
                    found.append(int(name))
            except OSError:
                continue
        return found


class LockNode(PeerNode):
    """`etcdctl lock` and its child: nobody watches it."""

    @property
    def agent(self) -> int:
        """Etcdctl itself."""
        return self.guard

    def stop(self) -> None:
        """As a service manager does: SIGTERM to every process of the service."""
        os.killpg(self.guard, signal.SIGTERM)


class Peers:
    """Three hosts of a peer; see `tests.net.measure.Competitors`."""

    system = ""
    node_class: type[PeerNode] = PeerNode

    def __init__(
        self, name: str, directory: Path, switch: Switch, etcd: EtcdHosts, addresses: list[str], *, ttl: int
    ) -> None:
        self.name = name
        self.ttl = ttl
        self.switch = switch
        self.addresses = addresses[:1]
        self.sight: Sight
        self._etcd = etcd
        self._directory = directory / name
        self._directory.mkdir()
        self._journal = Journal(self._directory / "journal")
        self.nodes: dict[str, Any] = {}
        for node in NODES:
            host = f"{name}{node}"
            here = self._directory / node
            here.mkdir()
            command = self._command(node, host, here)
            self.nodes[node] = self.node_class(node, host, switch.space(host), here, command)

    def _command(self, node: str, host: str, here: Path) -> list[str]:
        raise NotImplementedError

    def _script(self, path: Path, text: str, **words: object) -> Path:
        path.write_text(text.format(python=sys.executable, writer=WRITER,
                                    journal=self._directory / "journal", **words))
        path.chmod(0o755)
        return path

    @property
    def hosts(self) -> dict[str, Any]:
        """Nodes by the names of their hosts."""
        return {node.host: node for node in self.nodes.values()}

    def steady(self) -> Any:
        """Start whatever is down; wait until one host answers that alone has the address."""
        [address] = self.addresses

        def so() -> bool:
            for node in self.nodes.values():
                if not node.running:
                    node.start()
            holding = [host for host in self.hosts if address in self.switch.configured(host)]
            if len(holding) == 1 and self.sight.holder(address) == holding[0] and all(
                    node.agent for node in self.nodes.values()):
                return True
            pause_for(0.15)
            return False

        wait_for(f"one of {self.system} that answers", so, 60)
        # A daemon that has only just been started does not stand ready yet.
        pause_for(1.0)
        return self.hosts[self.sight.holder(address)]

    def repair(self, node: Any) -> None:
        """Do what an operator would have to: end everything on that host, and its address."""
        node.kill()
        self.switch.remove(node.host, self.addresses[0])

    def work(self, since: float) -> list[Hold]:
        """Return the times that the daemon ran and that end after an instant."""
        return [hold for hold in self._journal.holds() if hold.end_at > since]

    def destroy(self) -> None:
        """Kill everything."""
        for node in self.nodes.values():
            node.kill()


class Keepalived(Peers):
    """VRRP, advertisements every second, three of equal rank but for the number."""

    system = "keepalived"

    def _command(self, node: str, host: str, here: Path) -> list[str]:
        work = self._script(here / "work.sh", WORK, node=node)
        config = here / "keepalived.conf"
        config.write_text(KEEPALIVED.format(
            node=node, number=51, priority=100 + NODES.index(node), advert=ADVERT,
            address=self.addresses[0], work=work,
        ))
        return [shutil.which("keepalived") or "", "--dont-fork", "--log-console", "--vrrp",
                "--use-file", str(config), "--pid", str(here / "pid"), "--vrrp_pid", str(here / "vrrp-pid")]


    def repair(self, node: Any) -> None:
        """Its pid files too: it does not start beside them while anything has those pids."""
        super().repair(node)
        for name in ("pid", "vrrp-pid"):
            (self._directory / node.name / name).unlink(missing_ok=True)


class Lock(Peers):
    """`etcdctl lock --ttl`, whose child has the address."""

    system = "etcdctl lock"
    node_class = LockNode

    def _command(self, node: str, host: str, here: Path) -> list[str]:
        work = self._script(here / "work.sh", WORK, node=node)
        mac = next(mac for mac, name in self.switch.macs.items() if name == host).replace(":", "")
        locked = self._script(here / "locked.sh", LOCKED, mac=mac, address=self.addresses[0], work=work)
        return [str(find_etcdctl()), "--endpoints", ",".join(self._etcd.endpoints), "lock",
                f"--ttl={self.ttl}", self.name, str(locked)]


# What cannot be done to them: keepalived knows no etcd, and nothing watches over `etcdctl lock`.
NOT_FOR = {
    "keepalived": ("partition from etcd only", "etcd's leader killed", "etcd away"),
    "etcdctl lock": ("kill -9 of guard and agent", "SIGSTOP of the guard", "SIGSTOP of guard and agent"),
}
