"""Makes sure that a Unix socket may be opened. Standard library only: `leaderd run` asks before it starts."""

import os
import socket
import stat

from leaderd.errors import RefusedError

# A listener whose backlog is full answers nothing; it listens all the same (seconds).
_PATIENCE = 1.0


def claim(path: str) -> None:
    """Make the directory of a socket, and remove the socket of a daemon that is gone.

    Raises:
        RefusedError: Somebody listens there, it is no socket, or it is not ours to use.
    """
    try:
        os.makedirs(os.path.dirname(path), mode=0o755, exist_ok=True)
        if not stat.S_ISSOCK(os.lstat(path).st_mode):
            raise RefusedError(f"api.socket: {path} is no socket; remove it, or give --socket")
        if _is_dead(path):
            os.unlink(path)
        else:
            raise RefusedError(f"api.socket: another daemon listens at {path}; give --socket")
    except FileNotFoundError:
        return
    except OSError as error:
        raise RefusedError(f"api.socket: {path} cannot be used: {error.strerror}") from error


def _is_dead(path: str) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(_PATIENCE)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            return True
        except BlockingIOError:
            return False
    return False
