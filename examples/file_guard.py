"""A file that takes nothing from an old leader: the highest token seen is kept beside it, under a lock.

For data on a file system that several nodes share (NFS 4, with its locks). Whoever comes with a lower token
than one seen before has been succeeded, and writes nothing.
"""

import fcntl
import os


class StaleTokenError(Exception):
    """Somebody with a newer token has written before."""


def write(path: str, data: bytes, token: int) -> None:
    """Replace a file's content as the holder of a fencing token.

    Raises:
        StaleTokenError: The token is no longer the newest.
    """
    with open(f"{path}.token", "a+", encoding="ascii") as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)
        guard.seek(0)
        newest = int(guard.read() or 0)
        if token < newest:
            raise StaleTokenError(f"token {token} is older than {newest}")
        # The token first, and on the disk: a crash in between must not let an older one in again.
        guard.truncate(0)
        guard.write(str(token))
        guard.flush()
        os.fsync(guard.fileno())
        with open(f"{path}.new", "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(f"{path}.new", path)
