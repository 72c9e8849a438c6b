"""The roster and the log: who signs or waives does so by the newest roster, whatever file lies there. Each test is an attack."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path
from typing import Self

import pyotp
import pytest

from devicepipe.approval import record
from devicepipe.approval.record import read_record
from devicepipe.approval.secret_box import Secrets
from devicepipe.durable import alone
from devicepipe.errors import IntegrityError, UsageError
from devicepipe.evidence.signatures import Roster, instant, open_roster, record_folder, sign_release
from devicepipe.evidence.verify import verify_bundle
from devicepipe.project.config import load_project
from devicepipe.signing.keys import PublicKey
from devicepipe.stages import rosters
from devicepipe.stages.approval import open_accounts
from devicepipe.stages.context import open_keys
from devicepipe.stages.rosters import LoggedRoster, next_roster
from tests.cli.calls import WORDS, enrol, entries, run, run_text, sign
from tests.cli.test_waive_by_account import folder, waive

ROSTER = "approval/roster.dsse.json"


def test_e1_an_older_roster_from_version_control_lets_nobody_sign(
    root: Path, bundle: Path, people: dict[str, pyotp.TOTP]
) -> None:
    old = (root / ROSTER).read_bytes()
    run("account", "roles", "quinn", "--role", "engineer")
    (root / ROSTER).write_bytes(old)
    for who in ("quinn", "eva"):
        with pytest.raises(UsageError, match="this is not the newest roster, which is number 4") as caught:
            sign("submit", bundle, who, WORDS[who], people[who].now())
        assert "devicepipe account roster" in (caught.value.remedy or "")
    assert not record_folder(bundle).exists()


def test_w1_an_older_roster_lets_nobody_waive(root: Path, people: dict[str, pyotp.TOTP]) -> None:
    old = (root / ROSTER).read_bytes()
    run("account", "roles", "quinn", "--role", "engineer")
    (root / ROSTER).write_bytes(old)
    with pytest.raises(UsageError, match="this is not the newest roster"):
        waive("quinn", WORDS["quinn"], people["quinn"].now())
    assert not folder(root).exists()


def test_each_roster_is_in_the_log_by_number_and_digest_and_one_made_from_an_older_one_is_later_than_all(
    root: Path, people: dict[str, pyotp.TOTP]
) -> None:
    assert people
    old = (root / ROSTER).read_bytes()
    run("account", "roles", "quinn", "--role", "engineer")
    digest = hashlib.sha256((root / ROSTER).read_bytes()).hexdigest()
    assert entries("account")[-1]["digest"] == digest
    assert (entries("key-use")[-1]["subject"], entries("key-use")[-1]["digest"]) == ("roster 4", digest)
    (root / ROSTER).write_bytes(old)
    with pytest.raises(
        UsageError, match=r"roster: the newest is number 4 of .*, which the file is not; quinn: roles is"
    ):
        run("account", "roster")
    run("account", "roster", "--accept-differences")
    assert entries("key-use")[-1]["subject"] == "roster 5"


def test_a_roster_that_was_logged_by_a_killed_process_is_put_in_its_place(
    root: Path, bundle: Path, people: dict[str, pyotp.TOTP]
) -> None:
    old = (root / ROSTER).read_bytes()
    run("account", "roles", "eva", "--role", "engineer", "--role", "qa")
    (root / ROSTER).rename(root / "approval/.roster.dsse.json.new")
    (root / ROSTER).write_bytes(old)
    assert sign("submit", bundle, "eva", WORDS["eva"], people["eva"].now())[1]["state"] == "candidate"
    assert (root / ROSTER).read_bytes() != old


def test_a_roster_that_is_signed_anew_while_somebody_types_the_password_signs_nothing(
    bundle: Path, people: dict[str, pyotp.TOTP], monkeypatch: pytest.MonkeyPatch
) -> None:
    from devicepipe.cli import identify

    typed = identify.identify

    def slowly(*arguments: object) -> object:
        run("account", "roles", "eva", "--role", "qa")
        return typed(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(identify, "identify", slowly)
    with pytest.raises(UsageError, match="the roster was signed anew meanwhile"):
        sign("submit", bundle, "eva", WORDS["eva"], people["eva"].now())
    assert not record_folder(bundle).exists()


def test_who_lost_the_role_while_the_record_was_held_signed_and_nobody_could_withdraw_after_that(
    bundle: Path, people: dict[str, pyotp.TOTP], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever held the lock of the record kept a right for so long, and by the newer roster that signature did not hold."""
    sign("submit", bundle, "eva", WORDS["eva"], people["eva"].now())
    waited: list[Path] = []

    @contextmanager
    def waits(folder: Path) -> Iterator[None]:
        waited.append(folder)
        if len(waited) == 2:  # the first time, proofs of the signatures before are looked for
            run("account", "roles", "ron", "--role", "engineer")
        with alone(folder):
            yield

    with monkeypatch.context() as patch:
        patch.setattr(record, "alone", waits)
        with pytest.raises(UsageError, match="the roster was signed anew meanwhile"):
            sign("approve", bundle, "ron", WORDS["ron"], people["ron"].now())
    assert len(waited) == 2
    assert sign("withdraw", bundle, "quinn", WORDS["quinn"], people["quinn"].now())[1]["state"] == "withdrawn"


