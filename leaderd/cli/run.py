"""`leaderd run`: checks everything, takes the lock, and becomes the guard."""

import fcntl
import json
import os
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

import click

from leaderd.api.address import claim
from leaderd.cli.options import daemon_options
from leaderd.clock import BootClock
from leaderd.errors import RefusedError
from leaderd.plan import Plan

_GUARD = "leaderd.guard.main"
_REREAD = "leaderd.cli.reread"
_LOCK_FILE = "lock"
# An agent that has lost its guard stops its resources and ends; that takes about a stop_timeout (seconds).
_PATIENCE = 10.0
_LOOK = 0.1


@click.command(
    # No option with a hyphen inside: click would break the line there, and a copy of it would not run.
    epilog="Example: leaderd run --endpoint http://10.0.0.1:2379 --election db --vip 10.0.0.100/24@eth0",
    short_help="Run the daemon, in the foreground.",
)
@daemon_options
def run(config: str | None, **options: Any) -> None:
    """Run the daemon, in the foreground.

    SIGTERM and SIGINT: stop the resources, give leadership up, exit 0. SIGHUP: reload what is safe to
    change, refuse the rest by name. Each option is also a variable LEADERD_<OPTION> (lists with commas);
    option before variable before file.
    """
    from leaderd.cli.configured import load_configuration

    loaded = load_configuration(config, options)
    for warning in loaded.warnings:
        click.echo(f"leaderd: warning: {warning}", err=True)
    lock = take_lock(loaded.plan.state_dir)
    claim(loaded.plan.api.socket)
    become_guard(loaded.plan, lock, reread_command(config, options))


def take_lock(state_dir: str, patience: float = _PATIENCE) -> int:
    """Take the directory for this daemon alone, for as long as the returned descriptor is open.

    Args:
        state_dir: Made when missing.
        patience: Seconds to wait for an agent whose guard is dead: it is stopping what it holds.

    Returns:
        An inheritable descriptor; the file behind it holds our process id, which the guard keeps.

    Raises:
        RefusedError: Another daemon runs on it, or the directory cannot be used.
    """
    path = os.path.join(state_dir, _LOCK_FILE)
    try:
        os.makedirs(state_dir, mode=0o700, exist_ok=True)
        lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise RefusedError(f"state_dir: {path} cannot be used: {error.strerror}; give --state-dir") from error
    if not _locked(lock, patience):
        owner = _owner(lock)
        os.close(lock)
        raise RefusedError(
            f"already running on {state_dir} as process {owner}; stop it, or give another --state-dir"
        )
    os.ftruncate(lock, 0)
    os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
    os.set_inheritable(lock, True)
    return lock


def _locked(lock: int, patience: float) -> bool:
    clock = BootClock()
    until = clock.now().plus(patience)
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if os.path.exists(f"/proc/{_owner(lock)}") or clock.now().left_until(until) <= 0:
                return False
            time.sleep(_LOOK)
        else:
            return True


def _owner(lock: int) -> str:
    return os.pread(lock, 20, 0).decode("ascii", "replace").strip() or "unknown"


def reread_command(config: str | None, options: Mapping[str, Any]) -> list[str]:
    """Return the command that reads the same configuration again, given the same environment."""
    given = {name: value for name, value in options.items() if value not in (None, ())}
    return [*interpreter(), "-m", _REREAD, json.dumps({"config": config, "options": given})]


def become_guard(plan: Plan, lock: int, reread: Sequence[str]) -> NoReturn:
    """Replace this process by the guard, with the plan in a file that has no name.

    Args:
        plan: Everything the daemon needs to know.
        lock: Descriptor of the lock, to be kept open.
        reread: What the guard runs when it is told to reload.
    """
    memory = plan_file({"plan": json.loads(plan.encode()), "reread": reread})
    arguments = [*interpreter(), "-m", _GUARD]
    arguments += ["--plan-fd", str(memory), "--lock-fd", str(lock)]
    sys.stdout.flush()
    sys.stderr.flush()
    os.execve(sys.executable, arguments, os.environ)


def plan_file(fields: dict[str, Any]) -> int:
    """Return an inheritable descriptor of a file that has no name and holds this as JSON."""
    memory = os.memfd_create("leaderd-plan", 0)
    text = json.dumps(fields).encode()
    while text:
        text = text[os.write(memory, text):]
    os.lseek(memory, 0, os.SEEK_SET)
    return memory


def interpreter() -> list[str]:
    """Return how to run a module of ours in place of this process.

    -P keeps the working directory off the module path; only somebody who ran us from there already
    (`python -m leaderd`) trusts it.
    """
    return [sys.executable, *(["-P"] if sys.path[0] != os.getcwd() else [])]
