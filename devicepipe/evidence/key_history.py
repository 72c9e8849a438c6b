"""The history of a product's keys: which key signed what when, which key came after it, and which counts no longer.

It lies in a folder (`keys/history/`), one file a change, 0001.dsse.json and so on: an envelope signed by the release key in force,
and where a key comes in also by that key, which so shows that it exists and takes over all that stands before.

What always holds of a `KeyHistory`: each change follows the one before it by digest and in time; it was signed by the release key
that was in force, never by one that a change names itself; no key stands in it twice, in no two roles. A key that was replaced
signs nothing more from then on. Of a revoked key nothing counts but what the revocation lists by digest: who has the key can date
a signature as they like, so no date is believed.

That the newest change is there the folder alone cannot tell: that takes the log, or the present key (its holder's word is in the
history only if it came in by it).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import Field
from securesystemslib.signer import Signer

from devicepipe.errors import IntegrityError, UsageError
from devicepipe.evidence.dsse import open_envelope, payload_unverified, sign_envelope
from devicepipe.evidence.files import read_file, shown, walk
from devicepipe.evidence.layout import PROOF_SUFFIX, SUFFIX
from devicepipe.evidence.ledger.entry import Said
from devicepipe.evidence.model import Instant, Model, Sha256
from devicepipe.evidence.statement import canonical, canonical_text, make_statement, parse_canonical, read_predicate
from devicepipe.signing.keys import MAXIMUM_PEM, PublicKey

KEY_CHANGE: Final = "urn:devicepipe:predicate:key-change:v1"

MAXIMUM_FILE: Final = 4 * 1024 * 1024
"""The longest file of a history that is read, in bytes."""
_MOST = 9999
_MOST_SIGNATURES = 2
_NO_ENVELOPE = "is not a canonical DSSE envelope with signatures and nothing else"

Role = Literal["release", "image", "production"]
"""What a key is for: attestations and the release statement, tested images, images that ship."""

Signing = tuple[Signer, PublicKey]
"""A signer and its public half."""


class KeyChange(Model):
    """Predicate KEY_CHANGE. Its one subject is the key that it is about, `<role>-key`, by key id.

    Attributes:
        product: Whose keys they are.
        number: Its place in the history, from 1.
        follows: SHA-256 of the file of the change before it.
        role: What the key is for.
        change: `begin`: the first key of its role; `rotate`: the next one; `revoke`: nothing of the key counts but what is kept;
            `keep`: more of a revoked key counts.
        on: When, in UTC.
        by: Who did it.
        reason: Why.
        public_key: The key that comes in, PEM; none with `revoke` and `keep`.
        replaces: The key id of the key before it; with `rotate` only.
        kept: With `revoke` and `keep`: SHA-256 of the files signed by the key that still count, sorted.
    """

    product: Said
    number: int = Field(ge=1, le=_MOST)
    follows: Sha256 | None = None
    role: Role
    change: Literal["begin", "rotate", "revoke", "keep"]
    on: Instant
    by: Said
    reason: Said
    public_key: str | None = Field(default=None, max_length=MAXIMUM_PEM)
    replaces: Sha256 | None = None
    kept: list[Sha256] | None = None


@dataclass(frozen=True, slots=True)
class KeyLife:
    """A key and its time.

    Attributes:
        role: What it is for.
        public: The key.
        since: From when it was in force; None: no history says so.
        until: When another one came in its place.
        revoked: When it was revoked.
        reason: Why it is in force no longer.
        kept: SHA-256 of the files signed by it that count although it was revoked.
    """

    role: Role
    public: PublicKey
    since: str | None = None
    until: str | None = None
    revoked: str | None = None
    reason: str = ""
    kept: frozenset[str] = frozenset()

    @property
    def in_force(self) -> bool:
        """Whether it may sign."""
        return self.until is None and self.revoked is None


@dataclass(frozen=True, slots=True)
class Changed:
    """A change of a history: its file, the SHA-256 of that, what it says, and the key id of whom it is about."""

    file: str
    sha256: str
    change: KeyChange
    keyid: str


@dataclass(frozen=True, slots=True)
class KeyHistory:
    """A verified history: its changes in order, and the keys, in the order in which they came in."""

    product: str
    changes: tuple[Changed, ...] = ()
    keys: tuple[KeyLife, ...] = ()

    def key_in_force(self, role: Role) -> KeyLife | None:
        """The key of a role that may sign, if there is one."""
        return next((key for key in self.keys if key.role == role and key.in_force), None)

    def of_role(self, role: Role) -> list[KeyLife]:
        """All keys of a role, in their order."""
        return [key for key in self.keys if key.role == role]

    def key_with(self, keyid: str) -> KeyLife | None:
        """The key of that id, if it is known."""
        return next((key for key in self.keys if key.public.keyid == keyid), None)

    def before_revocations(self, keyid: str | None = None) -> KeyHistory:
        """The history as it would be had this key, or without one any key, not been revoked.

        To look at what it signed once more, and decide about that. Whoever decides nothing is to believe nothing by it.
        """
        asked = (keyid,) if keyid is not None else tuple(key.public.keyid for key in self.keys)
        keys = (replace(key, revoked=None, kept=frozenset()) if key.public.keyid in asked else key for key in self.keys)
        return replace(self, keys=tuple(keys))


def change_file(number: int) -> str:
    """The name of a change's file."""
    return f"{number:04}{SUFFIX}"


