"""The guard gives a stopped term up over etcd's JSON gateway."""

import base64
import http.client
import json
import signal
import ssl
import subprocess
import time
from urllib.parse import urlsplit

import pytest

from leaderd.etcd.embedded import EmbeddedCluster
from leaderd.guard.release import reach, release
from leaderd.guard.wire import Disarm
from leaderd.plan import EtcdPlan
from tests.guard.harness import CLOCK, LEASE, eventually, order, shell


class Etcd:
    """One etcd member, spoken to over its gateway."""

    def __init__(self, url, context=None, headers=None):
        self.url = url
        self.context = context
        self.headers = headers or {}

    def call(self, path, **body):
        url = urlsplit(self.url)
        if self.context:
            link = http.client.HTTPSConnection(url.hostname, url.port, timeout=10, context=self.context)
        else:
            link = http.client.HTTPConnection(url.hostname, url.port, timeout=10)
        link.request("POST", path, json.dumps(body), self.headers)
        answer = json.loads(link.getresponse().read())
        link.close()
        assert "error" not in answer, answer
        return answer

    def put(self, key, value, lease=0):
        answer = self.call("/v3/kv/put", key=text(key), value=text(value), lease=str(lease))
        return int(answer["header"]["revision"])

    def get(self, key):
        found = self.call("/v3/kv/range", key=text(key)).get("kvs", [])
        return base64.b64decode(found[0]["value"]).decode() if found else None

    def leases(self):
        return [int(entry["ID"]) for entry in self.call("/v3/lease/leases").get("leases", [])]

    def hold(self, **changes):
        """Make what a leader has made: lease, key, holder record; return its arm message."""
        self.call("/v3/lease/grant", TTL="60", ID=str(LEASE))
        message = order(**changes)
        self.put(message.release.key, "candidate", LEASE)
        revision = self.put(message.release.holder_key, message.record)
        return order(revision=revision, **changes)

    def is_released(self, message):
        record = json.loads(self.get(message.release.holder_key))
        gone = self.get(message.release.key) is None and LEASE not in self.leases()
        return record["state"] == "released" and record["token"] == message.token and gone


def text(value):
    return base64.b64encode(value.encode()).decode()


@pytest.fixture(scope="module")
def cluster():
    with EmbeddedCluster(1) as made:
        yield made


@pytest.fixture
def etcd(cluster):
    found = Etcd(cluster.endpoints[0])
    yield found
    for lease in found.leases():
        found.call("/v3/lease/revoke", ID=str(lease))


def test_a_crash_of_the_agent_is_released_at_once(guarded, etcd):
    """After the stops the record says released, key and lease are gone, and nothing is left to do."""
    run = guarded(etcd=["http://127.0.0.1:1", etcd.url]).start()
    agent = run.agent()
    message = etcd.hold(stops=[shell("true")])
    agent.arm(message)
    killed = time.monotonic()
    agent.signal(signal.SIGKILL)
    eventually(lambda: etcd.is_released(message), "released")
    print(f"\nkill -9 of the agent to released: {(time.monotonic() - killed) * 1000:.0f} ms")
    assert run.agent().payload["recovery"] == {}
    assert run.journal() is None


def test_nothing_is_released_when_a_stop_fails(guarded, etcd):
    """The record stays held, key and lease stay: they run out (R5)."""
    run = guarded(etcd=[etcd.url]).start()
    agent = run.agent()
    message = etcd.hold(stops=[shell("exit 1")])
    agent.arm(message)
    agent.signal(signal.SIGKILL)
    recovery = run.agent().payload["recovery"]["db"]
    assert recovery["unclean"] == message.token
    assert etcd.get(message.release.holder_key) == message.record
    assert etcd.get(message.release.key) == "candidate"
    assert LEASE in etcd.leases()


def test_a_stopped_term_is_released_when_the_agent_dies_before_it_could(guarded, etcd):
    """No stop is run again: the agent had reported the term stopped."""
    run = guarded(etcd=[etcd.url]).start()
    agent = run.agent()
    message = etcd.hold(stops=[shell("exit 1")])
    agent.arm(message)
    agent.send(Disarm("db", message.token))
    agent.signal(signal.SIGKILL)
    assert run.agent().payload["recovery"] == {}
    assert etcd.is_released(message)


def test_the_record_of_a_later_term_is_left_alone(etcd):
    """With another mod revision only our own key and lease go, and that counts as done."""
    message = etcd.hold()
    etcd.put(message.release.holder_key, "somebody else's")
    assert release(EtcdPlan((etcd.url,)), message, CLOCK.now().plus(10), CLOCK) == ""
    assert etcd.get(message.release.holder_key) == "somebody else's"
    assert etcd.get(message.release.key) is None
    assert LEASE not in etcd.leases()


def test_the_record_of_another_term_with_the_same_revision_is_left_alone(etcd):
    """A restored etcd gives revisions out again: the text of the record must be ours as well."""
    message = etcd.hold()
    revision = etcd.put(message.release.holder_key, "somebody else's")
    late = order(revision=revision)
    assert release(EtcdPlan((etcd.url,)), late, CLOCK.now().plus(10), CLOCK) == ""
    assert etcd.get(message.release.holder_key) == "somebody else's"


