"""`python -m tests.net faults|outages|takeovers`, for `make faults` and `make takeovers`."""

import sys
from collections.abc import Sequence

import click

from tests.net.campaign import run_faults, run_medians
from tests.net.takeovers import run_takeovers
from tests.netns import why_not


@click.group()
def main() -> None:
    """Do things to hosts in network namespaces, and measure. Needs root."""
    if why_not():
        raise click.ClickException(why_not())


@main.command()
@click.option("--peers", is_flag=True, help="Do the same to keepalived and etcdctl lock.")
def faults(*, peers: bool) -> None:
    """Do every fault once at ttl 5 and 10; prints Markdown, for docs/faults.md."""
    end(run_faults(say, peers=peers))


@main.command()
@click.option("--count", default=20, show_default=True, help="Of each fault.")
def outages(count: int) -> None:
    """Do the faults whose outage has an aim many times; prints medians."""
    end(run_medians(say, count))


@main.command()
@click.option("--count", default=20, show_default=True, help="How many.")
@click.option("--seed", default=1, show_default=True, help="Which.")
def takeovers(count: int, seed: int) -> None:
    """Do random faults until leadership has moved so often; look for overlaps and for what is left behind."""
    end(run_takeovers(count, seed, say))


def say(line: str) -> None:
    """Print a line of progress."""
    click.echo(line, err=True)


def end(lines: Sequence[str]) -> None:
    """Print the result; exit 1 when the promise was broken."""
    for line in lines:
        click.echo(line)
    sys.exit(any(line.startswith("PROBLEM") for line in lines))


if __name__ == "__main__":
    main()