def change_proof(number: int) -> str:
    """The name of the file that proves a change to be in the log."""
    return f"{number:04}{PROOF_SUFFIX}"


def sign_change(change: KeyChange, keyid: str, authority: Signing, new: Signing | None = None) -> bytes:
    """The bytes of a change's file.

    Args:
        change: What changes.
        keyid: The id of the key that it is about.
        authority: The release key in force.
        new: The key that comes in, where it is another one.

    Raises:
        UsageError, BenchError: As `keys.sign`.
    """
    statement = make_statement(KEY_CHANGE, change, {f"{change.role}-key": keyid}, change_file(change.number))
    payload = canonical_text(statement)
    signed = [json.loads(sign_envelope(payload, *one)) for one in (authority, new) if one is not None]
    return canonical(signed[0] | {"signatures": [one["signatures"][0] for one in signed]})


def verify_history(folder: Path) -> KeyHistory:
    """Verify a history.

    Raises:
        UsageError: There is none in the folder.
        IntegrityError: A change does not hold; names the first one.
    """
    names, proofs = _files(folder)
    if not names:
        raise UsageError("there is no history of keys here", file=folder, remedy="name the folder of one: keys/history")
    history = KeyHistory("")
    for number, name in enumerate(names, start=1):
        if name != change_file(number):
            raise IntegrityError("is missing, though there are later changes", link=change_file(number))
        history = follow(history, read_file(folder, name, MAXIMUM_FILE), name)
    expected = {change_proof(one.change.number) for one in history.changes}
    if stray := [name for name in proofs if name not in expected]:
        raise IntegrityError("proves no change that is there", link=stray[0])
    return history


def follow(history: KeyHistory, data: bytes, link: str) -> KeyHistory:
    """A history with one more change.

    Raises:
        IntegrityError: It is not signed by who may, or does not follow what stands there; names `link`.
    """
    envelopes = _envelopes(data, link)
    authority = history.key_in_force("release")
    if authority is not None:
        signer = authority.public
    elif not history.changes:
        signer = _begun_with(envelopes[0], link)
    else:
        raise IntegrityError("follows a history that has no release key in force", link=link)
    change, keyid = _read(open_envelope(envelopes[0], signer, link), link)
    _check_place(history, change, link)
    _check_form(change, link)
    changed = (*history.changes, Changed(link, hashlib.sha256(data).hexdigest(), change, keyid))
    if change.kept is not None:
        _check_signatures(envelopes, (signer,), link)
        ended = _revoked if change.change == "revoke" else _kept
        return KeyHistory(change.product, changed, ended(history, change, keyid, link))
    new = _new_key(change, keyid, link)
    if history.key_with(keyid) is not None:
        raise IntegrityError(f"brings in the key {keyid}, which stands in the history already", link=link)
    _check_signatures(envelopes, (signer,) if new.keyid == signer.keyid else (signer, new), link)
    life = KeyLife(change.role, new, since=change.on)
    return KeyHistory(change.product, changed, (*_replaced(history, change, link), life))


# --- what changes make of keys --------------------------------------------------------------------------------------------


def _revoked(history: KeyHistory, change: KeyChange, keyid: str, link: str) -> tuple[KeyLife, ...]:
    key = history.key_with(keyid)
    if key is None or key.role != change.role or key.revoked is not None:
        raise IntegrityError(f"revokes {keyid}, which is no {change.role} key that can be revoked", link=link)
    if key.role == "release" and key.in_force:
        raise IntegrityError("revokes the release key that signs it: another one has to come in first", link=link)
    kept = frozenset(change.kept or ())
    gone = replace(key, revoked=change.on, reason=change.reason, kept=kept)
    return tuple(gone if one is key else one for one in history.keys)


def _kept(history: KeyHistory, change: KeyChange, keyid: str, link: str) -> tuple[KeyLife, ...]:
    """More is kept of a revoked key, never less: who read the history before refused more, and accepted nothing else."""
    key = history.key_with(keyid)
    if key is None or key.role != change.role or key.revoked is None:
        raise IntegrityError(f"keeps what {keyid} signed, which is no {change.role} key that was revoked", link=link)
    more = frozenset(change.kept or ()) - key.kept
    if not more:
        raise IntegrityError("keeps nothing that was not kept before", link=link)
    return tuple(replace(key, kept=key.kept | more) if one is key else one for one in history.keys)


