"""Etcd's members, one channel each: TLS, credentials, deadlines and error mapping.

The only module that knows gRPC and etcd3's stubs; everything above it speaks in `etcd.ops`. A call
goes to the endpoint it is made on and nowhere else: which endpoint to ask, and whether to ask a
second one, is decided by the callers, since what proves a renewal must come from one member.

Source: channel options and time-outs as measured, docs/etcd.md §4; token handling, docs/etcd.md §8.
"""

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

import etcd3.etcdrpc as rpc
import grpc
import grpc.aio

from leaderd.clock import Clock
from leaderd.core.proof import KeepaliveAnswer
from leaderd.errors import EtcdError
from leaderd.etcd import ops, protobuf
from leaderd.etcd.access import Access, Address, read_access
from leaderd.etcd.answers import NotFoundError, mapped, token_is_stale
from leaderd.etcd.versions import version_warnings
from leaderd.plan import EtcdPlan

_OPTIONS: Final[Sequence[tuple[str, int]]] = (
    # Etcd drops clients that ping more often than every 5 s.
    ("grpc.keepalive_time_ms", 6000),
    ("grpc.keepalive_timeout_ms", 1500),
    # Without this one a member that hangs is noticed after 64 s instead of 5.5 s.
    ("grpc.http2.ping_timeout_ms", 1500),
    ("grpc.keepalive_permit_without_calls", 1),
    # The defaults wait for 20 s and more after an outage.
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.min_reconnect_backoff_ms", 1000),
    ("grpc.max_reconnect_backoff_ms", 1000),
    ("grpc.use_local_subchannel_pool", 1),
    # Claims about leases hold for etcd's members only, not for whatever a proxy makes of them.
    ("grpc.enable_http_proxy", 0),
)
# A member that knows that it has no leader then refuses instead of waiting for one.
_HAS_LEADER: Final = ("hasleader", "true")
_STATUS_TIMEOUT: Final = 2.0
# What was begun on a channel that is no longer used has this long, in seconds: longer than an attempt.
_GRACE: Final = 5.0
# The end of a stream without an error; its type stubs do not know it.
_EOF: Final[Any] = getattr(grpc.aio, "EOF")  # noqa: B009


class EtcdClient:
    """All endpoints of one etcd cluster, and which of them to ask first.

    Args:
        plan: Where etcd is and how to prove who we are.
        clock: For the instants in answers.

    Attributes:
        access: What the endpoints were made with.
        endpoints: Those in use.

    Raises:
        ConfigError: An endpoint is no URL, or a file cannot be read.
    """

    def __init__(self, plan: EtcdPlan, clock: Clock) -> None:
        self.access = read_access(plan)
        self._clock = clock
        self.endpoints = tuple(Endpoint(each, self.access, clock) for each in self.access.addresses)
        self._first = 0
        self._closing: set[asyncio.Task[None]] = set()

    def candidates(self, access: Access) -> tuple["Endpoint", ...]:
        """Return endpoints for this access; those of ours that are the same serve on."""
        ours: dict[Address, Endpoint] = {}
        if replace(access, addresses=()) == replace(self.access, addresses=()):
            ours = dict(zip(self.access.addresses, self.endpoints, strict=True))
        return tuple(ours.get(each) or Endpoint(each, access, self._clock) for each in access.addresses)

    def adopt(self, access: Access, candidates: tuple["Endpoint", ...], first: "Endpoint") -> None:
        """Use the candidates from now on; those that are left finish what they have begun.

        Args:
            access: What they were made with.
            candidates: From `candidates`.
            first: Of them, to be asked first.
        """
        left = set(self.endpoints) - set(candidates)
        self.access, self.endpoints = access, candidates
        self._first = candidates.index(first)
        for endpoint in left:
            task = asyncio.ensure_future(endpoint.retire())
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)

    def order(self) -> tuple["Endpoint", ...]:
        """Return the endpoints, the one that answered last first."""
        return self.endpoints[self._first:] + self.endpoints[: self._first]

    def prefer(self, endpoint: "Endpoint") -> None:
        """Note that this endpoint answered: it is asked first from now on."""
        if endpoint in self.endpoints:
            self._first = self.endpoints.index(endpoint)

    def avoid(self, endpoint: "Endpoint") -> None:
        """Note that this endpoint failed: if it was asked first, the next one is from now on."""
        if self.endpoints[self._first] is endpoint:
            self._first = (self._first + 1) % len(self.endpoints)

    def after(self, endpoint: "Endpoint") -> "Endpoint":
        """Return the next one in turn; the one to ask first after one that is no longer used."""
        if endpoint not in self.endpoints:
            return self.order()[0]
        return self.endpoints[(self.endpoints.index(endpoint) + 1) % len(self.endpoints)]

    async def status(self) -> list[ops.MemberStatus]:
        """Ask every endpoint for its status; those that do not answer say why."""
        return list(await asyncio.gather(*(endpoint.status() for endpoint in self.endpoints)))

    async def warnings(self) -> list[str]:
        """Return what is known to be wrong with the etcd versions in use, a sentence each."""
        return version_warnings([(each.url, each.version) for each in await self.status()])

    async def close(self) -> None:
        """Close every channel; calls still running fail."""
        for task in self._closing:
            task.cancel()
        await asyncio.gather(*self._closing, return_exceptions=True)
        await asyncio.gather(*(endpoint.close() for endpoint in self.endpoints))


