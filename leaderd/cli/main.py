"""The `leaderd` command: what there is, loaded only when it is asked for.

Exit codes: 0 done or yes, 1 no or refused, 2 usage or configuration, 4 daemon or etcd not reachable,
75 leadership lost or not got. Errors are single lines on standard error.
"""

import importlib
import os
import sys
from collections.abc import Sequence

import click

from leaderd.cli.text import printable
from leaderd.errors import ConfigError, LeaderdError, UnreachableError
from leaderd.version import VERSION

# name → (module:object, what it does). Here and not in the modules, so that --help loads none of them.
COMMANDS = {
    "run": ("leaderd.cli.run:run", "Run the daemon, in the foreground."),
    "exec": ("leaderd.cli.exec:execute", "Run a command only while this node leads."),
    "status": ("leaderd.cli.status:status", "Show this node and what it knows of the others."),
    "watch": ("leaderd.cli.watch:watch", "Print one line per change."),
    "switchover": ("leaderd.cli.verbs:switchover", "Hand the leadership over, in order."),
    "standby": ("leaderd.cli.verbs:standby", "Take a node out of the competition."),
    "online": ("leaderd.cli.verbs:online", "Let a node compete again."),
    "pause": ("leaderd.cli.verbs:pause", "Let nobody be newly promoted."),
    "resume": ("leaderd.cli.verbs:resume", "Let nodes be promoted again."),
    "history": ("leaderd.cli.past:history", "Show past leaderships."),
    "verify": ("leaderd.cli.past:verify", "Tell whether a fencing token is the newest."),
    "epoch": ("leaderd.cli.verbs:epoch", "Keep tokens growing after a restore of etcd."),
    "explain": ("leaderd.cli.explain:explain", "Say why this node leads or does not, in sentences."),
    "check": ("leaderd.cli.check:check", "Validate a configuration and draw its time budget."),
    "doctor": ("leaderd.cli.doctor:doctor", "Probe etcd and this machine, and say what to do."),
    "demo": ("leaderd.cli.demo:demo", "Start an etcd and three nodes, kill the leader, show the failover."),
    "completion": ("leaderd.cli.completion:completion", "Print the completion script of a shell."),
}
_REFUSED, _USAGE, _UNREACHABLE, _INTERRUPTED = 1, 2, 4, 130


class _Group(click.Group):
    """A group whose commands are imported when they are used."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name][0].partition(":")
        command: click.Command = getattr(importlib.import_module(module), name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.group(
    cls=_Group,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Example: leaderd run -c /etc/leaderd/leaderd.toml",
)
@click.version_option(VERSION, prog_name="leaderd", message="%(prog)s %(version)s")
def cli() -> None:
    """Elect one leader among a few nodes through etcd, and move resources with the leadership.

    At most one node holds the resources: leaderd would rather have nobody hold them than two.
    """


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit; no error leaves a traceback."""
    # A terminal that knows no "≤" shows a question mark.
    sys.stdout.reconfigure(errors="replace")  # type: ignore[union-attr] # TextIO is a TextIOWrapper here
    sys.exit(run_command(sys.argv[1:] if arguments is None else arguments))


def run_command(arguments: Sequence[str]) -> int:
    """Run the command line and return the exit code."""
    try:
        code = cli.main(list(arguments), prog_name="leaderd", standalone_mode=False)
        sys.stdout.flush()
    except (click.Abort, KeyboardInterrupt):
        return _INTERRUPTED
    except BrokenPipeError:
        # Whoever read us has what it wanted; keep Python from trying to flush once more at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _REFUSED
    except Exception as error:  # noqa: BLE001 - a bug too is told in one line
        lines, code = _explain(error)
        for line in lines:
            click.echo(printable(line), err=True)
    return code if isinstance(code, int) else 0


def _explain(error: Exception) -> tuple[list[str], int]:
    """Return what to print for an error, and the exit code."""
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        return error.format_message().splitlines(), _USAGE
    if isinstance(error, click.ClickException):
        return [f"leaderd: {_usage_text(error)}"], _USAGE
    if isinstance(error, ConfigError):
        return [f"leaderd: {problem}" for problem in error.problems], _USAGE
    if isinstance(error, LeaderdError):
        return [f"leaderd: {error}"], _UNREACHABLE if isinstance(error, UnreachableError) else _REFUSED
    return [f"leaderd: internal error, please report it: {_place(error)}"], _REFUSED


def _usage_text(error: click.ClickException) -> str:
    text = " ".join(error.format_message().split())
    context = getattr(error, "ctx", None)
    remedy = f"; see {context.command_path} --help" if context else ""
    return f"{text.rstrip('.')}{remedy}"


def _place(error: BaseException) -> str:
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    where = f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace else "unknown place"
    return " ".join(f"{type(error).__name__} at {where}: {error}".split())


if __name__ == "__main__":
    main()
