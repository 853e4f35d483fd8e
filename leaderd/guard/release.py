"""Gives a stopped term up over etcd's JSON gateway, so that a crash of the agent costs no TTL (rule R5).

Used in a worker, after every stop has succeeded. Only the standard library: the guard has no gRPC. Where
the gateway is off or refuses (it does so with certificate-name authentication), the next agent releases.

    POST /v3/auth/authenticate  {"name", "password"}                       → {"token"}
    POST /v3/kv/txn             {"compare": […], "success": […], "failure": […]}  → {"succeeded"}
    POST /v3/lease/revoke       {"ID": decimal}

Source: etcd's api-grpc-gateway documentation; keys and values are base64, 64-bit numbers are strings.
"""

import base64
import json
import socket
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from ssl import SSLContext, SSLError, create_default_context
from typing import Any
from urllib.parse import urlsplit

from leaderd.clock import Clock
from leaderd.errors import EtcdError
from leaderd.guard.wire import Arm
from leaderd.instant import Instant
from leaderd.plan import EtcdPlan

# One endpoint has this long at most, seconds; a healthy one answers in milliseconds.
_ATTEMPT = 1.0
_PORT = 2379


def release(plan: EtcdPlan, order: Arm, until: Instant, clock: Clock) -> str:
    """Set the term's holder record to released, delete its key, revoke its lease.

    Args:
        plan: How to reach etcd; endpoints are tried in turn.
        order: What the term was armed with.
        until: When to give up.
        clock: Read before each attempt.

    Returns:
        "" when the term is released, or somebody else's record stands there by now; else why not.
    """
    problems = []
    for endpoint in plan.endpoints:
        left = clock.now().left_until(until)
        if left <= 0:
            problems.append("no time left")
            break
        try:
            _Gateway(plan, endpoint, min(left, _ATTEMPT)).release(order)
        except (OSError, HTTPException, EtcdError, ValueError, KeyError) as error:
            problems.append(f"{endpoint}: {error}")
        else:
            return ""
    return "; ".join(problems) or "no endpoint"


def reach(plan: EtcdPlan, endpoint: str, timeout: float) -> str:
    """Try the way that a release would take, without changing anything; for `leaderd doctor`.

    Args:
        plan: How to reach etcd.
        endpoint: Of the plan.
        timeout: For each answer, in seconds.

    Returns:
        Why a release would not get through here, or "".
    """
    try:
        _Gateway(plan, endpoint, timeout).greet()
    except (OSError, HTTPException, EtcdError, ValueError, KeyError) as error:
        return str(error)
    return ""


class _Gateway:
    """One attempt at one endpoint."""

    def __init__(self, plan: EtcdPlan, endpoint: str, timeout: float) -> None:
        url = urlsplit(endpoint)
        host, port = url.hostname or "", url.port or _PORT
        self._http = (
            HTTPSConnection(host, port, timeout=timeout, context=_tls(plan))
            if url.scheme == "https"
            else HTTPConnection(host, port, timeout=timeout)
        )
        self._plan = plan
        self._token = ""

    def release(self, order: Arm) -> None:
        """Send the release.

        Raises:
            OSError, HTTPException: No answer.
            EtcdError: Etcd said no.
        """
        try:
            self._connect()
            self._call("/v3/kv/txn", _transaction(order))
            self._revoke(int(order.release.lease, 16))
        finally:
            self._http.close()

    def greet(self) -> None:
        """Connect as for a release, and send a transaction that does nothing.

        Raises:
            OSError, HTTPException: No answer.
            EtcdError: Etcd said no.
        """
        try:
            self._connect()
            self._call("/v3/kv/txn", {})
        finally:
            self._http.close()

    def _connect(self) -> None:
        self._http.connect()
        # Requests and answers are single small segments.
        self._http.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self._plan.user:
            self._authenticate()

    def _authenticate(self) -> None:
        with open(self._plan.password_file, encoding="utf-8") as file:
            password = file.read().rstrip("\n")
        answer = self._call("/v3/auth/authenticate", {"name": self._plan.user, "password": password})
        self._token = str(answer["token"])

    def _revoke(self, lease: int) -> None:
        try:
            self._call("/v3/lease/revoke", {"ID": str(lease)})
        except EtcdError:
            # The lease has run out, or may not be revoked: the key is deleted, it holds nothing.
            return

    def _call(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        headers = {"Content-Type": "application/json"}
        if self._token:
            headers["Authorization"] = self._token
        self._http.request("POST", path, json.dumps(body), headers)
        answer = self._http.getresponse()
        text = answer.read()
        if answer.status != HTTPStatus.OK:
            raise EtcdError(f"{path}: {answer.status} {text[:200].decode(errors='replace')}")
        fields: dict[str, Any] = json.loads(text)
        return fields


def _transaction(order: Arm) -> dict[str, Any]:
    """Return the transaction of rule R5.

    The compare guards the record alone: our own key may be deleted whoever holds by now, also
    when an earlier try has succeeded without our hearing of it. By its revision and by its text: in an
    etcd that was restored, another term's record may have the revision that ours had.
    """
    keys = order.release
    delete = {"request_delete_range": {"key": _base64(keys.key)}}
    return {
        "compare": [{
            "key": _base64(keys.holder_key), "target": "MOD", "result": "EQUAL",
            "mod_revision": str(order.holder_revision),
        }, {
            "key": _base64(keys.holder_key), "target": "VALUE", "result": "EQUAL",
            "value": _base64(order.record),
        }],
        "success": [
            {"request_put": {"key": _base64(keys.holder_key), "value": _base64(keys.holder_value)}},
            delete,
        ],
        "failure": [delete],
    }


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def _tls(plan: EtcdPlan) -> SSLContext:
    try:
        context = create_default_context(cafile=plan.ca_file or None)
        if plan.cert_file:
            context.load_cert_chain(plan.cert_file, plan.key_file or None)
    except SSLError as error:
        raise EtcdError(f"TLS: {error}") from error
    return context
