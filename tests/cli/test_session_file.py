"""The file of a signing session: what it takes to go on, and what becomes of links and modes that somebody left there."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pyotp
import pytest

from devicepipe.errors import BenchError, UsageError
from tests.cli.calls import WORDS, entries, run, sign

NO_CODE = "no line for: One-time code"


@pytest.fixture
def file(bundle: Path, people: dict[str, pyotp.TOTP]) -> Path:
    """Where eva's session is kept; there is none yet."""
    assert people
    return bundle.parents[1] / ".devicepipe/session-eva"


def submit(bundle: Path, people: dict[str, pyotp.TOTP]) -> None:
    sign("submit", bundle, "eva", WORDS["eva"], people["eva"].now())


def withdraw_without_a_code(bundle: Path) -> None:
    """Whether the password alone gets past the identification."""
    run("account", "roles", "eva", "--role", "engineer", "--role", "qa")
    sign("withdraw", bundle, "eva", WORDS["eva"])


def test_a1_the_session_of_evidence_and_log_does_not_stand_for_a_code(
    bundle: Path, people: dict[str, pyotp.TOTP], file: Path
) -> None:
    submit(bundle, people)
    public = run("approvals", bundle)[1]["signatures"][-1]["session"]
    assert entries("login")[-1]["details"]["session"] == public
    secret = file.read_text()
    for known in (public, "", public * 4):
        file.write_text(known)
        with pytest.raises(UsageError, match=NO_CODE):
            withdraw_without_a_code(bundle)
    file.write_text(secret)
    withdraw_without_a_code(bundle)
    held = [path for path in bundle.parents[1].rglob("*") if path.is_file() and secret.encode() in path.read_bytes()]
    assert held == [file]


def test_a_link_that_was_planted_is_replaced_and_its_target_neither_written_nor_read(
    bundle: Path, people: dict[str, pyotp.TOTP], file: Path, tmp_path: Path
) -> None:
    victim = tmp_path / "victim.txt"
    victim.write_text("something of value\n")
    file.symlink_to(victim)
    submit(bundle, people)
    assert victim.read_text() == "something of value\n"
    assert stat.S_ISREG(file.lstat().st_mode)
    file.rename(tmp_path / "elsewhere")
    file.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UsageError, match=NO_CODE):
        withdraw_without_a_code(bundle)


def test_a_file_that_others_can_read_is_not_believed_and_becomes_its_owners_alone(
    bundle: Path, people: dict[str, pyotp.TOTP], file: Path
) -> None:
    file.write_text("")
    file.chmod(0o666)
    before = os.umask(0)
    try:
        submit(bundle, people)
    finally:
        os.umask(before)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    for mode in (0o640, 0o602):
        file.chmod(mode)
        with pytest.raises(UsageError, match=NO_CODE):
            withdraw_without_a_code(bundle)


def test_a_session_that_cannot_be_kept_is_told_and_nothing_is_signed(
    bundle: Path, people: dict[str, pyotp.TOTP], file: Path
) -> None:
    (file / "in the way").mkdir(parents=True)
    with pytest.raises(BenchError, match=r"cannot be kept: .*session-eva: Is a directory") as caught:
        submit(bundle, people)
    assert "a file can be written there" in caught.value.remedy
    assert not run("approvals", bundle)[1]["signatures"]
    assert not [*file.parent.glob(".new-*")]
