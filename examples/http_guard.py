"""An HTTP service that takes nothing from an old leader: middleware for any WSGI application.

The leader sends its token with every request, `Leaderd-Token: 1234`. What comes with a lower one than was
seen before is refused with 412, what comes with none with 428. The newest token is kept in a file, so that a
restart of the service forgets nothing.
"""

import fcntl
import os
from collections.abc import Callable, Iterable
from typing import Any

App = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class FencedApp:
    """Lets requests through to `app` while their token is the newest.

    Args:
        app: The application.
        path: Where the newest token is kept; shared by all processes of the service.
        header: That carries the token.
    """

    def __init__(self, app: App, path: str, header: str = "Leaderd-Token") -> None:
        self._app = app
        self._path = path
        self._key = "HTTP_" + header.upper().replace("-", "_")

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Answer one request."""
        text = environ.get(self._key, "")
        if not (text.isascii() and text.isdigit()):
            start_response("428 Precondition Required", [("Content-Type", "text/plain")])
            return [b"send the fencing token\n"]
        # Held until the answer is made: a newer token waits for what was let in before.
        with open(self._path, "a+", encoding="ascii") as guard:
            fcntl.flock(guard, fcntl.LOCK_EX)
            guard.seek(0)
            newest, token = int(guard.read() or 0), int(text)
            if token < newest:
                start_response("412 Precondition Failed", [("Content-Type", "text/plain")])
                return [f"token {token} is older than {newest}\n".encode()]
            if token > newest:
                guard.truncate(0)
                guard.write(text)
                guard.flush()
                os.fsync(guard.fileno())
            return list(self._app(environ, start_response))
