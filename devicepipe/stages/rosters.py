"""The roster of people: signed by the release key, logged before it counts, and taken only where it is the newest that the log has.

What always holds: numbers and times of rosters only rise, whoever makes them; a roster is in the log, with its digest, before its
file is there; one process at a time changes accounts and roster. A change of the database is committed once the roster with it is
signed and lies beside the old one. There it stays where the process is killed thereafter: if it was logged, the next reader puts it
in its place; if not, the next change signs and logs it anew.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from devicepipe.approval.accounts import Accounts
from devicepipe.approval.record import AHEAD
from devicepipe.approval.roster_changes import (
    Difference,
    accepted,
    changed,
    differences,
    put_right,
    still_to_come,
    times_ahead,
)
from devicepipe.errors import IntegrityError, UsageError
from devicepipe.evidence.dsse import keyid_unverified
from devicepipe.evidence.facts import utc_now
from devicepipe.evidence.key_uses import use_of_key
from devicepipe.evidence.ledger.disk import Disk
from devicepipe.evidence.ledger.entry import Entry, make_entry
from devicepipe.evidence.signatures import Roster, instant, open_roster, sign_roster
from devicepipe.project.config import Project
from devicepipe.project.state import locked_in_state
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


def roster_file(project: Project) -> Path:
    """Where the product's roster is."""
    return project.root / project.approval.roster


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
        UsageError: There is none yet, it is not the newest one that the log has, or not by the release key in force; or the
            history of keys is not the newest.
        BenchError, IntegrityError: As `ledger.entries_with`.
    """
    path = roster_file(project)
    keys = open_keys(project)
    ledger.check_history(project)
    newest = newest_logged(project, keys)
    _check_log(project, path, newest)
    _finish(path, newest)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UsageError(
            f"there is no roster of people: {error.strerror}",
            file=path,
            remedy=f"restore number {newest.number} of {newest.at} from version control"
            if newest.number
            else "make accounts with `devicepipe account add`; who holds the release key signs their roster",
        ) from error
    _check_newest(path, _digest(data), newest)
    if keyid_unverified(data, path.name) in {one.keyid for one in keys.trust.keys} - {keys.release.public.keyid}:
        raise UsageError(
            "the roster is signed by a release key that is in force no longer",
            file=path,
            remedy="have it signed anew: `devicepipe account roster`",
        )
    return data


def present_roster(project: Project, keys: Keys) -> Roster | None:
    """The product's roster, checked; None where it has none.

    Raises:
        UsageError: It is not the newest one that the log has.
        BenchError, IntegrityError: As `renew_roster`.
    """
    before, digest, newest, path = _before(project, keys)
    if before is not None:
        _check_newest(path, digest, newest)
    return before


def alone_with_roster(project: Project) -> AbstractContextManager[None]:
    """Wait until nobody else changes accounts, roster or keys: what was checked in here holds until it is signed."""
    return locked_in_state(project, "roster")


@contextmanager
def while_newest(project: Project, roster: bytes) -> Iterator[None]:
    """Wait as `alone_with_roster` does, and see that a roster is the newest still: what is signed in here is signed under that.

    Raises:
        UsageError: It is not; or as `current_roster`.
        BenchError, IntegrityError: As `current_roster`.
    """
    with alone_with_roster(project):
        if current_roster(project) != roster:
            raise UsageError("the roster was signed anew meanwhile", remedy="run it again")
        yield


@contextmanager
def changing(
    project: Project, accounts: Accounts, account: str, change: str, roles: Sequence[str] = ()
) -> Iterator[None]:
    """Change an account, in the block, and the roster with it: alone, and both of them or neither.

    Nothing is changed where the block or the signature fails. Where the log cannot be appended to after that, or the process is
    killed, the next change or `devicepipe account roster` logs it and goes on.

    Args:
        project: The product.
        accounts: Its accounts.
        account: The account that is changed.
        change: What is done, as `roster_changes.changed` knows it.
        roles: The roles that it gets, where they are given.

    Raises:
        UsageError: The database differs from the newest roster, before or in more than the change, or that is not the newest.
        BenchError, IntegrityError: As `renew_roster`.
    """
    with alone_with_roster(project):
        keys = open_keys(project)
        check_accounts(project, accounts, keys)
        with accounts.together():
            yield
            signed = _sign_next(project, accounts, keys, account, change, roles)
        _take(project, *signed, keys)


def differences_of(project: Project, accounts: Accounts, keys: Keys | None = None) -> list[Difference]:
    """What is in the database of accounts otherwise than in the newest roster, once an interrupted change of both was finished.

    The caller is `alone_with_roster`. Raises as `renew_roster`.
    """
    keys = keys or open_keys(project)
    before, digest, newest, path = _before(project, keys)
    signed, found = before.people if before is not None else [], accounts.people()
    stale, others = _not_newest(digest, newest), differences(signed, found)
    pending = _interrupted(path, before, newest, keys, project.product.name) if others and not stale else None
    if pending is not None and not differences(pending.people, found):
        # Its time is that of then, and people may have signed since by the roster before it: so it is signed anew.
        now = pending.model_copy(update={"on": instant(datetime.now(UTC))})
        entries = [_changed(one.account, "interrupted change finished", reason=one.what) for one in others]
        _take(project, *_sign(project, next_roster(before, newest, now), keys), entries, keys)
        return []
    return stale + others + still_to_come(signed, _now(project, before, newest).on)


def check_accounts(project: Project, accounts: Accounts, keys: Keys) -> None:
    """Find out, before an account is changed, whether the roster can be signed anew with that change alone.

    Raises:
        UsageError: The database is empty or differs from the newest roster, or the roster is not the newest.
        BenchError, IntegrityError: As `renew_roster`.
    """
    check_database(project, accounts, keys)
    _refuse(project, differences_of(project, accounts, keys))


def check_database(project: Project, accounts: Accounts, keys: Keys | None = None) -> None:
    """Check that there is somebody in the database of accounts, where the roster has people whose keys are in force.

    Raises:
        UsageError: It is empty: it was deleted, or is another one.
        BenchError, IntegrityError: As `open_keys` and `open_roster`.
    """
    path = roster_file(project)
    if not path.exists() or accounts.everyone():
        return
    roster = open_roster(path.read_bytes(), (keys or open_keys(project)).trust, project.product.name, path.name)
    if people := {one.account for one in roster.people if one.until is None}:
        raise UsageError(
            f"there is no account in the database, and {len(people)} in the roster",
            file=path,
            key="approval.accounts",
            remedy="restore the database of accounts from a copy: the keys of these people are in it, and nowhere else; "
            "without a copy, `devicepipe account roster --accept-differences` ends them, and all are enrolled under other ids",
        )


def renew_roster(project: Project, accounts: Accounts, *, accept: bool = False) -> Path:
    """Sign the roster anew, by the release key, and log it; returns its file. The caller is `alone_with_roster`.

    Args:
        project: The product.
        accounts: Its accounts.
        accept: Sign it as the database is, whatever differs, and put right there what times a clock that was ahead gave to keys;
            each difference is logged.

    Raises:
        UsageError: The database differs from the roster before.
        BenchError: As `open_keys` and `keys.sign`.
        IntegrityError: The roster that is there is not one of this release key, the new one gives keys times that cannot be, or
            the log is not to be trusted.
    """
    keys = open_keys(project)
    with accounts.together():
        signed = _sign_next(project, accounts, keys, "roster", "signed anew", accept=accept)
    _take(project, *signed, keys)
    return roster_file(project)


def _sign_next(
    project: Project,
    accounts: Accounts,
    keys: Keys,
    account: str,
    change: str,
    roles: Sequence[str] = (),
    *,
    accept: bool = False,
) -> tuple[Roster, bytes, list[Entry]]:
    """Sign the roster before with one change and lay it beside that; returns it, its file's bytes, and what the log is told."""
    before, digest, newest, _ = _before(project, keys)
    signed, found = before.people if before is not None else [], accounts.people()
    roster = _now(project, before, newest)
    people = changed(signed, found, account, change, roles)
    others = _not_newest(digest, newest) + differences(people, found) + still_to_come(signed, roster.on)
    if accept:
        times = times_ahead(signed, roster.on)
        accounts.put_times_right(times, roster.on)
        people = accepted(put_right(signed, times), accounts.people(), roster.on)
    else:
        _refuse(project, others)
    roster, data = _sign(project, roster.model_copy(update={"people": people}), keys)
    entries = [_changed(one.account, "difference accepted", reason=one.what) for one in others]
    return roster, data, [*entries, _changed(account, change, roles, _digest(data))]


