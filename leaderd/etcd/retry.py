"""When to try again: only what may help, and never past a deadline."""

from typing import Final

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, wait_fixed

from leaderd.clock import Clock
from leaderd.errors import EtcdError, EtcdRefusedError
from leaderd.instant import Instant

# Between two attempts: long enough not to spin on an endpoint that refuses connections.
PAUSE: Final = 0.05


def retrying(clock: Clock, until: Instant, attempts: int | None = None) -> AsyncRetrying:
    """Return the loop that repeats what raises EtcdError, but not EtcdRefusedError.

    Args:
        clock: Tenacity's own notion of time stands still in suspend, so this is asked instead.
        until: No attempt begins after this.
        attempts: At most so many; None for as many as fit.
    """

    def over(state: RetryCallState) -> bool:
        spent = attempts is not None and state.attempt_number >= attempts
        return spent or clock.now().left_until(until) <= PAUSE

    return AsyncRetrying(
        stop=over, wait=wait_fixed(PAUSE), retry=retry_if_exception(_may_help), reraise=True
    )


def _may_help(error: BaseException) -> bool:
    return isinstance(error, EtcdError) and not isinstance(error, EtcdRefusedError)