def test_a_record_is_released_though_its_key_is_gone(etcd):
    """Whoever revoked the lease, the term has stopped: say so."""
    message = etcd.hold()
    etcd.call("/v3/lease/revoke", ID=str(LEASE))
    assert release(EtcdPlan((etcd.url,)), message, CLOCK.now().plus(10), CLOCK) == ""
    assert etcd.is_released(message)


def test_unreachable_endpoints_are_named():
    """Each endpoint has its say in the one line."""
    plan = EtcdPlan(("http://127.0.0.1:1", "http://127.0.0.1:2"))
    problem = release(plan, order(), CLOCK.now().plus(10), CLOCK)
    assert "127.0.0.1:1" in problem
    assert "127.0.0.1:2" in problem


def test_a_password_is_used(tmp_path):
    """With authentication on, the release authenticates first; a wrong password is reported."""
    (tmp_path / "good").write_text("s3cret\n")
    (tmp_path / "bad").write_text("guess\n")
    with EmbeddedCluster(1) as cluster:
        etcd = Etcd(cluster.endpoints[0])
        message = etcd.hold()
        etcd.call("/v3/auth/user/add", name="root", password="s3cret")
        etcd.call("/v3/auth/role/add", name="root")
        etcd.call("/v3/auth/user/grant", user="root", role="root")
        etcd.call("/v3/auth/enable")
        bad = EtcdPlan((etcd.url,), user="root", password_file=str(tmp_path / "bad"))
        assert "authentication failed" in release(bad, message, CLOCK.now().plus(10), CLOCK)
        assert "authentication failed" in reach(bad, etcd.url, 5.0)
        good = EtcdPlan((etcd.url,), user="root", password_file=str(tmp_path / "good"))
        assert reach(good, etcd.url, 5.0) == ""
        assert release(good, message, CLOCK.now().plus(10), CLOCK) == ""
        token = etcd.call("/v3/auth/authenticate", name="root", password="s3cret")["token"]
        etcd.headers = {"Authorization": token}
        assert etcd.is_released(message)


def openssl(folder, *words):
    subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)


def certificate(folder, name, issuer):
    new = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", f"/CN={name}"]
    openssl(folder, "req", *new, "-keyout", f"{name}.key", "-out", f"{name}.csr")
    openssl(
        folder,
        "x509",
        "-req",
        "-in",
        f"{name}.csr",
        "-CA",
        f"{issuer}.pem",
        "-CAkey",
        f"{issuer}.key",
        "-CAcreateserial",
        "-days",
        "2",
        "-extfile",
        "san",
        "-out",
        f"{name}.pem",
    )


@pytest.fixture(scope="module")
def pki(tmp_path_factory):
    """An authority, a server and a client certificate by it, and a stranger."""
    folder = tmp_path_factory.mktemp("pki")
    (folder / "san").write_text("subjectAltName=IP:127.0.0.1\nextendedKeyUsage=serverAuth,clientAuth\n")
    for authority in ("ca", "stranger"):
        openssl(
            folder,
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
            "-days",
            "2",
            "-subj",
            f"/CN={authority}",
            "-keyout",
            f"{authority}.key",
            "-out",
            f"{authority}.pem",
        )
    certificate(folder, "server", "ca")
    certificate(folder, "client", "ca")
    return folder


def test_tls_with_client_certificates(guarded, pki):
    """The same certificates as the agent's; a server that nobody vouches for gets no request."""
    options = (
        "--cert-file",
        str(pki / "server.pem"),
        "--key-file",
        str(pki / "server.key"),
        "--trusted-ca-file",
        str(pki / "ca.pem"),
        "--client-cert-auth",
    )
    with EmbeddedCluster(1, scheme="https", options=options) as cluster:
        context = ssl.create_default_context(cafile=str(pki / "ca.pem"))
        context.load_cert_chain(str(pki / "client.pem"), str(pki / "client.key"))
        etcd = Etcd(cluster.endpoints[0], context)
        message = etcd.hold(stops=[shell("true")])
        plan = EtcdPlan(
            cluster.endpoints, str(pki / "ca.pem"), str(pki / "client.pem"), str(pki / "client.key")
        )
        stranger = EtcdPlan(cluster.endpoints, str(pki / "stranger.pem"), plan.cert_file, plan.key_file)
        assert "certificate" in release(stranger, message, CLOCK.now().plus(10), CLOCK)
        nobody = EtcdPlan(cluster.endpoints, str(pki / "ca.pem"))
        assert release(nobody, message, CLOCK.now().plus(10), CLOCK) != ""
        missing = EtcdPlan(cluster.endpoints, str(pki / "none.pem"))
        assert "No such file" in release(missing, message, CLOCK.now().plus(10), CLOCK)
        run = guarded(etcd_plan=plan).start()
        agent = run.agent()
        agent.arm(message)
        agent.signal(signal.SIGKILL)
        assert run.agent().payload["recovery"] == {}
        assert etcd.is_released(message)


def test_a_hanging_endpoint_does_not_hold_up_the_next(cluster, etcd):
    """A paused member costs one attempt, then the next endpoint is asked."""
    with EmbeddedCluster(1) as other:
        message = etcd.hold()
        other.pause(0)
        started = time.monotonic()
        plan = EtcdPlan((*other.endpoints, etcd.url))
        assert release(plan, message, CLOCK.now().plus(10), CLOCK) == ""
        assert time.monotonic() - started < 3
        other.resume(0)
    assert etcd.is_released(message)
