"""The roster and the log: who signs or waives does so by the newest roster, whatever file lies there. Each test is an attack."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pyotp
import pytest

from devicepipe.errors import UsageError
from devicepipe.evidence.signatures import record_folder
from tests.cli.calls import WORDS, entries, run, sign
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
    run("account", "roster")
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
