"""Makes the copy of the interpreter that may take what privileges its container was given.

Run as `interpreter.py PATH` while the image is built.

Source: capabilities(7), "File capabilities"; `struct vfs_cap_data` in <linux/capability.h>.
"""

import os
import shutil
import struct
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from entrypoint import CAPABILITIES

_REVISION_2 = 0x02000000


def file_capabilities() -> bytes:
    """Return the attribute that permits all of them and makes none effective.

    An effective one that the container lacks would keep the program from being executed at all.
    """
    mask = sum(1 << number for number in CAPABILITIES.values())
    low, high = mask & 0xFFFFFFFF, mask >> 32
    return struct.pack("<5I", _REVISION_2, low, 0, high, 0)


def main(path: str) -> None:
    """Copy the interpreter that runs this to `path`, with its file capabilities."""
    shutil.copy(os.path.realpath(sys.executable), path)
    os.setxattr(path, "security.capability", file_capabilities())


if __name__ == "__main__":
    main(sys.argv[1])
