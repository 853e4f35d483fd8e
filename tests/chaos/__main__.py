"""`python -m tests.chaos`, which is what `make chaos N=…` calls: faults, a table, the control."""

import sys

import click

from tests.chaos.mix import run_mix
from tests.chaos.naive import NaiveNode


@click.command()
@click.option("--faults", default=50, show_default=True, help="How many.")
@click.option("--seed", default=1, show_default=True, help="Which.")
@click.option("--control", default=12, show_default=True, help="So many more without R6 and R11; 0 for none.")
def main(faults: int, seed: int, control: int) -> None:
    """Do random faults to three etcd members and six nodes; then, to compare, without rules R6 and R11."""
    def say(line: str) -> None:
        click.echo(line)
        sys.stdout.flush()

    outcome = run_mix(faults, seed, say)
    click.echo("\n" + "\n".join(outcome.table()))
    for problem in outcome.problems:
        click.echo(f"PROBLEM: {problem}")
    told = True
    if control:
        click.echo("\ncontrol: the same, without R6 and R11")
        without = run_mix(control, seed, say, NaiveNode)
        click.echo("\n" + "\n".join(without.table()))
        told = without.overlaps > 0
        if not told:
            click.echo("PROBLEM: the control shows no overlap: try more faults or another seed")
    sys.exit(0 if told and not outcome.problems else 1)


if __name__ == "__main__":
    main()
