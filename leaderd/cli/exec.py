"""`leaderd exec`: runs a command only while this node leads."""

import json
import os
import shutil
import socket
import sys
import tempfile
from typing import Any

import click

from leaderd.api.address import claim
from leaderd.cli.options import exec_options
from leaderd.cli.run import interpreter, plan_file, take_lock
from leaderd.clock import BootClock

_NOT_EXECUTABLE, _NOT_FOUND = 126, 127


@click.command(
    name="exec",
    epilog="Example: leaderd exec nightly --wait 30 --endpoint http://127.0.0.1:2379 -- /usr/bin/report",
    short_help="Run a command only while this node leads.",
)
@click.argument("name")
@click.argument("command", nargs=-1, required=True, metavar="-- CMD [ARG]...", type=click.UNPROCESSED)
@click.option(
    "--wait", metavar="SECONDS", type=click.FloatRange(min=0, min_open=True, max=86400 * 365),
    help="Give up, with exit code 75, when CMD cannot be started within so long; default: never.",
)
@click.option(
    "--contain/--no-contain", default=True,
    help="Run CMD in a PID namespace, where that is permitted; all that it starts then ends with it.",
)
@exec_options
def execute(
    *, name: str, command: tuple[str, ...], wait: float | None, contain: bool, ttl: int | None,
    config: str | None, **options: Any,
) -> int:
    """Run CMD only while this node leads election NAME; stop it when leadership is lost.

    CMD has this command's standard input, output and error, gets its signals, and LEADERD_TOKEN in its
    environment. Exits with CMD's code (128 + n for signal n), or with 75 when leadership was lost or
    not got; then CMD does not run any more.
    """
    from leaderd.cli.configured import load_command
    from leaderd.config.execute import Wanted, attach
    from leaderd.foreground import become

    _open_streams()
    until = None if wait is None else BootClock().now().plus(wait)
    loaded = load_command(config, Wanted(name, command, contain, ttl), options)
    if code := _cannot_run(command[0]):
        return code
    for warning in loaded.warnings:
        click.echo(f"leaderd: warning: {warning}", err=True)
    directory = "" if loaded.plan.state_dir else tempfile.mkdtemp(prefix="leaderd-exec-")
    try:
        lock = take_lock(loaded.plan.state_dir or directory)
        if loaded.plan.api.socket:
            claim(loaded.plan.api.socket)
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with ours, theirs:
            plan = attach(loaded, loaded.plan.state_dir or directory, theirs.fileno()).plan
            asked = {"until": until, "directory": directory}
            memory = plan_file({"plan": json.loads(plan.encode()), "exec": asked})
            ours.set_inheritable(True)
            theirs.set_inheritable(True)
            files = {"--plan-fd": memory, "--lock-fd": lock, "--theirs-fd": theirs.fileno()}
            sys.stdout.flush()
            sys.stderr.flush()
            become(files, ours.fileno(), interpreter())
    except BaseException:
        if directory:
            shutil.rmtree(directory, ignore_errors=True)
        raise


def _open_streams() -> None:
    """Open whichever of the three is closed, lest a file of ours takes its place and goes to CMD."""
    for file in range(3):
        try:
            os.fstat(file)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)


def _cannot_run(program: str) -> int:
    """Return the exit code of a shell that cannot run this; 0 when it can."""
    if shutil.which(program):
        return 0
    there = os.sep in program and os.path.exists(program)
    click.echo(f"leaderd: {program}: {'is not executable' if there else 'no such program'}", err=True)
    return _NOT_EXECUTABLE if there else _NOT_FOUND
