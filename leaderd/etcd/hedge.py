"""Ask one endpoint, and a further one when the first is slow or fails; the first answer counts."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import TypeVar

from leaderd.errors import EtcdError, EtcdRefusedError
from leaderd.etcd.client import Endpoint

T = TypeVar("T")


async def first_answer(
    endpoints: Sequence[Endpoint],
    leg: Callable[[Endpoint], Awaitable[T]],
    *,
    hedge_after: float,
    timeout: float,
) -> tuple[Endpoint, T]:
    """Run `leg` on one endpoint after the other and return the first result.

    A further leg starts when all so far have been silent for `hedge_after`, or at once when one
    fails. Legs that did not win are cancelled and over before this returns.

    Args:
        endpoints: In the order to be asked.
        leg: What to do on an endpoint; a result ends the race, an EtcdError ends only the leg.
        hedge_after: Seconds.
        timeout: Seconds for everything.

    Returns:
        The endpoint that won and its result.

    Raises:
        EtcdError: No leg had a result in time; the text names what each said.
        EtcdRefusedError: As above, and a leg was told no for good.
    """
    waiting = deque(endpoints)
    running: dict[asyncio.Task[T], Endpoint] = {}
    errors: list[EtcdError] = []
    try:
        async with asyncio.timeout(timeout):
            while waiting or running:
                if waiting:
                    endpoint = waiting.popleft()
                    running[asyncio.ensure_future(_run(leg, endpoint))] = endpoint
                patience = hedge_after if waiting else None
                done, _ = await asyncio.wait(
                    running, timeout=patience, return_when=asyncio.FIRST_COMPLETED
                )
                for task in done:
                    endpoint = running.pop(task)
                    if (error := _failure(task, endpoint)) is None:
                        return endpoint, task.result()
                    errors.append(error)
    except TimeoutError:
        silent = ", ".join(endpoint.url for endpoint in running.values())
        errors.append(EtcdError(f"{silent}: no answer within {timeout:g} s"))
    finally:
        await cancelled(running)
    kind = EtcdRefusedError if any(isinstance(each, EtcdRefusedError) for each in errors) else EtcdError
    raise kind("; ".join(str(each) for each in errors))


async def cancelled(tasks: Iterable["asyncio.Task[T]"]) -> None:
    """Cancel tasks and wait until they are over, whatever they end with."""
    pending = list(tasks)
    for task in pending:
        task.cancel()
    await asyncio.gather(*pending, return_exceptions=True)


async def _run(leg: Callable[[Endpoint], Awaitable[T]], endpoint: Endpoint) -> T:
    return await leg(endpoint)


def _failure(task: "asyncio.Task[T]", endpoint: Endpoint) -> EtcdError | None:
    if task.cancelled():
        # Nobody here cancelled it: the channel was closed underneath.
        return EtcdError(f"{endpoint.url}: the connection was closed")
    error = task.exception()
    if error is not None and not isinstance(error, EtcdError):
        raise error
    return error
