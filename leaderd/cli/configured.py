"""Loads the configuration of `run`, `exec` and `check`. Imports pydantic, so only they may import this."""

import os
import socket
import sys
from collections.abc import Mapping
from typing import Any

from leaderd.config.execute import Wanted, load_exec
from leaderd.config.load import Loaded, Machine, load
from leaderd.config.source import chosen_file, read


def load_configuration(config: str | None, options: Mapping[str, Any]) -> Loaded:
    """Return what file, environment and command line say together.

    Raises:
        ConfigError: With everything that is wrong.
    """
    return load(read(chosen_file(config, os.environ)), options, _machine())


def load_command(config: str | None, wanted: Wanted, options: Mapping[str, Any]) -> Loaded:
    """Return the same for `exec`: the plan of a daemon that serves one command.

    Raises:
        ConfigError: With everything that is wrong.
    """
    return load_exec(read(chosen_file(config, os.environ)), wanted, options, _machine())


def _machine() -> Machine:
    return Machine(
        environ=os.environ,
        uid=os.geteuid(),
        hostname=socket.gethostname(),
        terminal=sys.stderr.isatty(),
    )
