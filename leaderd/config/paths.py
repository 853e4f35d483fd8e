"""Where things stand when nobody says where. Standard library only: `leaderd status` needs it fast."""

import os
from collections.abc import Mapping

# sockaddr_un holds 108 bytes, the closing NUL included. Source: unix(7).
MAX_SOCKET_PATH = 107


def default_socket(environ: Mapping[str, str], uid: int) -> str:
    """Return the Unix socket of the daemon.

    Not root and without $XDG_RUNTIME_DIR it stands among the user's own state: a path under /tmp
    could be taken by somebody else first.
    """
    if uid == 0:
        return "/run/leaderd/leaderd.sock"
    runtime = environ.get("XDG_RUNTIME_DIR", "")
    base = runtime if os.path.isabs(runtime) else _state_home(environ)
    return os.path.join(base, "leaderd", "leaderd.sock")


def default_state_dir(environ: Mapping[str, str], uid: int, node: str) -> str:
    """Return the directory for journal and lock of a node."""
    home = "/var/lib" if uid == 0 else _state_home(environ)
    return os.path.join(home, "leaderd", node)


def _state_home(environ: Mapping[str, str]) -> str:
    # The specification says that a relative path is to be ignored. Source: XDG Base Directory 0.8.
    home = environ.get("XDG_STATE_HOME", "")
    return home if os.path.isabs(home) else os.path.join(os.path.expanduser("~"), ".local", "state")
