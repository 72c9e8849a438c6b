"""21 CFR Part 11: one test for each paragraph that software can meet, named by it; docs/reference/part-11.md tells of each.

The paragraphs that people and procedures meet (11.10(h) to (j), 11.30, 11.100(b) and (c), 11.300(e)) are in that table, too.
"""

from __future__ import annotations

import functools
import re
import shutil
import sqlite3
from datetime import timedelta
from pathlib import Path

import pyotp
import pytest

from devicepipe.approval.accounts import Accounts
from devicepipe.approval.record import read_record
from devicepipe.errors import IntegrityError, UsageError
from devicepipe.evidence.signatures import record_folder, sign_release
from devicepipe.evidence.verify import verify_bundle
from devicepipe.project.config import load_project
from devicepipe.stages.context import open_keys
from tests.approval.conftest import Clock
from tests.cli.calls import WORDS, entries, run, run_text
from tests.evidence.synthetic_bundle import Keys, Pair, make_bundle

REPOSITORY = Path(__file__).parents[2]
MEANING = "I have reviewed the verification report"


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The time by which accounts, codes and sessions go."""
    made = Clock()
    # In this order: who imports the second module after the first was changed takes this test's clock over for good.
    monkeypatch.setattr("devicepipe.stages.approval.Accounts", functools.partial(Accounts, now=made))
    monkeypatch.setattr("devicepipe.approval.accounts.Accounts", functools.partial(Accounts, now=made))
    return made


class Signer:
    """Signs as people do; each first signature of a session with a fresh code."""

    def __init__(self, bundle: Path, people: dict[str, pyotp.TOTP], clock: Clock) -> None:
        self.bundle, self.people, self.clock = bundle, people, clock

    def __call__(self, command: str, who: str, *secrets: str, bundle: Path | None = None) -> dict[str, object]:
        self.clock.pass_(seconds=31)
        given = secrets or (WORDS[who], self.people[who].at(self.clock.now))
        words = (command, bundle or self.bundle, "--as", who, "--meaning", MEANING)
        told: dict[str, object] = run(*words, secrets=given)[1]
        return told

    def approve(self) -> None:
        self("submit", "eva")
        self("approve", "ron")
        self("approve", "quinn")


@pytest.fixture
def sign(bundle: Path, people: dict[str, pyotp.TOTP], clock: Clock) -> Signer:
    return Signer(bundle, people, clock)


def key_of(bundle: Path) -> Path:
    return bundle.parents[1] / ".devicepipe/keys/release.pub.pem"


def refused(*words: object) -> str:
    """The link that a command names."""
    with pytest.raises(IntegrityError) as caught:
        run(*words)
    return caught.value.link


# --- 11.10: controls for closed systems


def test_11_10_a_altered_records_are_discerned(sign: Signer) -> None:
    """Of the release and of what was signed: the file is named, and nothing is signed on top of it."""
    sign.approve()
    for path, link in (
        (sign.bundle / "documents/report.pdf", "documents/report.pdf"),
        (record_folder(sign.bundle) / "0002.dsse.json", "0002.dsse.json"),
    ):
        whole = path.read_bytes()
        path.write_bytes(bytes([whole[0] ^ 1]) + whole[1:])
        assert refused("verify", sign.bundle, "--key", key_of(sign.bundle)) == link
        with pytest.raises(IntegrityError):
            sign("withdraw", "quinn")
        path.write_bytes(whole)
    assert run("verify", sign.bundle, "--key", key_of(sign.bundle))[1]["approval"]["state"] == "approved"


def test_11_10_b_copies_are_complete_for_people_and_for_programs(sign: Signer) -> None:
    sign.approve()
    told = run("approvals", sign.bundle)[1]
    text = run_text("approvals", sign.bundle)
    assert len(told["signatures"]) == 3
    for one in told["signatures"]:
        assert all(one[key] in text for key in ("name", "role", "meaning"))
        assert one["on"][:10] in text
        assert one["on"][11:19] in text
    kinds = ("account", "login", "approval", "key-use")
    assert len(run("log", "show")[1]) == sum(len(entries(kind)) for kind in kinds)


def test_11_10_c_records_hold_without_the_system_that_made_them(sign: Signer, tmp_path: Path) -> None:
    """Years later: the bundle, its signatures and one public key are enough; accounts, log and project are gone."""
    sign.approve()
    kept = tmp_path / "archive"
    kept.mkdir()
    for folder in (sign.bundle, record_folder(sign.bundle)):
        shutil.copytree(folder, kept / folder.name)
    key = shutil.copy(key_of(sign.bundle), kept)
    for name in (".devicepipe", "dist", "approval", "devicepipe.toml"):
        path = sign.bundle.parents[1] / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    told = run("verify", kept / sign.bundle.name, "--key", key)[1]
    assert told["approval"]["state"] == "approved"
    assert told["approval"]["unlogged"] == []


def test_11_10_d_access_is_limited_to_authorized_people(sign: Signer) -> None:
    with pytest.raises(UsageError, match="the roster has no account 'mallory'"):
        sign("submit", "mallory", "any password at all", "000000")
    run("account", "close", "eva")
    with pytest.raises(UsageError, match="the account eva is closed"):
        sign("submit", "eva")
    assert not record_folder(sign.bundle).exists()


def test_11_10_e_the_audit_trail_is_timed_and_obscures_nothing(sign: Signer) -> None:
    """What was decided stays, also where it was decided otherwise later; an entry that is altered or missing is found."""
    sign("submit", "eva")
    sign("approve", "ron")
    sign("reject", "quinn")
    assert run("approvals", sign.bundle)[1]["state"] == "draft"
    assert [one["details"]["outcome"] for one in entries("approval")] == ["submit", "approve", "reject"]
    assert [one["subject"] for one in entries("account")] == ["eva", "ron", "quinn"]
    times = [one["at"] for one in run("log", "show")[1]]
    assert times == sorted(times, key=lambda time: time[:19])  # some have fractions of a second, some have none
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", time) for time in times)
    log = sign.bundle.parents[1] / ".devicepipe/log"
    run("log", "verify", "--key", key_of(sign.bundle))
    for path in sorted(path for path in log.rglob("*") if path.is_file() and "tile" in path.as_posix()):
        whole = path.read_bytes()
        path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
        with pytest.raises(IntegrityError):
            run("log", "verify", "--key", key_of(sign.bundle))
        path.write_bytes(whole)


def test_11_10_f_steps_are_taken_in_their_order(sign: Signer) -> None:
    with pytest.raises(UsageError, match="draft cannot be approved"):
        sign("approve", "ron")
    sign.approve()
    with pytest.raises(UsageError, match="approved cannot be submitted"):
        sign("submit", "eva")
    sign("withdraw", "quinn")
    with pytest.raises(UsageError, match="withdrawn cannot be"):
        sign("approve", "ron")


def test_11_10_g_authority_is_checked(sign: Signer) -> None:
    """For the action, and by the roster that the release key signed: a role that is only in the database is none."""
    sign("submit", "eva")
    with pytest.raises(UsageError, match="eva has no role that may approve"):
        sign("approve", "eva")
    database = sqlite3.connect(sign.bundle.parents[1] / ".devicepipe/accounts.sqlite")
    database.execute("INSERT INTO account_role (account, role) VALUES ('eva', 'qa')")
    database.commit()
    database.close()
    with pytest.raises(UsageError, match="eva has no role that may approve"):
        sign("approve", "eva")


def test_11_10_k_documents_are_those_of_the_release_and_changes_have_an_order(sign: Signer, root: Path) -> None:
    """A document of another release is refused; each roster has a number, and the old ones stay with what they let sign."""
    sign("submit", "eva")
    run("account", "roles", "ron", "--role", "reviewer", "--role", "regulatory")
    sign_as = ("approve", sign.bundle, "--as", "ron", "--role", "reviewer", "--meaning", MEANING)
    sign.clock.pass_(seconds=31)
    run(*sign_as, secrets=(WORDS["ron"], sign.people["ron"].at(sign.clock.now)))
    keys = open_keys(load_project(root / "devicepipe.toml"))
    public = keys.release.public
    record = read_record(verify_bundle(sign.bundle, public))
    assert sorted(roster.number for roster in record.rosters) == [3, 4]
    (sign.bundle / "documents/report.pdf").write_bytes(b"%PDF-1.7 of another revision\n")
    assert refused("verify", sign.bundle, "--key", key_of(sign.bundle)) == "documents/report.pdf"


# --- 11.50 and 11.70: what a signature shows, and what it is bound to


def test_11_50_a_signatures_show_name_time_and_meaning(sign: Signer) -> None:
    told = sign("submit", "eva")
    assert (told["name"], told["meaning"]) == ("Eva", MEANING)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", str(told["on"]))
    with pytest.raises(UsageError, match="has a meaning"):
        run("withdraw", sign.bundle, "--as", "quinn", "--meaning", " ")


def test_11_50_b_what_they_show_is_under_the_same_control_and_in_every_readable_form(sign: Signer) -> None:
    sign("submit", "eva")
    path = record_folder(sign.bundle) / "0001.dsse.json"
    assert "Eva" in run_text("approvals", sign.bundle)
    assert "Eva" in run_text("verify", sign.bundle, "--key", key_of(sign.bundle))
    path.write_bytes(path.read_bytes().replace(b"payload", b"payloae", 1))
    assert refused("approvals", sign.bundle) == "0001.dsse.json"


def test_11_70_a_signature_is_neither_excised_nor_copied_nor_transferred(sign: Signer, root: Path) -> None:
    sign.approve()
    folder = record_folder(sign.bundle)
    keys = open_keys(load_project(root / "devicepipe.toml"))
    pairs = Keys(Pair(keys.image.signer, keys.image.public), Pair(keys.release.signer, keys.release.public))
    other = make_bundle(root / "dist", keys=pairs, version="1.2.4", name="other").path
    shutil.copytree(folder, record_folder(other))
    assert refused("approvals", other) == "0001.dsse.json"
    taken = (folder / "0002.dsse.json").read_bytes()
    (folder / "0002.dsse.json").unlink()
    assert refused("approvals", sign.bundle) == "0002.dsse.json"
    (folder / "0002.dsse.json").write_bytes(taken)
    shutil.copy(folder / "0002.dsse.json", folder / "0004.dsse.json")
    assert refused("approvals", sign.bundle) == "0004.dsse.json"


# --- 11.100 and 11.200: whose a signature is, and by what it is given


def test_11_100_a_a_signature_is_of_one_person_and_never_given_again(sign: Signer) -> None:
    """Nor has one person a second account: who comes back has the own one opened again, and signs with a new key."""
    sign("submit", "eva")
    run("account", "close", "eva")
    others = ("--name", "Eva", "--role", "engineer", "--email")
    with pytest.raises(UsageError, match="an id is never given again"):
        run("account", "add", "eva", *others, "evan@example.com", secrets=("another phrase altogether",))
    with pytest.raises(UsageError, match="is the address of eva, an account that is closed"):
        run("account", "add", "eva2", *others, "Eva@example.com", secrets=("another phrase altogether",))
    sign.clock.pass_(seconds=31)
    reopened = run("account", "reopen", "eva", "--role", "qa", secrets=("another phrase altogether",))[1]
    totp = pyotp.parse_uri(reopened["authenticator"])
    assert isinstance(totp, pyotp.TOTP)
    with pytest.raises(UsageError, match="is wrong"):
        sign("withdraw", "eva")
    sign.clock.pass_(seconds=31)
    assert (
        sign("withdraw", "eva", "another phrase altogether", totp.at(sign.clock.now + timedelta(seconds=31)))["role"]
        == "qa"
    )
    assert [one["role"] for one in run("approvals", sign.bundle)[1]["signatures"]] == ["engineer", "qa"]
    assert entries("account")[-1]["details"] == {"change": "reopened", "role": "qa"}


def test_11_200_a_1_a_signature_takes_two_components(sign: Signer) -> None:
    with pytest.raises(UsageError, match="no line for: One-time code"):
        sign("submit", "eva", WORDS["eva"])
    with pytest.raises(UsageError, match="is wrong"):
        sign("submit", "eva", WORDS["eva"], "000000")
    with pytest.raises(UsageError, match="is wrong"):
        sign("submit", "eva", "not the password", sign.people["eva"].at(sign.clock.now))
    assert sign("submit", "eva")["components"] == ["password", "totp"]


def test_11_200_a_1_i_in_one_session_the_first_takes_all_and_the_next_at_least_one(sign: Signer) -> None:
    sign("submit", "eva")
    assert sign("approve", "ron")["components"] == ["password", "totp"]
    assert sign("retract", "ron", WORDS["ron"])["components"] == ["password"]
    with pytest.raises(UsageError):
        sign("approve", "ron", "")


def test_11_200_a_1_ii_outside_a_session_each_takes_all(sign: Signer) -> None:
    sign("submit", "eva")
    sign("approve", "ron")
    sign.clock.pass_(minutes=8)
    sign("retract", "ron", WORDS["ron"])
    sign.clock.pass_(minutes=8)
    with pytest.raises(UsageError, match="no line for: One-time code"):
        sign("approve", "ron", WORDS["ron"])
    sign("approve", "ron")
    sign.clock.pass_(hours=1)
    assert sign("retract", "ron")["components"] == ["password", "totp"]


def test_11_200_a_2_a_signature_is_used_by_its_owner_alone(sign: Signer) -> None:
    """Nobody goes on in the session of another, nor by what the record and the log have of it, and a code is taken once."""
    sign("submit", "eva")
    code = sign.people["ron"].at(sign.clock.now)
    run("approve", sign.bundle, "--as", "ron", "--meaning", MEANING, secrets=(WORDS["ron"], code))
    state = sign.bundle.parents[1] / ".devicepipe"
    shutil.copy(state / "session-ron", state / "session-quinn")
    with pytest.raises(UsageError, match="no line for: One-time code"):
        sign("approve", "quinn", WORDS["quinn"])
    known = run("approvals", sign.bundle)[1]["signatures"][-1]["session"]
    assert known == entries("login")[-1]["details"]["session"]
    (state / "session-ron").write_text(known)
    with pytest.raises(UsageError, match="no line for: One-time code"):
        sign("retract", "ron", WORDS["ron"])
    (state / "session-ron").unlink()
    with pytest.raises(UsageError, match="is wrong"):
        run("retract", sign.bundle, "--as", "ron", "--meaning", MEANING, secrets=(WORDS["ron"], code))


def test_11_200_a_3_whoever_has_database_and_release_key_signs_for_nobody(sign: Signer, root: Path) -> None:
    """The key of a person opens with the person's password; the release key in its place is refused."""
    sign("submit", "eva")
    keys = open_keys(load_project(root / "devicepipe.toml"))
    verified = verify_bundle(sign.bundle, keys.release.public)
    statement, folder, record = verified.sha256("release.json"), record_folder(sign.bundle), read_record(verified)
    forged = sign_release(record.signatures[0].signature, statement, keys.release.signer, keys.release.public)
    (folder / "0001.dsse.json").write_bytes(forged)
    assert refused("approvals", sign.bundle) == "0001.dsse.json"
    database = (root / ".devicepipe/accounts.sqlite").read_bytes()
    assert b"PRIVATE KEY" not in database
    assert all(word.encode() not in database for word in WORDS.values())


