"""The log of a product: what people and keys did, appended under the product's key."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Final, get_args

from devicepipe.errors import IntegrityError, UsageError
from devicepipe.evidence.dsse import keyid_unverified
from devicepipe.evidence.key_history import Role
from devicepipe.evidence.key_proofs import WORDS
from devicepipe.evidence.ledger.checkpoint import Trust, origin_of
from devicepipe.evidence.ledger.disk import Disk
from devicepipe.evidence.ledger.entry import Entry, Kind, decode_entry, encode_entry
from devicepipe.evidence.ledger.index import INDEX, Search, find
from devicepipe.evidence.ledger.log import Log, has_log
from devicepipe.evidence.ledger.note import NoteKey, NoteSigner
from devicepipe.evidence.ledger.proof import SUFFIX as PROOF_SUFFIX
from devicepipe.evidence.ledger.proof import verify_proof
from devicepipe.evidence.ledger.tree import CompactRange, leaf_hash
from devicepipe.evidence.ledger.writer import create_log, open_writer, recover_log
from devicepipe.project.config import Project
from devicepipe.signing.keys import PublicKey
from devicepipe.stages.context import Keys, SigningKey, open_keys

_KEYS: Final = frozenset(f"{role} key" for role in get_args(Role))


def log_folder(project: Project) -> Path:
    """Where a product's log is."""
    return project.state / "log"


def append(project: Project, entries: Sequence[Entry], keys: Keys | None = None) -> range:
    """Append entries to the product's log, which is made if there is none; returns their numbers. When it returns, they last.

    Args:
        project: The product.
        entries: What to append.
        keys: Its keys, where they are open already.

    Raises:
        UsageError, BenchError: The release key, which signs the log, cannot be used.
        IntegrityError: The log as it stands is not to be trusted.
    """
    keys = keys or open_keys(project)
    signer, folder = _signer(project, keys.release), log_folder(project)
    if not _is_there(project):
        check_begun(project, keys)
        try:
            create_log(folder, signer)
        except UsageError:
            if not _is_there(project):  # else another process was first
                raise
    with open_writer(folder, signer, _former(keys)) as writer:
        return writer.append(entries)


def check_begun(project: Project, keys: Keys) -> None:
    """See that a product whose log is not here has had none: rosters are logged before their file is there.

    Of changes of keys there are proofs in the history.

    Raises:
        UsageError: There is a roster by the release key, or a proof in the history of keys.
        IntegrityError: As `open_keys`.
    """
    if _is_there(project):
        return
    roster = project.root / project.approval.roster
    proofs = sorted((project.root / project.keys.history).glob(f"*{PROOF_SUFFIX}"))
    if proofs:
        file, what, which = proofs[0], "a proof of a change of keys", "the proofs of the history"
    elif roster.is_file() and keyid_unverified(roster.read_bytes(), roster.name) == keys.release.public.keyid:
        file, what, which = roster, "a roster of people", "the roster"
    else:
        return
    raise UsageError(
        f"there is {what}, and the product's log, {log_folder(project)}, is not here",
        file=file,
        remedy=f"restore the log from a copy, or go where it is: a product has one; if it is lost for good, remove {which} "
        "and begin anew",
    )


def append_once(project: Project, entries: Sequence[Entry], keys: Keys | None = None) -> list[int]:
    """Append those entries that a process which was killed has not; returns the numbers of all. Raises as `append`."""
    if not entries:
        return []
    keys, there = keys or open_keys(project), dict[bytes, int]()
    if _is_there(project):
        recover_log(log_folder(project), _trust(project, keys))
        log = _open(project, keys)
        for entry in entries:
            search = Search(kinds=(entry.kind,), by=entry.by, digest=entry.digest)
            there |= {encode_entry(found): number for number, found in find(log, search, log_folder(project) / INDEX)}
    missing = [entry for entry in entries if encode_entry(entry) not in there]
    there |= dict(zip(map(encode_entry, missing), append(project, missing, keys) if missing else (), strict=True))
    return [there[encode_entry(entry)] for entry in entries]


def entries_about(project: Project, kind: Kind, digest: str, *, recover: bool) -> dict[int, Entry] | None:
    """All entries of a kind about a digest, by their numbers; None where the product has no log here.

    They come from the log itself, all of which is held against its checkpoint: no index that lies hides one.

    Args:
        project: The product.
        kind: The kind.
        digest: SHA-256 of what they are about.
        recover: Publish first what an append that was interrupted left in the journal.

    Raises:
        UsageError, BenchError: As `open_keys`.
        IntegrityError: The log is not to be trusted.
    """
    if not _is_there(project):
        return None
    found = entries_with(project, (f'"digest":"{digest}"'.encode(),), recover=recover)
    return {number: entry for number, entry in found.items() if (entry.kind, entry.digest) == (kind, digest)}