def test_a_signature_that_was_dated_back_to_before_its_signer_lost_the_role_was_logged_and_counted(
    root: Path, bundle: Path, people: dict[str, pyotp.TOTP]
) -> None:
    """By a program of the signer's own; whoever signed next took it for that of a signer whose process had been killed."""
    sign("submit", bundle, "eva", WORDS["eva"], people["eva"].now())
    project = load_project(root / "devicepipe.toml")
    accounts = open_accounts(project)
    ron = accounts.identify("ron", WORDS["ron"], people["ron"].now())
    accounts.dispose()
    on = instant(datetime.now(UTC))
    run("account", "roles", "ron", "--role", "engineer")
    release = hashlib.sha256((bundle / "release.json").read_bytes()).hexdigest()
    first = read_record(verify_bundle(bundle, open_keys(project).trust)).signatures[0]
    change = {"number": 2, "follows": first.sha256, "action": "approve", "account": "ron", "name": "Ron", "on": on}
    forged = first.signature.model_copy(update={**change, "role": "reviewer", "session": ron.session})
    file = record_folder(bundle) / "0002.dsse.json"
    file.write_bytes(sign_release(forged, release, ron.signer, ron.public_key))
    with pytest.raises(IntegrityError, match="ron has not that key or is no reviewer any more") as caught:
        sign("approve", bundle, "quinn", WORDS["quinn"], people["quinn"].now())
    assert caught.value.link == file.name
    file.unlink()
    assert sign("approve", bundle, "quinn", WORDS["quinn"], people["quinn"].now())[1]["state"] == "candidate"


