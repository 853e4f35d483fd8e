"""Growing delays, in one place."""


class Backoff:
    """Delays that double with each failure in a row.

    Args:
        first: The first delay, in seconds.
        longest: No delay exceeds this, in seconds.
    """

    def __init__(self, first: float, longest: float) -> None:
        self._first = first
        self._longest = longest
        self._failures = 0

    def failed(self) -> float:
        """Count a failure and return the seconds to wait after it."""
        delay = min(self._longest, self._first * 2.0 ** min(self._failures, 32))
        self._failures += 1
        return delay

    def reset(self) -> None:
        """Forget the failures: it worked."""
        self._failures = 0
