"""The gRPC service on the daemon's Unix socket: status, explanation, health, reflection.

What operators change is in `grpc_control`.

Source: docs/interfaces.md §7; proto/leaderd/v1/leaderd.proto; the health protocol of grpc.health.v1.
"""

import asyncio
import contextlib
import grp
import os
import resource
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from leaderd.api.address import claim
from leaderd.api.control import Control
from leaderd.api.explain import explain
from leaderd.api.grpc_control import Context, ControlService, demand_election
from leaderd.api.grpc_decode import Undecodable
from leaderd.api.hub import Closed, Hub, Watcher
from leaderd.api.messages import Changes, status_message
from leaderd.api.pb import leaderd_pb2 as pb
from leaderd.api.pb import leaderd_pb2_grpc
from leaderd.api.source import StatusSource
from leaderd.clock import BootClock
from leaderd.errors import RefusedError
from leaderd.plan import ApiPlan, Plan

SERVICE = pb.DESCRIPTOR.services_by_name["Leaderd"].full_name
_HEALTH = health_pb2.DESCRIPTOR.services_by_name["Health"].full_name
# Calls at once; further ones are refused with RESOURCE_EXHAUSTED instead of slowing the agent down. Fewer of
# them may watch, so that watchers cannot keep operators out.
_MAX_CALLS = 2000
MAX_WATCHERS = 1500
# Requests are names and numbers.
_MAX_REQUEST_BYTES = 16 << 10
# A connection that is never closed costs a descriptor, and the agent needs some for etcd, hooks and HTTP:
# at most so many, and no more than a quarter of what there are.
_MAX_CONNECTIONS = 1500
_SHARE = 4
# Seconds that streams get to end by themselves when the daemon stops.
_GRACE = 0.5

_Serving = health_pb2.HealthCheckResponse


class ApiServer:
    """Answers on the Unix socket as long as `run` runs.

    Args:
        plan: Says where.
        source: Is asked anew for every answer.
        control: Does what operators ask.
    """

    def __init__(self, plan: Plan, source: StatusSource, control: Control) -> None:
        self._api = plan.api
        self._hub = Hub(source, BootClock())
        gallery = _Gallery(self._hub)
        self._service = _Leaderd(plan, source, gallery, control)
        self._health = _Health(source, gallery)

    async def run(self) -> None:
        """Serve until cancelled; then end every stream and remove the socket.

        Raises:
            RefusedError: Somebody else listens at the address, or it cannot be used.
        """
        server = grpc.aio.server(
            interceptors=(Undecodable(),), maximum_concurrent_rpcs=_MAX_CALLS, options=_options()
        )
        leaderd_pb2_grpc.add_LeaderdServicer_to_server(  # type: ignore[no-untyped-call] # generated
            self._service, server
        )
        health_pb2_grpc.add_HealthServicer_to_server(self._health, server)
        reflection.enable_server_reflection((SERVICE, _HEALTH, reflection.SERVICE_NAME), server)
        listen(server, self._api)
        await server.start()
        try:
            await self._hub.run()
            await server.wait_for_termination()
        finally:
            await asyncio.shield(server.stop(_GRACE))
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self._api.socket)


