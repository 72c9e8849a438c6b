"""Accounts in SQLite and in PostgreSQL: who is let in, who is not, and what is never told."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import pytest
import sqlalchemy as sa

from devicepipe.approval.accounts import AGAIN, Accounts
from devicepipe.approval.lifecycle import Role
from devicepipe.approval.schema import ACCOUNT, ROLE
from devicepipe.errors import BenchError, UsageError
from devicepipe.signing.keys import PublicKey
from tests.approval.conftest import CHEAP, PASSWORD, Clock, code

WRONG = "account, password or code is wrong"


@pytest.fixture
def quinn(accounts: Accounts) -> str:
    """The authenticator's URI of an account."""
    return accounts.add("quinn", "Quinn Ångström", "Quinn@Example.com", [Role.QA, Role.REVIEWER], PASSWORD)


def test_somebody_with_both_components_can_sign_under_the_key_of_the_roster(
    accounts: Accounts, quinn: str, clock: Clock
) -> None:
    found = accounts.identify("quinn", PASSWORD, code(quinn, clock))
    assert (found.components, found.first_of_session) == (("password", "totp"), True)
    assert (found.account.name, found.account.email) == ("Quinn Ångström", "quinn@example.com")
    assert found.account.roles == (Role.QA, Role.REVIEWER)
    (person,) = accounts.people()
    key = PublicKey.from_pem(person.public_key.encode())
    assert key.verifies(bytes.fromhex(found.signer.sign(b"text").signature), b"text")
    assert (person.account, person.since, person.until) == ("quinn", "2026-03-02T03:04:05.000000Z", None)


@pytest.mark.parametrize(
    ("account", "password", "steps"),
    [("quinn", PASSWORD + "!", 0), ("nobody", PASSWORD, 0), ("quinn", PASSWORD, 3), ("quinn", PASSWORD, -3)],
    ids=["password", "account", "code-to-come", "code-of-long-ago"],
)
def test_whatever_is_wrong_the_answer_is_the_same(
    accounts: Accounts, quinn: str, clock: Clock, account: str, password: str, steps: int
) -> None:
    with pytest.raises(UsageError) as caught:
        accounts.identify(account, password, code(quinn, clock, steps))
    assert (caught.value.message, caught.value.remedy) == (WRONG, AGAIN)


def test_the_password_alone_begins_no_session(accounts: Accounts, quinn: str) -> None:
    assert quinn
    with pytest.raises(UsageError, match="takes a one-time code"):
        accounts.identify("quinn", PASSWORD)


def test_a_code_is_taken_once_and_none_before_it(accounts: Accounts, quinn: str, clock: Clock) -> None:
    accounts.identify("quinn", PASSWORD, code(quinn, clock))
    for steps in (0, -1):
        with pytest.raises(UsageError, match=WRONG):
            accounts.identify("quinn", PASSWORD, code(quinn, clock, steps))
    clock.pass_(seconds=30)
    assert accounts.identify("quinn", PASSWORD, code(quinn, clock)).first_of_session


def test_too_many_failures_lock_the_account_also_for_the_right_password(
    accounts: Accounts, quinn: str, clock: Clock
) -> None:
    for _ in range(CHEAP.lock_after):
        with pytest.raises(UsageError, match=WRONG):
            accounts.identify("quinn", "not this one at all")
    with pytest.raises(UsageError, match="is locked until 03:19 UTC"):
        accounts.identify("quinn", PASSWORD, code(quinn, clock))
    assert accounts.everyone()[0].locked_until is not None
    clock.pass_(minutes=CHEAP.lock_minutes)
    assert accounts.identify("quinn", PASSWORD, code(quinn, clock)).first_of_session
    assert accounts.everyone()[0].locked_until is None


def test_a_lock_by_a_clock_that_was_ahead_held_until_then(accounts: Accounts, quinn: str, clock: Clock) -> None:
    clock.pass_(days=3650)
    for _ in range(CHEAP.lock_after + 1):
        with pytest.raises(UsageError):
            accounts.identify("quinn", "not the password", "000000")
    assert accounts.everyone()[0].locked_until is not None
    clock.pass_(days=-3650)
    assert accounts.everyone()[0].locked_until is None
    accounts.identify("quinn", PASSWORD, code(quinn, clock))


