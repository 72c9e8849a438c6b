"""Passwords in SQLite and in PostgreSQL: changed while something else happens, and had before."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
import sqlalchemy as sa

from devicepipe.approval.accounts import Accounts, Identified
from devicepipe.approval.passwords import REMEMBERED
from devicepipe.approval.schema import ACCOUNT, PASSWORD_MARK
from devicepipe.approval.secret_box import open_box
from devicepipe.errors import UsageError
from tests.approval.conftest import CHEAP, PASSWORD, Clock, code

WRONG = "account, password or code is wrong"


def failures(url: str) -> list[int]:
    engine = sa.create_engine(url)
    with engine.connect() as db:
        found = [*db.execute(sa.select(ACCOUNT.c.failures).order_by(ACCOUNT.c.id)).scalars()]
    engine.dispose()
    return found


@pytest.mark.parametrize("before", [0, 2])
def test_a_change_of_the_password_into_which_a_login_falls_gives_no_guess_more(
    url: str, accounts: Accounts, quinn: str, clock: Clock, monkeypatch: pytest.MonkeyPatch, before: int
) -> None:
    for _ in range(before):
        with pytest.raises(UsageError, match=WRONG):
            accounts.identify("quinn", PASSWORD, "000000")
    logged_in: list[Identified] = []

    def slowly(*box: Any) -> Any:
        found = open_box(*box)
        if not logged_in:  # the attempt of the change is counted; now the person logs in elsewhere, which forgives all
            monkeypatch.undo()
            logged_in.append(accounts.identify("quinn", PASSWORD, code(quinn, clock)))
        return found

    monkeypatch.setattr("devicepipe.approval.accounts.open_box", slowly)
    accounts.change_password("quinn", PASSWORD, "quite another phrase")
    assert logged_in[0].first_of_session
    assert failures(url) == [0]


def test_a_change_of_the_password_into_which_a_reset_falls_does_not_bring_the_old_key_back(
    accounts: Accounts, quinn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert quinn

    def slowly(*box: Any) -> Any:
        found = open_box(*box)
        monkeypatch.undo()
        accounts.reset("quinn", "what the person has now")
        return found

    monkeypatch.setattr("devicepipe.approval.accounts.open_box", slowly)
    with pytest.raises(UsageError, match="was changed meanwhile"):
        accounts.change_password("quinn", PASSWORD, "what the thief wants")
    with pytest.raises(UsageError, match=WRONG):
        accounts.identify("quinn", "what the thief wants", "000000")
    with pytest.raises(UsageError, match=WRONG):
        accounts.identify("quinn", "what the person has now", "000000")


def test_a_password_that_was_changed_there_and_back_is_none_that_was_revised(
    url: str, accounts: Accounts, quinn: str, clock: Clock
) -> None:
    clock.pass_(days=CHEAP.password_days, seconds=1)
    had = [PASSWORD]
    for turn in range(REMEMBERED - 1):
        had.append(f"a new one for a second {turn}")
        accounts.change_password("quinn", *had[-2:])
        for one in had[:-1]:
            with pytest.raises(UsageError, match=f"had this password already: the last {REMEMBERED} are not taken"):
                accounts.change_password("quinn", had[-1], one)
    assert failures(url) == [0], "what was refused was no guess"
    with pytest.raises(UsageError, match=WRONG):
        accounts.identify("quinn", PASSWORD, code(quinn, clock))
    with pytest.raises(UsageError, match="account or password is wrong") as caught:  # it asked for no code
        accounts.change_password("quinn", "not the password", PASSWORD)
    assert "code" not in caught.value.remedy
    assert accounts.identify("quinn", had[-1], code(quinn, clock)).first_of_session


def test_a_password_that_was_lost_does_not_come_back_by_a_reset_or_after_it(accounts: Accounts, quinn: str) -> None:
    assert quinn
    with pytest.raises(UsageError, match="had this password already"):
        accounts.reset("quinn", PASSWORD)
    accounts.reset("quinn", "quite another phrase")
    with pytest.raises(UsageError, match="had this password already"):
        accounts.change_password("quinn", "quite another phrase", PASSWORD)


def test_of_passwords_that_were_had_no_more_is_kept_than_what_is_asked_for(
    url: str, accounts: Accounts, quinn: str
) -> None:
    assert quinn
    words = (PASSWORD, *(f"purple monkey dishwasher {turn}" for turn in range(2 * REMEMBERED)))
    for old, new in pairwise(words):
        accounts.change_password("quinn", old, new)
    engine = sa.create_engine(url)
    with engine.connect() as db:
        marks = [*db.execute(sa.select(PASSWORD_MARK.c.mark)).scalars()]
    engine.dispose()
    assert len(marks) == REMEMBERED
    assert not any(word.encode() in one for one in marks for word in words)
    opened = [found for one in marks for word in words if (found := open_box(one, "quinn", word))]
    assert [(one.seed, one.totp) for one in opened] == [(b"", b"")] * REMEMBERED, "what is remembered opens nothing"
