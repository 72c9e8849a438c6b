"""Signing with a login at an OpenID provider in the place of the one-time code: linking, sessions, the record, and who may not."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyotp
import pytest

from devicepipe.approval.secret_box import Secrets
from devicepipe.errors import IntegrityError, UsageError
from devicepipe.evidence.model import ProviderLogin
from devicepipe.evidence.signatures import Identity, Person, Signature, check_login, record_folder
from tests.approval.provider import Running, provider
from tests.cli.calls import WORDS, enrol, entries, run, sign


@pytest.fixture
def running(root: Path, people: dict[str, pyotp.TOTP], monkeypatch: pytest.MonkeyPatch) -> Iterator[Running]:
    """A provider that the product asks, whose page somebody opens at once; quinn is linked to it."""
    assert people
    with provider() as found:
        with (root / "devicepipe.toml").open("a") as file:
            file.write(f'\n[approval.oidc]\nissuer = "{found.issuer}"\nclient-id = "devicepipe"\n')
        monkeypatch.setattr("devicepipe.cli.identify.show_address", found.browser)
        told = run("account", "link", "quinn")[1]
        assert (told["issuer"], told["subject"]) == (found.issuer, "quinn@example.com")
        yield found


def candidate(bundle: Path, people: dict[str, pyotp.TOTP]) -> None:
    sign("submit", bundle, "eva", WORDS["eva"], people["eva"].now())


def test_a_linked_account_signs_with_password_and_login_and_then_with_the_password(
    bundle: Path, people: dict[str, pyotp.TOTP], running: Running
) -> None:
    candidate(bundle, people)
    told = sign("approve", bundle, "quinn", WORDS["quinn"])[1]
    assert told["components"] == ["password", "oidc"]
    assert (told["login"]["issuer"], told["login"]["subject"]) == (running.issuer, "quinn@example.com")
    assert abs(datetime.fromisoformat(told["login"]["on"]) - datetime.now(UTC)) < timedelta(minutes=5)
    assert running.verified == 2
    told = sign("retract", bundle, "quinn", WORDS["quinn"])[1]
    assert (told["components"], "login" in told, running.verified) == (["password"], False, 2)
    assert [(one["by"], one["details"].get("components")) for one in entries("login")] == [
        ("eva", "password+totp"), ("quinn", "password+oidc"), ("quinn", "password"),
    ]  # fmt: skip
    assert "linked" in [one["details"]["change"] for one in entries("account")]


def test_the_record_of_it_verifies_with_no_provider(
    bundle: Path, people: dict[str, pyotp.TOTP], running: Running
) -> None:
    candidate(bundle, people)
    sign("approve", bundle, "quinn", WORDS["quinn"])
    running.about = {"issuer": "https://gone.example.com"}
    key = bundle.parents[1] / ".devicepipe/keys/release.pub.pem"
    assert len(run("verify", bundle, "--key", key)[1]["approval"]["signatures"]) == 2


def refused(bundle: Path, error: type[Exception], why: str, *secrets: str) -> None:
    with pytest.raises(error, match=why):
        sign("approve", bundle, "quinn", *secrets)
    assert not (record_folder(bundle) / "0002.dsse.json").exists()


def test_somebody_else_of_the_provider_signs_nothing(
    bundle: Path, people: dict[str, pyotp.TOTP], running: Running
) -> None:
    candidate(bundle, people)
    running.who = "ron@example.com"
    refused(bundle, UsageError, "account, password or login is wrong", WORDS["quinn"])
    running.who = None
    refused(bundle, UsageError, "refused the login", WORDS["quinn"])
    running.who = "quinn@example.com"
    refused(bundle, UsageError, "is wrong", "not the password")
    assert [one["details"]["outcome"] for one in entries("login")][1:] == ["refused"] * 3


def test_a_token_that_does_not_hold_signs_nothing(
    bundle: Path, people: dict[str, pyotp.TOTP], running: Running
) -> None:
    candidate(bundle, people)
    running.resign = running.unknown = True
    refused(bundle, IntegrityError, "not signed by exactly one of its keys", WORDS["quinn"])
    assert entries("login")[-1]["details"]["outcome"] == "refused"


def test_a_login_is_no_way_around_the_lock(bundle: Path, people: dict[str, pyotp.TOTP], running: Running) -> None:
    candidate(bundle, people)
    running.who = "ron@example.com"
    for _ in range(5):
        refused(bundle, UsageError, "is wrong", WORDS["quinn"])
    running.who = "quinn@example.com"
    refused(bundle, UsageError, "is locked", WORDS["quinn"])


def test_a_one_time_code_is_no_longer_taken_until_the_link_is_removed(
    bundle: Path, people: dict[str, pyotp.TOTP], running: Running
) -> None:
    candidate(bundle, people)
    running.who = None
    refused(bundle, UsageError, "refused the login", WORDS["quinn"], people["quinn"].now())
    run("account", "link", "quinn", "--remove")
    told = sign("approve", bundle, "quinn", WORDS["quinn"], people["quinn"].now())[1]
    assert told["components"] == ["password", "totp"]


def test_a_person_of_the_provider_is_one_account(people: dict[str, pyotp.TOTP], running: Running) -> None:
    assert running
    with pytest.raises(UsageError, match="is quinn: one person is one account"):
        run("account", "link", "ron")
    with pytest.raises(UsageError, match="there is no account nobody"):
        run("account", "link", "nobody")


@pytest.mark.parametrize("unlinked", [False, True], ids=["linked", "unlinked-before"])
def test_a_person_of_the_provider_whose_account_is_closed_gets_no_second_one(
    people: dict[str, pyotp.TOTP], running: Running, unlinked: bool
) -> None:
    assert running
    if unlinked:
        run("account", "link", "quinn", "--remove")
    run("account", "close", "quinn")
    enrol("quinn2", "four green umbrellas", "qa")
    with pytest.raises(UsageError, match="is quinn, an account that is closed: one person is one account") as caught:
        run("account", "link", "quinn2")
    assert "account reopen quinn --role" in caught.value.remedy
    run("account", "reopen", "quinn", "--role", "qa", secrets=("seven green umbrellas",))
    run("account", "link", "quinn")


def test_a_link_to_the_wrong_person_is_mended(people: dict[str, pyotp.TOTP], running: Running) -> None:
    """ron sat at the machine when quinn's account was linked anew: ron's own account is linked once that is taken back."""
    assert people
    running.who = "ron@example.com"
    run("account", "link", "quinn")
    with pytest.raises(UsageError, match="is quinn: one person is one account"):
        run("account", "link", "ron")
    running.who = "quinn@example.com"
    run("account", "link", "quinn")
    running.who = "ron@example.com"
    run("account", "link", "ron")


def test_a_product_without_a_provider_says_how_to_name_one(people: dict[str, pyotp.TOTP]) -> None:
    assert people
    with pytest.raises(UsageError, match="has no OpenID provider") as caught:
        run("account", "link", "quinn")
    assert caught.value.key == "approval.oidc"


def test_a_waiver_takes_a_login_too(root: Path, people: dict[str, pyotp.TOTP], running: Running) -> None:
    until = (datetime.now(UTC).date() + timedelta(days=30)).isoformat()
    words = ("waive", "no-failed-verdicts", "--board", "one", "--finding", "failed: a.py::b: c", "--reason", "r")
    told = run(*words, "--until", until, "--as", "quinn", secrets=(WORDS["quinn"],))[1]["waiver"]["signer"]
    assert (told["components"], told["login"]["subject"]) == (["password", "oidc"], "quinn@example.com")


def signature(components: list[Any], login: ProviderLogin | None) -> Signature:
    return Signature(
        product="pump",
        version="1.2.3",
        number=1,
        roster="ab" * 32,
        action="approve",
        meaning="m",
        account="quinn",
        name="Quinn",
        role="qa",
        on="2026-01-01T00:00:00.000000Z",
        components=components,
        session="s",
        first_of_session=True,
        login=login,
    )


def test_a_roster_that_is_older_than_the_link_is_told_and_nothing_is_signed(
    root: Path, bundle: Path, people: dict[str, pyotp.TOTP], running: Running
) -> None:
    candidate(bundle, people)
    run("account", "link", "quinn", "--remove")
    old = (root / "approval/roster.dsse.json").read_bytes()
    run("account", "link", "quinn")
    (root / "approval/roster.dsse.json").write_bytes(old)
    refused(bundle, UsageError, "this is not the newest roster", WORDS["quinn"])


LOGIN = ProviderLogin(issuer="https://a", subject="q", on="2026-01-01T00:00:00.000000Z", token="ab" * 32)


@pytest.mark.parametrize(
    ("components", "login", "identity"),
    [
        (["password", "totp"], None, Identity(issuer="https://a", subject="q")),
        (["password", "oidc"], None, Identity(issuer="https://a", subject="q")),
        (["password", "totp"], LOGIN, Identity(issuer="https://a", subject="q")),
        (["password", "oidc"], LOGIN, None),
        (["password", "oidc"], LOGIN, Identity(issuer="https://a", subject="r")),
        (["password", "oidc"], LOGIN, Identity(issuer="https://b", subject="q")),
    ],
    ids=["no-login", "untold", "no-component", "not-linked", "another-person", "another-provider"],
)
def test_a_login_that_is_not_the_rosters_person_is_refused_by_verify(
    components: list[Any], login: ProviderLogin | None, identity: Identity | None
) -> None:
    person = Person(
        account="quinn",
        name="Quinn",
        email="q@e",
        roles=["qa"],
        public_key=Secrets.new().public_key().pem.decode(),
        since="2026-01-01T00:00:00.000000Z",
        identity=identity,
    )
    with pytest.raises(IntegrityError) as caught:
        check_login(signature(components, login), person, "0001.dsse.json")
    assert caught.value.link == "0001.dsse.json"