def test_attempts_at_once_are_no_more_attempts(accounts: Accounts, quinn: str) -> None:
    assert quinn
    start = threading.Barrier(8)

    def attempt(_: int) -> str:
        start.wait()
        try:
            accounts.identify("quinn", "not this one at all")
        except UsageError as error:
            return error.message
        return "let in"

    with ThreadPoolExecutor(8) as pool:
        told = list(pool.map(attempt, range(8)))
    assert told.count(WRONG) <= CHEAP.lock_after
    assert sum("locked" in one for one in told) >= 8 - CHEAP.lock_after


def test_a_password_that_is_too_old_signs_nothing_until_it_is_changed(
    accounts: Accounts, quinn: str, clock: Clock
) -> None:
    clock.pass_(days=CHEAP.password_days, seconds=1)
    with pytest.raises(UsageError, match="is of 2026-03-02 and too old"):
        accounts.identify("quinn", PASSWORD, code(quinn, clock))
    accounts.change_password("quinn", PASSWORD, "quite another phrase")
    before = accounts.people()
    assert accounts.identify("quinn", "quite another phrase", code(quinn, clock)).first_of_session
    assert accounts.people() == before, "the key stays"
    with pytest.raises(UsageError, match=WRONG):
        accounts.identify("quinn", PASSWORD)


@pytest.mark.parametrize(
    ("password", "why"),
    [
        ("short", "at least 12"),
        ("quinn quinn quinn", "guessed"),
        ("aaaaaaaaaaaaaaaa", "guessed"),
        (PASSWORD, "the old one"),
    ],
)
def test_a_password_that_will_not_do_is_refused(accounts: Accounts, quinn: str, password: str, why: str) -> None:
    assert quinn
    with pytest.raises(UsageError, match=why):
        accounts.change_password("quinn", PASSWORD, password)


def test_a_reset_gives_a_new_key_and_keeps_the_old_one_in_the_roster(
    accounts: Accounts, quinn: str, clock: Clock
) -> None:
    (before,) = accounts.people()
    session = accounts.identify("quinn", PASSWORD, code(quinn, clock)).session_secret
    clock.pass_(hours=1)
    uri = accounts.reset("quinn", "quite another phrase")
    old, new = accounts.people()
    assert old == before.model_copy(update={"until": "2026-03-02T04:04:05.000000Z"})
    assert new.since == old.until
    assert new.public_key != old.public_key
    assert not accounts.goes_on("quinn", session)
    with pytest.raises(UsageError, match=WRONG):
        accounts.identify("quinn", "quite another phrase", code(quinn, clock))
    assert accounts.identify("quinn", "quite another phrase", code(uri, clock)).first_of_session


def test_a_closed_account_signs_nothing_and_its_id_is_never_given_again(
    accounts: Accounts, quinn: str, clock: Clock
) -> None:
    clock.pass_(hours=1)
    accounts.close("quinn")
    with pytest.raises(UsageError, match=WRONG):
        accounts.identify("quinn", PASSWORD, code(quinn, clock))
    assert accounts.people()[0].until == "2026-03-02T04:04:05.000000Z"
    with pytest.raises(UsageError, match="never given again"):
        accounts.add("quinn", "Another Quinn", "q@example.com", [Role.QA], "quite another phrase")
    with pytest.raises(UsageError, match="is closed"):
        accounts.reset("quinn", "quite another phrase")


def test_roles_can_be_changed_but_not_taken_away_altogether(accounts: Accounts, quinn: str) -> None:
    assert quinn
    accounts.set_roles("quinn", [Role.ENGINEER])
    assert accounts.everyone()[0].roles == (Role.ENGINEER,)
    with pytest.raises(UsageError, match="at least one role"):
        accounts.set_roles("quinn", [])
    with pytest.raises(UsageError, match="no account nobody"):
        accounts.set_roles("nobody", [Role.QA])


