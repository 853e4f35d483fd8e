"""Asks /healthz: exits 0 while the daemon works. Where its file sets `http`, set LEADERD_HTTP as well."""

import http.client
import os
import sys


def main() -> int:
    """Return the exit code."""
    host, _, port = (os.environ.get("LEADERD_HTTP") or "127.0.0.1:4040").rpartition(":")
    # What listens everywhere is asked here.
    host = {"0.0.0.0": "127.0.0.1", "[::]": "::1"}.get(host, host.strip("[]"))  # noqa: S104 - compared only
    connection = http.client.HTTPConnection(host, int(port), timeout=3)
    connection.request("GET", "/healthz")
    return 0 if connection.getresponse().status == http.HTTPStatus.OK else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except OSError as error:
        sys.exit(f"leaderd does not answer: {error}")
