"""SIGHUP and replaced files under a leader: what may change does, and the leadership is never let go of."""

import json
import os
import shutil
import signal
import subprocess
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from leaderd.api.client import fetch_status
from leaderd.demo.nodes import Node
from leaderd.errors import LeaderdError
from tests.api.http import free_port
from tests.cluster import Cluster
from tests.faults.trio import nobody_holds, wait_for
from tests.pki import authority, certificate

TTL = 10
# What is not set scales with the ttl.
SCALED = "election.db.ttl, election.db.retry_period, election.db.stop_timeout"
NOTE = Path(__file__).with_name("note.sh")
Make = Callable[..., "Leader"]


class Leader:
    """One node that leads, alone in its election, and the configuration that it reloads."""

    def __init__(self, cluster: Cluster, directory: Path, etcd: str, *flags: str) -> None:
        nobody_holds(cluster, "db", TTL, *flags)
        self.cluster = cluster
        self.flags = flags
        self.notes = directory / "notes"
        election = f'[[election]]\nname = "db"\nttl = {TTL}\n'
        self.port = free_port()
        http = f"127.0.0.1:{self.port}"
        self.node = Node("a", directory / "a", cluster.endpoints, election, etcd, http=http)
        self.node.start()
        wait_for("leadership", lambda: self.status().get("state") == "leader", 20)
        self.token, self.agent = self.status()["token"], self.node.agent

    def status(self) -> dict[str, Any]:
        try:
            found: dict[str, Any] = fetch_status(str(self.node.socket), timeout=0.5)["elections"][0]
        except LeaderdError:
            return {}
        return found

    def check_kept(self) -> None:
        """The same term of the same agent, with a lease that is being renewed."""
        status = self.status()
        assert (status["state"], status["token"]) == ("leader", self.token), status
        assert self.node.agent == self.agent
        assert not self.lines("demoting")

    def stays(self, renewals: int = 3) -> None:
        """Look all the time until so many renewals have been proven from now on."""
        seen, last = 0, self.status()["valid_for"]

        def enough() -> bool:
            nonlocal seen, last
            self.check_kept()
            left = self.status()["valid_for"]
            seen, last = seen + (left > last), left
            return seen > renewals

        wait_for(f"{renewals} renewals", enough, 30)

    def lines(self, event: str, **fields: object) -> list[dict[str, Any]]:
        """Return log lines."""
        found = [json.loads(line) for line in self.node.log.read_text().splitlines() if line.startswith("{")]
        return [line for line in found if line["event"] == event and fields.items() <= line.items()]

    def wait_line(self, event: str, **fields: object) -> dict[str, Any]:
        try:
            wait_for(f"{event} {fields}", lambda: bool(self.lines(event, **fields)), 20)
        except AssertionError as error:
            raise AssertionError(f"{error} in\n{self.node.log.read_text()}") from None
        return self.lines(event, **fields)[-1]

    def configure(self, replace: dict[str, str], more: str = "") -> None:
        """Edit the file, and have it read."""
        text = self.node.config.read_text()
        for old, new in replace.items():
            assert old in text
            text = text.replace(old, new)
        self.node.config.write_text(text + more)
        self.hup()

    def hup(self) -> None:
        os.kill(self.node.guard, signal.SIGHUP)

    def hook(self, name: str) -> str:
        """Return the command of a hook that notes its runs, as TOML."""
        return json.dumps(["/bin/sh", str(NOTE), str(self.notes), name])

    def metrics(self) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=5) as answer:
            text: str = answer.read().decode()
        return text

    def own_key(self) -> dict[str, Any]:
        key = f"/leaderd/election/db/{self.status()['lease']}"
        value = self.cluster.etcdctl(*self.flags, "get", key, "--print-value-only")
        found: dict[str, Any] = json.loads(value)
        return found


@pytest.fixture
def lead(tmp_path: Path) -> Iterator[Make]:
    """Make leaders; they are stopped in order, which must succeed."""
    made: list[Leader] = []

    def make(cluster: Cluster, etcd: str = "", *flags: str) -> Leader:
        made.append(Leader(cluster, tmp_path, etcd, *flags))
        return made[-1]

    try:
        yield make
        for each in made:
            each.node.stop()
            assert each.node.wait(30) == 0
    finally:
        for each in made:
            if each.node.running:
                each.node.kill()


