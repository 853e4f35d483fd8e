"""What the API needs of the daemon."""

from collections.abc import AsyncIterator
from typing import Any, Protocol


class StatusSource(Protocol):
    """Knows the status of every election of this node."""

    def report(self) -> dict[str, Any]:
        """Return the JSON of docs/interfaces.md §5, with `valid_for` as of this moment."""

    def subscribe(self) -> AsyncIterator[dict[str, Any]]:
        """Yield the report now and after changes; what is between two reads may be left out."""
