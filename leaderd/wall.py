"""Wall-clock time, for people only: nothing is decided by it."""

from datetime import UTC, datetime


def wall_time() -> str:
    """Return the present as RFC 3339 text in UTC, to the millisecond."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def seconds_between(earlier: str, later: str) -> float | None:
    """Return the seconds from one such text to another, None where one is none; never less than 0.

    Two nodes whose clocks disagree make it wrong by as much.
    """
    try:
        passed = datetime.fromisoformat(later) - datetime.fromisoformat(earlier)
    except ValueError:
        return None
    except TypeError:
        # One with a time zone, one without.
        return None
    return max(0.0, round(passed.total_seconds(), 3))
