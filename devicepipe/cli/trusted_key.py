"""Whose releases a command believes: the key that is named, with those that a history of keys joins with it, or the project's."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from devicepipe.cli.common import open_project
from devicepipe.errors import UsageError

if TYPE_CHECKING:
    from devicepipe.evidence.key_trust import KeyTrust
    from devicepipe.signing.keys import PublicKey

F = TypeVar("F", bound=Callable[..., Any])


def trusted_key_options(function: F) -> F:
    """`--key` and `--history`: whom to trust in the place of the project, as `trusted_key` takes them."""
    for one in (
        click.option(
            "--history",
            type=click.Path(exists=True, file_okay=False, path_type=Path),
            help="With --key: the history of the product's keys, as for `verify`.",
        ),
        click.option(
            "--key", type=click.Path(path_type=Path), help="The release key to trust (default: the project's)."
        ),
    ):
        function = one(function)
    return function


def trusted_key(key: Path | None, history: Path | None, folder: Path) -> KeyTrust:
    """The release key in a PEM file, with those that a history joins with it; without it those of the project in `folder`.

    Raises:
        UsageError: There is no such key or project, or a history without a key.
        IntegrityError: The history does not hold, or the key does not count by it.
    """
    from devicepipe.signing.keys import PublicKey
    from devicepipe.stages.context import open_keys

    if key is not None:
        return with_history(PublicKey.load(key), history)
    refuse_history(history)
    return open_keys(open_project(folder)).trust


def with_history(key: PublicKey, history: Path | None) -> KeyTrust:
    """Trust in a release key, and in those that the history in a folder, if one is named, joins with it.

    Raises:
        UsageError: There is no such folder.
        IntegrityError: The history does not hold, or the key does not count by it.
    """
    from devicepipe.evidence.key_history import verify_history
    from devicepipe.evidence.key_trust import KeyTrust

    return KeyTrust.of(key, verify_history(history) if history is not None else None)


def refuse_history(history: Path | None) -> None:
    """Refuse a history where no key is named. Raises UsageError."""
    if history is not None:
        raise UsageError(
            "--history goes with --key: the project has a history of its own", remedy="name both, or neither"
        )
