"""Asks a daemon over its Unix socket; what `status`, `watch` and the demo use."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote

from leaderd.errors import RefusedError, UnreachableError

TIMEOUT = 3.0


def fetch_status(path: str, election: str = "", timeout: float = TIMEOUT) -> dict[str, Any]:
    """Return the status report of docs/interfaces.md §5.

    Args:
        path: Of the socket.
        election: Ask for this one alone; "" for all.
        timeout: Seconds until an answer must be there.

    Raises:
        UnreachableError: Nobody answers.
        RefusedError: The daemon answers that there is no such election.
    """
    with _calls(path, timeout) as (pb, stub), _mapped(path):
        from leaderd.api.messages import as_dict

        return as_dict(stub.GetStatus(pb.GetStatusRequest(election=election), timeout=timeout))


def watch_status(path: str, election: str = "", timeout: float = TIMEOUT) -> Iterator[dict[str, Any]]:
    """Yield `{"node": …, **election}`: each election as it stands, then each change.

    Args:
        path: Of the socket.
        election: Only this one; "" for all.
        timeout: Seconds until the first answer must be there.

    Raises:
        UnreachableError: Nobody answers, or the daemon has stopped.
        RefusedError: The daemon answers that there is no such election.
    """
    fetch_status(path, election, timeout)
    with _calls(path, timeout) as (pb, stub), _mapped(path):
        from leaderd.api.messages import as_dict

        for change in stub.WatchStatus(pb.WatchStatusRequest(election=election)):
            yield {"node": change.node, **as_dict(change.election)}


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
def _mapped(path: str) -> Iterator[None]:
    import grpc

    try:
        yield
    except grpc.RpcError as error:
        code, detail = error.code(), error.details() or ""
        if code is grpc.StatusCode.NOT_FOUND:
            raise RefusedError(detail) from error
        if code is grpc.StatusCode.DEADLINE_EXCEEDED:
            raise UnreachableError(f"the daemon at {path} does not answer: it is stopped or stuck") from error
        name = code.name.lower().replace("_", " ")
        raise UnreachableError(f"no answer from {path}: {name}: {detail}") from error
