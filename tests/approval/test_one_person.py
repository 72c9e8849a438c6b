"""One person is one account, in SQLite and in PostgreSQL: also one that was closed, which is opened again for who comes back."""

from __future__ import annotations

import pytest

from devicepipe.approval.accounts import Accounts
from devicepipe.approval.lifecycle import Role
from devicepipe.errors import UsageError
from devicepipe.evidence.signatures import instant
from tests.approval.conftest import PASSWORD, Clock, code

WRONG = "account, password or code is wrong"


def test_a_person_whose_account_is_closed_gets_no_second_one_but_the_own_one_again(
    accounts: Accounts, quinn: str, clock: Clock
) -> None:
    (before,) = accounts.people()
    clock.pass_(hours=1)
    closed = clock.now
    accounts.close("quinn")
    with pytest.raises(UsageError, match="is the address of quinn, an account that is closed") as caught:
        accounts.add("quinn2", "Quinn", "Quinn@example.com", [Role.QA], "quite another phrase")
    assert "devicepipe account reopen quinn" in caught.value.remedy
    clock.pass_(hours=1)
    uri = accounts.reopen("quinn", [Role.REVIEWER], "quite another phrase")
    old, new = accounts.people()
    assert (old.public_key, old.until) == (before.public_key, instant(closed)), "it ended when it was closed"
    assert (new.since, new.until, new.roles) == (instant(clock.now), None, [Role.REVIEWER])
    assert (new.account, new.name, new.email) == (before.account, before.name, before.email)
    assert new.public_key != old.public_key
    with pytest.raises(UsageError, match=WRONG):
        accounts.identify("quinn", "quite another phrase", code(quinn, clock))
    assert accounts.identify("quinn", "quite another phrase", code(uri, clock)).first_of_session


def test_only_a_closed_account_is_opened_again(accounts: Accounts, quinn: str) -> None:
    assert quinn
    for who, why in (("quinn", "quinn is not closed"), ("nobody", "there is no account nobody")):
        with pytest.raises(UsageError, match=why):
            accounts.reopen(who, [Role.QA], "quite another phrase")
    accounts.close("quinn")
    with pytest.raises(UsageError, match="at least one role"):
        accounts.reopen("quinn", [], "quite another phrase")
    with pytest.raises(UsageError, match="had this password already"):
        accounts.reopen("quinn", [Role.QA], PASSWORD)
