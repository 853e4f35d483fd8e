"""The client for asyncio, and the block that runs only while the node leads."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing, suppress
from types import TracebackType
from typing import Any, Self

from leaderd.client import wire
from leaderd.errors import LeaseLostError, UnreachableError

_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 2.0
_LISTEN = 1.0
# Asyncio's clock is slewed and stands still in suspend: sleep in slices, look at the real ones after each.
_SLICE = 0.1
# While a block runs the daemon is asked this often, in seconds; news come by the stream besides.
_ASK_EVERY = 0.5


class AsyncClient:
    """One election, as the daemon at `address` sees it; arguments and errors are `Client`'s."""

    def __init__(
        self, address: str | None = None, election: str | None = None, *, timeout: float = 2.0,
        fresh: float = 0.2,
    ) -> None:
        self._where = wire.host_port(address)
        self._question = wire.question("/leader", election)
        self._events = wire.question("/events", election)
        self._timeout = timeout
        self._fresh = fresh
        self._belief: wire.Belief | None = None

    async def is_leader(self) -> bool:
        """Return whether the node leads; see `Client.is_leader`."""
        try:
            belief = await self._fresh_belief(self._fresh)
        except UnreachableError:
            return False
        return belief.left(wire.now()) > 0

    async def token(self) -> int:
        """Return the fencing token of the term in which the node leads; see `Client.token`."""
        return (await self._proof()).token

    async def wait_until_leader(self, timeout: float | None = None) -> int:
        """Wait until the node leads; return the fencing token. See `Client.wait_until_leader`."""
        return (await self._until_proof(timeout)).token

    def leadership(self, timeout: float | None = None) -> "Leadership":
        """Return a block that begins when the node leads and is cancelled when it does not any more.

            async with client.leadership() as term:
                await work(term.token)

        Args:
            timeout: Seconds to wait for it to lead; None waits for ever.
        """
        return Leadership(lambda: self._until_proof(timeout), lambda: self._fresh_belief(0.0), self.watch)

    async def watch(self) -> AsyncGenerator[dict[str, Any], None]:
        """Yield the election as it stands, then each change; see `Client.watch`."""
        pause = _FIRST_PAUSE
        while True:
            try:
                async with aclosing(self._stream()) as stream:
                    async for event in stream:
                        pause = _FIRST_PAUSE
                        if event is not None:
                            yield event
            except UnreachableError:
                pass
            await _pause(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    async def _until_proof(self, timeout: float | None) -> wire.Belief:
        began, pause = wire.now(), _FIRST_PAUSE
        while True:
            with suppress(LeaseLostError):
                return await self._proof()
            left = _LISTEN if timeout is None else timeout - wire.now().since(began)
            if left <= 0:
                raise TimeoutError(f"this node did not come to lead within {timeout:g} s")
            try:
                await self._listen(min(left, _LISTEN))
                pause = _FIRST_PAUSE
            except UnreachableError:
                await _pause(min(left, pause))
                pause = min(2 * pause, _LISTEN)

    async def _proof(self) -> wire.Belief:
        try:
            belief = await self._fresh_belief(self._fresh)
        except UnreachableError as error:
            raise LeaseLostError(f"nobody can say that this node leads: {error}") from error
        if belief.left(wire.now()) <= 0:
            raise LeaseLostError("this node does not lead")
        belief.proven_token()
        return belief

    async def _fresh_belief(self, fresh: float) -> wire.Belief:
        belief, moment = self._belief, wire.now()
        if belief is not None and belief.left(moment) > 0 and moment.since(belief.sent) < fresh:
            return belief
        # Read before anything is sent, as in `Client`.
        self._belief = belief = wire.belief(await self._ask(), moment)
        return belief

    async def _ask(self) -> bytes:
        try:
            async with asyncio.timeout(self._timeout):
                reader, writer = await self._connected(self._question)
                try:
                    return await reader.read(wire.MOST_BYTES) + await reader.read()
                finally:
                    writer.close()
        except OSError as error:  # a time-out is one
            raise UnreachableError(f"no answer from {self._name}: {error}") from error

    async def _listen(self, seconds: float) -> None:
        """Wait for a change, no longer than `seconds`."""
        seen = 0
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds), aclosing(self._stream()) as stream:
                async for event in stream:
                    seen += event is not None
                    if seen > 1:
                        return

    async def _stream(self) -> AsyncGenerator[dict[str, Any] | None, None]:
        """Yield events, and None for every other sign of life."""
        try:
            async with asyncio.timeout(self._timeout):
                reader, writer = await self._connected(self._events)
        except OSError as error:
            raise UnreachableError(f"no daemon answers at {self._name}: {error}") from error
        events = wire.Events()
        try:
            async with asyncio.timeout(self._timeout):
                wire.check_stream(await reader.readuntil(b"\r\n\r\n"))
            data = b"\n"
            while data:
                for event in events.feed(data):
                    yield event
                yield None
                async with asyncio.timeout(wire.SILENCE):
                    data = await reader.read(65536)
        except (OSError, ValueError, EOFError, asyncio.LimitOverrunError) as error:
            raise UnreachableError(f"no answer from {self._name}: {error}") from error
        finally:
            writer.close()

    async def _connected(self, question: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection(*self._where)
        writer.write(question)
        return reader, writer

    @property
    def _name(self) -> str:
        return f"{self._where[0]}:{self._where[1]}"


class Leadership:
    """A block that runs only while the node leads.

    It is cancelled when the daemon says that leadership has ended, when nobody listens at its address any
    more, and when the proof at hand runs out, whichever is first; then LeaseLostError comes out of the
    block. A body that does not yield to the loop cannot be cancelled: let what it writes carry the token.

    Args:
        wait: Returns the first proof.
        ask: Returns what the daemon says now.
        watch: Yields events.

    Attributes:
        token: Fencing token of the term.
    """

    def __init__(
        self,
        wait: Callable[[], Awaitable[wire.Belief]],
        ask: Callable[[], Awaitable[wire.Belief]],
        watch: Callable[[], AsyncGenerator[dict[str, Any], None]],
    ) -> None:
        self.token = 0
        self._wait = wait
        self._ask = ask
        self._watch = watch
        self._body: asyncio.Task[Any] | None = None
        self._cancelling = 0
        self._following: asyncio.Task[None] | None = None
        self._lost = ""

    async def __aenter__(self) -> Self:
        """Wait until the node leads.

        Raises:
            TimeoutError: It did not come to lead in time.
            RefusedError: The daemon is not in this election.
        """
        self._belief = await self._wait()
        self.token, self._lost, self._body = self._belief.token, "", asyncio.current_task()
        self._cancelling = self._body.cancelling() if self._body else 0
        self._following = asyncio.ensure_future(self._follow())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        """Turn the end of the leadership, and no other cancellation, into LeaseLostError."""
        if self._following is not None:
            await _ended(self._following)
        if not self._lost or self._body is None:
            return
        ours = self._body.uncancel() <= self._cancelling
        if ours and (kind is None or issubclass(kind, asyncio.CancelledError)):
            raise LeaseLostError(self._lost)

    async def _follow(self) -> None:
        """End the body with the leadership."""
        tasks = [asyncio.ensure_future(each) for each in (self._keep_asking(), self._until_deadline())]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            self._lost = "; ".join(str(each.exception()) for each in done)
            if self._body is not None:
                self._body.cancel()
        finally:
            for each in tasks:
                await _ended(each)

    async def _until_deadline(self) -> None:
        while (left := self._belief.left(wire.now())) > 0:
            await _pause(min(left, _SLICE))
        raise LeaseLostError("no proof of leadership came in time")

    async def _keep_asking(self) -> None:
        """Renew the proof, often and whenever there are news, until the answer is another."""
        news = asyncio.ensure_future(self._news())
        try:
            while True:
                await asyncio.wait({news}, timeout=_ASK_EVERY)
                if news.done():
                    news = asyncio.ensure_future(self._news())
                try:
                    belief = await self._ask()
                except UnreachableError as error:
                    # Silence leaves the proof as it is. An address where nobody listens any more means that
                    # the agent is dead, and the guard is giving the leadership up.
                    if isinstance(error.__cause__, ConnectionError | EOFError):
                        raise
                    continue
                if not belief.leads or belief.token != self.token:
                    raise LeaseLostError(f"the term with token {self.token} is over")
                self._belief = belief
        finally:
            await _ended(news)

    async def _news(self) -> None:
        """Return when the stream says something that may be the end of this term."""
        async with aclosing(self._watch()) as events:
            async for event in events:
                if event["state"] != "leader" or event["token"] != self.token:
                    return


async def _ended(task: asyncio.Task[Any]) -> None:
    """Cancel a task and wait for its end, whatever that is."""
    task.cancel()
    await asyncio.wait({task})
    if not task.cancelled():
        task.exception()


async def _pause(seconds: float) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await asyncio.Event().wait()
