"""Whom `devicepipe log` believes of a log: the keys that are named, with those that a history of keys joins with them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from devicepipe.cli.common import open_project
from devicepipe.cli.trusted_key import refuse_history, with_history
from devicepipe.errors import UsageError

if TYPE_CHECKING:
    from devicepipe.evidence.key_trust import KeyTrust
    from devicepipe.evidence.ledger.checkpoint import Trust
    from devicepipe.evidence.ledger.note import NoteKey


def project_trust(key: str | None, history: Path | None, origin: str | None, folder: Path) -> Trust:
    """The key that is named, or the project's release key with those that its history of keys joins with it."""
    from devicepipe.evidence.key_trust import KeyTrust
    from devicepipe.evidence.ledger.checkpoint import Trust
    from devicepipe.stages.context import load_history, public_half

    if key is not None:
        return trust_of(key, history, origin)[0]
    refuse_history(history)
    project = open_project(folder)
    public = public_half(project, "release")
    if public is None:
        raise UsageError("the project has no release key yet", remedy="name the log's key with --key")
    return Trust(KeyTrust.of(public, load_history(project)).unrevoked, origin)


def trust_of(
    key: str, history: Path | None, origin: str | None, witnesses: Sequence[str] = (), quorum: int | None = None
) -> tuple[Trust, KeyTrust]:
    """Whom the options say to believe: KEY alone, or with a history also the release keys before and after it.

    Returns:
        Whom of the log itself; and the keys with their history, for single proofs, of which a revocation lists those that count.

    Raises:
        UsageError: An option names no key, or they do not fit each other.
        IntegrityError: The history does not hold, or KEY does not count by it.
    """
    from devicepipe.evidence.ledger.checkpoint import Trust, origin_of
    from devicepipe.signing.keys import PublicKey

    keys = tuple(map(witness_key, witnesses))
    wanted = len(keys) if quorum is None else quorum
    named = _named(key)
    believed = with_history(named.public if named is not None else PublicKey.load(Path(key)), history)
    if named is not None and origin not in (None, named.name):
        raise UsageError(
            f"--origin {origin} is not the name in the verifier key, {named.name}", remedy="leave --origin out"
        )
    name = named.name if named is not None else origin
    if believed.history is not None:
        own = origin_of(believed.history.product)
        if name not in (None, own):
            raise UsageError(
                f"the history is of the keys of the log {own}, not of {name}",
                file=history,
                remedy="name the history of the keys of the product whose log it is",
            )
        name = own
    return Trust(believed.unrevoked, name, keys, wanted, revoked=believed.revoked), believed


def _named(key: str) -> NoteKey | None:
    """The verifier key that is given; None where it is a PEM file."""
    from devicepipe.evidence.ledger.note import NoteKey

    text = _text_or_file(key)
    return None if "-----BEGIN" in text else NoteKey.from_text(text)


def witness_key(value: str) -> NoteKey:
    """The verifier key of a witness, or a file of one. Raises UsageError."""
    from devicepipe.evidence.ledger.note import NoteKey

    text = _text_or_file(value)
    if "-----BEGIN" in text:
        raise UsageError(
            "is a PEM file, and a witness is named by its verifier key, NAME+ID+BASE64, which says its name, too",
            file=Path(value),
            remedy="take the one that `devicepipe log witness` printed for the witness",
        )
    return NoteKey.from_text(text)


def _text_or_file(value: str) -> str:
    """What a key is given as: the text itself, or the text of the file of that name."""
    if "-----BEGIN" in value:
        raise UsageError("the text of a PEM file stands where a key is to be named", remedy="name the file itself")
    path = Path(value)
    try:
        return path.read_text(encoding="utf-8") if path.is_file() else _not_a_path(value)
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(
            "is no file of a key", file=path, remedy="name a PEM file, or a file of a verifier key"
        ) from error


def _not_a_path(value: str) -> str:
    if "+" not in value:
        raise UsageError(f"there is no key file '{value}'", remedy="name an existing PEM file, or a verifier key")
    return value
