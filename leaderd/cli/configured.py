"""Loads the configuration of `run` and `check`. Imports pydantic, so only they may import this."""

import os
import socket
import sys
from collections.abc import Mapping
from typing import Any

from leaderd.config.load import Loaded, Machine, load
from leaderd.config.source import chosen_file, read


def load_configuration(config: str | None, options: Mapping[str, Any]) -> Loaded:
    """Return what file, environment and command line say together.

    Raises:
        ConfigError: With everything that is wrong.
    """
    machine = Machine(
        environ=os.environ,
        uid=os.geteuid(),
        hostname=socket.gethostname(),
        terminal=sys.stderr.isatty(),
    )
    return load(read(chosen_file(config, os.environ)), options, machine)
