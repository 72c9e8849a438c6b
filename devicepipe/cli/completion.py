"""`devicepipe completion`: the completion script of a shell."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the completion script of SHELL, e.g. `devicepipe completion bash >> ~/.bashrc`."""
    from devicepipe.cli.main import cli  # the group imports this module

    kind = get_completion_class(shell)
    if kind is None:
        raise click.UsageError(f"no completion for {shell}")
    click.echo(kind(cli, {}, "devicepipe", "_DEVICEPIPE_COMPLETE").source())
