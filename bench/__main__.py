"""`python -m bench [failover|switchover|idle|startup …]`: prints Markdown, for docs/measurements.md."""

import click

from bench import failover, idle, startup, switchover


@click.command()
@click.argument("what", nargs=-1, type=click.Choice(["failover", "switchover", "idle", "startup"]))
@click.option("--count", default=20, show_default=True, help="Runs of each measurement.")
@click.option("--seconds", default=60.0, show_default=True, help="How long the idle cluster is watched.")
def main(what: tuple[str, ...], count: int, seconds: float) -> None:
    """Measure leaderd on an etcd cluster of its own on this machine."""
    parts = {
        "failover": lambda: failover.figures(count),
        "switchover": lambda: switchover.figures(5 * count),
        "idle": lambda: idle.figures(seconds),
        "startup": lambda: startup.figures(count),
    }
    for name in what or parts:
        click.echo(f"\n## {name}\n")
        for line in parts[name]():
            click.echo(line)


if __name__ == "__main__":
    main()
