"""A record on disk: whatever a crash leaves of a write, the record before it or the new one is read."""

import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from leaderd.slots import DRAFT, SlotFile


@pytest.fixture
def file(tmp_path: Path) -> SlotFile:
    return SlotFile(str(tmp_path / "db"))


def test_nothing_was_written_yet(file: SlotFile) -> None:
    assert file.read() is None


@given(texts=st.lists(st.text(max_size=9000), min_size=1, max_size=8))
@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_was_written_last_is_read(file: SlotFile, texts: list[str]) -> None:
    """Short, long, empty, in any order; longer ones than there is room for make the file anew."""
    for text in texts:
        file.write(text)
        assert SlotFile(file.path).read() == text
    assert os.listdir(os.path.dirname(file.path)) == ["db"]


@given(kept=st.integers(0, 200), junk=st.binary(max_size=200))
@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_write_that_was_cut_off_leaves_the_one_before(file: SlotFile, kept: int, junk: bytes) -> None:
    """Power fails while the slot is written: a part is new, a part is old or anything."""
    Path(file.path).unlink(missing_ok=True)
    file.write("before last")
    file.write("last")
    before = Path(file.path).read_bytes()
    file.write("newest " * 20)
    after = Path(file.path).read_bytes()
    changed = [at for at in range(len(after)) if after[at] != before[at]]
    begin, end = changed[0], changed[-1] + 1
    torn = after[begin : begin + kept] + (junk + before[begin + kept + len(junk) :])
    Path(file.path).write_bytes((after[:begin] + torn)[: len(after)].ljust(len(after), b"\0"))
    whole = Path(file.path).read_bytes()[begin:end] == after[begin:end]
    assert file.read() == ("newest " * 20 if whole else "last")
    file.write("next")
    assert file.read() == "next"


def test_a_damaged_file_is_told_of_and_written_anew(file: SlotFile) -> None:
    Path(file.path).write_bytes(b"{}" * 5000)
    with pytest.raises(ValueError, match="damaged"):
        file.read()
    file.write("new")
    assert file.read() == "new"


def test_a_draft_that_a_crash_has_left_is_in_nobodys_way(file: SlotFile) -> None:
    Path(file.path + DRAFT).write_bytes(b"x" * 100_000)
    file.write("text")
    assert file.read() == "text"


def test_a_write_in_place_changes_no_block_but_its_own(file: SlotFile, tmp_path: Path) -> None:
    """No rename, no growth: one sync of data that the file system's journal has no part in."""
    file.write("first")
    inode, blocks = os.stat(file.path).st_ino, os.stat(file.path).st_blocks
    script = f"from leaderd.slots import SlotFile; SlotFile({file.path!r}).write('second')"
    trace = tmp_path / "trace"
    command = ["strace", "-f", "-e", "trace=fsync,fdatasync,rename,renameat,renameat2", "-o", str(trace)]
    try:
        subprocess.run([*command, "python3", "-c", script], check=True, timeout=60)
    except FileNotFoundError:
        pytest.skip("strace is not installed")
    calls = [line.split("(")[0].split()[-1] for line in trace.read_text().splitlines() if "(" in line]
    assert calls == ["fdatasync"]
    assert (os.stat(file.path).st_ino, os.stat(file.path).st_blocks) == (inode, blocks)
    assert file.read() == "second"


def test_a_disk_that_refuses_is_an_error(file: SlotFile) -> None:
    os.rmdir(os.path.dirname(file.path))
    with pytest.raises(OSError, match="No such file"):
        file.write("text")
