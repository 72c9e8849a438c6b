"""Changing keys: another one comes in, or one is revoked; the history, the roster and the log follow.

What always holds: a change is verified as a reader would before it is written, whole or not at all, and never in the place of
another. The roster of people that the old release key signed is signed anew by the one that comes in. A process that is killed
leaves a history that holds; what is not in the log yet, the next change puts there.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from securesystemslib.signer import Signer

from devicepipe.build.source import ask_git
from devicepipe.durable import write_new
from devicepipe.errors import BenchError, UsageError
from devicepipe.evidence.key_history import (
    KeyChange,
    KeyHistory,
    KeyLife,
    Role,
    change_file,
    change_proof,
    follow,
    sign_change,
    verify_history,
)
from devicepipe.evidence.key_proofs import check_change_proofs, entry_of
from devicepipe.evidence.key_trust import KeyTrust
from devicepipe.evidence.layout import RELEASE_STATEMENT
from devicepipe.evidence.printed import check_words
from devicepipe.evidence.signatures import Roster, instant
from devicepipe.evidence.verify import verify_bundle
from devicepipe.project.config import Project
from devicepipe.signing.keys import ED25519, PublicKey
from devicepipe.stages import ledger
from devicepipe.stages.context import Keys, SigningKey, default_tester, load_history, open_key, public_half
from devicepipe.stages.logged import read_to_keep
from devicepipe.stages.releases_of_key import proofs_by, releases_by, signed_by
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
    check_words(reason, "--reason")
    with alone_with_roster(project):
        history = load_history(project)
        authority = open_key(project, "release", history)
        present = history.key_in_force(role) if history is not None else None
        if (
            present is not None
            and present.public.keyid == new.public.keyid
            and _is_interrupted(project, history, authority)
        ):
            return _done(_Work(project, authority, history), authority)
        _check_new(project, history, role, new.public)
        work = _Work(project, authority, history, coming=new.public if role == "release" else None)
        work.begin(role, reason)
        before = work.history.of_role(role)
        if before:
            work.change("rotate", role, reason, new=new, replaces=before[-1].public.keyid)
        else:
            work.change("begin", role, reason, new=new)
        if role != "release":
            return _done(work, authority)
        keys = Keys(new, new, work.history)
        people = _people(project, keys)
        done = _done(work, new)
        if people is None:
            return done
        return replace(done, files=(*done.files, _sign_roster_anew(project, people, keys)))


def revoke_key(
    project: Project, keyid: str, reason: str, keep: Sequence[Path] = (), *, others: bool = False
) -> ChangedKeys:
    """Revoke a key: from now on nothing counts that it signed, whatever date it bears, but what belongs to the kept bundles.

    Of a key that was revoked before, more bundles are kept. All are verified as if it had not been, and must be in the log.

    Args:
        project: The product.
        keyid: The key's id, or the beginning of it that no other key has.
        reason: Why.
        keep: Bundles that still count; each is verified now, with its signatures and what ships of it.
        others: Whether other releases that the key signed shall fall. Without it none may be left.

    Raises:
        UsageError: No such key, it is the release key in force, a folder is no bundle, or releases would fall.
        IntegrityError: A bundle that shall be kept, or the history, does not hold.
        BenchError: A signing device, or the place where the product is published, failed.
    """
    check_words(reason, "--reason")
    with alone_with_roster(project):
        return _revoke(project, keyid, reason, keep, others=others)


def _revoke(project: Project, keyid: str, reason: str, keep: Sequence[Path], *, others: bool) -> ChangedKeys:
    history = load_history(project)
    authority = open_key(project, "release", history)
    work = _Work(project, authority, history)
    wanted, role = _named(project, work.history, keyid)
    if work.history.key_with(wanted) is None:
        work.begin(role, reason)
    key = work.history.key_with(wanted)
    assert key is not None
    if key.role == "release" and key.in_force:
        raise UsageError(
            "this is the release key in force: its revocation would be signed by itself",
            remedy="bring in another one first: `devicepipe keys rotate release`",
        )
    interrupted = key.revoked is not None and _is_interrupted(project, history, authority)
    if key.revoked is not None and not keep:
        if interrupted:
            return _done(work, authority)
        raise UsageError(
            f"the key {key.public.keyid} was revoked on {key.revoked[:10]}: {key.reason}",
            remedy="if a release that it signed shall still count: --keep BUNDLE",
        )
    trust = KeyTrust.of(authority.public, work.history.before_revocations(wanted))
    bundles = [verify_bundle(bundle, trust) for bundle in keep]
    if key.revoked is None and not others:
        _check_none_falls(project, key, {bundle.sha256(RELEASE_STATEMENT) for bundle in bundles})
    kept: set[str] = set()
    for bundle in bundles:
        kept |= signed_by(bundle, read_to_keep(project, bundle), key.public, key.role)
    if key.role == "release":
        kept |= proofs_by(work.folder, trust, key.public)
    if key.revoked is not None and not kept - key.kept:
        if interrupted:
            return _done(work, authority)
        raise UsageError("all that the key signed of these releases is kept already", remedy="name other bundles")
    change = "revoke" if key.revoked is None else "keep"
    work.change(change, key.role, reason, revoked=key.public.keyid, kept=sorted(kept))
    return _done(work, authority)


def _is_interrupted(project: Project, history: KeyHistory | None, authority: SigningKey) -> bool:
    """Whether a change is in the history and has no proof from the log: its process was killed, or could not append.

    Whoever takes such a change away is found by nobody, so the same command again finishes it.
    """
    if history is None:
        return False
    trust = KeyTrust.of(authority.public, history)
    return len(check_change_proofs(project.root / project.keys.history, history, trust)) < len(history.changes)


def _check_none_falls(project: Project, key: KeyLife, kept: Collection[str]) -> None:
    fall = [one for one in releases_by(project, key.public, key.role) if one.statement not in kept]
    if fall:
        words = " ".join(f"--keep {one.bundle or 'BUNDLE'}" for one in fall)
        raise UsageError(
            f"releases that the key signed would count no longer, for good: {'; '.join(map(str, fall))}",
            remedy=f"keep those that still count: {words}; if all others shall fall, say so: --keep-no-others",
        )


def _check_new(project: Project, history: KeyHistory | None, role: Role, new: PublicKey) -> None:
    """See, before anything is written, that a key can come in."""
    known = _known(project, history)
    if new.keyid in known:
        raise UsageError(
            f"the key {new.keyid} is, or was, the {known[new.keyid]} key of this product: no key comes in twice",
            remedy="make another one, `devicepipe keys make`, while devicepipe.toml still names the old one",
        )
    if role != "release" and new.scheme != ED25519:
        raise UsageError(
            f"the key {new.keyid} is {new.scheme}, and images are signed with {ED25519}", remedy="make an Ed25519 key"
        )


def _known(project: Project, history: KeyHistory | None) -> dict[str, Role]:
    """The ids of all keys, of the history and of those configured, and what each is for."""
    known: dict[str, Role] = {one.public.keyid: one.role for one in history.keys} if history is not None else {}
    for role in _ROLES:
        public = public_half(project, role)
        if public is not None:
            known.setdefault(public.keyid, role)
    return known


def _named(project: Project, history: KeyHistory, keyid: str) -> tuple[str, Role]:
    """The id and role of the one key, of the history or of those configured, that an id or its beginning names."""
    known = _known(project, history)
    found = [one for one in known if len(keyid) >= _LEAST and one.startswith(keyid)]
    if len(found) != 1:
        told = ", ".join(f"{one[:16]} ({role})" for one, role in known.items())
        raise UsageError(
            f"'{keyid[:64]}' is not the id of one key, or its first {_LEAST} digits", remedy=f"keys: {told}"
        )
    return found[0], known[found[0]]


class _Work:
    """A history that is being written."""

    def __init__(
        self, project: Project, authority: SigningKey, history: KeyHistory | None, coming: PublicKey | None = None
    ) -> None:
        self.project = project
        self.folder = project.root / project.keys.history
        self.authority = authority
        self.history = history or KeyHistory(project.product.name)
        self._made: dict[Path, bytes] = {}
        ledger.check_begun(project, Keys(authority, authority, history))
        # Clocks differ: what was signed before the change, as the log has it, is not to be dated after it.
        self.not_before = newest_logged(project, Keys(authority, authority, self.history, coming)).signed

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
        """Sign a change, and verify the history with it."""
        number = len(self.history.changes) + 1
        # A clock that was ahead must not keep a stolen key from being revoked until the others are there.
        last = self.history.changes[-1].change.on if self.history.changes else ""
        said = KeyChange.model_validate(
            {
                "product": self.project.product.name,
                "number": number,
                "follows": self.history.changes[-1].sha256 if self.history.changes else None,
                "role": role,
                "change": change,
                "on": max(instant(datetime.now(UTC)), self.not_before, last),
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
        self._made[self.folder / change_file(number)] = data

    def write(self) -> tuple[Path, ...]:
        """Write the changes, once all of them hold; returns their files."""
        for path, data in self._made.items():
            if not write_new(path, data, beside=self.folder.parent):
                raise UsageError(
                    "another change of keys came first", file=path, remedy="see it with `devicepipe keys history`"
                )
        return tuple(self._made)


def _done(work: _Work, release: SigningKey) -> ChangedKeys:
    """Write the changes and log them; names all files of the history that are yet to be committed."""
    files = work.write() + _log(work.project, work.history, release)
    return ChangedKeys(work.history, tuple(dict.fromkeys((*files, *_uncommitted(work.project)))))


def _uncommitted(project: Project) -> Iterator[Path]:
    """The files of the history that no commit has: also those of a process that was killed. None where there is no commit."""
    folder = project.keys.history
    with suppress(UsageError, BenchError):
        committed = ask_git(project.root, "ls-tree", "-r", "-z", "--name-only", "HEAD", "--", f"{folder}/").split("\0")
        paths = sorted(path for path in (project.root / folder).iterdir() if path.is_file())
        yield from (path for path in paths if str(path.relative_to(project.root)) not in committed)


def log_changes(project: Project) -> tuple[Path, ...]:
    """Log the changes of keys that a process which was killed did not come to; returns their proofs. Raises as `ledger.append`."""
    history = load_history(project)
    return _log(project, history, open_key(project, "release", history)) if history is not None else ()


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


def _people(project: Project, keys: Keys) -> Roster | None:
    """The roster that the release key which comes in is to sign anew; None where there is none.

    None also where the log has that the key came in before, and of that the history was lost, and the roster with it: people are no
    older ones for that, so `devicepipe account roster` signs it once the key is configured.

    Raises:
        UsageError, BenchError, IntegrityError: As `present_roster`.
    """
    try:
        return present_roster(project, keys)
    except UsageError:
        mark = f'"keyid":"{keys.release.public.keyid}"'.encode()
        if not any(one.kind == "key-change" for one in ledger.entries_with(project, (mark,), keys).values()):
            raise
        return None


def _sign_roster_anew(project: Project, people: Roster, keys: Keys) -> Path:
    """The same people, under the new release key."""
    now = people.model_copy(update={"on": instant(datetime.now(UTC))})
    replace_roster(project, next_roster(people, newest_logged(project, keys), now), keys)
    return roster_file(project)


def _pair(key: SigningKey) -> tuple[Signer, PublicKey]:
    return key.signer, key.public
