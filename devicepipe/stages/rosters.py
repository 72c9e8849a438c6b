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
from devicepipe.approval.record import AHEAD
from devicepipe.approval.roster_changes import Difference, accepted, changed, differences
from devicepipe.errors import UsageError
from devicepipe.evidence.dsse import keyid_unverified
from devicepipe.evidence.facts import utc_now
from devicepipe.evidence.key_uses import use_of_key
from devicepipe.evidence.ledger.entry import Entry, make_entry
from devicepipe.evidence.signatures import Roster, instant, open_roster, sign_roster
from devicepipe.project.config import Project
from devicepipe.stages import ledger
from devicepipe.stages.context import Keys, default_tester, open_keys

_SUBJECT = "roster "
_SHOWN = 5
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
        UsageError: There is none yet, it is not the newest one that the log has, or not by the release key in force.
        BenchError, IntegrityError: As `ledger.entries_with`.
    """
    path = project.root / project.approval.roster
    keys = open_keys(project)
    newest = newest_logged(project, keys)
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
            remedy="restore the newest one from version control, or have one signed anew: `devicepipe account roster`",
        )
    if keyid_unverified(data, path.name) in {one.keyid for one in keys.trust.keys} - {keys.release.public.keyid}:
        raise UsageError(
            "the roster is signed by a release key that is in force no longer",
            file=path,
            remedy="have it signed anew: `devicepipe account roster`",
        )
    return data


def differences_of(project: Project, accounts: Accounts) -> list[Difference]:
    """What is in the database of accounts otherwise than in the newest roster. Raises as `renew_roster`."""
    before, newest, path = _before(project, open_keys(project))
    return _not_newest(path, newest) + differences(before.people if before is not None else [], accounts.people())


def check_accounts(project: Project, accounts: Accounts) -> None:
    """Find out, before an account is changed, whether the roster can be signed anew with that change alone.

    Raises:
        UsageError: The database differs from the newest roster, or the roster is not the newest.
        BenchError, IntegrityError: As `renew_roster`.
    """
    _refuse(project, differences_of(project, accounts))


def renew_roster(
    project: Project,
    accounts: Accounts,
    account: str,
    change: str,
    roles: Sequence[str] = (),
    *,
    accept: bool = False,
) -> Path:
    """Sign the roster before with one change, by the release key, and log why; returns its file, to be committed.

    Args:
        project: The product.
        accounts: Its accounts, already changed.
        account: The account that was changed; the roster itself where none was.
        change: What was done, as `roster_changes.changed` knows it.
        roles: The roles that it has now, where they were given.
        accept: Sign it as the database is, whatever else differs; each difference is logged.

    Raises:
        UsageError: The database differs from the roster before in more than the change.
        BenchError: As `open_keys` and `keys.sign`.
        IntegrityError: The roster that is there is not one of this release key, the new one gives keys times that cannot be, or
            the log is not to be trusted.
    """
    keys = open_keys(project)
    before, newest, path = _before(project, keys)
    signed, found = before.people if before is not None else [], accounts.people()
    roster = next_roster(
        before, newest, Roster(product=project.product.name, number=1, on=instant(datetime.now(UTC)), people=[])
    )
    people = changed(signed, found, account, change, roles)
    others = _not_newest(path, newest) + differences(people, found)
    if accept:
        people = accepted(signed, found, roster.on)
    else:
        _refuse(project, others)
    data = sign_roster(roster.model_copy(update={"people": people}), keys.release.signer, keys.release.public)
    roster = open_roster(data, keys.trust, project.product.name, path.name)
    entries = [_changed(one.account, "difference accepted", reason=one.what) for one in others]
    replace_roster(project, roster, data, keys, [*entries, _changed(account, change, roles, _digest(data))])
    return path


def _before(project: Project, keys: Keys) -> tuple[Roster | None, LoggedRoster, Path]:
    """The roster that is there, if one is, what the log has, and the roster's file."""
    path = project.root / project.approval.roster
    newest = newest_logged(project, keys)
    _finish(path, newest)
    if not path.exists():
        return None, newest, path
    return open_roster(path.read_bytes(), keys.trust, project.product.name, path.name), newest, path


def _not_newest(path: Path, newest: LoggedRoster) -> list[Difference]:
    if not newest.number or (path.exists() and _digest(path.read_bytes()) == newest.digest):
        return []
    return [Difference("roster", f"the newest is number {newest.number} of {newest.at}, which the file is not")]


def _refuse(project: Project, found: Sequence[Difference]) -> None:
    if not found:
        return
    more = f"; and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    raise UsageError(
        f"the accounts are not as the newest roster has them: {'; '.join(map(str, found[:_SHOWN]))}{more}",
        file=project.root / project.approval.roster,
        remedy="restore the newest roster and find out who changed the database of accounts; if all that is right, sign it as "
        "it is: `devicepipe account roster --accept-differences`",
    )


def next_roster(before: Roster | None, newest: LoggedRoster, roster: Roster) -> Roster:
    """A roster of now, as the one that follows: not before the one before, nor before any signature that is logged.

    Times come from the clocks of several machines: without that, one that is slow would take from people what they signed with.
    What is dated further ahead than clocks differ is left aside: nobody could sign under such a roster until then.
    """
    latest = instant(datetime.fromisoformat(roster.on) + AHEAD)
    number = max(before.number if before is not None else 0, newest.number) + 1
    times = (before.on if before is not None else "", newest.signed)
    on = max(roster.on, *(time for time in times if time <= latest))
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


def _changed(
    account: str, change: str, roles: Sequence[str] = (), digest: str | None = None, reason: str = ""
) -> Entry:
    """What the log says of a change of an account; the digest is that of the roster that came of it."""
    details = {"change": change, "role": ", ".join(roles), "reason": reason}
    details = {name: text for name, text in details.items() if text}
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