class Endpoint:
    """One address of etcd, with its own channel and its own auth token.

    Every method raises EtcdError when etcd does not answer in time or answers with an error, and
    EtcdRefusedError when asking again would be no use.
    """

    def __init__(self, address: Address, access: Access, clock: Clock) -> None:
        self.url = address.url
        self.clock = clock
        self._address = address
        self._access = access
        self._lock = asyncio.Lock()
        # None: not asked for yet. "": not needed, or etcd's authentication is switched off.
        self._token: str | None = None if access.user else ""
        self._opened: grpc.aio.Channel | None = None
        self._stubs: dict[Any, Any] = {}
        self._closed = False

    async def txn(
        self, compares: Sequence[ops.Compare], then: Sequence[ops.Op], otherwise: Sequence[ops.Op],
        timeout: float,
    ) -> ops.TxnAnswer:
        """Run one transaction. With no operation in it, etcd answers from a possibly stale state."""
        request = rpc.TxnRequest(
            compare=[protobuf.compare(each) for each in compares],
            success=[protobuf.op(each) for each in then], failure=[protobuf.op(each) for each in otherwise],
        )
        answer = await self._unary(rpc.KVStub, "Txn", request, timeout)
        ranges = tuple(
            protobuf.key_values(each.response_range)
            for each in answer.responses if each.HasField("response_range")
        )
        return ops.TxnAnswer(protobuf.header(answer.header), bool(answer.succeeded), ranges)

    async def read(self, span: ops.Range, timeout: float, *, revision: int = 0) -> ops.Reading:
        """Read a range: linearizable; with a revision, as it was then, which needs no quorum."""
        request = protobuf.range_request(span)
        request.revision, request.serializable = revision, revision > 0
        answer = await self._unary(rpc.KVStub, "Range", request, timeout)
        return ops.Reading(protobuf.header(answer.header), protobuf.key_values(answer))

    async def grant(self, ttl: int, timeout: float) -> ops.Grant:
        """Grant a lease of `ttl` whole seconds or of etcd's minimum, whichever is longer."""
        answer = await self._unary(rpc.LeaseStub, "LeaseGrant", rpc.LeaseGrantRequest(TTL=ttl), timeout)
        return ops.Grant(int(answer.ID), int(answer.TTL))

    async def revoke(self, lease: int, timeout: float) -> None:
        """Revoke a lease, which deletes its keys; fine when it is gone already."""
        with contextlib.suppress(NotFoundError):
            await self._unary(rpc.LeaseStub, "LeaseRevoke", rpc.LeaseRevokeRequest(ID=lease), timeout)

    async def time_to_live(self, lease: int, timeout: float) -> ops.TimeToLive:
        """Ask how many whole seconds a lease has left: etcd's leader's own opinion, no quorum behind it."""
        request = rpc.LeaseTimeToLiveRequest(ID=lease)
        answer = await self._unary(rpc.LeaseStub, "LeaseTimeToLive", request, timeout)
        return ops.TimeToLive(protobuf.header(answer.header), int(answer.TTL), int(answer.grantedTTL))

    async def status(self) -> ops.MemberStatus:
        """Ask who the member is; never raises for a member that does not answer."""
        asked = self.clock.now()
        try:
            answer = await self._unary(rpc.MaintenanceStub, "Status", rpc.StatusRequest(), _STATUS_TIMEOUT)
        except EtcdError as error:
            return ops.MemberStatus(self.url, error=str(error))
        return ops.MemberStatus(
            self.url, str(answer.version), int(answer.header.member_id), int(answer.leader),
            self.clock.now().held_since(asked),
        )

    async def keepalives(self) -> "KeepaliveStream":
        """Open a stream of keepalives."""
        with mapped(self.url):
            token = await self._current_token()
        return KeepaliveStream(self, token, self._stream(rpc.LeaseStub, "LeaseKeepAlive", token))

    async def watch(self, key: str, range_end: str, revision: int) -> "WatchStream":
        """Open a watch on all keys from `key` up to `range_end`, from `revision` on."""
        create = rpc.WatchCreateRequest(
            key=key.encode(), range_end=range_end.encode(), start_revision=revision
        )
        with mapped(self.url):
            call = self._stream(rpc.WatchStub, "Watch", await self._current_token())
            try:
                await call.write(rpc.WatchRequest(create_request=create))
            except BaseException:
                call.cancel()
                raise
        return WatchStream(self.url, call)

    def forget(self, token: str) -> None:
        """Drop a token that etcd no longer takes, unless it has been replaced by now."""
        if self._access.user and self._token == token:
            self._token = None

    async def retire(self) -> None:
        """Close the channel once what was begun on it has had its time."""
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_GRACE):
                    await asyncio.Event().wait()
        finally:
            await self.close()

    async def close(self) -> None:
        """Close the channel, for good; calls still running fail."""
        self._closed = True
        channel, self._opened = self._opened, None
        self._stubs.clear()
        if channel is not None:
            await channel.close(None)

    async def _unary(self, stub: Any, method: str, request: Any, timeout: float) -> Any:
        with mapped(self.url, timeout):
            # Besides gRPC's own deadline, which follows the wall clock.
            async with asyncio.timeout(timeout):
                token = await self._current_token()
                call = getattr(self._stub(stub), method)
                try:
                    return await call(request, timeout=timeout, metadata=_metadata(token))
                except grpc.aio.AioRpcError as error:
                    if not self._access.user or not token_is_stale(error):
                        raise
                # Such an answer means that nothing was done: asking again cannot do it twice.
                self.forget(token)
                token = await self._current_token()
                return await call(request, timeout=timeout, metadata=_metadata(token))

    def _stream(self, stub: Any, method: str, token: str) -> Any:
        return getattr(self._stub(stub), method)(metadata=_metadata(token))

    def _stub(self, stub: Any) -> Any:
        if self._closed:
            raise EtcdError(f"{self.url}: the connection was closed")
        # Opened on first use: a channel belongs to the event loop that runs then.
        if self._opened is None:
            self._opened = _channel(self._address, self._access)
        if stub not in self._stubs:
            self._stubs[stub] = stub(self._opened)
        return self._stubs[stub]

    async def _current_token(self) -> str:
        # Members do not share tokens: each endpoint has its own. The lock makes one login of many
        # calls that find the token gone at the same time.
        async with self._lock:
            if self._token is None:
                request = rpc.AuthenticateRequest(name=self._access.user, password=self._access.password)
                try:
                    self._token = str((await self._stub(rpc.AuthStub).Authenticate(request)).token)
                except grpc.aio.AioRpcError as error:
                    if "authentication is not enabled" not in (error.details() or ""):
                        raise
                    self._token = ""
            return self._token or ""


