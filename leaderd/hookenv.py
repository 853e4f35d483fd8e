"""What hooks are told through their environment, for agent and guard alike.

Standard library only: the guard runs stop hooks with this when the agent cannot.

Source: docs/interfaces.md §3.
"""

import fcntl
import os
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

# Set for the agent alone (etcd3's stubs need it); a hook's own Python programs must not inherit it.
_AGENT_ONLY = "PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION"
_OWN_PREFIX = "LEADERD_"

_SEQUENCE_FILE = "sequence"
_WIDTH = 20
_LOCK_TRIES = 20
_LOCK_PAUSE = 0.005


def hook_environment(  # noqa: PLR0913, PLR0917 - the hook contract has so many words
    action: str,
    election: str,
    node: str,
    token: int,
    lease: int,
    reason: str,
    previous: str,
    timeout: float,
    sequence: int,
    base: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """Return the whole environment of one hook run.

    The daemon's own `LEADERD_*` settings (some name secrets) are left out, whatever they are.

    Args:
        action: start, stop, monitor, check, notify or fence.
        election: Name of the election.
        node: Name of this node.
        token: Fencing token; 0 where no term is meant.
        lease: Lease id; 0 where there is none.
        reason: One of the words of docs/interfaces.md §3.
        previous: Node that led before, or "".
        timeout: Seconds that the hook has.
        sequence: From `next_sequence`.
        base: The daemon's environment; `os.environ` when left out.
    """
    return {
        **inherited(base),
        "LEADERD_ACTION": action,
        "LEADERD_ELECTION": election,
        "LEADERD_NODE": node,
        "LEADERD_TOKEN": str(token),
        "LEADERD_LEASE": f"{lease:x}",
        "LEADERD_REASON": reason,
        "LEADERD_PREVIOUS": previous,
        "LEADERD_TIMEOUT": f"{timeout:.3f}".rstrip("0").rstrip("."),
        "LEADERD_SEQUENCE": str(sequence),
    }


def inherited(base: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return what of the daemon's environment is passed on."""
    return {
        name: value for name, value in (os.environ if base is None else base).items() if not _is_ours(name)
    }


def _is_ours(name: str) -> bool:
    return name.startswith(_OWN_PREFIX) or name == _AGENT_ONLY


def next_sequence(state_dir: str | Path) -> int:
    """Return the next number of a hook run of this node, kept in `<state_dir>/sequence`.

    Never raises and never waits long: a stop hook must run on a full or read-only disk too, and
    beside a stopped process that holds the lock. The number is then 0. It is written in place and
    not synced, so it survives every crash of ours; after a power failure the last few may recur.
    """
    with suppress(OSError):
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
        file = os.open(Path(state_dir) / _SEQUENCE_FILE, flags, 0o600)
        try:
            return _count(file)
        finally:
            os.close(file)
    return 0


def _count(file: int) -> int:
    if not _locked(file):
        return 0
    text = os.pread(file, _WIDTH, 0)
    number = int(text) + 1 if text.isdigit() else 1
    # Fixed width: one write replaces all of the old number, or none of it.
    os.pwrite(file, b"%0*d\n" % (_WIDTH, number), 0)
    return number


def _locked(file: int) -> bool:
    for _ in range(_LOCK_TRIES):
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(_LOCK_PAUSE)
        else:
            return True
    return False
