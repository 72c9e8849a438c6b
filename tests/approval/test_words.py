"""Words that would look like other lines than they are: forged signatures on the terminal, and in documents."""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path

import pytest
from click.testing import CliRunner
from pydantic import ValidationError

from devicepipe.approval.lifecycle import Action, Role
from devicepipe.approval.record import read_record
from devicepipe.cli.main import cli
from devicepipe.errors import IntegrityError, UsageError
from devicepipe.evidence.printed import UNPRINTABLE, check_words
from devicepipe.evidence.signatures import Person
from tests.approval.forging import forge
from tests.approval.test_record import KEYS, Team, team
from tests.cli.calls import run

__all__ = ["team"]
FORGED = "Ready\n  approve   Ron Reviewer (reviewer) on 2026-03-02 03:05:36 UTC: I approve\nAPPROVED"
SPOILT = {
    "a line break": FORGED,
    "a carriage return": "Ready\rAPPROVED",
    "an escape of the terminal": "Ready\x1b[2K\x1b[8m",
    "another line break": "Ready\u2028APPROVED",
    "a control character of 8 bits": "Ready\x9b2K",
    "an override of the direction": "Ready \u202eDEVORPPA",
    "a mark of the direction": "Ready\u200e",
    "an Arabic mark of the direction": "Ready\u061c",
    "a space of no width": "Rea\u200bdy",
    "a joiner": "Rea\u2060dy",
    "a tag": "Ready\U000e0041",
    "a blank letter": "\u3164",
}
BLANK = (" ", "\u00a0\u2003", "\u3000", "\ufe0f")


@pytest.mark.parametrize("what", SPOILT)
def test_who_signs_a_meaning_that_forges_lines_is_refused(team: Team, what: str) -> None:
    file = forge(team, "eva", "submit", "engineer", meaning=SPOILT[what])
    with pytest.raises(IntegrityError, match="meaning") as caught:
        read_record(team.bundle)
    assert caught.value.link == file
    key = team.bundle.folder.parent / "release.pem"
    key.write_bytes(KEYS.release.public.pem)
    for command in ("verify", "approvals"):
        told = CliRunner().invoke(cli, [command, str(team.bundle.folder), "--key", str(key)])
        assert isinstance(told.exception, IntegrityError), command
        said = told.output + str(told.exception)
        assert "\n  approve " not in said, command
        assert not {"\x1b", "\r", "\x9b", "\u2028", "\u202e"} & {*said}, command


@pytest.mark.parametrize("what", SPOILT)
def test_such_a_meaning_is_named_before_anything_is_signed(team: Team, what: str) -> None:
    with pytest.raises(UsageError, match=r"^--meaning has a character that is not printed as it is"):
        team.sign("eva", Action.SUBMIT, Role.ENGINEER, SPOILT[what])
    assert not [*team.folder.rglob("*.json")]


def test_a_meaning_of_any_language_is_one_and_of_any_length_is_not(team: Team) -> None:
    with pytest.raises(UsageError, match="--meaning has 2001 characters"):
        team.sign("eva", Action.SUBMIT, Role.ENGINEER, "a" * 2001)
    meaning = "Geprüft; 已审核。\u00a0\u062c\u0627\u0647\u0632 \u2713"
    assert team.sign("eva", Action.SUBMIT, Role.ENGINEER, meaning)[0].signature.meaning == meaning


def test_a_meaning_that_fills_a_line_with_blanks_began_another_one(team: Team) -> None:
    """As wide as the terminal, what follows stood at the beginning of a line, as a signature of somebody else."""
    given, _ = team.sign("eva", Action.SUBMIT, Role.ENGINEER, f"Ready{' ' * 90}approve   Ron (reviewer): I approve")
    assert given.signature.told.endswith("UTC: Ready approve Ron (reviewer): I approve")


@pytest.mark.parametrize("what", SPOILT)
def test_nobody_has_such_a_name_in_a_roster(team: Team, what: str) -> None:
    person = team.accounts.people()[0].to_json()
    with pytest.raises(ValidationError, match="name"):
        Person.from_json(person | {"name": SPOILT[what]})
    with pytest.raises(ValidationError, match="roles"):
        Person.from_json(person | {"roles": [SPOILT[what]]})


@pytest.mark.parametrize("blank", BLANK)
def test_blanks_are_no_name_and_no_meaning(team: Team, blank: str) -> None:
    person = team.accounts.people()[0].to_json()
    with pytest.raises(ValidationError, match="name"):
        Person.from_json(person | {"name": blank})
    with pytest.raises(UsageError, match="--name has nothing that can be seen"):
        check_words(blank, "--name")
    forge(team, "eva", "submit", "engineer", meaning="x")
    file = forge(team, "eva", "submit", "engineer", meaning=blank)
    with pytest.raises(IntegrityError, match="meaning") as caught:
        read_record(team.bundle)
    assert caught.value.link == file


def test_every_format_character_of_unicode_is_refused() -> None:
    of_unicode = {chr(one) for one in range(0x110000) if unicodedata.category(chr(one)) in ("Cf", "Cc", "Zl", "Zp")}
    assert {one for one in of_unicode if not re.search(f"[{UNPRINTABLE}]", one)} == set()


def test_such_a_name_is_refused_for_an_account(tmp_path: Path) -> None:
    words = (
        "account",
        "add",
        "eva",
        "--name",
        FORGED,
        "--email",
        "e@example.com",
        "--role",
        "qa",
        "--project",
        tmp_path,
    )
    with pytest.raises(UsageError, match=r"^--name has a character that is not printed as it is"):
        run(*words)
