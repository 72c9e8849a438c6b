"""Approval: a product's accounts, and its roster of people."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from devicepipe.approval.accounts import AccountRules, Accounts, Identified
from devicepipe.approval.oidc import Login, Provider
from devicepipe.approval.record import keep_proofs
from devicepipe.errors import IntegrityError, UsageError
from devicepipe.evidence.facts import utc_now
from devicepipe.evidence.layout import RELEASE_STATEMENT
from devicepipe.evidence.ledger.entry import Entry, encode_entry, make_entry
from devicepipe.evidence.signature_proofs import entry_of
from devicepipe.evidence.signatures import Given, open_roster
from devicepipe.evidence.verify import VerifiedBundle
from devicepipe.project.config import CONFIG_NAME, Project
from devicepipe.secret_variables import ACCOUNTS, look_up
from devicepipe.signing.keys import PublicKey
from devicepipe.stages import ledger
from devicepipe.stages.context import open_keys
from devicepipe.stages.logged import check_logged
from devicepipe.stages.rosters import current_roster, log_change


def open_accounts(project: Project) -> Accounts:
    """The product's accounts.

    Raises:
        UsageError, BenchError: As `Accounts`.
    """
    settings = project.approval
    url = look_up(ACCOUNTS) or settings.accounts
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
        session: The secret of the signing session that should go on.
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


def change_password(project: Project, accounts: Accounts, account: str, old: str, new: str) -> None:
    """Change a person's password, and log it, or that it was tried. Raises as `Accounts.change_password` and `ledger.append`."""
    accounts.check_new_password(account, old, new)
    try:
        accounts.change_password(account, old, new)
    except UsageError:
        ledger.append(project, [_login(account, "refused")])
        raise
    log_change(project, account, "password")


def _login(account: str, outcome: str, **details: str) -> Entry:
    return make_entry("login", at=utc_now(), by=account, subject=account, details={"outcome": outcome} | details)


def log_signatures(project: Project, bundle: VerifiedBundle) -> None:
    """Append to the log what it lacks of a release's signatures, in their order, and put the proofs beside them.

    Raises:
        UsageError, BenchError, IntegrityError: As `check_logged`, `ledger.append`, `ledger.prove` and `keep_proofs`.
    """

    def prove(missing: Sequence[Given]) -> list[bytes]:
        keys = open_keys(project)
        entries = [entry_of(one, bundle.sha256(RELEASE_STATEMENT)) for one in missing]
        _check_rights(project, bundle, dict(zip(map(encode_entry, entries), missing, strict=True)))
        return ledger.prove_all(project, ledger.append_once(project, entries, keys), keys)

    keep_proofs(bundle, prove, lambda record: check_logged(project, bundle, record))


def _check_rights(project: Project, bundle: VerifiedBundle, given: Mapping[bytes, Given]) -> None:
    """Check that who gave the signatures (by their entries) that the log lacks has the right still: one can be dated back.

    Raises:
        IntegrityError: Somebody has lost it.
        UsageError, BenchError: As `current_roster`.
    """
    there = ledger.entries_about(project, "approval", bundle.sha256(RELEASE_STATEMENT), recover=True) or {}
    logged = {*map(encode_entry, there.values())}
    late = [one for entry, one in given.items() if entry not in logged]
    if not late:
        return
    people = open_roster(current_roster(project), bundle.trust, bundle.release.product, "the roster").people
    rights = {
        (one.account, PublicKey.from_pem(one.public_key.encode()).keyid, role)
        for one in people
        if one.until is None
        for role in one.roles
    }
    for one in late:
        if (one.signature.account, one.keyid, one.signature.role) not in rights:
            raise IntegrityError(
                f"is not in the log, and {one.signature.account} has not that key or is no {one.signature.role} any more",
                link=one.file,
                remedy="it may be dated back, and nothing shows that it is not: remove it and what follows it; "
                "who has the right signs",
            )
