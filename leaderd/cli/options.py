"""Options that several commands share."""

import os
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import click

from leaderd.config.paths import default_socket
from leaderd.config.source import chosen_file, read
from leaderd.errors import ConfigError, LeaderdError

_Function = TypeVar("_Function", bound=Callable[..., Any])

config_option = click.option(
    "-c", "--config", metavar="FILE", help="Configuration file; - is standard input. [LEADERD_CONFIG]"
)
socket_option = click.option("--socket", metavar="PATH", help="Unix socket of the daemon. [LEADERD_SOCKET]")
output_option = click.option(
    "-o", "--output", type=click.Choice(["table", "json"]), default="table", help="Form of output."
)
# Of commands that print as they go on: JSON Lines.
lines_option = click.option(
    "-o", "--output", type=click.Choice(["text", "json"]), default="text", help="Form of output."
)

# Each is also the variable LEADERD_<NAME>. Texts are checked by the configuration, not here: it names
# all problems at once.
_DAEMON_OPTIONS = (
    ("--node", "NAME", "Name of this node; default: the host's."),
    ("--endpoint", "URL", "A member of etcd; repeat for each, or put commas between."),
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


def election_argument(*, required: bool = True) -> Callable[[_Function], _Function]:
    """Return the argument NAME, an election; "" where it may be left out and is."""
    if required:
        return click.argument("name", shell_complete=complete_elections)
    return click.argument("name", required=False, default="", shell_complete=complete_elections)


def complete_elections(ctx: click.Context, _parameter: click.Parameter, begun: str) -> list[str]:
    """Return the elections of the daemon that begin like this."""
    return _known(ctx, begun, lambda election: [election["name"]])


def complete_nodes(ctx: click.Context, _parameter: click.Parameter, begun: str) -> list[str]:
    """Return the nodes that the daemon knows of that begin like this."""
    return _known(ctx, begun, lambda election: [node["node"] for node in election["nodes"]])


def _known(ctx: click.Context, begun: str, names: Callable[[Mapping[str, Any]], list[str]]) -> list[str]:
    from leaderd.api.client import fetch_status

    try:
        report = fetch_status(socket_of(ctx.params), timeout=1.0)
    except LeaderdError:  # Nobody waits for an error at the press of Tab.
        return []
    found = {name for election in report["elections"] for name in names(election)}
    return sorted(name for name in found if name.startswith(begun))


def socket_of(where: Mapping[str, Any]) -> str:
    """Return the socket of the daemon that the options `socket` and `config` mean.

    Raises:
        ConfigError: The file cannot be read, or its `api.socket` is no text.
    """
    return socket_path(where.get("socket"), where.get("config"), os.environ)


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
