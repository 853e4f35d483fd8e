"""Answers a request that is no message of its type as gRPC's other servers do: INTERNAL, and in one sentence.

`grpc.aio` by itself takes it for a bug in the method: UNKNOWN, and a traceback in the log, which anybody who
may use the socket could fill.

Source: gRPC's doc/statuscodes.md, "Error parsing request proto".
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from typing import Any

import grpc
from google.protobuf.message import DecodeError

_Context = grpc.aio.ServicerContext[Any, Any]
_Handler = Any  # grpc.RpcMethodHandler; its stubs leave out the fields


class Undecodable(grpc.aio.ServerInterceptor):  # type: ignore[type-arg] # generic in the stubs only
    """Ends calls whose request cannot be read, before the method sees them."""

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[_Handler]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> _Handler:
        """Return the method's handler, looked after; None where there is no such method."""
        handler = await continuation(handler_call_details)
        if handler is None:
            return None
        method = handler_call_details.method
        if handler.request_streaming:
            return _streaming(handler, method)
        return _single(handler, method)


def _single(handler: _Handler, method: str) -> _Handler:
    """Look after a method that takes one request."""
    if handler.response_streaming:

        async def stream(request: Any, context: _Context) -> AsyncIterator[Any]:
            # Closed with the call, and not whenever the collector comes by: a watcher has a seat.
            good = await _good(request, method, context)
            async with aclosing(handler.unary_stream(good, context)) as answers:
                async for answer in answers:
                    yield answer

        return grpc.unary_stream_rpc_method_handler(stream, _reader(handler), handler.response_serializer)

    async def once(request: Any, context: _Context) -> Any:
        return await handler.unary_unary(await _good(request, method, context), context)

    return grpc.unary_unary_rpc_method_handler(once, _reader(handler), handler.response_serializer)


def _streaming(handler: _Handler, method: str) -> _Handler:
    """Look after a method that takes a stream of requests and gives one: reflection."""

    async def stream(requests: AsyncIterator[Any], context: _Context) -> AsyncIterator[Any]:
        async def good() -> AsyncIterator[Any]:
            async for request in requests:
                yield await _good(request, method, context)

        async for answer in handler.stream_stream(good(), context):
            yield answer

    return grpc.stream_stream_rpc_method_handler(stream, _reader(handler), handler.response_serializer)


def _reader(handler: _Handler) -> Callable[[bytes], Any]:
    def read(data: bytes) -> Any:
        # Not raised: only the method may end the call in order.
        try:
            return handler.request_deserializer(data)
        except (DecodeError, UnicodeDecodeError) as error:
            return error

    return read


async def _good(request: Any, method: str, context: _Context) -> Any:
    if isinstance(request, Exception):
        await context.abort(
            grpc.StatusCode.INTERNAL, f"{method}: what was sent is no such request; see leaderd.proto"
        )
    return request