def test_what_is_safe_changes_and_the_rest_is_named(cluster: Cluster, lead: Make) -> None:
    """All at once; then the agent is killed, and the next one has the new configuration too."""
    leader = lead(cluster)
    check, notify = leader.hook("check"), leader.hook("notify")
    leader.configure(
        {"ttl = 10": "ttl = 11\npriority = 7", 'log = "json"': 'log = "json"\nlog_level = "debug"'},
        f"[election.check]\ncommand = {check}\ninterval = 0.1\n[election.notify]\ncommand = {notify}\n",
    )
    leader.wait_line(
        "reloaded", changed="log_level, election.db.priority, election.db.notify, election.db.check"
    )
    line = leader.wait_line("reload refused", keys=SCALED, detail="restart to apply them")
    assert line["level"] == "warning"
    wait_for("the new check", lambda: leader.notes.exists() and "check" in leader.notes.read_text(), 20)
    wait_for("the new priority", lambda: leader.own_key()["priority"] == 7, 20)
    leader.check_kept()
    assert f'leaderd_lease_ttl_seconds{{election="db"}} {TTL}.0' in leader.metrics()
    leader.node.kill_agent()
    wait_for("the next term", lambda: leader.status().get("token", 0) > leader.token, 30)
    assert leader.own_key()["priority"] == 7
    wait_for("the new notify", lambda: "notify leader" in leader.notes.read_text(), 20)
    # Not the ttl, which was refused.
    assert leader.own_key()["ttl"] == TTL


def test_a_file_with_mistakes_changes_nothing(cluster: Cluster, lead: Make) -> None:
    """They are in the log as `leaderd check` would tell them; nor does a second daemon over it."""
    leader = lead(cluster)
    leader.configure({"ttl = 10": 'ttl = "x"\npriority = 7\nshoe_size = 43'})
    for key in ("ttl", "shoe_size"):
        wait_for(key, lambda key=key: any(
            line["detail"].startswith(f"election.db.{key}: ")
            for line in leader.lines("reload failed, nothing has changed")
        ), 20)
    leader.configure({'ttl = "x"\npriority = 7\nshoe_size = 43': "ttl = 10"})
    leader.wait_line("reloaded", changed="nothing")
    assert leader.own_key()["priority"] == 100
    second = subprocess.run(
        [*Node.program, "-c", str(leader.node.config)],
        capture_output=True, text=True, check=False, timeout=60,
    )
    assert second.returncode == 1
    assert second.stderr == (
        f"leaderd: already running on {leader.node.state_dir} as process {leader.node.guard}; "
        "stop it, or give another --state-dir\n"
    )
    leader.check_kept()


def test_etcd_moves_house(cluster: Cluster, lead: Make) -> None:
    """From one member to the two others, and then the first is gone; nowhere else is gone to."""
    leader = lead(cluster)
    urls = ", ".join(f'"{url}"' for url in cluster.endpoints)
    leader.configure({urls: f'"{cluster.endpoints[0]}"'})
    leader.wait_line("etcd access renewed", endpoints=cluster.endpoints[0])
    others = cluster.endpoints[1:]
    leader.configure({f'"{cluster.endpoints[0]}"': f'"{others[0]}", "{others[1]}"'})
    leader.wait_line("etcd access renewed", endpoints=", ".join(others))
    cluster.kill(0)
    try:
        leader.stays()
        leader.configure({f'"{others[0]}", "{others[1]}"': '"http://127.0.0.1:1"'})
        leader.wait_line("etcd access not renewed, the old one stays in use")
        # There from the beginning, as those of the endpoints that were there at the start.
        wanted = 'leaderd_renewals_total{election="db",endpoint="http://127.0.0.1:1",outcome="proven"} 0.0'
        assert wanted in leader.metrics()
        with Cluster(1) as stranger:
            leader.configure({'"http://127.0.0.1:1"': f'"{stranger.endpoints[0]}"'})
            wait_for("the other cluster's refusal", lambda: any(
                "belongs to etcd cluster" in line["detail"]
                for line in leader.lines("etcd access not renewed, the old one stays in use")
            ), 20)
        leader.check_kept()
    finally:
        cluster.heal()


