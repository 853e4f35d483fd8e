"""`leaderd demo`: a cluster on this machine, broken on purpose, for whoever wants to see it first."""

import signal
import sys
from types import FrameType
from typing import Any, Self

import click

# The story takes about 35 s; whatever goes wrong, it is over by then (seconds).
LONGEST = 80


@click.command(
    epilog="Example: leaderd demo",
    short_help="Start an etcd and three nodes, kill the leader, show the failover.",
)
def demo() -> None:
    """Start an etcd and three nodes on loopback ports, break the leader, show what happens.

    Needs no root and no configuration; ends by itself within 90 s and cleans up, also on Ctrl-C.
    """
    from leaderd.demo.story import problems, running, tell
    from leaderd.errors import LeaderdError

    signal.signal(signal.SIGTERM, _interrupted)
    signal.signal(signal.SIGALRM, _too_long)
    signal.alarm(LONGEST)
    screen = _Live() if sys.stdout.isatty() else _Lines()
    try:
        with screen, running(screen.say, screen.show) as story:
            tell(story)
            found = problems(story)
            screen.summary(story.failovers, found)
    except KeyboardInterrupt:
        click.echo("interrupted; everything was stopped and removed", err=True)
        sys.exit(130)
    except LeaderdError as error:
        click.echo(f"leaderd demo: {error}", err=True)
        sys.exit(1)
    sys.exit(1 if found else 0)


def _interrupted(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _too_long(_number: int, _frame: FrameType | None) -> None:
    from leaderd.errors import LeaderdError

    raise LeaderdError(f"not finished within {LONGEST} s: this machine is too busy for the demo")


class _Lines:
    """Without a terminal: a line for everything said, and one for every change of a node."""

    def __init__(self) -> None:
        self._seen: dict[str, tuple[object, ...]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        """Nothing is held open."""

    def say(self, line: str) -> None:
        click.echo(line)

    def show(self, reports: list[dict[str, Any]]) -> None:
        for report in reports:
            news = (report["state"], report.get("token", 0))
            if self._seen.get(report["node"]) != news:
                self._seen[report["node"]] = news
                click.echo(f"    {report['node']}: {report['state']}, token {report.get('token', 0)}")

    def summary(self, failovers: list[Any], found: list[str]) -> None:
        click.echo("")
        for failover in failovers:
            click.echo(f"{failover.cause:<32} {failover.old} → {failover.new}  {failover.seconds:6.2f} s")
        for line in found or ["overlap: 0 — at no moment did two nodes hold"]:
            click.echo(line)


class _Live(_Lines):
    """On a terminal: a table that follows the nodes, what is said above it."""

    def __init__(self) -> None:
        super().__init__()
        from rich.live import Live

        # Drawn only when told: a thread of rich's would not survive the forks of the nodes' starts.
        self._live = Live(auto_refresh=False, transient=True)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._live.stop()

    def say(self, line: str) -> None:
        self._live.console.print(line, highlight=False)

    def show(self, reports: list[dict[str, Any]]) -> None:
        self._live.update(_table(reports), refresh=True)

    def summary(self, failovers: list[Any], found: list[str]) -> None:
        from rich.table import Table

        table = Table("what happened", "from", "to", "until the next start hook")
        for failover in failovers:
            table.add_row(failover.cause, failover.old, failover.new, f"{failover.seconds:.2f} s")
        self._live.console.print(table)
        for line in found or ["overlap: [bold green]0[/] — at no moment did two nodes hold"]:
            self._live.console.print(line)


_STYLES = {"leader": "bold green", "candidate": "cyan", "dead": "red", "no answer": "red"}


def _table(reports: list[dict[str, Any]]) -> Any:
    from rich.table import Table

    table = Table("node", "state", "token", "lease left")
    for report in reports:
        left = report.get("valid_for", 0.0)
        bar = "█" * max(0, round(left * 4)) + f" {left:.1f} s" if left > 0 else ""
        table.add_row(report["node"], f"[{_STYLES.get(report['state'], 'yellow')}]{report['state']}[/]",
                      str(report.get("token") or ""), bar)
    return table
