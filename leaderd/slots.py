"""A small record on disk that survives a crash at any moment, and costs one sync to write.

    slot 0:  <crc32, 8 hex> <serial, 20 digits> <length, 10 digits>, a line; then the text, padded
    slot 1:  the same

The slots are written in turn, in place; the valid one with the highest serial counts. Replacing a file by
a rename would be shorter, but makes the file system commit its journal twice, three times as slow, and
an etcd member on the same disk waits behind it, just when one leader follows another. Standard library only.
"""

import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager

# Ends the name of a file that is being made; no name of an election does.
DRAFT = "~"
_HEAD = 8 + 1 + 20 + 1 + 10 + 1
_PAGE = 4096


class SlotFile:
    """One record.

    Args:
        path: Of the file; its folder must exist.
    """

    def __init__(self, path: str) -> None:
        self.path = path

    def read(self) -> str | None:
        """Return the text that was written last; None where there is no file.

        Raises:
            OSError: It cannot be read.
            ValueError: No slot is whole.
        """
        try:
            with _opened(self.path, os.O_RDONLY) as file:
                newest = max(_slots(file))
        except FileNotFoundError:
            return None
        if newest[0] == 0:
            raise ValueError("damaged: no slot is whole")
        return newest[1]

    def write(self, text: str) -> None:
        """Put a text in the place of the last one; when this returns it survives a power failure.

        A crash on the way leaves the last one.

        Raises:
            OSError: It may not be written.
        """
        data = text.encode()
        try:
            with _opened(self.path, os.O_RDWR) as file:
                (serial, _), oldest = max(slots := _slots(file)), slots.index(min(slots))
                capacity = os.fstat(file).st_size // 2
                if serial and _HEAD + len(data) <= capacity:
                    _put(file, _slot(serial + 1, data), oldest * capacity)
                    os.fdatasync(file)
                    return
        except FileNotFoundError:
            pass
        self._create(data)

    def _create(self, data: bytes) -> None:
        # Twice what is needed: the next record may be longer. Written out, for blocks that are only
        # reserved cost a commit each when they are first used.
        capacity = -(-2 * (_HEAD + len(data)) // _PAGE) * _PAGE
        draft = self.path + DRAFT
        with _opened(draft, os.O_RDWR | os.O_CREAT | os.O_TRUNC) as file:
            _put(file, _slot(1, data).ljust(2 * capacity, b"\n"), 0)
            os.fsync(file)
        os.replace(draft, self.path)
        with _opened(os.path.dirname(self.path), os.O_RDONLY | os.O_DIRECTORY) as folder:
            os.fsync(folder)


def _slots(file: int) -> list[tuple[int, str]]:
    """Return serial and text of both slots; serial 0 for one that is not whole."""
    size = os.fstat(file).st_size
    data = os.pread(file, size, 0)
    return [_whole(data[: size // 2]), _whole(data[size // 2 :])]


def _whole(slot: bytes) -> tuple[int, str]:
    head, data = slot[:_HEAD].split(), slot[_HEAD:]
    try:
        crc, serial, length = int(head[0], 16), int(head[1]), int(head[2])
        if serial > 0 and crc == _crc(serial, data[:length]) and length <= len(data):
            return serial, data[:length].decode()
    except (ValueError, IndexError):
        pass
    return 0, ""


def _slot(serial: int, data: bytes) -> bytes:
    return b"%08x %020d %010d\n" % (_crc(serial, data), serial, len(data)) + data


def _crc(serial: int, data: bytes) -> int:
    return zlib.crc32(data, zlib.crc32(b"%d %d" % (serial, len(data))))


def _put(file: int, data: bytes, offset: int) -> None:
    while data:
        done = os.pwrite(file, data, offset)
        data, offset = data[done:], offset + done


@contextmanager
def _opened(path: str, flags: int) -> Iterator[int]:
    file = os.open(path, flags | os.O_CLOEXEC, 0o600)
    try:
        yield file
    finally:
        os.close(file)