def _options() -> list[tuple[str, int]]:
    descriptors, _hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return [
        ("grpc.max_receive_message_length", _MAX_REQUEST_BYTES),
        ("grpc.max_allowed_incoming_connections", min(_MAX_CONNECTIONS, descriptors // _SHARE)),
    ]


class _Gallery:
    """Admits watchers to the hub, as many as the agent can bear; each costs a moment at every change."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._seated = 0

    @contextlib.asynccontextmanager
    async def seat(self, context: Context) -> AsyncIterator[Watcher]:
        """Give a watcher for one call; the call ends in order when there is none, or the daemon stops."""
        if self._seated >= MAX_WATCHERS:
            message = f"{MAX_WATCHERS} watchers already; ask for the status now and then instead"
            await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, message)
        self._seated += 1
        try:
            with self._hub.watcher() as watcher:
                yield watcher
        except Closed:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "the daemon stops")
        finally:
            self._seated -= 1


class _Leaderd(ControlService):
    def __init__(self, plan: Plan, source: StatusSource, gallery: "_Gallery", control: Control) -> None:
        super().__init__(plan.node, plan.api.socket, source, control)
        self._plans = {election.name: election for election in plan.elections}
        self._gallery = gallery
        self._changes = Changes()

    async def GetStatus(  # noqa: N802 - as in the protocol
        self, request: pb.GetStatusRequest, context: Context
    ) -> pb.GetStatusResponse:
        return status_message(await self._report(request.election, context))

    async def Explain(  # noqa: N802 - as in the protocol
        self, request: pb.ExplainRequest, context: Context
    ) -> pb.ExplainResponse:
        report = await self._report(request.election, context)
        return pb.ExplainResponse(node=report["node"], elections=[
            pb.Explanation(**explain(report["node"], election, self._plans[election["name"]]))
            for election in report["elections"]
        ])

    async def WatchStatus(  # noqa: N802 - as in the protocol
        self, request: pb.WatchStatusRequest, context: Context
    ) -> AsyncIterator[pb.WatchStatusResponse]:
        report = await self._report(request.election, context)
        async with self._gallery.seat(context) as watcher:
            while True:
                for election in await watcher.changes():
                    if request.election in ("", election["name"]):
                        yield self._changes.message(report["node"], election)

    async def _report(self, name: str, context: Context) -> dict[str, Any]:
        """Return the report, of one election where it is named."""
        report = self._source.report()
        if name:
            await demand_election([election["name"] for election in report["elections"]], name, context)
            report["elections"] = [each for each in report["elections"] if each["name"] == name]
        return report


class _Health(health_pb2_grpc.HealthServicer):  # type: ignore[misc] # generated, without types
    """SERVING under an election's name while this node leads it and `stop_at` lies ahead."""

    def __init__(self, source: StatusSource, gallery: "_Gallery") -> None:
        self._source = source
        self._gallery = gallery

    async def Check(  # noqa: N802 - as in the protocol
        self, request: health_pb2.HealthCheckRequest, context: Context
    ) -> health_pb2.HealthCheckResponse:
        status, _left = self._status(request.service)
        if status == _Serving.SERVICE_UNKNOWN:
            await context.abort(grpc.StatusCode.NOT_FOUND, f"no service {request.service!r}")
        return _Serving(status=status)

    async def Watch(  # noqa: N802 - as in the protocol
        self, request: health_pb2.HealthCheckRequest, context: Context
    ) -> AsyncIterator[health_pb2.HealthCheckResponse]:
        last = None
        async with self._gallery.seat(context) as watcher:
            while True:
                status, left = self._status(request.service)
                if status != last:
                    yield _Serving(status=status)
                last = status
                # The deadline passes without any event: look again when it should have come.
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(left):
                        await watcher.changes()

    async def List(  # noqa: N802 - as in the protocol
        self, _request: health_pb2.HealthListRequest, _context: Context
    ) -> health_pb2.HealthListResponse:
        names = ["", SERVICE, *(election["name"] for election in self._source.report()["elections"])]
        return health_pb2.HealthListResponse(
            statuses={name: _Serving(status=self._status(name)[0]) for name in names}
        )

    def _status(self, service: str) -> tuple[Any, float | None]:
        """Return the status of a service, and for how many seconds at most it stays that."""
        if service in ("", SERVICE):
            return _Serving.SERVING, None
        election = next((e for e in self._source.report()["elections"] if e["name"] == service), None)
        if election is None:
            return _Serving.SERVICE_UNKNOWN, None
        left = election["valid_for"] if election["state"] == "leader" else 0.0
        return (_Serving.SERVING, left) if left > 0 else (_Serving.NOT_SERVING, None)


def listen(server: grpc.aio.Server, api: ApiPlan) -> None:
    """Open the socket, for its owner alone or for `socket_group` too.

    Raises:
        RefusedError: Somebody else listens at the address, or it cannot be used.
    """
    claim(api.socket)
    try:
        # The socket must never exist with more rights than it ends up with.
        before = os.umask(0o177)
        try:
            server.add_insecure_port(f"unix:{quote(api.socket)}")
        finally:
            os.umask(before)
        if api.socket_group:
            os.chown(api.socket, -1, grp.getgrnam(api.socket_group).gr_gid)
            os.chmod(api.socket, 0o660)
    except (OSError, KeyError, RuntimeError) as error:
        raise RefusedError(f"api.socket: cannot listen at {api.socket}: {error}") from error
