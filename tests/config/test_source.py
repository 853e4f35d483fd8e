"""Reading a file: what is no TOML is said with file and line."""

import io
import sys
from pathlib import Path

import pytest

from leaderd.config.source import chosen_file, read
from leaderd.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "where"),
    [
        (b"a = 1\nb = \n", ":2: "),
        (b"a = [[\n", ":1: "),
        (b"[x]\n[x]\n", ":2: "),
        (b"a = 1\na = 2\n", ":2: "),
        (b"a = 1\nb = '\xff'\n", ":2: is not UTF-8 text"),
        (b"\x00", ":1: "),
        (b"a = " + b"[" * 100_000, ": is nested too deeply"),
        (b"a = " + b"9" * 5000, ": has a value that cannot be read"),
        (b"#" * (1 << 20) + b"#", ": is longer than 1 MiB"),
    ],
)
def test_what_is_no_toml_is_said_with_its_place(tmp_path: Path, text: bytes, where: str) -> None:
    """One line, `file:line` in front where there is a line."""
    file = tmp_path / "leaderd.toml"
    file.write_bytes(text)
    with pytest.raises(ConfigError) as caught:
        read(str(file))
    (line,) = caught.value.problems
    assert line.startswith(f"{file}{where}")
    assert len(line) < 300


@pytest.mark.parametrize("path", ["/nope", "/", "nul\0", "/dev/zero"])
def test_what_cannot_be_read_is_said(path: str) -> None:
    """Also a file without an end."""
    with pytest.raises(ConfigError):
        read(path)


def test_standard_input(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """`-c -`; its paths count from the working directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"node = 'x'")))
    source = read("-")
    assert (source.tables, source.directory) == ({"node": "x"}, str(tmp_path))


def test_which_file() -> None:
    """Option, then LEADERD_CONFIG, then none."""
    assert chosen_file("o", {"LEADERD_CONFIG": "v"}) == "o"
    assert chosen_file(None, {"LEADERD_CONFIG": "v"}) == "v"
    assert chosen_file(None, {}) is None
    assert read(None).tables == {}
