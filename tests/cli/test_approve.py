"""`devicepipe account`, `submit`, `approve` and their kin, as people use them: secrets by file descriptor, sessions, exit codes."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import pyotp
import pytest
from click.testing import CliRunner

from devicepipe.cli.main import cli
from devicepipe.errors import IntegrityError, UsageError
from devicepipe.evidence.signatures import record_folder
from tests.cli.calls import WORDS, entries, run, run_text, sign


def test_a_release_is_submitted_and_approved_by_two_people(bundle: Path, people: dict[str, pyotp.TOTP]) -> None:
    assert run("approvals", bundle)[0] == 1
    sign("submit", bundle, "eva", WORDS["eva"], people["eva"].now())
    _, told = sign("approve", bundle, "ron", WORDS["ron"], people["ron"].now())
    assert (told["state"], told["missing"]) == ("candidate", {"qa": 1})
    _, told = sign("approve", bundle, "quinn", WORDS["quinn"], people["quinn"].now())
    assert told["state"] == "approved"
    code, told = run("approvals", bundle)
    assert code == 0
    assert told["asked"] == {"approvals": {"reviewer": 1, "qa": 1}, "separate": ["qa", "regulatory", "reviewer"]}
    rules = "its own rules: approvals 1 as reviewer, 1 as qa; authors and who submits it never approve as qa or regulatory or"
    assert rules in " ".join(run_text("approvals", bundle).split())
    assert [(one["action"], one["name"], one["role"]) for one in told["signatures"]] == [
        ("submit", "Eva", "engineer"), ("approve", "Ron", "reviewer"), ("approve", "Quinn", "qa"),
    ]  # fmt: skip
    key = bundle.parents[1] / ".devicepipe/keys/release.pub.pem"
    assert run("verify", bundle, "--key", key)[1]["approval"]["state"] == "approved"


def test_a_session_goes_on_without_a_code_for_the_next_signature_only_of_the_same_person(
    bundle: Path, people: dict[str, pyotp.TOTP]
) -> None:
    sign("submit", bundle, "eva", WORDS["eva"], people["eva"].now())
    sign("approve", bundle, "ron", WORDS["ron"], people["ron"].now())
    _, told = sign("retract", bundle, "ron", WORDS["ron"])
    assert told["components"] == ["password"]
    with pytest.raises(UsageError, match="no line for: One-time code"):
        sign("approve", bundle, "quinn", WORDS["quinn"])


@pytest.mark.parametrize("given", ["eva", "ron"])
def test_what_may_not_be_signed_is_told_before_any_secret_is_asked_for(
    bundle: Path, people: dict[str, pyotp.TOTP], given: str
) -> None:
    assert people
    with pytest.raises(UsageError, match=r"no role that may approve|that is a draft cannot be approved"):
        sign("approve", bundle, given)


def test_a_wrong_secret_signs_nothing(bundle: Path, people: dict[str, pyotp.TOTP]) -> None:
    for secrets in (("not the password", people["eva"].now()), (WORDS["eva"], "000000")):
        with pytest.raises(UsageError, match="is wrong"):
            sign("submit", bundle, "eva", *secrets)
    assert not record_folder(bundle).exists()


def test_who_is_not_in_the_roster_signs_nothing(bundle: Path, people: dict[str, pyotp.TOTP]) -> None:
    run("account", "close", "eva")
    with pytest.raises(UsageError, match="the account eva is closed"):
        sign("submit", bundle, "eva", WORDS["eva"], people["eva"].now())


def test_a_tampered_record_is_refused_by_verify_and_by_the_next_signer(
    bundle: Path, people: dict[str, pyotp.TOTP]
) -> None:
    sign("submit", bundle, "eva", WORDS["eva"], people["eva"].now())
    sign("approve", bundle, "ron", WORDS["ron"], people["ron"].now())
    (record_folder(bundle) / "0001.dsse.json").unlink()
    key = bundle.parents[1] / ".devicepipe/keys/release.pub.pem"
    for words in (("verify", bundle, "--key", key), ("approvals", bundle)):
        with pytest.raises(IntegrityError, match="missing, though there are later signatures"):
            run(*words)
    with pytest.raises(IntegrityError, match="missing, though there are later signatures"):
        sign("approve", bundle, "quinn", WORDS["quinn"], people["quinn"].now())


def test_every_signature_and_every_identification_is_in_the_log_and_proven_offline(
    bundle: Path, people: dict[str, pyotp.TOTP]
) -> None:
    with pytest.raises(UsageError):
        sign("submit", bundle, "eva", "not the password", people["eva"].now())
    sign("submit", bundle, "eva", WORDS["eva"], people["eva"].now())
    sign("approve", bundle, "ron", WORDS["ron"], people["ron"].now())
    assert [(one["by"], one["details"]["outcome"]) for one in entries("login")] == [
        ("eva", "refused"), ("eva", "identified"), ("ron", "identified"),
    ]  # fmt: skip
    assert [(one["by"], one["subject"], one["details"]["outcome"]) for one in entries("approval")] == [
        ("eva", "pump 1.2.3", "submit"), ("ron", "pump 1.2.3", "approve"),
    ]  # fmt: skip
    assert run("approvals", bundle)[1]["unlogged"] == []
    shutil.rmtree(bundle.parents[1] / ".devicepipe/log")
    key = bundle.parents[1] / ".devicepipe/keys/release.pub.pem"
    assert run("verify", bundle, "--key", key)[1]["approval"]["unlogged"] == []


def test_what_was_signed_and_not_logged_is_told_and_logged_by_the_next_signer(
    bundle: Path, people: dict[str, pyotp.TOTP]
) -> None:
    sign("submit", bundle, "eva", WORDS["eva"], people["eva"].now())
    (record_folder(bundle) / "0001.tlog-proof").unlink()
    assert run("approvals", bundle)[1]["unlogged"] == ["0001.dsse.json"]
    sign("approve", bundle, "ron", WORDS["ron"], people["ron"].now())
    assert run("approvals", bundle)[1]["unlogged"] == []


@pytest.mark.parametrize("what", ["flipped", "of-another-signature", "of-no-signature", "exchanged"])
def test_a_proof_that_is_not_the_signatures_is_refused(bundle: Path, people: dict[str, pyotp.TOTP], what: str) -> None:
    sign("submit", bundle, "eva", WORDS["eva"], people["eva"].now())
    sign("approve", bundle, "ron", WORDS["ron"], people["ron"].now())
    first, second = (record_folder(bundle) / f"000{number}.tlog-proof" for number in (1, 2))
    texts = first.read_bytes(), second.read_bytes()
    if what == "flipped":
        first.write_bytes(re.sub(rb"index \d+", b"index 0", texts[0]))
    elif what == "of-another-signature":
        first.write_bytes(texts[1])
    elif what == "exchanged":
        first.write_bytes(texts[1])
        second.write_bytes(texts[0])
    else:
        (record_folder(bundle) / "0003.tlog-proof").write_bytes(texts[1])
    with pytest.raises(IntegrityError) as caught:
        run("approvals", bundle)
    assert caught.value.link == ("0003.tlog-proof" if what == "of-no-signature" else "0001.tlog-proof")


def test_a_changed_password_is_the_one_from_now_on(bundle: Path, people: dict[str, pyotp.TOTP]) -> None:
    CliRunner().invoke(cli, ["account", "password", "eva"], input="", standalone_mode=False)
    reading, writing = os.pipe()
    os.write(writing, f"{WORDS['eva']}\nfour green umbrellas\n".encode())
    os.close(writing)
    words = ["account", "password", "eva", "--secrets-fd", str(reading)]
    assert CliRunner().invoke(cli, words, standalone_mode=False).output == "changed\n"
    with pytest.raises(UsageError, match="is wrong"):
        sign("submit", bundle, "eva", WORDS["eva"], people["eva"].now())
    assert sign("submit", bundle, "eva", "four green umbrellas", people["eva"].now())[1]["state"] == "candidate"


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("add", "Eva", "--name", "E", "--email", "e@e", "--role", "qa"), "cannot name an account"),
        (("add", "eva", "--name", "E", "--email", "e@e", "--role", "boss"), "there is no role 'boss'"),
        (("roles", "nobody", "--role", "qa"), "there is no account nobody"),
        (("close", "nobody"), "there is no account nobody"),
    ],
)
def test_mistakes_are_told(root: Path, words: tuple[str, ...], why: str) -> None:
    assert root
    with pytest.raises(UsageError, match=why):
        run("account", *words)


def test_verify_tells_a_withdrawal_first_and_approvals_takes_a_history(
    bundle: Path, people: dict[str, pyotp.TOTP], tmp_path: Path
) -> None:
    sign("withdraw", bundle, "quinn", WORDS["quinn"], people["quinn"].now())
    key = bundle.parents[1] / ".devicepipe/keys/release.pub.pem"
    said = run_text("verify", bundle, "--key", key).splitlines()
    assert [one for one in said if "WITHDRAWN" in one] == [said[1]] == ["WITHDRAWN: it must not be used any more"]
    assert not [one for one in said if "RELEASABLE" in one]
    assert run("verify", bundle, "--key", key)[0] == 0
    assert run("approvals", bundle, "--key", key)[0] == 1
    history = tmp_path / "history"
    history.mkdir()
    with pytest.raises(UsageError, match="--history goes with --key"):
        run("approvals", bundle, "--history", history)
