"""The roster of people: signed by the release key, logged before it counts, and taken only where it is the newest that the log has.

What always holds: numbers and times of rosters only rise, whoever makes them; a roster is in the log, with its digest, before its
file is there. A process that is killed in between leaves the new file beside the old one, and the next reader puts it in its place.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from devicepipe.approval.accounts import Accounts
from devicepipe.errors import UsageError
from devicepipe.evidence.facts import utc_now
from devicepipe.evidence.key_uses import use_of_key
from devicepipe.evidence.ledger.entry import Entry, make_entry
from devicepipe.evidence.signatures import Roster, instant, open_roster, sign_roster
from devicepipe.project.config import Project
from devicepipe.stages import ledger
from devicepipe.stages.context import Keys, default_tester, open_keys

_SUBJECT = "roster "
_USES, _SIGNED = b'"purpose":"roster"', b'"kind":"approval"'


@dataclass(frozen=True, slots=True)
class LoggedRoster:
    """The newest roster that the log has.

    Attributes:
        number: Its number; 0 where the log has none.
        digest: The SHA-256 of its file.
        at: When it was logged.
        signed: The time of the latest signature of a release that the log has, "" without one.
    """

    number: int = 0
    digest: str = ""
    at: str = ""
    signed: str = ""


def newest_logged(project: Project, keys: Keys) -> LoggedRoster:
    """The newest roster of the product's log. Raises as `ledger.entries_with`."""
    number, digest, at, signed = 0, "", "", ""
    for entry in ledger.entries_with(project, (_USES, _SIGNED), keys).values():
        if entry.kind == "approval":
            signed = max(signed, entry.at)
        elif entry.kind == "key-use" and entry.details["purpose"] == "roster" and entry.digest is not None:
            count = entry.subject.removeprefix(_SUBJECT)
            if count.isascii() and count.isdigit() and int(count) >= number:
                number, digest, at = int(count), entry.digest, entry.at
    return LoggedRoster(number, digest, at, signed)


def current_roster(project: Project) -> bytes:
    """The bytes of the product's roster.

    Raises:
        UsageError: There is none yet, or it is not the newest one that the log has.
        BenchError, IntegrityError: As `ledger.entries_with`.
    """
    path = project.root / project.approval.roster
    newest = newest_logged(project, open_keys(project))
    _finish(path, newest)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UsageError(
            f"there is no roster of people: {error.strerror}",
            file=path,
            remedy="make accounts with `devicepipe account add`; who holds the release key signs their roster",
        ) from error
    if newest.number and _digest(data) != newest.digest:
        raise UsageError(
            f"this is not the newest roster, which is number {newest.number} of {newest.at}",
            file=path,
            remedy="restore the newest one from version control, or sign one anew: `devicepipe account roster`",
        )
    return data


def renew_roster(project: Project, accounts: Accounts, account: str, change: str, roles: Sequence[str] = ()) -> Path:
    """Sign the roster of the accounts as they are now, with the release key, and log why; returns its file, to be committed.

    Args:
        project: The product.
        accounts: Its accounts, already changed.
        account: The account that was changed; the roster itself where none was.
        change: What was done, in a word.
        roles: The roles that it has now, where they were given.

    Raises:
        UsageError, BenchError: As `open_keys` and `keys.sign`.
        IntegrityError: The roster that is there is not one of this release key, or the log is not to be trusted.
    """
    keys = open_keys(project)
    path = project.root / project.approval.roster
    newest = newest_logged(project, keys)
    _finish(path, newest)
    before = open_roster(path.read_bytes(), keys.trust, path.name) if path.exists() else None
    roster = next_roster(before, newest, Roster(number=1, on=instant(datetime.now(UTC)), people=accounts.people()))
    signed = sign_roster(roster, keys.release.signer, keys.release.public)
    replace_roster(project, roster, signed, keys, [_changed(account, change, roles, _digest(signed))])
    return path


def next_roster(before: Roster | None, newest: LoggedRoster, roster: Roster) -> Roster:
    """A roster of now, as the one that follows: later than the one before, and not before any signature that is logged.

    Times come from the clocks of several machines: without that, one that is slow would take from people what they signed with.
    """
    number = max(before.number if before is not None else 0, newest.number) + 1
    on = max(roster.on, before.on if before is not None else "", newest.signed)
    return roster.model_copy(update={"number": number, "on": on})


def replace_roster(project: Project, roster: Roster, signed: bytes, keys: Keys, entries: Sequence[Entry] = ()) -> None:
    """Log a roster (and its file's bytes), and put it in the place of the one before. Raises as `ledger.append`."""
    path = project.root / project.approval.roster
    path.parent.mkdir(parents=True, exist_ok=True)
    new = _beside(path)
    new.write_bytes(signed)
    use = use_of_key(
        keys.release.public.keyid,
        "roster",
        f"{_SUBJECT}{roster.number}",
        _digest(signed),
        at=utc_now(),
        by=default_tester(),
    )
    ledger.append(project, [*entries, use], keys)
    new.replace(path)


def log_change(project: Project, account: str, change: str) -> None:
    """Log that an account was changed, by whoever runs this. Raises as `ledger.append`."""
    ledger.append(project, [_changed(account, change)])


def _changed(account: str, change: str, roles: Sequence[str] = (), digest: str | None = None) -> Entry:
    """What the log says of a change of an account; the digest is that of the roster that came of it."""
    details = {"change": change} | ({"role": ", ".join(roles)} if roles else {})
    return make_entry("account", at=utc_now(), by=default_tester(), subject=account, digest=digest, details=details)


def _finish(path: Path, newest: LoggedRoster) -> None:
    """Put a roster in its place that was logged by a process which was killed before it came to that."""
    new = _beside(path)
    if newest.number and new.is_file() and _digest(new.read_bytes()) == newest.digest:
        new.replace(path)


def _beside(path: Path) -> Path:
    return path.with_name(f".{path.name}.new")


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
