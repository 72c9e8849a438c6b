"""Changing keys: another one comes in, or one is revoked; the history, the roster and the log follow.

What always holds: a change is verified as a reader would before it is written, whole or not at all, and never in the place of
another. The roster of people that the old release key signed is signed anew by the one that comes in. A process that is killed
leaves a history that holds; what is not in the log yet, the next change puts there.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from securesystemslib.signer import Signer

from devicepipe.approval.record import read_record
from devicepipe.durable import write_new
from devicepipe.errors import UsageError
from devicepipe.evidence.dsse import keyid_unverified
from devicepipe.evidence.key_history import (
    KeyChange,
    KeyHistory,
    Role,
    change_file,
    change_proof,
    follow,
    sign_change,
    verify_history,
)
from devicepipe.evidence.key_proofs import check_change_proofs, entry_of
from devicepipe.evidence.key_trust import KeyTrust
from devicepipe.evidence.layout import IMAGE_KEY, PROOF_SUFFIX, RELEASE_ENVELOPE
from devicepipe.evidence.ledger.checkpoint import Trust
from devicepipe.evidence.ledger.proof import MAXIMUM_PROOF, verify_proof
from devicepipe.evidence.production import ATTESTATION, production_folder, verify_production
from devicepipe.evidence.signatures import Roster, instant
from devicepipe.evidence.verify import VerifiedBundle, verify_bundle
from devicepipe.project.config import Project
from devicepipe.signing.keys import PublicKey
from devicepipe.stages import ledger
from devicepipe.stages.context import Keys, SigningKey, default_tester, load_history, open_key, public_half
from devicepipe.stages.rosters import (
    alone_with_roster,
    newest_logged,
    next_roster,
    present_roster,
    replace_roster,
    roster_file,
)

_LEAST = 8
_ROLES: tuple[Role, ...] = ("release", "image", "production")


@dataclass(frozen=True)
class ChangedKeys:
    """What a change came to.

    Attributes:
        history: The history with it.
        files: The files that are new or other ones, to be committed.
    """

    history: KeyHistory
    files: tuple[Path, ...]


def rotate_key(project: Project, role: Role, new: SigningKey, reason: str) -> ChangedKeys:
    """Let another key come in, signed by the release key in force and by the new key itself.

    The first change of a product also writes down which keys it has had so far.

    Args:
        project: The product; its devicepipe.toml still names the old key.
        role: What the key is for.
        new: The new key.
        reason: Why.

    Raises:
        UsageError: The keys in force cannot be used, the new one is known already, or the roster is not the newest.
        IntegrityError: The history as it stands does not hold.
        BenchError: A signing device failed.
    """
    with alone_with_roster(project):
        history = load_history(project)
        authority = open_key(project, "release", history)
        people = present_roster(project, Keys(authority, authority, history)) if role == "release" else None
        work = _Work(project, authority, history)
        work.begin(role, reason)
        before = work.history.of_role(role)
        if before:
            work.change("rotate", role, reason, new=new, replaces=before[-1].public.keyid)
        else:
            work.change("begin", role, reason, new=new)
        release = new if role == "release" else authority
        files = work.files + _log(project, work.history, release)
        if people is not None:
            files += (_sign_roster_anew(project, people, Keys(release, release, work.history)),)
        return ChangedKeys(work.history, files)


def revoke_key(project: Project, keyid: str, reason: str, keep: Sequence[Path] = ()) -> ChangedKeys:
    """Revoke a key: from now on nothing counts that it signed, whatever date it bears, but what belongs to the kept bundles.

    Args:
        project: The product.
        keyid: The key's id, or the beginning of it that no other key has.
        reason: Why.
        keep: Bundles that still count; each is verified now, with its signatures and what ships of it.

    Raises:
        UsageError: No such key, it is the release key in force, or a folder is no bundle.
        IntegrityError: A bundle that shall be kept, or the history, does not hold.
        BenchError: A signing device failed.
    """
    history = load_history(project)
    authority = open_key(project, "release", history)
    work = _Work(project, authority, history)
    wanted, role = _named(project, work.history, keyid)
    if work.history.key_with(wanted) is None:
        work.begin(role, reason)
    key = work.history.key_with(wanted)
    assert key is not None
    if key.revoked is not None:
        raise UsageError(f"the key {key.public.keyid} was revoked on {key.revoked[:10]}: {key.reason}")
    if key.role == "release" and key.in_force:
        raise UsageError(
            "this is the release key in force: its revocation would be signed by itself",
            remedy="bring in another one first: `devicepipe keys rotate release`",
        )
    trust = KeyTrust.of(authority.public, work.history)
    kept = {digest for bundle in keep for digest in _signed_by(verify_bundle(bundle, trust), key.public, key.role)}
    if key.role == "release":
        kept |= _proofs_by(work.folder, trust, key.public)
    work.change("revoke", key.role, reason, revoked=key.public.keyid, kept=sorted(kept))
    files = work.files + _log(project, work.history, authority)
    return ChangedKeys(work.history, files)


def _named(project: Project, history: KeyHistory, keyid: str) -> tuple[str, Role]:
    """The id and role of the one key, of the history or of those configured, that an id or its beginning names."""
    known: dict[str, Role] = {one.public.keyid: one.role for one in history.keys}
    for role in _ROLES:
        public = public_half(project, role)
        if public is not None:
            known.setdefault(public.keyid, role)
    found = [one for one in known if len(keyid) >= _LEAST and one.startswith(keyid)]
    if len(found) != 1:
        told = ", ".join(f"{one[:16]} ({role})" for one, role in known.items())
        raise UsageError(
            f"'{keyid[:64]}' is not the id of one key, or its first {_LEAST} digits", remedy=f"keys: {told}"
        )
    return found[0], known[found[0]]


class _Work:
    """A history that is being written."""

    def __init__(self, project: Project, authority: SigningKey, history: KeyHistory | None) -> None:
        self.project = project
        self.folder = project.root / project.keys.history
        self.authority = authority
        self.history = history or KeyHistory(project.product.name)
        self.files: tuple[Path, ...] = ()
        # Clocks differ: what was signed before the change, as the log has it, is not to be dated after it.
        self.not_before = newest_logged(project, Keys(authority, authority, self.history)).signed

    def begin(self, role: Role, reason: str) -> None:
        """Write down the release key, and the present key of a role, where the history does not have them."""
        if not self.history.changes:
            self.change("begin", "release", reason, new=self.authority)
        if not self.history.of_role(role) and public_half(self.project, role) is not None:
            self.change("begin", role, reason, new=open_key(self.project, role, None))

    def change(
        self,
        change: str,
        role: Role,
        reason: str,
        *,
        new: SigningKey | None = None,
        replaces: str | None = None,
        revoked: str = "",
        kept: list[str] | None = None,
    ) -> None:
        """Sign a change, verify the history with it, and write it."""
        number = len(self.history.changes) + 1
        said = KeyChange.model_validate(
            {
                "product": self.project.product.name,
                "number": number,
                "follows": self.history.changes[-1].sha256 if self.history.changes else None,
                "role": role,
                "change": change,
                "on": max(instant(datetime.now(UTC)), self.not_before),
                "by": default_tester(),
                "reason": reason,
                "public_key": new.public.pem.decode() if new is not None else None,
                "replaces": replaces,
                "kept": kept,
            }
        )
        keyid = new.public.keyid if new is not None else revoked
        other = new if new is not None and new.public.keyid != self.authority.public.keyid else None
        data = sign_change(said, keyid, _pair(self.authority), _pair(other) if other is not None else None)
        self.history = follow(self.history, data, change_file(number))
        path = self.folder / change_file(number)
        if not write_new(path, data, beside=self.folder.parent):
            raise UsageError(
                "another change of keys came first", file=path, remedy="see it with `devicepipe keys history`"
            )
        self.files = (*self.files, path)


def _log(project: Project, history: KeyHistory, release: SigningKey) -> tuple[Path, ...]:
    folder = project.root / project.keys.history
    keys = Keys(image=release, release=release, history=history)
    logged = check_change_proofs(folder, history, keys.trust)
    missing = [one for one in history.changes if one.change.number not in logged]
    numbers = ledger.append_once(project, [entry_of(one) for one in missing], keys)
    made: list[Path] = []
    for changed, proof in zip(missing, ledger.prove_all(project, numbers, keys) if missing else (), strict=True):
        path = folder / change_proof(changed.change.number)
        write_new(path, proof, beside=folder.parent)
        made.append(path)
    check_change_proofs(folder, verify_history(folder), keys.trust)
    return tuple(made)


def _sign_roster_anew(project: Project, people: Roster, keys: Keys) -> Path:
    """The same people, under the new release key."""
    now = people.model_copy(update={"on": instant(datetime.now(UTC))})
    replace_roster(project, next_roster(people, newest_logged(project, keys), now), keys)
    return roster_file(project)


def _signed_by(bundle: VerifiedBundle, key: PublicKey, role: Role) -> set[str]:
    """The digests of what a key signed of a release, once all of that is verified."""
    record = read_record(bundle)
    production = production_folder(bundle.folder)
    shipped = verify_production(bundle) if production.is_dir() else None
    envelopes = [bundle.read(RELEASE_ENVELOPE)]
    if shipped is not None:
        envelopes.append((production / ATTESTATION).read_bytes())
    if role == "image":
        own = PublicKey.from_pem(bundle.read(IMAGE_KEY)).keyid == key.keyid
        return {_digest(envelopes[0])} if own else set()
    if role == "production":
        return {_digest(envelopes[-1])} if shipped is not None and shipped.production_key.keyid == key.keyid else set()
    envelopes += [data for name, data in record.files.items() if not name.endswith(PROOF_SUFFIX)]
    proofs = {name: data for name, data in record.files.items() if name.endswith(PROOF_SUFFIX)}
    by_key = {_digest(data) for data in envelopes if keyid_unverified(data, "the bundle") == key.keyid}
    return by_key | {_digest(data) for name, data in proofs.items() if _proof_by(data, name, bundle.trust, key)}


def _proofs_by(folder: Path, trust: KeyTrust, key: PublicKey) -> set[str]:
    """The digests of the history's own proofs whose checkpoint a key signed: they count on, each is checked against its change."""
    proofs = {one.name: one.read_bytes()[: MAXIMUM_PROOF + 1] for one in sorted(folder.glob(f"*{PROOF_SUFFIX}"))}
    return {_digest(data) for name, data in proofs.items() if _proof_by(data, name, trust, key)}


def _proof_by(data: bytes, name: str, trust: KeyTrust, key: PublicKey) -> bool:
    return verify_proof(data, Trust(trust.keys), name).checkpoint.key.keyid == key.keyid


def _pair(key: SigningKey) -> tuple[Signer, PublicKey]:
    return key.signer, key.public


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
