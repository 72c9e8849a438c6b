"""Approval: a product's accounts, and its roster of people."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from devicepipe.approval.accounts import AccountRules, Accounts, Identified
from devicepipe.approval.oidc import Login, Provider
from devicepipe.approval.record import keep_proof
from devicepipe.errors import IntegrityError, UsageError
from devicepipe.evidence.facts import utc_now
from devicepipe.evidence.key_uses import use_of_key
from devicepipe.evidence.layout import RELEASE_STATEMENT
from devicepipe.evidence.ledger.entry import Entry, make_entry
from devicepipe.evidence.signature_proofs import entry_of
from devicepipe.evidence.signatures import Roster, instant, open_roster, sign_roster
from devicepipe.evidence.verify import VerifiedBundle
from devicepipe.project.config import CONFIG_NAME, Project
from devicepipe.stages import ledger
from devicepipe.stages.context import default_tester, open_keys
from devicepipe.stages.logged import read_logged

ACCOUNTS_VARIABLE = "DEVICEPIPE_ACCOUNTS"


def open_accounts(project: Project) -> Accounts:
    """The product's accounts.

    Raises:
        BenchError: The database cannot be used.
    """
    settings = project.approval
    url = os.environ.get(ACCOUNTS_VARIABLE) or settings.accounts
    scheme, relative, path = url.partition("sqlite:///")
    if relative and not scheme and not path.startswith("/"):
        file = project.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        url = f"sqlite:///{file}"
    rules = AccountRules(
        password_days=settings.password_days,
        lock_after=settings.lock_after,
        lock_minutes=settings.lock_minutes,
        session_minutes=settings.session_minutes,
    )
    return Accounts(url, rules)


def provider_of(project: Project) -> Provider:
    """The product's OpenID provider.

    Raises:
        UsageError: It has none.
    """
    settings = project.approval.oidc
    if settings is None:
        raise UsageError(
            "this product has no OpenID provider",
            file=project.root / CONFIG_NAME,
            key="approval.oidc",
            remedy="say `issuer` and `client-id` in [approval.oidc]",
        )
    return Provider(settings.issuer, settings.client_id)


def current_roster(project: Project) -> bytes:
    """The bytes of the product's roster.

    Raises:
        UsageError: There is none yet.
    """
    path = project.root / project.approval.roster
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(
            f"there is no roster of people: {error.strerror}",
            file=path,
            remedy="make accounts with `devicepipe account add`; who holds the release key signs their roster",
        ) from error


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
    key = keys.release
    path = project.root / project.approval.roster
    number = open_roster(path.read_bytes(), keys.trust, path.name).number + 1 if path.exists() else 1
    roster = Roster(number=number, on=instant(datetime.now(UTC)), people=accounts.people())
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f".{path.name}.new")
    signed = sign_roster(roster, key.signer, key.public)
    new.write_bytes(signed)
    new.replace(path)
    log_change(project, account, change, roles)
    ledger.append(project, [use_of_roster(key.public.keyid, roster, signed)])
    return path


def use_of_roster(keyid: str, roster: Roster, signed: bytes) -> Entry:
    """What the log says of a roster (its bytes) that the release key signed."""
    digest = hashlib.sha256(signed).hexdigest()
    return use_of_key(keyid, "roster", f"roster {roster.number}", digest, at=utc_now(), by=default_tester())


def log_change(project: Project, account: str, change: str, roles: Sequence[str] = ()) -> None:
    """Log that an account was changed, by whoever runs this. Raises as `ledger.append`."""
    details = {"change": change} | ({"role": ", ".join(roles)} if roles else {})
    entry = make_entry("account", at=utc_now(), by=default_tester(), subject=account, details=details)
    ledger.append(project, [entry])


def identified(
    project: Project,
    accounts: Accounts,
    account: str,
    secrets: tuple[str, str],
    session: str,
    log_in: Callable[[], Login] | None = None,
) -> Identified:
    """Identify a person, and log that it was tried, whatever came of it.

    Args:
        project: The product.
        accounts: Its accounts.
        account: Whose person is identified.
        secrets: The password, and the one-time code, "" where none was asked for.
        session: The signing session that should go on.
        log_in: Has the person log in at the OpenID provider; None where that is not asked for.

    Raises:
        UsageError, BenchError, IntegrityError: As `Accounts.identify`, `oidc.log_in` and `ledger.append`.
    """
    try:
        who = accounts.identify(account, *secrets, session, log_in() if log_in else None)
    except (UsageError, IntegrityError):
        ledger.append(project, [_login(account, "refused")])
        raise
    ledger.append(project, [_login(account, "identified", components="+".join(who.components), session=who.session)])
    return who


def _login(account: str, outcome: str, **details: str) -> Entry:
    return make_entry("login", at=utc_now(), by=account, subject=account, details={"outcome": outcome} | details)


def log_signatures(project: Project, bundle: VerifiedBundle) -> None:
    """Append to the log what it lacks of a release's signatures, in their order, and put the proofs beside them.

    Raises:
        UsageError, BenchError, IntegrityError: As `read_logged`, `ledger.append`, `ledger.prove` and `keep_proof`.
    """
    record = read_logged(project, bundle)
    missing = [one for one in record.signatures if one.signature.number not in record.logged]
    entries = [entry_of(one.signature, bundle.sha256(RELEASE_STATEMENT)) for one in missing]
    for given, index in zip(missing, ledger.append_once(project, entries), strict=True):
        keep_proof(bundle, given, ledger.prove(project, index))