def entries_with(
    project: Project, marks: Collection[bytes], keys: Keys | None = None, *, recover: bool = True
) -> dict[int, Entry]:
    """The entries whose text has one of these in it, by their numbers, none where there is no log; read as by `entries_about`."""
    folder = log_folder(project)
    if not _is_there(project):
        return {}
    keys = keys or open_keys(project)
    if recover:
        recover_log(folder, _trust(project, keys))
    log, leaves, found = _open(project, keys), CompactRange(), dict[int, Entry]()
    for number, data in log.entries():
        leaves.append(leaf_hash(data))
        if any(mark in data for mark in marks):
            found[number] = decode_entry(data, f"entry {number} of the log")
    if leaves.root() != log.signed.root:
        raise IntegrityError(
            "does not have the entries that its checkpoint signs",
            link=str(folder),
            remedy="see `devicepipe log verify`",
        )
    return found


def check_history(project: Project, *, recover: bool = True) -> None:
    """Check that no change of keys that was logged is missing in the history: each is written there before it is logged.

    One that was lost can be made again, since it is looked for by what it does.

    Raises:
        UsageError: One is: the history is an older one.
        BenchError, IntegrityError: As `entries_with`.
    """
    keys = open_keys(project)
    changes = keys.history.changes if keys.history is not None else ()
    there = {(WORDS[one.change.change], one.keyid) for one in changes}
    for number, entry in entries_with(project, (b'"kind":"key-change"',), keys, recover=recover).items():
        done = entry.details.get("change", ""), entry.details.get("keyid", "")
        if entry.kind == "key-change" and entry.subject in _KEYS and done not in there:
            raise UsageError(
                f"the history of keys is older than the log, which has (entry {number}) of the {entry.subject} "
                f"{done[1][:16]}: {done[0]}, {entry.details.get('reason', '')}",
                file=project.root / project.keys.history,
                remedy="restore it from version control; if the change was never committed, and is lost, make it again",
            )


def entry_at(project: Project, index: int) -> bytes | None:
    """The bytes of an entry, proven to be in the product's log; None where it has no such entry, or there is no log.

    Raises:
        UsageError, BenchError: As `open_keys`.
        IntegrityError: The log is not to be trusted.
    """
    if not _is_there(project):
        return None
    keys = open_keys(project)
    log = _open(project, keys)
    if index >= log.size:
        return None
    return verify_proof(log.prove(index).to_bytes(), _trust(project, keys), f"entry {index} of the log").entry


def prove(project: Project, index: int, keys: Keys | None = None) -> bytes:
    """The file that proves an entry of the product's log; `keys` as in `append`.

    Raises:
        UsageError: There is no such entry.
        IntegrityError: The log is not to be trusted.
    """
    return prove_all(project, [index], keys)[0]


def prove_all(project: Project, indices: Iterable[int], keys: Keys | None = None) -> list[bytes]:
    """The files that prove entries of the product's log, each by itself. Raises as `prove`."""
    log = _open(project, keys)
    return [log.prove(index).to_bytes() for index in indices]


def check(project: Project) -> None:
    """Find out whether the product's log can be appended to, before work is done that ends with that.

    Raises:
        UsageError, BenchError: The release key cannot be used; UsageError also as `check_begun`.
        IntegrityError: The log's checkpoint is missing, or not to be trusted.
    """
    if _is_there(project):
        _open(project)
    else:
        check_begun(project, open_keys(project))


def _is_there(project: Project) -> bool:
    """Whether the product has a log. Raises IntegrityError where it had one."""
    return has_log(Disk(log_folder(project)))


def _open(project: Project, keys: Keys | None = None) -> Log:
    return Log.open(log_folder(project), _trust(project, keys))


def _trust(project: Project, keys: Keys | None = None) -> Trust:
    keys = keys or open_keys(project)
    coming = (keys.coming,) if keys.coming is not None else ()
    return Trust((keys.release.public, *_former(keys), *coming), origin_of(project.product.name))


def _former(keys: Keys) -> list[PublicKey]:
    """Release keys that may have signed the log's checkpoint before the present one did. None that was revoked is among them."""
    known = keys.history.of_role("release") if keys.history is not None else []
    return [one.public for one in known if one.until is not None and one.revoked is None]


def _signer(project: Project, key: SigningKey) -> NoteSigner:
    return NoteSigner(NoteKey.of_log(origin_of(project.product.name), key.public), key.signer)
