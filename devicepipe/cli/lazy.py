"""A click group that imports a subcommand's module only when it is called, so that help and quick commands answer at once."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

import click

Commands = Mapping[str, tuple[str, str]]
"""Command → its module, where it has its own name or, if that is taken (`import`), the name and "_"; and its one-line help."""


class LazyGroup(click.Group):
    """A group that knows its commands' names and one-line helps without importing them."""

    def __init__(self, *arguments: Any, commands_of: Commands, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self._of = commands_of

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """The commands in the order of their table."""
        return list(self._of)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """The command, imported now."""
        if cmd_name not in self._of:
            return None
        module = importlib.import_module(self._of[cmd_name][0])
        name = cmd_name.replace("-", "_")
        command: click.Command = getattr(module, name, None) or getattr(module, f"{name}_")
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """The table of the commands, without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in self._of.items()])
