"""`leaderd completion`."""

import click
from click.shell_completion import get_completion_class


@click.command(
    epilog='Example: eval "$(leaderd completion bash)"', short_help="Print the completion script of a shell."
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print what SHELL has to read to complete leaderd's commands and options."""
    from leaderd.cli.main import cli

    generator = get_completion_class(shell)
    if generator is None:
        raise click.UsageError(f"no completion for {shell}")
    click.echo(generator(cli, {}, "leaderd", "_LEADERD_COMPLETE").source())
