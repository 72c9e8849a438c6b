"""Who signs: the person of an account is asked for what the account takes, and the signing session is kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

from devicepipe.cli.secrets_in import SecretsIn

if TYPE_CHECKING:
    from devicepipe.approval.accounts import Identified
    from devicepipe.project.config import Project


def identify(project: Project, account: str, secrets_fd: int | None) -> Identified:
    """Identify the person of an account for one signature: password and one-time code, or the password where the session goes on.

    Args:
        project: The product.
        account: The account's id.
        secrets_fd: The file descriptor that the answers are read from; None asks on the terminal.

    Raises:
        UsageError, BenchError, IntegrityError: As `Accounts.identify` and `ledger.append`.
    """
    from devicepipe.stages.approval import identified, open_accounts

    session, secret = project.state / f"session-{account}", SecretsIn(secrets_fd)
    accounts = open_accounts(project)
    try:
        earlier = session.read_text(encoding="ascii") if session.is_file() else ""
        word = secret.ask(f"Password of {account}")
        code = "" if accounts.goes_on(account, earlier) else secret.ask("One-time code")
        who = identified(project, accounts, account, word, code, earlier)
    finally:
        accounts.dispose()
    session.touch(mode=0o600)
    session.write_text(who.session, encoding="ascii")
    return who
