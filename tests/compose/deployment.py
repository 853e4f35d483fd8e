"""docker-compose.yml, brought up as a user would, and what can be done to it."""

import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from leaderd.api.client import fetch_status
from leaderd.errors import LeaderdError
from tests.compose.engine import docker
from tests.compose.observed import Observer, now
from tests.faults.trio import wait_for

ROOT = Path(__file__).parents[2]
VIP = "10.77.0.100"
NODES = "abc"
ETCD = ("etcd-1", "etcd-2", "etcd-3")
ADDRESSES = {
    "clients": {f"node-{name}": f"10.77.0.{11 + number}" for number, name in enumerate(NODES)},
    "etcd": {f"node-{name}": f"10.78.0.{21 + number}" for number, name in enumerate(NODES)},
}


PLUGIN, STANDALONE = ("docker", "compose"), ("docker-compose",)


def compose_commands() -> list[tuple[str, ...]]:
    """Return those that are there: compose v2, and docker-compose, which Debian 12 has as 1.29."""
    plugin = docker("compose", "version", check=False)
    return [*([PLUGIN] if plugin else []), *([STANDALONE] if shutil.which("docker-compose") else [])]


class Deployment:
    """All containers of the project.

    Args:
        project: Its name.
        images: The variables that name images.
        newer: The image that sidecars are upgraded to.
        files: Of compose, in their order.
        command: Of compose; the first that is there.
    """

    def __init__(
        self, project: str, images: Mapping[str, str], newer: str = "",
        files: tuple[str, ...] = ("docker-compose.yml",), command: tuple[str, ...] = (),
    ) -> None:
        self.project = project
        self.newer = newer
        self.began = 0.0
        self.environ = {**os.environ, **images, "COMPOSE_PROJECT_NAME": project}
        self.command = command or compose_commands()[0]
        self._files = [word for file in files for word in ("--file", file)]

    def compose(self, *words: str, timeout: float = 300, **environ: str) -> str:
        """Run compose; AssertionError with its complaint when it fails."""
        done = subprocess.run(
            [*self.command, *self._files, *words], cwd=ROOT, env={**self.environ, **environ},
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout, check=False,
        )
        assert done.returncode == 0, f"compose {' '.join(words)}: {done.stderr[-2000:]}"
        return done.stdout

    def up(self) -> None:
        self.began = now()
        self.compose("up", "--detach")

    def down(self) -> None:
        """Remove containers, networks and volumes."""
        self.compose("down", "--volumes", "--timeout", "5")

    def container(self, service: str) -> str:
        """Return the id of a service's container."""
        labels = {"project": self.project, "service": service}
        filters = [f"--filter=label=com.docker.compose.{key}={value}" for key, value in labels.items()]
        found = docker("ps", "--all", "--quiet", *filters)
        assert found, f"there is no container of {service}"
        return found

    def network(self, name: str) -> str:
        return f"{self.project}_{name}"

    def bridge(self, name: str) -> str:
        """Return the interface of a network on this host."""
        found: str = json.loads(docker("network", "inspect", self.network(name)))[0]["Id"]
        return f"br-{found[:12]}"

    def owner(self, mac: str) -> str:
        """Return the node that has a hardware address on the network of the clients."""
        members = json.loads(docker("network", "inspect", self.network("clients")))[0]["Containers"].values()
        names = [each["Name"] for each in members if each["MacAddress"] == mac]
        assert names, f"nobody has {mac}"
        return next(name for name in NODES if f"node-{name}" in names[0])

    def observer(self, path: Path) -> Observer:
        """Watch the address."""
        return Observer(self.bridge("clients"), VIP, path, self.owner)

    def do(self, verb: str, *services: str, **options: str) -> None:
        """Do with their containers what a verb of docker does."""
        words = [f"--{name}={value}" for name, value in options.items()]
        docker(verb, *words, *map(self.container, services))

    def replace_sidecar(self, node: str, image: str) -> None:
        """Upgrade a node's sidecar, and nothing else."""
        self.compose("up", "--detach", "--no-deps", f"leaderd-{node}", LEADERD_IMAGE=image)

    def disconnect(self, network: str, node: str) -> None:
        docker("network", "disconnect", self.network(network), self.container(f"node-{node}"))

    def connect(self, network: str, node: str) -> None:
        """Give a network back; the engine gives its interface another name than it had."""
        service = f"node-{node}"
        address = ADDRESSES[network][service]
        docker("network", "connect", "--ip", address, self.network(network), self.container(service))

    def inside(self, service: str, *words: str, check: bool = True) -> str:
        """Run a command in a container and return what it prints."""
        return docker("exec", self.container(service), *words, check=check, timeout=30)

    def pid(self, service: str) -> int:
        """Return the first process of a service, as this host counts; 0 while it does not run."""
        return int(docker("inspect", "--format", "{{.State.Pid}}", self.container(service)))

    def status(self, node: str) -> dict[str, Any]:
        """Return what a node's daemon says of itself; empty where it does not answer."""
        try:
            # Through the container's files: a process started in it each time would load this machine.
            path = f"/proc/{self.pid(f'leaderd-{node}')}/root/run/leaderd/leaderd.sock"
            return fetch_status(path, timeout=1.0)
        except LeaderdError:
            return {}

    def state(self, node: str) -> str:
        """Return the node's state in the election."""
        elections = self.status(node).get("elections") or [{}]
        return str(elections[0].get("state", "no answer"))

    def states(self) -> dict[str, str]:
        return {node: self.state(node) for node in NODES}

    def etcd_leader(self) -> str:
        """Return the member of etcd that leads."""
        for member in ETCD:
            ask = ("/usr/local/bin/etcdctl", "endpoint", "status", "--write-out=json")
            text = self.inside(member, *ask, check=False)
            status = json.loads(text)[0]["Status"] if text.startswith("[") else {}
            if status and status["leader"] == status["header"]["member_id"]:
                return member
        raise AssertionError("no member of etcd leads")

    def settled(self, observer: Observer, timeout: float = 60) -> str:
        """Wait until one node leads and answers and all others wait; return the one."""
        def steady() -> bool:
            states = self.states()
            leaders = [node for node, state in states.items() if state == "leader"]
            waiting = sorted(states.values()) == ["candidate", "candidate", "leader"]
            return waiting and leaders == [observer.holder()]

        try:
            wait_for("one leader that answers and two candidates", steady, timeout)
        except AssertionError as error:
            raise AssertionError(f"{error}: {self.states()}, {observer.holder()!r} answers") from None
        return observer.holder()

    def holds(self, node: str) -> bool:
        """Return whether the kernel of a node has the address."""
        return VIP in self.addresses(node)

    def addresses(self, node: str) -> dict[str, str]:
        """Return a node's addresses, each with its interface; empty while it does not run."""
        if not (pid := self.pid(f"node-{node}")):
            return {}
        words = ["nsenter", "--net", f"--target={pid}", "ip", "-json", "addr", "show"]
        links = json.loads(subprocess.run(words, capture_output=True, text=True, check=True).stdout)
        return {each["local"]: link["ifname"] for link in links for each in link["addr_info"]}

    def logs(self) -> str:
        """Return the last lines of all daemons."""
        found = ""
        for node in NODES:
            words = ["docker", "logs", "--tail", "15", self.container(f"leaderd-{node}")]
            done = subprocess.run(words, capture_output=True, text=True, check=False)
            found += f"\n--- {node}\n{done.stdout}{done.stderr}"
        return found
