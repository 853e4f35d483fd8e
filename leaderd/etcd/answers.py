"""What gRPC and etcd mean by their errors; `etcd.client` lets no other ones out.

Source: api/v3rpc/rpctypes/error.go of etcd for the texts.
"""

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from typing import Final

import grpc
import grpc.aio

from leaderd.errors import EtcdError, EtcdRefusedError

_FINAL: Final = frozenset({
    grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.UNAUTHENTICATED,
    grpc.StatusCode.FAILED_PRECONDITION, grpc.StatusCode.UNIMPLEMENTED,
})
# Texts of etcd that ask for a new token; api/v3rpc/rpctypes/error.go. The status codes alone do
# not tell: two of the three come as INVALID_ARGUMENT.
_STALE_TOKEN: Final = ("invalid auth token", "user name is empty", "revision of auth store is old",
                       "revision in header is old")


class NotFoundError(EtcdError):
    """What was named does not exist here; a lease that was just granted may exist elsewhere."""


@contextlib.contextmanager
def mapped(
    url: str, timeout: float | None = None, expired: Callable[[], None] | None = None
) -> Iterator[None]:
    """Turn gRPC's errors into ours.

    Args:
        url: Of the endpoint, for the text.
        timeout: That was set for the block, in seconds, for the text.
        expired: Called when etcd wants a new token.

    Raises:
        EtcdError: etcd did not answer, or with an error.
    """
    try:
        yield
    except asyncio.CancelledError:
        # Nobody cancelled this task: the channel was closed underneath, which cancels its calls.
        if (task := asyncio.current_task()) is None or task.cancelling():
            raise
        raise EtcdError(f"{url}: the connection was closed") from None
    except grpc.aio.AioRpcError as error:
        if expired is not None and token_is_stale(error):
            expired()
        raise _translated(url, error) from error
    except TimeoutError:
        raise EtcdError(f"{url}: no answer within {timeout or 0:g} s") from None
    except (asyncio.InvalidStateError, grpc.aio.UsageError, grpc.aio.InternalError) as error:
        # How grpc.aio reports that a stream ended while it was being written to.
        raise EtcdError(f"{url}: the stream broke: {error}") from error


def _translated(url: str, error: grpc.aio.AioRpcError) -> EtcdError:
    code, details = error.code(), (error.details() or "").replace("\n", " ")
    text = f"{url}: {details or code.name}"
    if "database space exceeded" in details:
        return EtcdRefusedError(f"{text}: compact and defragment etcd, then `etcdctl alarm disarm`")
    if "user name is empty" in details:
        return EtcdRefusedError(f"{text}: etcd wants a user: set etcd.user and etcd.password_file")
    if code is grpc.StatusCode.NOT_FOUND:
        return NotFoundError(text)
    # A stale token is curable: the next attempt logs in again.
    final = code in _FINAL and not token_is_stale(error)
    return EtcdRefusedError(text) if final else EtcdError(text)


def token_is_stale(error: grpc.aio.AioRpcError) -> bool:
    """Return whether etcd asks for a new token."""
    return any(text in (error.details() or "") for text in _STALE_TOKEN)