def _now(project: Project, before: Roster | None, newest: LoggedRoster) -> Roster:
    """The roster that follows, with nobody in it yet."""
    empty = Roster(product=project.product.name, number=1, on=instant(datetime.now(UTC)), people=[])
    return next_roster(before, newest, empty)


def _sign(project: Project, roster: Roster, keys: Keys) -> tuple[Roster, bytes]:
    """Sign a roster, check it as its readers do, and bring it to the disk beside the one before."""
    path = roster_file(project)
    data = sign_roster(roster, keys.release.signer, keys.release.public)
    checked = open_roster(data, keys.trust, project.product.name, path.name)
    disk = Disk(path.parent)
    disk.make()
    disk.write(_beside(path).name, data)
    disk.sync()
    return checked, data


def _take(project: Project, roster: Roster, signed: bytes, entries: Sequence[Entry], keys: Keys) -> None:
    """Log a roster that lies beside the one before, and put it in the place of that. Raises as `ledger.append`."""
    path = roster_file(project)
    use = use_of_key(
        keys.release.public.keyid,
        "roster",
        f"{_SUBJECT}{roster.number}",
        _digest(signed),
        at=utc_now(),
        by=default_tester(),
    )
    ledger.append(project, [*entries, use], keys)
    try:
        _beside(path).replace(path)
    except FileNotFoundError:
        # Readers take no lock: one that read the log since has put it there (`_finish`).
        if not _has(path, _digest(signed)):
            raise