def _replaced(history: KeyHistory, change: KeyChange, link: str) -> tuple[KeyLife, ...]:
    before = history.of_role(change.role)
    if change.change == "begin":
        if before:
            raise IntegrityError(f"begins with a {change.role} key where there are earlier ones", link=link)
        if not history.changes and change.role != "release":
            raise IntegrityError("is the first change, and not of the release key", link=link)
        return history.keys
    last = before[-1] if before else None
    if last is None or last.public.keyid != change.replaces:
        raise IntegrityError(f"replaces {change.replaces}, which is not the last {change.role} key", link=link)
    old = replace(last, until=change.on, reason=last.reason or change.reason)
    return tuple(old if one is last else one for one in history.keys)


# --- reading --------------------------------------------------------------------------------------------------------------


def _files(folder: Path) -> tuple[list[str], list[str]]:
    """Changes and proofs, sorted; nothing else may be there."""
    if not folder.is_dir():
        return [], []
    found: dict[str, list[str]] = {SUFFIX: [], PROOF_SUFFIX: []}
    for entry in walk(folder):
        suffix = next((one for one in found if entry.name.endswith(one)), None)
        if not entry.is_file or suffix is None:
            raise IntegrityError("does not belong to a history of keys", link=shown(entry.name))
        found[suffix].append(entry.name)
    return sorted(found[SUFFIX]), sorted(found[PROOF_SUFFIX])


def _envelopes(data: bytes, link: str) -> list[bytes]:
    """An envelope of several signatures as envelopes of one each: whoever opens those checks every byte."""
    try:
        whole: Any = json.loads(data)
        signatures: list[Any] = whole["signatures"][: _MOST_SIGNATURES + 1]  # each takes a copy of the whole
        parts = [canonical(whole | {"signatures": [one]}) for one in signatures]
        same = canonical(whole) == data
    except (ValueError, KeyError, TypeError, RecursionError, IntegrityError) as error:
        raise IntegrityError(_NO_ENVELOPE, link=link) from error
    if not parts or not same:
        raise IntegrityError(_NO_ENVELOPE, link=link)
    return parts


def _check_signatures(envelopes: Sequence[bytes], keys: Sequence[PublicKey], link: str) -> None:
    if len(envelopes) != len(keys):
        raise IntegrityError(f"has {len(envelopes)} signatures, expected {len(keys)}", link=link)
    for envelope, key in zip(envelopes, keys, strict=True):
        open_envelope(envelope, key, link)


def _begun_with(envelope: bytes, link: str) -> PublicKey:
    """The key that a history begins with: it says so itself. Whoever reads a history decides whether they trust one of its keys."""
    change, keyid = _read(payload_unverified(envelope, link), link)
    return _new_key(change, keyid, link)


def _read(payload: bytes, link: str) -> tuple[KeyChange, str]:
    statement = parse_canonical(payload, link)
    if statement.predicate_type != KEY_CHANGE:
        raise IntegrityError("is no change of keys", link=link)
    change = read_predicate(statement.predicate, KeyChange, link)
    keyid = statement.digest_of(f"{change.role}-key")
    if keyid is None or len(statement.subjects) != 1:
        raise IntegrityError("is not about the one key of the role that it names", link=link)
    return change, keyid


def _new_key(change: KeyChange, keyid: str, link: str) -> PublicKey:
    try:
        key = PublicKey.from_pem((change.public_key or "").encode())
    except UsageError as error:
        raise IntegrityError(f"the key that it brings in {error.message}", link=link) from error
    if key.keyid != keyid or key.pem.decode() != change.public_key:
        raise IntegrityError("brings in another key than the one that it is about", link=link)
    return key


def _check_place(history: KeyHistory, change: KeyChange, link: str) -> None:
    last = history.changes[-1] if history.changes else None
    if last is not None and change.product != history.product:
        raise IntegrityError(f"is about the keys of {change.product}, not of {history.product}", link=link)
    if change.number != len(history.changes) + 1 or change.follows != (last.sha256 if last else None):
        raise IntegrityError("does not follow the change before it", link=link)
    if last is not None and change.on < last.change.on:
        raise IntegrityError(f"is of {change.on}, before the change that it follows", link=link)


def _check_form(change: KeyChange, link: str) -> None:
    wanted: Mapping[str, tuple[bool, bool, bool]] = {
        "begin": (True, False, False),
        "rotate": (True, True, False),
        "revoke": (False, False, True),
        "keep": (False, False, True),
    }
    said = (change.public_key is not None, change.replaces is not None, change.kept is not None)
    if said != wanted[change.change]:
        raise IntegrityError(f"does not say what a change '{change.change}' says, and nothing else", link=link)
    if change.kept is not None and change.kept != sorted({*change.kept}):
        raise IntegrityError("does not list what is kept in order, each once", link=link)


def moment(text: str) -> datetime:
    """The moment that a time of evidence tells."""
    return datetime.fromisoformat(text)