def test_an_older_roster_that_is_there_for_a_moment_is_not_taken_for_the_newest(
    root: Path, people: dict[str, pyotp.TOTP], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file was read twice, to be used and to be held against the log: whoever exchanged it quickly enough had `keys rotate`
    sign an older one anew, in which an account was open that had been closed."""
    older = (root / ROSTER).read_bytes()
    run("account", "close", "quinn")
    newest = (root / ROSTER).read_bytes()
    (root / ROSTER).write_bytes(older)

    def exchanged(*arguments: object) -> Roster:
        (root / ROSTER).write_bytes(newest)
        return open_roster(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(rosters, "open_roster", exchanged)
    project = load_project(root / "devicepipe.toml")
    with pytest.raises(UsageError, match="this is not the newest roster"):
        rosters.present_roster(project, open_keys(project))
    assert rosters.present_roster(project, open_keys(project)) is not None


# --- the database of accounts alone


def write(root: Path, *statements: tuple[str, tuple[object, ...]]) -> None:
    """Write into the database, as whoever has it and nothing else can."""
    with closing(sqlite3.connect(root / ".devicepipe/accounts.sqlite")) as database:
        for statement, values in statements:
            database.execute(statement, values)
        database.commit()


def key() -> str:
    return Secrets.new().public_key().pem.decode()


FORMER = (
    "INSERT INTO former_key (account, until, name, email, public_key, since) "
    "VALUES ('quinn', ?, 'Quinn', 'quinn@example.com', ?, '2020-01-01 00:00:00.000000')"
)
STRANGE = "quinn: a key that is in no roster"
WRITTEN: dict[str, tuple[str, tuple[object, ...], str]] = {
    # what is written: (how, with what, what is told)
    "another key": ("UPDATE account SET public_key = ? WHERE id = 'quinn'", (key(),), STRANGE),
    "a former key": (FORMER, ("2026-01-01 00:00:00.000000", key()), STRANGE),
    "a role": ("INSERT INTO account_role VALUES ('eva', 'release-manager')", (),
               "eva: roles is engineer, release-manager in the database, engineer in the roster"),
    "a name": ("UPDATE account SET name = 'Somebody' WHERE id = 'ron'", (), "ron: name is Somebody in the database"),
    "an address": ("UPDATE account SET email = 'a@b' WHERE id = 'ron'", (), "ron: email is a@b in the database"),
    "a provider's person": ("INSERT INTO account_identity VALUES ('ron', 'https://i', 's')", (), "ron: identity is .*, none"),
    "an account taken out": ("DELETE FROM account WHERE id = 'ron'", (), "ron: the key that the roster gives is not in"),
}  # fmt: skip
CHANGES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "add": (("newbie", "--name", "New", "--email", "n@example.com", "--role", "engineer"), ("four unrelated long words",)),
    "roles": (("quinn", "--role", "qa", "--role", "regulatory"), ()),
    "reset": (("quinn",), ("four unrelated long words",)),
    "close": (("eva",), ()),
    "roster": ((), ()),
}  # fmt: skip


@pytest.mark.parametrize("what", WRITTEN)
def test_d1_what_is_written_into_the_database_comes_into_no_roster(
    root: Path, people: dict[str, pyotp.TOTP], what: str
) -> None:
    assert people
    statement, values, told = WRITTEN[what]
    write(root, (statement, values))
    before, database = (root / ROSTER).read_bytes(), (root / ".devicepipe/accounts.sqlite").read_bytes()
    for command, (words, secrets) in CHANGES.items():
        with pytest.raises(UsageError, match=told) as caught:
            run("account", command, *words, secrets=secrets)
        assert caught.value.file == root / ROSTER
        assert "who changed the database" in (caught.value.remedy or "")
    assert (root / ROSTER).read_bytes() == before
    assert (root / ".devicepipe/accounts.sqlite").read_bytes() == database


def test_d1_nor_where_it_is_written_while_the_command_runs(
    root: Path, people: dict[str, pyotp.TOTP], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert people
    monkeypatch.setattr("devicepipe.stages.rosters.check_accounts", lambda *_: None)
    write(root, ("UPDATE account SET public_key = ? WHERE id = 'ron'", (key(),)))
    for words in (("roles", "ron", "--role", "qa"), ("close", "ron"), ("roles", "eva", "--role", "qa")):
        with pytest.raises(UsageError, match="ron: a key that is in no roster"):
            run("account", *words)


def test_differences_are_shown_signed_only_on_demand_and_each_logged(root: Path, people: dict[str, pyotp.TOTP]) -> None:
    assert people
    write(root, (WRITTEN["a role"][0], ()), (WRITTEN["a name"][0], ()))
    with pytest.raises(UsageError, match=r"eva: roles is .*; ron: name is"):
        run("account", "roster")
    assert "eva: roles is" in run_text("account", "roster", "--accept-differences")
    told = [(one["subject"], one["details"]["change"]) for one in entries("account")[-3:]]
    assert told == [("eva", "difference accepted"), ("ron", "difference accepted"), ("roster", "signed anew")]
    assert entries("account")[-3]["details"]["reason"].startswith("roles is engineer, release-manager in the database")
    run("account", "roles", "quinn", "--role", "qa", "--role", "regulatory")


def test_d2_a_key_or_its_end_in_the_future_is_not_signed_even_so(root: Path, people: dict[str, pyotp.TOTP]) -> None:
    assert people
    write(root, (FORMER, ("2099-01-01 00:00:00.000000", key())))
    with pytest.raises(IntegrityError, match="gives quinn a key that begins or ends after"):
        run("account", "roster", "--accept-differences")


def test_s4_a_former_key_keeps_the_roles_that_it_had(root: Path, people: dict[str, pyotp.TOTP]) -> None:
    assert people
    run("account", "reset", "eva", secrets=("some phrase nobody had",))
    run("account", "roles", "eva", "--role", "qa", "--role", "engineer")
    run("account", "roster", "--accept-differences")
    public = PublicKey.load(root / ".devicepipe/keys/release.pub.pem")
    roster = open_roster((root / ROSTER).read_bytes(), public, "pump", "roster")
    own = [one for one in roster.people if one.account == "eva"]
    assert [(one.roles, one.until is None) for one in own] == [(["engineer"], False), (["engineer", "qa"], True)]


@pytest.mark.parametrize(("ahead", "taken"), [(4, True), (6, False), (60 * 24 * 365, False)])
@pytest.mark.parametrize("what", ["the roster before", "a logged signature", "both"])
def test_what_is_dated_far_ahead_keeps_nobody_from_signing_under_the_next_roster(
    what: str, ahead: int, taken: bool
) -> None:
    """A signature by a program of somebody's own, or the clock of whoever made the roster before."""
    now, then = (instant(datetime.now(UTC) + timedelta(minutes=minutes)) for minutes in (0, ahead))
    before = Roster(product="pump", number=7, on=now if what == "a logged signature" else then, people=[])
    newest = LoggedRoster(number=7, signed="" if what == "the roster before" else then)
    following = next_roster(before, newest, Roster(product="pump", number=1, on=now, people=[]))
    assert (following.number, following.on) == (8, then if taken else now)


@contextmanager
def clock_ahead(days: int) -> Iterator[None]:
    """The accounts and their roster have a clock that is ahead."""

    class Ahead(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Self:
            return super().now(tz) + timedelta(days=days)

    with pytest.MonkeyPatch.context() as patch:
        for module in ("devicepipe.stages.rosters", "devicepipe.approval.accounts"):
            patch.setattr(f"{module}.datetime", Ahead)
        yield


def test_one_key_made_by_a_clock_ahead_kept_accounts_from_being_changed_until_then(
    root: Path, bundle: Path, people: dict[str, pyotp.TOTP]
) -> None:
    """And with that everybody from signing: no roster could have its time, and none was signed without it."""
    with clock_ahead(days=3650):
        enrol("rita", "nine yellow umbrellas", "release-manager")
        for word in ("first new phrase", "second new phrase"):
            run("account", "reset", "ron", secrets=(word,))
        run("account", "close", "quinn")
    with pytest.raises(UsageError, match=r"quinn: a key that ends on .* which is to come") as caught:
        run("account", "roles", "rita", "--role", "qa")
    assert "--accept-differences" in str(caught.value.remedy)
    with pytest.raises(UsageError, match="the roster is dated"):
        sign("submit", bundle, "eva", WORDS["eva"], people["eva"].now())
    _, told = run("account", "roster", "--accept-differences")
    assert len(told["differences"]) == 6
    assert [one["details"]["change"] for one in entries("account")].count("difference accepted") == 6
    assert run("account", "roster")[1]["differences"] == []
    run("account", "roles", "rita", "--role", "qa")
    sign("submit", bundle, "eva", WORDS["eva"], people["eva"].now())
    public = PublicKey.load(root / ".devicepipe/keys/release.pub.pem")
    roster = open_roster((root / ROSTER).read_bytes(), public, "pump", "roster")
    assert [one.until is None for one in roster.people if one.account == "ron"] == [False, False, True]