def test_neither_password_nor_key_nor_code_is_in_the_database(
    url: str, accounts: Accounts, quinn: str, clock: Clock
) -> None:
    found = accounts.identify("quinn", PASSWORD, code(quinn, clock))
    assert PASSWORD not in repr(found)
    secret = quinn.partition("secret=")[2].partition("&")[0]
    engine = sa.create_engine(url)
    with engine.connect() as db:
        stored = repr([[*db.execute(sa.select(table))] for table in (ACCOUNT, ROLE)])
    engine.dispose()
    assert "quinn" in stored
    assert PASSWORD not in stored
    assert secret not in stored


def test_a_database_that_cannot_be_reached_is_told_as_such(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="the database of accounts cannot be used"):
        Accounts(f"sqlite:///{tmp_path}/none/accounts.sqlite", CHEAP)
    with pytest.raises(BenchError, match="the database of accounts cannot be used"):
        Accounts(f"postgresql+psycopg://tester@/none?host={tmp_path}", CHEAP)


def test_r5_a_change_of_the_password_forgives_no_wrong_code(accounts: Accounts, quinn: str, clock: Clock) -> None:
    words = (PASSWORD, "purple monkey dishwasher")
    for _ in range(CHEAP.lock_after - 1):
        with pytest.raises(UsageError, match=WRONG):
            accounts.identify("quinn", words[0], "000000")
    accounts.change_password("quinn", *words)
    with pytest.raises(UsageError, match=WRONG):
        accounts.identify("quinn", words[1], "000000")
    with pytest.raises(UsageError, match="is locked until"):
        accounts.identify("quinn", words[1], "000000")
    with pytest.raises(UsageError, match="is locked until"):
        accounts.change_password("quinn", words[1], words[0])
    clock.pass_(minutes=CHEAP.lock_minutes, seconds=1)
    assert accounts.identify("quinn", words[1], code(quinn, clock)).first_of_session


def test_changes_of_a_password_alone_lock_nobody_out(accounts: Accounts, quinn: str, clock: Clock) -> None:
    words = (PASSWORD, *(f"purple monkey dishwasher {turn}" for turn in range(2 * CHEAP.lock_after)))
    for old, new in pairwise(words):
        accounts.change_password("quinn", old, new)
    assert accounts.identify("quinn", words[-1], code(quinn, clock)).first_of_session


@pytest.mark.parametrize(
    ("email", "why"),
    [
        ("not-an-address", "is no e-mail address"),
        ("Two <two@example.com>", "is no e-mail address"),
        ("QUINN@example.com ", "is the address of quinn"),
        ("RENE\u0301@example.com", "is the address of rene"),
        ("straSSe@example.com", "is the address of rolf"),
    ],
)
def test_an_account_has_an_address_of_its_own_by_which_commits_name_its_person(
    accounts: Accounts, quinn: str, email: str, why: str
) -> None:
    assert quinn
    accounts.add("rene", "René", "ren\xe9@example.com", [Role.QA], PASSWORD)
    accounts.add("rolf", "Rolf", "stra\xdfe@example.com", [Role.QA], PASSWORD)
    with pytest.raises(UsageError, match=why):
        accounts.add("other", "Other", email, [Role.QA], "four green umbrellas")


@pytest.mark.parametrize("second", [("nina", "n@example.com"), ("other", "nina@example.com")], ids=["id", "address"])
def test_who_adds_an_account_at_once_with_somebody_else_runs_it_again(
    accounts: Accounts, url: str, clock: Clock, second: tuple[str, str]
) -> None:
    """Two machines, which have no lock in common: the other one adds its account after this one saw that nothing is taken."""
    others = [Accounts(url, CHEAP, clock)]

    def meanwhile(_: object, __: object, statement: str, *___: object) -> None:
        if statement.startswith("INSERT INTO account ") and others:
            other = others.pop()
            other.add(second[0], "Other", second[1], [Role.QA], "four green umbrellas")
            other.dispose()

    sa.event.listen(sa.Engine, "before_cursor_execute", meanwhile)
    try:
        with pytest.raises(UsageError, match="the accounts were changed meanwhile") as caught:
            accounts.add("nina", "Nina", "nina@example.com", [Role.QA], PASSWORD)
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", meanwhile)
    assert caught.value.remedy == "run it again"
    assert [one.name for one in accounts.everyone()] == ["Other"]
    with pytest.raises(UsageError, match=second[0]):
        accounts.add("nina", "Nina", "nina@example.com", [Role.QA], PASSWORD)
