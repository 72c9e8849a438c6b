"""Signatures that are dated ahead: by a clock that is wrong, or by somebody who wants no withdrawal to follow."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from pydantic import TypeAdapter, ValidationError

from devicepipe.approval.accounts import Identified
from devicepipe.approval.lifecycle import Action, Role, Standing, State
from devicepipe.approval.record import Intent, check_dates, keep_proofs, read_record, sign
from devicepipe.errors import IntegrityError, UsageError
from devicepipe.evidence.model import Instant
from devicepipe.evidence.signatures import Roster, instant, sign_roster
from devicepipe.stages.standing import signed_standing
from tests.approval.forging import forge
from tests.approval.test_record import KEYS, POLICY, Team, team

__all__ = ["team"]
LAST = "9999-12-31T23:59:59.999999Z"


def files(team: Team) -> list[str]:
    return sorted(path.name for path in team.folder.rglob("*") if path.is_file())


def test_a_clock_a_minute_ahead_keeps_nobody_from_withdrawing(team: Team) -> None:
    team.approve()
    who, roster, ahead = team.identified("rita"), team.roster(), team.clock.now + timedelta(minutes=1)
    intent = Intent(Action.RELEASE, Role.RELEASE_MANAGER, "Released")
    sign(team.bundle, intent, who, roster, policy=POLICY, authors=(), now=lambda: ahead)
    given, standing = team.sign("quinn", Action.WITHDRAW, Role.QA)
    assert standing.state is team.standing().state is State.WITHDRAWN
    assert given.signature.on == read_record(team.bundle).signatures[-2].signature.on


def test_who_dates_a_signature_far_ahead_keeps_nobody_from_withdrawing(team: Team) -> None:
    forge(team, "eva", "submit", "engineer", on=LAST)
    before = files(team)
    for account, action, role in (("ron", Action.APPROVE, Role.REVIEWER), ("quinn", Action.REJECT, Role.QA)):
        with pytest.raises(IntegrityError, match=r"is dated 9999-12-31T.* which is to come"):
            team.sign(account, action, role)
        assert files(team) == before, "nothing is written of what is refused"
    with pytest.raises(IntegrityError, match=r"0001\.dsse\.json: is dated 9999"):
        signed_standing(team.bundle)
    assert team.sign("quinn", Action.WITHDRAW, Role.QA)[1].state is State.WITHDRAWN
    assert signed_standing(team.bundle)[2].state is State.WITHDRAWN


@pytest.mark.parametrize("ahead", ["the roster and the signature", "the signature"])
def test_a_release_signed_by_a_clock_ahead_could_not_be_withdrawn_after_its_signer_had_gone(
    team: Team, ahead: str
) -> None:
    """By the roster of then what was signed did not hold, or the roster of then was older than that of the clock ahead."""
    if ahead == "the signature":
        forge(team, "eva", "submit", "engineer", on=instant(team.clock.now + timedelta(hours=5)))
    else:
        team.clock.pass_(days=100)
        team.sign("eva", Action.SUBMIT, Role.ENGINEER)
        team.clock.pass_(days=-100)
    team.accounts.close("eva")
    team.clock.pass_(seconds=1)
    who = team.identified("quinn")
    roster = Roster(product="pump", number=2, on=instant(team.clock.now), people=team.accounts.people())
    data = sign_roster(roster, KEYS.release.signer, KEYS.release.public)
    before = files(team)
    with pytest.raises(
        (UsageError, IntegrityError), match=r"key of eva was in force no longer|is older than the roster"
    ):
        sign_by(team, Action.REJECT, who, data)
    assert files(team) == before
    assert sign_by(team, Action.WITHDRAW, who, data).state is State.WITHDRAWN
    assert signed_standing(team.bundle)[2].state is State.WITHDRAWN


def sign_by(team: Team, action: Action, who: Identified, roster: bytes) -> Standing:
    intent = Intent(action, Role.QA, "Not so")
    return sign(team.bundle, intent, who, roster, policy=POLICY, authors=(), now=team.clock)[1]


def test_a_signature_some_minutes_ahead_is_followed_only_when_its_time_has_come(team: Team) -> None:
    forge(team, "eva", "submit", "engineer", on=(team.clock.now + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%S.%fZ"))
    before = files(team)
    with pytest.raises(UsageError, match="the signature that yours would follow is dated") as caught:
        team.sign("ron", Action.APPROVE, Role.REVIEWER)
    assert "clock" in caught.value.remedy
    assert files(team) == before
    team.clock.pass_(hours=1)
    team.sign("ron", Action.APPROVE, Role.REVIEWER)


def test_what_holds_today_holds_ever_after(team: Team) -> None:
    team.approve()
    record = read_record(team.bundle)
    newest = datetime.fromisoformat(record.signatures[-1].signature.on)
    with pytest.raises(IntegrityError, match="which is to come"):
        check_dates(record, newest - timedelta(days=1, seconds=1))
    for later in (newest - timedelta(hours=23), newest, datetime(2126, 1, 1, tzinfo=UTC)):
        check_dates(record, later)


def test_who_may_not_sign_by_the_whole_record_leaves_nothing(team: Team) -> None:
    """A session that was somebody else's: the record would not hold with it."""
    team.sign("eva", Action.SUBMIT, Role.ENGINEER)
    session = read_record(team.bundle).signatures[0].signature.session
    who, before = team.identified("ron"), files(team)
    with pytest.raises(IntegrityError, match="continues the signing session of somebody else"):
        sign(
            team.bundle, Intent(Action.APPROVE, Role.REVIEWER, "Fine"), replace(who, session=session), team.roster(),
            policy=POLICY, authors=(), now=team.clock,
        )  # fmt: skip
    assert files(team) == before
    assert team.standing().state is State.CANDIDATE


def test_a_proof_of_something_else_is_not_kept(team: Team) -> None:
    team.sign("eva", Action.SUBMIT, Role.ENGINEER)
    before = files(team)
    with pytest.raises(IntegrityError):
        keep_proofs(team.bundle, lambda missing: [b"c2sp.org/tlog-proof@v1\n" for _ in missing])
    assert files(team) == before


@pytest.mark.parametrize(
    "text",
    [
        "2026-99-99T99:99:99.999999Z",
        "2026-02-29T00:00:00.000000Z",
        "2026-01-01T24:00:01.000000Z",
        "0000-01-01T00:00:00.000000Z",
    ],
)
def test_a_time_that_no_calendar_has_is_none(team: Team, text: str) -> None:
    with pytest.raises(ValidationError, match="is no time that there is"):
        TypeAdapter(Instant).validate_python(text)
    file = forge(team, "eva", "submit", "engineer", on=text)
    with pytest.raises(IntegrityError) as caught:
        read_record(team.bundle)
    assert caught.value.link == file
