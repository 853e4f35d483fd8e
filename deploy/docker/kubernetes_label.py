"""Labels the pod that leads, so that a Service can select it: for `[election.notify]`, called at each change.

    [election.notify]
    command = ["python3", "-I", "-S", "/opt/leaderd/libexec/kubernetes_label.py", "leaderd/db"]

The label (default leaderd/ELECTION) says "leader" on the pod that leads and is removed from any other. It is
for routing only: it may be late, and on a node that is cut off it cannot be taken away. What must not run
twice is a resource of the election. POD_NAME and POD_NAMESPACE come from the downward API; the pod's service
account may patch pods.

Source: "Accessing the Kubernetes API from a Pod"; RFC 7386 (JSON merge patch).
"""

import http.client
import json
import os
import ssl
import sys
from pathlib import Path

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")


def patch(label: str, state: str) -> str:
    """Return the change that a state means for the label; null removes it."""
    return json.dumps({"metadata": {"labels": {label: "leader" if state == "leader" else None}}})


def send(body: str, account: Path) -> tuple[int, str]:
    """Change this pod; return the status of the answer and its text."""
    authority = ssl.create_default_context(cafile=str(account / "ca.crt"))
    host, port = os.environ["KUBERNETES_SERVICE_HOST"], os.environ["KUBERNETES_SERVICE_PORT"]
    connection = http.client.HTTPSConnection(host, int(port), timeout=3, context=authority)
    path = f"/api/v1/namespaces/{os.environ['POD_NAMESPACE']}/pods/{os.environ['POD_NAME']}"
    # Read each time: the token is replaced about once an hour.
    token = (account / "token").read_text(encoding="ascii").strip()
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/merge-patch+json"}
    connection.request("PATCH", path, body, headers)
    answer = connection.getresponse()
    return answer.status, answer.read(500).decode(errors="replace")


def main(words: list[str], account: Path = ACCOUNT) -> int:
    """Run as a notify hook; the first word is the label."""
    label = words[0] if words else f"leaderd/{os.environ['LEADERD_ELECTION']}"
    status, text = send(patch(label, os.environ["LEADERD_STATE"]), account)
    if status == http.HTTPStatus.OK:
        return 0
    print(f"label {label}: the API answers {status}: {text}", file=sys.stderr)  # noqa: T201 - the hook's output
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
