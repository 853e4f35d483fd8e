"""Asks a daemon over its Unix socket; what the commands and the demo use.

Every function raises `UnreachableError` when nobody answers, or the daemon says that etcd cannot, and
`RefusedError` with the daemon's reason when it refuses; then nothing was changed.
"""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote

from leaderd.errors import RefusedError, UnreachableError

# Until the daemon must answer, until what it asks of etcd must be done, and until a node must have stopped
# its resources; seconds.
TIMEOUT = 3.0
CHANGE_TIMEOUT = 15.0
STOP_TIMEOUT = 3600.0


def fetch_status(path: str, election: str = "", timeout: float = TIMEOUT) -> dict[str, Any]:
    """Return the status report of docs/interfaces.md §5.

    Args:
        path: Of the socket.
        election: Ask for this one alone; "" for all.
        timeout: Seconds until an answer must be there.
    """
    return _ask(path, "GetStatus", timeout, election=election)


def watch_status(path: str, election: str = "", timeout: float = TIMEOUT) -> Iterator[dict[str, Any]]:
    """Yield `{"node": …, **election}`: each election as it stands, then each change.

    Args:
        path: Of the socket.
        election: Only this one; "" for all.
        timeout: Seconds until the first answer must be there.
    """
    fetch_status(path, election, timeout)
    with _calls(path, timeout) as (pb, stub), _mapped(path):
        from leaderd.api.messages import as_dict

        for change in stub.WatchStatus(pb.WatchStatusRequest(election=election)):
            yield {"node": change.node, **as_dict(change.election)}


def fetch_explanation(path: str, election: str = "", timeout: float = TIMEOUT) -> dict[str, Any]:
    """Return `ExplainResponse` of the protocol, of one election or of all."""
    return _ask(path, "Explain", timeout, election=election)


def switch_over(path: str, election: str, to: str, timeout: float) -> Iterator[dict[str, Any]]:
    """Yield the steps of a switchover, `SwitchoverResponse` of the protocol each.

    Args:
        path: Of the socket.
        election: Name.
        to: Node that shall lead; "" for the fittest.
        timeout: Seconds until the new leader must have started its resources.
    """
    fetch_status(path, timeout=TIMEOUT)  # Whether anybody is awake shows at once.
    late = f"not finished within {timeout:g} s; `leaderd status {election}` tells how it stands"
    with _calls(path, TIMEOUT) as (pb, stub), _mapped(path, late):
        from leaderd.api.messages import as_dict

        request = pb.SwitchoverRequest(election=election, to=to)
        for step in stub.Switchover(request, timeout=timeout, metadata=_signature()):
            yield as_dict(step)


def set_standby(path: str, election: str, node: str, *, standby: bool, force: bool) -> None:
    """Take a node out of the competition or put it back; "" means all elections, or the node asked.

    Returns when the node has left: its stop may take what the configuration allows.
    """
    fetch_status(path, timeout=TIMEOUT)
    _ask(path, "SetStandby", STOP_TIMEOUT, election=election, node=node, standby=standby, force=force)


def set_paused(path: str, election: str, *, paused: bool) -> None:
    """Stop promotions in an election, or allow them again."""
    _ask(path, "SetPaused", CHANGE_TIMEOUT, election=election, paused=paused)


def fetch_history(path: str, election: str = "", limit: int = 0) -> list[dict[str, Any]]:
    """Return past leaderships, `Term` of the protocol each; a limit of 0 is none."""
    terms: list[dict[str, Any]] = _ask(
        path, "GetHistory", CHANGE_TIMEOUT, election=election, limit=limit
    )["terms"]
    return terms


def verify_token(path: str, election: str, token: int) -> dict[str, Any]:
    """Return `VerifyTokenResponse` of the protocol."""
    return _ask(path, "VerifyToken", CHANGE_TIMEOUT, election=election, token=token)


def raise_epoch(path: str, election: str) -> int:
    """Raise the epoch of an election; return the new one."""
    return int(_ask(path, "RaiseEpoch", CHANGE_TIMEOUT, election=election)["epoch"])


def _ask(path: str, method: str, timeout: float, **fields: Any) -> dict[str, Any]:
    """Make one call and return its answer as plain values."""
    with _calls(path, min(timeout, TIMEOUT)) as (pb, stub), _mapped(path):
        from leaderd.api.messages import as_dict

        request = getattr(pb, f"{method}Request")(**fields)
        return as_dict(getattr(stub, method)(request, timeout=timeout, metadata=_signature()))


def _signature() -> tuple[tuple[str, str], ...]:
    """Return what lets the daemon tell our connection from those of others, for its log."""
    from leaderd.api.peers import PID_KEY

    return ((PID_KEY, str(os.getpid())),)


@contextmanager
def _calls(path: str, timeout: float) -> Iterator[tuple[Any, Any]]:
    """Give the protocol's module and a stub; both are only loaded once somebody listens."""
    _probe(path, timeout)
    # grpc would write its own account of a lost connection to standard error, before ours.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    import grpc

    from leaderd.api.pb import leaderd_pb2, leaderd_pb2_grpc

    with grpc.insecure_channel(f"unix:{quote(os.path.abspath(path))}") as channel:
        yield leaderd_pb2, leaderd_pb2_grpc.LeaderdStub(channel)  # type: ignore[no-untyped-call] # generated


def _probe(path: str, timeout: float) -> None:
    """Connect once: the kernel says more precisely than grpc why nobody answers."""
    try:
        with socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(timeout)
            probe.connect(path)
    except FileNotFoundError as error:
        text = f"no daemon: {path} does not exist; start `leaderd run`, or give --socket"
        raise UnreachableError(text) from error
    except PermissionError as error:
        raise UnreachableError(f"{path} is not yours to use; be its owner or in its socket_group") from error
    except (OSError, ValueError) as error:
        raise UnreachableError(f"no daemon answers at {path}: {error}; is `leaderd run` up?") from error


@contextmanager
def _mapped(path: str, late: str = "") -> Iterator[None]:
    import grpc

    try:
        yield
    except grpc.RpcError as error:
        code, detail = error.code(), error.details() or ""
        if code in (
            grpc.StatusCode.NOT_FOUND, grpc.StatusCode.FAILED_PRECONDITION, grpc.StatusCode.INVALID_ARGUMENT,
            grpc.StatusCode.RESOURCE_EXHAUSTED,
        ):
            raise RefusedError(detail) from error
        if code is grpc.StatusCode.UNIMPLEMENTED:
            raise RefusedError(f"the daemon at {path} is older and cannot do that; upgrade it") from error
        if code is grpc.StatusCode.DEADLINE_EXCEEDED:
            text = late or f"the daemon at {path} does not answer: it is stopped or stuck"
            raise UnreachableError(text) from error
        name = code.name.lower().replace("_", " ")
        raise UnreachableError(f"no answer from {path}: {name}: {detail}") from error