# --- 11.300: identification codes and passwords


def test_11_300_a_no_two_people_have_the_same_code_and_password(sign: Signer) -> None:
    """An id is one account's, and each account has a key of its own, whatever the password."""
    words = ("account", "add", "ron", "--name", "Ronald", "--email", "r@example.com", "--role", "qa")
    with pytest.raises(UsageError, match="is taken"):
        run(*words, secrets=("another phrase altogether",))
    words = ("account", "add", "twin", "--name", "Twin", "--email", "twin@example.com", "--role", "qa")
    run(*words, secrets=(WORDS["quinn"],))
    database = sqlite3.connect(sign.bundle.parents[1] / ".devicepipe/accounts.sqlite")
    rows = database.execute("SELECT box, public_key FROM account").fetchall()
    database.close()
    assert len({box for box, _ in rows}) == len({key for _, key in rows}) == 4


def test_11_300_b_passwords_age(sign: Signer) -> None:
    sign.clock.pass_(days=366)
    with pytest.raises(UsageError, match="too old"):
        sign("submit", "eva")
    run_text("account", "password", "eva", secrets=(WORDS["eva"], "four green umbrellas"))
    with pytest.raises(UsageError, match="had this password already"):
        run_text("account", "password", "eva", secrets=("four green umbrellas", WORDS["eva"]))
    code = sign.people["eva"].at(sign.clock.now)
    assert (
        run("submit", sign.bundle, "--as", "eva", "--meaning", MEANING, secrets=("four green umbrellas", code))[0] == 0
    )
    assert entries("account")[-1]["details"]["change"] == "password"


