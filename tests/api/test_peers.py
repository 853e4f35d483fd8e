"""Who is connected, and who of them made a call."""

import os
import socket as sockets
from pathlib import Path

from leaderd.api.peers import Peer, caller, connected


def test_the_kernel_knows_who_is_connected(tmp_path: Path) -> None:
    """Those at our socket only, not the listener, not other sockets; once gone they are gone."""
    with sockets.socket(sockets.AF_UNIX) as ours, sockets.socket(sockets.AF_UNIX) as other:
        ours.bind(str(tmp_path / "ours"))
        ours.listen()
        other.bind(str(tmp_path / "other"))
        other.listen()
        assert connected(str(tmp_path / "ours")) == set()
        with sockets.socket(sockets.AF_UNIX) as client, sockets.socket(sockets.AF_UNIX) as elsewhere:
            client.connect(str(tmp_path / "ours"))
            elsewhere.connect(str(tmp_path / "other"))
            accepted, _ = ours.accept()
            also, _ = other.accept()
            with accepted, also:
                assert connected(str(tmp_path / "ours")) == {Peer(os.getpid(), os.geteuid())}
        assert connected(str(tmp_path / "ours")) == set()


def test_a_caller_is_named_as_exactly_as_it_is_known() -> None:
    """A claim counts only where the kernel knows such a connection."""
    one, two = Peer(10, 0), Peer(20, 1000)
    assert caller(set(), "10") == "unknown"
    assert caller({one}, "") == "pid 10 uid 0"
    assert caller({one}, "99") == "pid 10 uid 0"
    assert caller({one, two}, "20") == "pid 20 uid 1000"
    assert caller({one, two}, "99") == "one of pid 10 uid 0, pid 20 uid 1000"
    assert caller({one, two}, "") == "one of pid 10 uid 0, pid 20 uid 1000"
    crowd = {Peer(pid, 0) for pid in range(100)}
    assert caller(crowd, "").endswith("pid 7 uid 0 and 92 more")
