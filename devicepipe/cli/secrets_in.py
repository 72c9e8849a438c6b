"""Where passwords and one-time codes come from: the terminal or a file descriptor, never the command line, which others see."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import click

from devicepipe.errors import UsageError

F = TypeVar("F", bound=Callable[..., Any])


def secrets_option(function: F) -> F:
    """`--secrets-fd`: secrets as lines of a file descriptor, in the order in which they would be asked for."""
    return click.option(
        "--secrets-fd",
        type=int,
        metavar="FD",
        help="Read passwords and codes as lines from this file descriptor, instead of asking on the terminal.",
    )(function)


class SecretsIn:
    """Answers to the questions for secrets."""

    def __init__(self, descriptor: int | None) -> None:
        self._lines = self._read(descriptor) if descriptor is not None else None

    def ask(self, question: str, *, confirm: bool = False) -> str:
        """A secret, not shown as it is typed; one that is new is asked for twice on a terminal.

        Raises:
            UsageError: The file descriptor has no further line; or there is none, and no terminal.
        """
        if self._lines is None:
            if not sys.stdin.isatty():
                raise UsageError(
                    f"there is no terminal to ask on: {question}",
                    remedy="give it as a line of a file descriptor: --secrets-fd",
                )
            answer: str = click.prompt(question, hide_input=True, confirmation_prompt=confirm, err=True)
            return answer
        try:
            return next(self._lines)
        except StopIteration:
            raise UsageError(f"--secrets-fd has no line for: {question}") from None

    def _read(self, descriptor: int) -> Iterator[str]:
        try:
            with os.fdopen(descriptor, encoding="utf-8") as file:
                yield from file.read().splitlines()
        except (OSError, ValueError) as error:
            raise UsageError(f"--secrets-fd {descriptor} cannot be read: {error}") from error