def test_11_300_c_what_was_lost_signs_nothing_more_and_what_it_signed_stays(sign: Signer) -> None:
    sign("submit", "eva")
    sign("approve", "ron")
    sign.clock.pass_(seconds=31)
    told = run("account", "reset", "ron", secrets=("some phrase nobody had",))[1]
    with pytest.raises(UsageError, match="is wrong"):
        sign("retract", "ron")
    assert run("approvals", sign.bundle)[1]["missing"] == {"qa": 1}
    totp = pyotp.parse_uri(told["authenticator"])
    assert isinstance(totp, pyotp.TOTP)
    assert sign("retract", "ron", "some phrase nobody had", totp.at(sign.clock.now))["name"] == "Ron"
    assert entries("account")[-1]["details"]["change"] == "reset"


def test_11_300_d_misuse_is_stopped_and_stands_in_the_log_at_once(sign: Signer) -> None:
    for _ in range(6):
        with pytest.raises(UsageError):
            sign("submit", "eva", "guess after guess", "000000")
    with pytest.raises(UsageError, match="locked until"):
        sign("submit", "eva")
    assert [one["details"]["outcome"] for one in entries("login")] == ["refused"] * 7
    with pytest.raises(UsageError, match="locked until"):
        run_text("account", "password", "eva", secrets=(WORDS["eva"], "four green umbrellas"))
    assert len(entries("login")) == 8
    sign.clock.pass_(minutes=16)
    assert sign("submit", "eva")["state"] == "candidate"


def test_the_table_of_the_reference_names_each_of_these_tests_and_no_other() -> None:
    table = (REPOSITORY / "docs/reference/part-11.md").read_text(encoding="utf-8")
    here = {name for name in globals() if re.match(r"test_11_\d", name)}
    assert {*re.findall(r"`(test_11_\w+)`", table)} == here
