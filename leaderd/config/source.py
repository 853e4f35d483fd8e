"""Reads a configuration file as the tables it holds. Standard library only: `leaderd status` is fast."""

import os
import re
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from leaderd.errors import ConfigError

_MAX_BYTES = 1 << 20
_POSITION = re.compile(r"\s*\(at (?:line (\d+), column (\d+)|end of document)\)$")


@dataclass(frozen=True, slots=True)
class Source:
    """What a file says.

    Attributes:
        tables: As TOML gives them.
        directory: Relative paths in it count from here.
    """

    tables: dict[str, Any] = field(default_factory=dict)
    directory: str = "."


def chosen_file(option: str | None, environ: Mapping[str, str]) -> str | None:
    """Return the file to read: the option's, else that of LEADERD_CONFIG, else none."""
    return option or environ.get("LEADERD_CONFIG") or None


def read(path: str | None) -> Source:
    """Read a file; "-" is standard input, None an empty file.

    Raises:
        ConfigError: It cannot be read, or is not TOML; with `file:line` where there is a line.
    """
    if path is None:
        return Source(directory=os.getcwd())
    name = "standard input" if path == "-" else path
    data = _bytes(path, name)
    try:
        tables = tomllib.loads(data.decode())
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigError([f"{name}:{line}: is not UTF-8 text"]) from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError([_syntax(name, data, str(error))]) from error
    except RecursionError as error:
        raise ConfigError([f"{name}: is nested too deeply"]) from error
    except ValueError as error:  # a number beyond Python's limit of digits, a date beyond the calendar
        raise ConfigError([f"{name}: has a value that cannot be read: {error}"]) from error
    return Source(tables, os.getcwd() if path == "-" else os.path.dirname(os.path.abspath(path)))


def _bytes(path: str, name: str) -> bytes:
    try:
        if path == "-":
            data = sys.stdin.buffer.read(_MAX_BYTES + 1)
        else:
            with open(path, "rb") as file:
                data = file.read(_MAX_BYTES + 1)
    except OSError as error:
        raise ConfigError([f"{name}: cannot be read: {error.strerror}"]) from error
    except ValueError as error:
        raise ConfigError([f"{name!a}: is no path"]) from error
    if len(data) > _MAX_BYTES:
        raise ConfigError([f"{name}: is longer than 1 MiB; is it a configuration of leaderd?"])
    return data


def _syntax(name: str, data: bytes, message: str) -> str:
    """Return tomllib's message with its position in front, where editors and people look for it."""
    found = _POSITION.search(message)
    if found is None:
        return f"{name}: {message}"
    text = message[: found.start()]
    if found[1] is None:
        return f"{name}:{data.rstrip().count(bytes([10])) + 1}: {text} (at the end)"
    return f"{name}:{found[1]}: {text} (column {found[2]})"
