"""Where passwords and one-time codes come from: the terminal or a file descriptor, never the command line, which others see."""

from __future__ import annotations

import os
import sys
from collections import deque
from collections.abc import Callable
from typing import Any, TypeVar

import click

from devicepipe.cli.common import counted, note
from devicepipe.errors import UsageError
from devicepipe.secret_variables import keep_from_children

F = TypeVar("F", bound=Callable[..., Any])


def secrets_option(function: F) -> F:
    """`--secrets-fd`: secrets as lines of a file descriptor, in the order in which they would be asked for."""
    return click.option(
        "--secrets-fd",
        type=int,
        metavar="FD",
        callback=_not_inherited,
        help="Read passwords and codes as lines from this file descriptor, instead of asking on the terminal.",
    )(function)


def _not_inherited(_ctx: click.Context, _parameter: click.Parameter, descriptor: int | None) -> int | None:
    if descriptor is not None:
        keep_from_children(descriptor)
    return descriptor


class SecretsIn:
    """Answers to the questions for secrets. The command that asks says at its end where lines were left that nothing asked for."""

    def __init__(self, descriptor: int | None) -> None:
        self._descriptor = descriptor
        self._lines: deque[str] | None = None
        click.get_current_context().call_on_close(self._tell_unread)

    def ask(self, question: str, *, confirm: bool = False) -> str:
        """A secret, not shown as it is typed; one that is new is asked for twice on a terminal.

        Raises:
            UsageError: The file descriptor has no further line; or there is none, and no terminal.
        """
        if self._descriptor is None:
            if not sys.stdin.isatty():
                raise UsageError(
                    f"there is no terminal to ask on: {question}",
                    remedy="give it as a line of a file descriptor: --secrets-fd",
                )
            answer: str = click.prompt(question, hide_input=True, confirmation_prompt=confirm, err=True)
            return answer
        if self._lines is None:
            self._lines = deque(_read(self._descriptor))
        if not self._lines:
            raise UsageError(f"--secrets-fd has no line for: {question}")
        return self._lines.popleft()

    def _tell_unread(self) -> None:
        # No error: what was asked for is done and signed, and a script may give a code that a session which goes on does not take.
        if unread := sum(map(bool, self._lines or ())):
            note(f"--secrets-fd: {counted(unread, 'line')} more than was asked for")


def _read(descriptor: int) -> list[str]:
    try:
        with os.fdopen(descriptor, encoding="utf-8") as file:
            return file.read().splitlines()
    except (OSError, ValueError) as error:
        raise UsageError(f"--secrets-fd {descriptor} cannot be read: {error}") from error