def _interrupted(path: Path, before: Roster | None, newest: LoggedRoster, keys: Keys, product: str) -> Roster | None:
    """The roster that a process signed which ended before it was logged: the next one by its number, none given up since."""
    try:
        roster = open_roster(_beside(path).read_bytes(), keys.trust, product, _beside(path).name)
    except (OSError, IntegrityError):
        return None
    return roster if roster.number == next_roster(before, newest, roster).number else None


def _before(project: Project, keys: Keys) -> tuple[Roster | None, str, LoggedRoster, Path]:
    """The roster that is there, if one is, with its digest (it is read once), what the log has, and the roster's file."""
    path = roster_file(project)
    newest = newest_logged(project, keys)
    _check_log(project, path, newest)
    _finish(path, newest)
    if not path.exists():
        return None, "", newest, path
    data = path.read_bytes()
    return open_roster(data, keys.trust, project.product.name, path.name), _digest(data), newest, path


def _not_newest(digest: str, newest: LoggedRoster) -> list[Difference]:
    if newest.number == 0 or digest == newest.digest:
        return []
    return [Difference("roster", f"the newest is number {newest.number} of {newest.at}, which the file is not")]


def _check_newest(path: Path, digest: str, newest: LoggedRoster) -> None:
    if newest.number and digest != newest.digest:
        raise UsageError(
            f"this is not the newest roster, which is number {newest.number} of {newest.at}",
            file=path,
            remedy="restore the newest one from version control, or have one signed anew: `devicepipe account roster`",
        )


def _refuse(project: Project, found: Sequence[Difference]) -> None:
    if not found:
        return
    more = f"; and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    raise UsageError(
        f"the accounts are not as the newest roster has them: {'; '.join(map(str, found[:_SHOWN]))}{more}",
        file=roster_file(project),
        remedy="restore the newest roster and find out who changed the database of accounts; set this machine's clock, if it is "
        "behind; if all that is right, sign it as it is: `devicepipe account roster --accept-differences`, by which times that "
        "are to come become now",
    )


def next_roster(before: Roster | None, newest: LoggedRoster, roster: Roster) -> Roster:
    """A roster of now, as the one that follows: not before the one before, nor before any signature that is logged.

    Times come from the clocks of several machines: without that, one that is slow would take from people what they signed with.
    What is dated further ahead than clocks differ is left aside: nobody could sign under such a roster until then.
    """
    latest = instant(datetime.fromisoformat(roster.on) + AHEAD)
    number = max(before.number if before is not None else 0, newest.number) + 1
    times = (before.on if before is not None else "", newest.signed)
    on = max([roster.on, *(time for time in times if time <= latest)])
    return roster.model_copy(update={"number": number, "on": on})


def replace_roster(project: Project, roster: Roster, keys: Keys) -> None:
    """Sign a roster, log it, and put it in the place of the one before. Raises as `renew_roster`."""
    _take(project, *_sign(project, roster, keys), [], keys)


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


def _check_log(project: Project, path: Path, newest: LoggedRoster) -> None:
    """Refuse a roster beside a log that has none: each is logged before its file is there, so the log is not the product's."""
    if path.exists() and not newest.number:
        raise UsageError(
            "there is a roster of people, and the product's log, in which every roster is, is not here",
            file=path,
            remedy=f"bring it to {ledger.log_folder(project)}, from a copy or the machine that it is on: a product has one log",
        )


def _finish(path: Path, newest: LoggedRoster) -> None:
    """Put a roster in its place that was logged by a process which was killed before it came to that."""
    if newest.number and _has(_beside(path), newest.digest):
        with suppress(FileNotFoundError):  # somebody else put it there meanwhile: the caller looks at what is there
            _beside(path).replace(path)


def _has(path: Path, digest: str) -> bool:
    try:
        return _digest(path.read_bytes()) == digest
    except FileNotFoundError:
        return False


def _beside(path: Path) -> Path:
    return path.with_name(f".{path.name}.new")


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
