"""Signing sessions in SQLite and in PostgreSQL: how long one goes on, for whom, and what is never enough to go on with."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from devicepipe.approval.accounts import Accounts
from devicepipe.approval.lifecycle import Role
from devicepipe.approval.schema import METADATA
from devicepipe.errors import UsageError
from tests.approval.conftest import PASSWORD, Clock, code

NO_CODE = "takes a one-time code"


def test_a_session_goes_on_with_the_password_for_a_time_from_its_beginning(
    accounts: Accounts, quinn: str, clock: Clock
) -> None:
    first = accounts.identify("quinn", PASSWORD, code(quinn, clock))
    for _ in range(2):
        clock.pass_(minutes=7)
        later = accounts.identify("quinn", PASSWORD, session=first.session_secret)
        assert (later.components, later.session, later.first_of_session) == (("password",), first.session, False)
    clock.pass_(minutes=1)
    assert not accounts.goes_on("quinn", first.session_secret)
    with pytest.raises(UsageError, match=NO_CODE):
        accounts.identify("quinn", PASSWORD, session=first.session_secret)


def test_a_session_goes_on_no_longer_because_one_signs_in_it(accounts: Accounts, quinn: str, clock: Clock) -> None:
    secret = accounts.identify("quinn", PASSWORD, code(quinn, clock)).session_secret
    clock.pass_(minutes=14)
    accounts.identify("quinn", PASSWORD, session=secret)
    clock.pass_(minutes=14)
    with pytest.raises(UsageError, match=NO_CODE):
        accounts.identify("quinn", PASSWORD, session=secret)


def test_a_session_that_began_in_the_future_is_over_when_the_clock_is_put_right_and_stays_so(
    accounts: Accounts, quinn: str, clock: Clock
) -> None:
    clock.pass_(days=30)
    secret = accounts.identify("quinn", PASSWORD, code(quinn, clock)).session_secret
    clock.pass_(days=-29)
    with pytest.raises(UsageError, match=NO_CODE):
        accounts.identify("quinn", PASSWORD, session=secret)
    assert not accounts.goes_on("quinn", secret)
    clock.pass_(days=29)
    assert not accounts.goes_on("quinn", secret), "not when that time has come either"


def test_what_evidence_the_log_and_the_database_have_of_a_session_is_not_enough_to_go_on(
    url: str, accounts: Accounts, quinn: str, clock: Clock
) -> None:
    found = accounts.identify("quinn", PASSWORD, code(quinn, clock))
    engine = sa.create_engine(url)
    with engine.connect() as db:
        rows = [row for table in METADATA.sorted_tables for row in db.execute(sa.select(table))]
    engine.dispose()
    assert found.session_secret not in repr(rows)
    assert found.session_secret not in repr(found)
    # And no secret is told from another: as many bits as a key has, none of them those of the id.
    assert len(found.session_secret) == 64
    assert found.session not in found.session_secret
    known = {found.session, *(value for row in rows for value in row if isinstance(value, str))}
    assert not [one for one in known if accounts.goes_on("quinn", one)]
    with pytest.raises(UsageError, match=NO_CODE):
        accounts.identify("quinn", PASSWORD, session=found.session)


def test_nobody_goes_on_in_the_session_of_another(accounts: Accounts, quinn: str, clock: Clock) -> None:
    accounts.add("ron", "Ron", "ron@example.com", [Role.REVIEWER], "another good phrase")
    secret = accounts.identify("quinn", PASSWORD, code(quinn, clock)).session_secret
    with pytest.raises(UsageError, match=NO_CODE):
        accounts.identify("ron", "another good phrase", session=secret)


@pytest.mark.parametrize("how", ["reset", "close"])
def test_a_session_ends_with_the_secrets_and_with_the_account(
    accounts: Accounts, quinn: str, clock: Clock, how: str
) -> None:
    secret = accounts.identify("quinn", PASSWORD, code(quinn, clock)).session_secret
    assert accounts.goes_on("quinn", secret)
    accounts.close("quinn") if how == "close" else accounts.reset("quinn", "quite another phrase")
    assert not accounts.goes_on("quinn", secret)


def test_whoever_went_on_in_a_session_could_guess_codes_without_end(
    accounts: Accounts, quinn: str, clock: Clock
) -> None:
    """And so begin sessions of their own, with the password and the secret of one that soon ends."""
    secret = accounts.identify("quinn", PASSWORD, code(quinn, clock)).session_secret
    for count in range(5):
        with pytest.raises(UsageError, match="is wrong"):
            accounts.identify("quinn", PASSWORD, "000000")
        if count < 4:
            assert accounts.identify("quinn", PASSWORD, session=secret).components == ("password",)
    with pytest.raises(UsageError, match="is locked until"):
        accounts.identify("quinn", PASSWORD, session=secret)
    clock.pass_(minutes=16)
    accounts.identify("quinn", PASSWORD, code(quinn, clock))


def test_signing_on_in_a_session_counts_as_no_failed_attempt(accounts: Accounts, quinn: str, clock: Clock) -> None:
    secret = accounts.identify("quinn", PASSWORD, code(quinn, clock)).session_secret
    for _ in range(12):
        assert accounts.identify("quinn", PASSWORD, session=secret).session
