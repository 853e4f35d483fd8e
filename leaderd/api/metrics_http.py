"""What the HTTP interface measures of itself."""

from collections.abc import Callable
from contextlib import AbstractContextManager

from prometheus_client import CollectorRegistry, Counter, Gauge


class HttpMetrics:
    """Requests, connections, streams.

    Args:
        registry: Where they are shown.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._requests = Counter(
            "leaderd_http_requests", "Answers over HTTP.", ["path", "code"], registry=registry
        )
        self._connections = Gauge("leaderd_http_connections", "Open HTTP connections.", registry=registry)
        self._refused = Counter(
            "leaderd_http_connections_refused", "Connections closed at once: too many were open.",
            registry=registry,
        )
        self._streams = Gauge("leaderd_event_streams", "Open /events streams.", registry=registry)

    def watch_connections(self, count: Callable[[], int]) -> None:
        """Show what this returns as the number of connections."""
        self._connections.set_function(count)

    def answered(self, path: str, code: int) -> None:
        """Count an answer."""
        self._requests.labels(path, str(code)).inc()

    def refused(self) -> None:
        """Count a connection that found no room."""
        self._refused.inc()

    def streaming(self) -> AbstractContextManager[None]:
        """Count a stream as open while the block runs."""
        return self._streams.track_inprogress()
