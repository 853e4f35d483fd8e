"""The manifest against the schemas of Kubernetes, and the hook that labels the leader."""

import importlib.util
import json
import ssl
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import ModuleType

import kubernetes_validate
import pytest
import yaml

from leaderd.cli.configured import load_configuration

ROOT = Path(__file__).parents[1]
MANIFEST = ROOT / "deploy/kubernetes/leaderd.yaml"
HOOK = ROOT / "deploy/docker/kubernetes_label.py"


def documents() -> list[dict]:
    return list(yaml.safe_load_all(MANIFEST.read_text()))


@pytest.mark.parametrize("version", ["1.29", "1.37"])
def test_every_object_is_valid(version: str) -> None:
    """1.29 is the first with native sidecars."""
    for each in documents():
        kubernetes_validate.validate(each, version, strict=True)


def test_the_service_selects_what_the_hook_sets() -> None:
    found = {each["kind"]: each for each in documents()}
    assert found["Service"]["spec"]["selector"]["leaderd/web"] == "leader"
    assert '"leaderd/web"' in found["ConfigMap"]["data"]["leaderd.toml"]


class Api(BaseHTTPRequestHandler):
    """Takes one change, or refuses it."""

    def do_PATCH(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        kind = self.headers["Content-Type"]
        self.server.seen.append((self.path, self.headers["Authorization"], kind, body))
        self.send_response(self.server.status)
        self.end_headers()
        self.wfile.write(b"forbidden" if self.server.status != 200 else b"{}")

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def api(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HTTPServer]:
    """The API as a pod reaches it: its authority and token in files, its address in the environment."""
    words = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
             "-subj", "/CN=api", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2",
             "-keyout", str(tmp_path / "key"), "-out", str(tmp_path / "ca.crt")]
    subprocess.run(words, check=True, capture_output=True)
    (tmp_path / "token").write_text("secret\n")
    server = HTTPServer(("127.0.0.1", 0), Api)
    server.seen, server.status = [], 200
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "ca.crt", tmp_path / "key")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    for name, value in {
        "KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": str(server.server_port),
        "POD_NAMESPACE": "default", "POD_NAME": "web-0", "LEADERD_ELECTION": "web",
    }.items():
        monkeypatch.setenv(name, value)
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def hook() -> ModuleType:
    spec = importlib.util.spec_from_file_location("kubernetes_label", HOOK)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(("state", "value"), [("leader", "leader"), ("demoting", None), ("candidate", None)])
def test_only_a_leader_keeps_the_label(
    api: HTTPServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, state: str, value: str | None,
) -> None:
    monkeypatch.setenv("LEADERD_STATE", state)
    assert hook().main(["leaderd/web"], tmp_path) == 0
    path, token, kind, body = api.seen[0]
    assert path == "/api/v1/namespaces/default/pods/web-0"
    assert (token, kind) == ("Bearer secret", "application/merge-patch+json")
    assert json.loads(body) == {"metadata": {"labels": {"leaderd/web": value}}}


def test_a_refusal_is_a_failure_that_says_why(
    api: HTTPServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("LEADERD_STATE", "leader")
    api.status = 403
    assert hook().main([], tmp_path) == 1
    assert "leaderd/web: the API answers 403: forbidden" in capsys.readouterr().err


def test_the_configuration_in_it_is_accepted(tmp_path: Path) -> None:
    config = next(each for each in documents() if each["kind"] == "ConfigMap")["data"]["leaderd.toml"]
    file = tmp_path / "leaderd.toml"
    file.write_text(config)
    assert load_configuration(str(file), {"state_dir": str(tmp_path)}).plan.elections[0].name == "web"