class KeepaliveStream:
    """A stream of keepalives to one endpoint; one request may be out at a time."""

    def __init__(self, endpoint: Endpoint, token: str, call: Any) -> None:
        self._endpoint = endpoint
        self._token = token
        self._call = call

    async def ask(self, lease: int) -> KeepaliveAnswer:
        """Send one keepalive and wait for its answer. No time-out of its own: the attempt has one.

        Raises:
            EtcdError: The stream broke or ended. It is closed then, as it is when this is
                cancelled: a late answer must never be taken for that of a later request.
        """
        clock = self._endpoint.clock
        try:
            with mapped(self._endpoint.url, expired=lambda: self._endpoint.forget(self._token)):
                sent_at = clock.now()
                await self._call.write(rpc.LeaseKeepAliveRequest(ID=lease))
                answer = await self._call.read()
            received_at = clock.now()
            if answer is _EOF or lease != answer.ID:
                raise EtcdError(f"{self._endpoint.url}: the keepalive stream ended")
        except BaseException:
            self.close()
            raise
        return KeepaliveAnswer(sent_at, received_at, int(answer.TTL), int(answer.header.raft_term))

    def close(self) -> None:
        """Cancel the stream."""
        self._call.cancel()


class WatchStream:
    """A watch on one endpoint."""

    def __init__(self, url: str, call: Any) -> None:
        self._url = url
        self._call = call

    async def read(self) -> tuple[ops.Change, ...]:
        """Wait for the next changes, for ever: a watch on a member that hangs is silent.

        Raises:
            EtcdError: The watch is over: cancelled, compacted, cut off or ended. List again.
        """
        while True:
            with mapped(self._url):
                answer = await self._call.read()
            if answer is _EOF:
                raise EtcdError(f"{self._url}: the watch ended")
            if answer.canceled or answer.compact_revision:
                why = answer.cancel_reason or f"compacted up to {answer.compact_revision}"
                raise EtcdError(f"{self._url}: the watch was cancelled: {why}")
            if answer.events:
                return tuple(protobuf.change(event) for event in answer.events)

    def close(self) -> None:
        """Cancel the stream."""
        self._call.cancel()


def _metadata(token: str) -> tuple[tuple[str, str], ...]:
    return (_HAS_LEADER, ("token", token)) if token else (_HAS_LEADER,)


def _channel(address: Address, access: Access) -> grpc.aio.Channel:
    if not address.secure:
        return grpc.aio.insecure_channel(address.target, options=_OPTIONS)
    credentials = grpc.ssl_channel_credentials(access.ca or None, access.key or None, access.cert or None)
    return grpc.aio.secure_channel(address.target, credentials, options=_OPTIONS)