# --- files that are replaced ---


def use(pki: Path, names: dict[str, str], signer: str) -> None:
    """Replace certificates and keys by those of a signer, each in one step."""
    for target, source in names.items():
        for suffix in (".key", ".pem"):
            draft = pki / f"{target}{suffix}~"
            shutil.copy(pki / f"{source}{signer}{suffix}", draft)
            draft.replace(pki / f"{target}{suffix}")


def test_certificates_are_replaced_on_both_sides(tmp_path: Path, lead: Make) -> None:
    """Half of one first, then all of ours, which etcd does not take yet, then etcd's."""
    pki = tmp_path / "pki"
    pki.mkdir()
    for signer in ("old", "new"):
        authority(pki, signer)
        for name in ("server", "client"):
            certificate(pki, f"{name}-{signer}", signer)
    at_etcd, ours = {"server": "server-", "etcd-ca": ""}, {"client": "client-", "ca": ""}
    use(pki, {**at_etcd, **ours}, "old")
    options = ("--cert-file", str(pki / "server.pem"), "--key-file", str(pki / "server.key"),
               "--trusted-ca-file", str(pki / "etcd-ca.pem"), "--client-cert-auth")
    files = {"ca_file": "ca.pem", "cert_file": "client.pem", "key_file": "client.key"}
    etcd = "\n".join(f'{key} = "{pki / name}"' for key, name in files.items())
    flags = [f"--{key.removesuffix('_file').replace('ca', 'cacert')}={pki / files[key]}" for key in files]
    with Cluster(1, scheme="https", options=options) as cluster:
        leader = lead(cluster, etcd, *flags)
        whole = (pki / "client-new.pem").read_bytes()
        (pki / "client.pem").write_bytes(whole[: len(whole) // 2])
        half = leader.wait_line("etcd access not renewed, the old one stays in use")
        assert half["detail"].startswith(f"etcd.cert_file: {pki}/client.pem cannot be used: ")
        use(pki, ours, "new")
        wait_for("a trial of the new ones", lambda: any(
            cluster.endpoints[0] in line["detail"] for line in leader.lines(half["event"])
        ), 20)
        assert not leader.lines("etcd access renewed")
        leader.check_kept()
        use(pki, at_etcd, "new")
        cluster.restart(0)
        leader.wait_line("etcd access renewed")
        leader.stays()
        leader.node.stop()
        assert leader.node.wait(30) == 0


def test_the_password_is_changed(lead: Make, tmp_path: Path) -> None:
    """At etcd first, then in the file: the leader has as long as its lease lasts."""
    password = tmp_path / "password"
    password.write_text("hush")
    with Cluster(1) as cluster:
        for command in (
            "role add root", "user add root:secret", "user grant-role root root", "role add leaderd",
            "user add leaderd:hush", "role grant-permission leaderd readwrite --prefix=true /leaderd/",
            "user grant-role leaderd leaderd", "auth enable",
        ):
            cluster.etcdctl(*command.split())
        leader = lead(cluster, f'user = "leaderd"\npassword_file = "{password}"', "--user", "leaderd:hush")
        command = ("user", "passwd", "leaderd", "--interactive=false")
        subprocess.run(
            cluster.etcdctl_command("--user", "root:secret", *command),
            env={"ETCDCTL_API": "3", "PATH": "/usr/bin:/bin"}, input="louder\n", text=True, check=True,
            capture_output=True, timeout=20,
        )
        password.write_text("louder\n")
        leader.wait_line("etcd access renewed")
        leader.stays()
        # The guard reads the file when it needs it: the release of a dead agent's term takes the new one.
        leader.node.kill_agent()
        leader.wait_line("guard stopped it", released=True)
        leader.node.stop()
        assert leader.node.wait(30) == 0
