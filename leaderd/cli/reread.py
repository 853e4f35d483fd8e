"""Reads the configuration of a running daemon again. Its guard runs this, which itself knows no TOML.

    python -m leaderd.cli.reread '{"config": "FILE" | null, "options": {…}}'

On standard output {"plan": {…}, "warnings": […]} or {"problems": […]}, the texts those of `leaderd check`.
"""

import json
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from leaderd.cli.configured import load_configuration
from leaderd.config.source import chosen_file
from leaderd.errors import ConfigError


def main(arguments: Sequence[str]) -> None:
    """Read what the daemon was started with and print what comes of it."""
    given = json.loads(arguments[0])
    try:
        answer = _read(given["config"], given["options"])
    except ConfigError as error:
        answer = {"problems": error.problems}
    json.dump(answer, sys.stdout)


def _read(config: str | None, options: Mapping[str, Any]) -> dict[str, Any]:
    if chosen_file(config, os.environ) == "-":
        raise ConfigError(["standard input cannot be read again: give -c FILE to be able to reload"])
    loaded = load_configuration(config, options)
    return {"plan": json.loads(loaded.plan.encode()), "warnings": loaded.warnings}


if __name__ == "__main__":
    main(sys.argv[1:])
