"""Who signs: the person of an account is asked for what the account takes, and the signing session is kept."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from devicepipe.cli.common import note
from devicepipe.cli.secrets_in import SecretsIn

if TYPE_CHECKING:
    from devicepipe.approval.accounts import Identified
    from devicepipe.approval.oidc import Login
    from devicepipe.project.config import Project


def log_in_at_provider(project: Project) -> Login:
    """Have somebody log in at the product's OpenID provider. Raises as `provider_of` and `oidc.log_in`."""
    from devicepipe.approval.oidc import log_in
    from devicepipe.stages.approval import provider_of

    return log_in(provider_of(project), show_address)


def show_address(address: str) -> None:
    """Tell the person where to log in."""
    note("Log in with a browser on this machine:")
    note(f"  {address}")


def identify(project: Project, account: str, secrets_fd: int | None) -> Identified:
    """Identify the person of an account for one signature.

    That takes the password and a one-time code or, of an account that is linked to one, a login at the OpenID provider; where the
    session goes on, the password.

    Args:
        project: The product.
        account: The account's id.
        secrets_fd: The file descriptor that the answers are read from; None asks on the terminal.

    Raises:
        UsageError, BenchError, IntegrityError: As `Accounts.identify`, `oidc.log_in`, `ledger.append` and `keep_session`.
    """
    from devicepipe.stages.approval import identified, open_accounts
    from devicepipe.stages.session_file import keep_session, read_session

    secret, earlier = SecretsIn(secrets_fd), read_session(project, account)
    accounts = open_accounts(project)
    try:
        word = secret.ask(f"Password of {account}")
        goes_on, linked = accounts.goes_on(account, earlier), accounts.identity_of(account) is not None
        code = "" if goes_on or linked else secret.ask("One-time code")
        login = partial(log_in_at_provider, project) if linked and not goes_on else None
        who = identified(project, accounts, account, (word, code), earlier, login)
    finally:
        accounts.dispose()
    if who.first_of_session:
        keep_session(project, account, who.session_secret)
    return who
