"""Passwords: which will do, and which a person had lately (21 CFR 11.300(b)).

What always holds: the last passwords of an account, the present one among them, are not taken again, whether they were changed or
reset. They are remembered as marks that tell a guess as expensively as the box does (Argon2id) and open nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from devicepipe.approval.schema import PASSWORD_MARK
from devicepipe.approval.secret_box import Cost, is_mark_of, mark
from devicepipe.errors import UsageError

REMEMBERED = 5
"""How many passwords of an account are not taken again."""


def check_password(account: str, password: str, shortest: int) -> None:
    """Whether a password will do. Raises UsageError."""
    if len(password) < shortest:
        raise UsageError(f"a password has at least {shortest} characters")
    if account in password.lower() or len({*password}) < shortest // 3:
        raise UsageError(
            "the password is too easily guessed",
            remedy="take several words that do not belong together, and not the account's id",
        )


def marks_of(db: sa.Connection, account: str) -> list[bytes]:
    """The marks of the passwords that an account had last, the latest first."""
    mine = sa.select(PASSWORD_MARK.c.mark).where(PASSWORD_MARK.c.account == account)
    return [one for (one,) in db.execute(mine.order_by(PASSWORD_MARK.c.number.desc()).limit(REMEMBERED))]


def check_not_had(account: str, password: str, marks: Sequence[bytes]) -> None:
    """Whether a password is none that an account had lately, by their marks. Raises UsageError."""
    if any(is_mark_of(one, account, password) for one in marks):
        raise UsageError(
            f"{account} had this password already: the last {REMEMBERED} are not taken again",
            remedy="take one that was never used",
        )


def remember(db: sa.Connection, account: str, password: str, cost: Cost) -> None:
    """Remember the password that an account now has; of earlier ones, those that are not taken again."""
    db.execute(PASSWORD_MARK.insert().values(account=account, mark=mark(account, password, cost)))
    mine = PASSWORD_MARK.c.account == account
    kept = sa.select(PASSWORD_MARK.c.number).where(mine).order_by(PASSWORD_MARK.c.number.desc()).limit(REMEMBERED)
    db.execute(
        PASSWORD_MARK.delete().where(mine, PASSWORD_MARK.c.number.not_in([number for (number,) in db.execute(kept)]))
    )
