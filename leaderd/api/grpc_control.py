"""The operators' half of the gRPC service: what changes something, or is looked up in etcd.

Source: docs/interfaces.md §7; proto/leaderd/v1/leaderd.proto has the status codes.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable
from typing import Any, Final, NoReturn, TypeVar

import grpc

from leaderd.api.control import Control
from leaderd.api.pb import leaderd_pb2 as pb
from leaderd.api.pb import leaderd_pb2_grpc
from leaderd.api.peers import PID_KEY, caller, connected
from leaderd.api.source import StatusSource
from leaderd.errors import EtcdError, LeaderdError, RefusedError, UnreachableError
from leaderd.log import get_logger

Context = grpc.aio.ServicerContext[Any, Any]
_Answer = TypeVar("_Answer")

# Source: docs/interfaces.md §2, names of nodes and elections; `config.model` has it for files.
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
_NAME_RULE: Final = "must be 1 to 63 of a-z 0-9 . _ - and begin with a letter or digit"
# So many leaderships are kept in etcd, docs/interfaces.md §8.
_KEPT: Final = 200


class ControlService(leaderd_pb2_grpc.LeaderdServicer):
    """Passes operators' calls on to `Control`, and its refusals back as canonical codes.

    Args:
        node: Name of this node, for the log.
        socket: Path of the socket that callers are connected to.
        source: Knows which elections there are.
        control: Does it.
    """

    def __init__(self, node: str, socket: str, source: StatusSource, control: Control) -> None:
        self._socket = socket
        self._source = source
        self._control = control
        self._log = get_logger(node=node)

    async def Switchover(  # noqa: N802 - as in the protocol
        self, request: pb.SwitchoverRequest, context: Context
    ) -> AsyncIterator[pb.SwitchoverResponse]:
        """Hand the leadership over; a message per step."""
        await self._admit(request.election, context)
        if request.to:
            await _demand_name("to", request.to, context)
        self._tell(context, "switchover", election=request.election, to=request.to)
        try:
            async for step in self._control.switchover(request.election, request.to):
                yield pb.SwitchoverResponse(
                    text=step.text, leader=step.leader, token=step.token, gap=step.gap, done=step.done
                )
        except LeaderdError as error:
            await self._refuse(context, "switchover", error)

    async def SetStandby(  # noqa: N802 - as in the protocol
        self, request: pb.SetStandbyRequest, context: Context
    ) -> pb.SetStandbyResponse:
        """Take a node out of the competition, or put it back."""
        await self._admit(request.election, context, some=False)
        if request.node:
            await _demand_name("node", request.node, context)
        verb = "standby" if request.standby else "online"
        self._tell(context, verb, election=request.election, target=request.node, force=request.force)
        await self._done(context, verb, self._control.set_standby(
            request.election, request.node, standby=request.standby, force=request.force
        ))
        return pb.SetStandbyResponse()

    async def SetPaused(  # noqa: N802 - as in the protocol
        self, request: pb.SetPausedRequest, context: Context
    ) -> pb.SetPausedResponse:
        """Stop promotions in an election, or allow them again."""
        await self._admit(request.election, context)
        verb = "pause" if request.paused else "resume"
        self._tell(context, verb, election=request.election)
        await self._done(context, verb, self._control.set_paused(request.election, paused=request.paused))
        return pb.SetPausedResponse()

    async def GetHistory(  # noqa: N802 - as in the protocol
        self, request: pb.GetHistoryRequest, context: Context
    ) -> pb.GetHistoryResponse:
        """Return past leaderships of one election or of all, newest first in each."""
        await self._admit(request.election, context, some=False)
        names = [request.election] if request.election else self._elections()
        limit = min(request.limit, _KEPT) or _KEPT
        found = await self._done(context, "", asyncio.gather(
            *(self._control.history(name, limit) for name in names)
        ))
        return pb.GetHistoryResponse(terms=[
            pb.Term(election=name, **term)
            for name, terms in zip(names, found, strict=True) for term in terms[:limit]
        ])

    async def VerifyToken(  # noqa: N802 - as in the protocol
        self, request: pb.VerifyTokenRequest, context: Context
    ) -> pb.VerifyTokenResponse:
        """Compare a token with the newest in etcd."""
        await self._admit(request.election, context)
        if not request.token:
            await _invalid(context, "token: must be the LEADERD_TOKEN of a hook, larger than 0")
        newest = await self._done(context, "", self._control.newest_token(request.election))
        return pb.VerifyTokenResponse(valid=request.token == newest, newest=newest)

    async def RaiseEpoch(  # noqa: N802 - as in the protocol
        self, request: pb.RaiseEpochRequest, context: Context
    ) -> pb.RaiseEpochResponse:
        """Raise the epoch after a restore."""
        await self._admit(request.election, context)
        self._tell(context, "epoch raise", election=request.election)
        epoch = await self._done(context, "epoch raise", self._control.raise_epoch(request.election))
        return pb.RaiseEpochResponse(epoch=epoch)

    # --- what they share ---

    async def _admit(self, election: str, context: Context, *, some: bool = True) -> None:
        """End the call unless the election is one of ours; `some`: one must be named."""
        if election or some:
            await _demand_name("election", election, context)
            await demand_election(self._elections(), election, context)

    def _elections(self) -> list[str]:
        return [election["name"] for election in self._source.report()["elections"]]

    def _tell(self, context: Context, verb: str, **facts: object) -> None:
        """Log who asks for a change, before it is made."""
        metadata = {str(key): str(value) for key, value in context.invocation_metadata() or ()}
        who = caller(connected(self._socket), metadata.get(PID_KEY, ""))
        told = {name: fact for name, fact in facts.items() if fact not in ("", False)}
        self._log.info("asked by an operator", verb=verb, caller=who, **told)

    async def _done(self, context: Context, verb: str, work: Awaitable[_Answer]) -> _Answer:
        """Return what comes of `work`, which is a change that is logged where it has a verb."""
        try:
            return await work
        except LeaderdError as error:
            await self._refuse(context, verb, error)

    async def _refuse(self, context: Context, verb: str, error: LeaderdError) -> NoReturn:
        """End the call with the code for an error.

        Raises:
            LeaderdError: It is none that `Control` may raise: a bug, which gRPC logs as such.
        """
        if isinstance(error, RefusedError):
            code = grpc.StatusCode.FAILED_PRECONDITION
        elif isinstance(error, UnreachableError | EtcdError):
            code = grpc.StatusCode.UNAVAILABLE
        else:
            raise error
        if verb:
            self._log.warning("an operator was refused", verb=verb, detail=str(error))
        await context.abort(code, str(error))


async def demand_election(known: list[str], name: str, context: Context) -> None:
    """End the call with NOT_FOUND unless the election is one of ours."""
    if name not in known:
        message = f"no election {name[:70]!r} on this node; there are: {', '.join(known) or 'none'}"
        await context.abort(grpc.StatusCode.NOT_FOUND, message)


async def _demand_name(field: str, name: str, context: Context) -> None:
    if not _NAME.fullmatch(name):
        await _invalid(context, f"{field}: {name[:70]!r} {_NAME_RULE}")


async def _invalid(context: Context, message: str) -> None:
    await context.abort(grpc.StatusCode.INVALID_ARGUMENT, message)
