"""Options that several commands share."""

import os
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import click

from leaderd.config.paths import default_socket
from leaderd.config.source import chosen_file, read
from leaderd.errors import ConfigError

_Function = TypeVar("_Function", bound=Callable[..., Any])

config_option = click.option(
    "-c", "--config", metavar="FILE", help="Configuration file; - is standard input. [LEADERD_CONFIG]"
)
socket_option = click.option("--socket", metavar="PATH", help="Unix socket of the daemon. [LEADERD_SOCKET]")

# Each is also the variable LEADERD_<NAME>. Texts are checked by the configuration, not here: it names
# all problems at once.
_DAEMON_OPTIONS = (
    ("--node", "NAME", "Name of this node; default: the host's."),
    ("--endpoint", "URL", "A member of etcd; repeat for each."),
    ("--ca-file", "FILE", "Certificate authority of etcd."),
    ("--cert-file", "FILE", "Certificate of this client."),
    ("--key-file", "FILE", "Its key."),
    ("--user", "NAME", "User at etcd."),
    ("--password-file", "FILE", "File with the user's password."),
    ("--state-dir", "DIR", "Journal and lock; one daemon each."),
    ("--socket", "PATH", "Unix socket to listen on."),
    ("--http", "ADDRESS", 'Where to answer HTTP; default 127.0.0.1:4040, "" for off.'),
    ("--log", "FORMAT", "auto, text or json."),
)
_TTL = "Its lease; default 10."
_OF_EXEC = {
    "--state-dir": "Journal and lock, kept; default: a directory that is removed at the end.",
    "--socket": "Unix socket to listen on; default: none.",
}
_QUICK_OPTIONS = (
    ("--election", "NAME", "Without [[election]] in a file: compete in this one."),
    ("--ttl", "SECONDS", _TTL),
    ("--on-start", "CMD", "Run without a shell when this node has won."),
    ("--on-stop", "CMD", "Run without a shell when it has lost, and once at the start."),
    ("--vip", "ADDR/LEN@IFACE", "An address to hold while leading; repeatable."),
)
_REPEATABLE = ("--endpoint", "--vip")


def daemon_options(function: _Function) -> _Function:
    """Add all options that override a configuration file or stand in for one."""
    for name, metavar, text in reversed(_DAEMON_OPTIONS + _QUICK_OPTIONS):
        multiple = name in _REPEATABLE
        function = click.option(name, metavar=metavar, help=text, multiple=multiple)(function)
    return config_option(function)


def exec_options(function: _Function) -> _Function:
    """Add the options of a command that brings its election along."""
    for name, metavar, text in reversed(_DAEMON_OPTIONS):
        if name == "--http":
            continue
        text = _OF_EXEC.get(name, text)  # noqa: PLW2901 - what differs is said differently
        function = click.option(name, metavar=metavar, help=text, multiple=name in _REPEATABLE)(function)
    ttl = click.option("--ttl", metavar="SECONDS", type=int, envvar="LEADERD_TTL", help=_TTL)
    return config_option(ttl(function))


def socket_path(socket: str | None, config: str | None, environ: Mapping[str, str]) -> str:
    """Return the socket of the daemon that is meant: option, variable, file, default.

    Raises:
        ConfigError: The file cannot be read, or its `api.socket` is no text.
    """
    if chosen := socket or environ.get("LEADERD_SOCKET"):
        return os.path.abspath(chosen)
    source = read(chosen_file(config, environ))
    api = source.tables.get("api", {})
    path = api.get("socket") if isinstance(api, dict) else api
    if path is None:
        return default_socket(environ, os.geteuid())
    if not isinstance(path, str) or not path:
        raise ConfigError([f"api.socket: must be a path, not {str(path)[:60]!r}"])
    return os.path.abspath(os.path.join(source.directory, path))
