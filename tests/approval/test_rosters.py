from __future__ import annotations

import hashlib
from datetime import timedelta
from typing import Any

import pytest

from devicepipe.approval.accounts import Identified
from devicepipe.approval.lifecycle import Action, Role, State
from devicepipe.approval.record import Intent, read_record, sign
from devicepipe.errors import IntegrityError, UsageError
from devicepipe.evidence.signatures import (
    Roster,
    Signature,
    instant,
    open_roster,
    sign_release,
    sign_roster,
    signature_file,
)
from tests.approval import test_record
from tests.approval.test_record import KEYS, POLICY, Team
from tests.evidence.synthetic_bundle import development_keys

team = test_record.team


def numbered(team: Team, number: int) -> bytes:
    roster = Roster(product="pump", number=number, on=instant(team.clock.now), people=team.accounts.people())
    return sign_roster(roster, KEYS.release.signer, KEYS.release.public)


def forge(team: Team, who: Identified, roster: bytes, action: str, role: str, **values: Any) -> None:
    """Sign as whoever has a person's key can, without the program."""
    record = read_record(team.bundle)
    signature = Signature.model_validate(
        {
            "product": team.bundle.release.product,
            "version": team.bundle.release.version,
            "number": len(record.signatures) + 1,
            "follows": record.signatures[-1].sha256 if record.signatures else None,
            "roster": hashlib.sha256(roster).hexdigest(),
            "action": action,
            "meaning": "I have read it",
            "account": who.account.id,
            "name": who.account.name,
            "role": role,
            "on": instant(team.clock.now),
            "components": ["password", "totp"],
            "session": "ab" * 8,
            "first_of_session": True,
        }
        | values
    )
    (team.folder / "rosters").mkdir(parents=True, exist_ok=True)
    (team.folder / f"rosters/{signature.roster}.dsse.json").write_bytes(roster)
    data = sign_release(signature, team.bundle.sha256("release.json"), who.signer, who.public_key)
    (team.folder / signature_file(signature.number)).write_bytes(data)


def by(team: Team, account: str, action: Action, role: Role, roster: bytes) -> State:
    who = team.identified(account)
    return sign(team.bundle, Intent(action, role, "Fine"), who, roster, policy=POLICY, authors=(), now=team.clock)[
        1
    ].state


def lose(team: Team, how: str) -> None:
    if how == "closed":
        team.accounts.close("quinn")
    elif how == "role":
        team.accounts.set_roles("quinn", [Role.ENGINEER])
    else:
        team.accounts.reset("quinn", "another horse battery")


@pytest.mark.parametrize("how", ["closed", "role", "reset"])
def test_r1_who_lost_the_right_to_sign_signs_nothing_by_the_older_roster(team: Team, how: str) -> None:
    old, quinn = numbered(team, 1), team.identified("quinn")
    team.clock.pass_(days=1)
    lose(team, how)
    team.clock.pass_(days=1)
    new = numbered(team, 2)
    by(team, "eva", Action.SUBMIT, Role.ENGINEER, new)
    by(team, "ron", Action.APPROVE, Role.REVIEWER, new)
    team.clock.pass_(days=1)
    forge(team, quinn, old, "approve", "qa")
    with pytest.raises(IntegrityError, match="after one under the later roster 2") as caught:
        read_record(team.bundle)
    assert caught.value.link == "0003.dsse.json"


@pytest.mark.parametrize("how", ["closed", "role", "reset"])
def test_r1_it_is_found_when_the_next_one_signs_and_nothing_is_written(team: Team, how: str) -> None:
    old, quinn = numbered(team, 1), team.identified("quinn")
    by(team, "eva", Action.SUBMIT, Role.ENGINEER, old)
    team.clock.pass_(days=1)
    lose(team, how)
    team.clock.pass_(days=1)
    new = numbered(team, 2)
    team.clock.pass_(days=1)
    forge(team, quinn, old, "approve", "qa")
    team.clock.pass_(days=1)
    with pytest.raises(IntegrityError, match="was given under the roster 1, when the later roster 2") as caught:
        by(team, "ron", Action.APPROVE, Role.REVIEWER, new)
    assert caught.value.link == "0002.dsse.json"
    assert len(read_record(team.bundle).signatures) == 2
    forge(team, team.identified("ron"), new, "approve", "reviewer", session="cd" * 8)
    with pytest.raises(IntegrityError, match="when the later roster 2"):
        read_record(team.bundle)


def test_r1b_the_program_takes_no_older_roster_than_the_record_has(team: Team) -> None:
    old = numbered(team, 1)
    team.accounts.set_roles("quinn", [Role.ENGINEER])
    team.clock.pass_(seconds=1)
    new = numbered(team, 2)
    by(team, "eva", Action.SUBMIT, Role.ENGINEER, new)
    with pytest.raises(UsageError, match=r"the roster 1 of .* is older than the roster 2") as caught:
        by(team, "quinn", Action.APPROVE, Role.QA, old)
    assert "restore the newest roster" in (caught.value.remedy or "")
    assert len(read_record(team.bundle).signatures) == 1


@pytest.mark.parametrize("numbers", [(9, 1), (1, 9)], ids=["number", "time"])
def test_s3_neither_numbers_nor_times_of_rosters_fall(team: Team, numbers: tuple[int, int]) -> None:
    early = numbered(team, numbers[1])
    team.clock.pass_(hours=1)
    late = numbered(team, numbers[0])
    forge(team, team.identified("eva"), late, "submit", "engineer")
    team.clock.pass_(hours=1)
    forge(team, team.identified("ron"), early, "approve", "reviewer", session="cd" * 8)
    with pytest.raises(IntegrityError, match="after one under the later roster"):
        read_record(team.bundle)


def test_what_was_signed_before_the_right_was_lost_stays_valid(team: Team) -> None:
    old = numbered(team, 1)
    by(team, "eva", Action.SUBMIT, Role.ENGINEER, old)
    by(team, "quinn", Action.APPROVE, Role.QA, old)
    team.clock.pass_(seconds=1)
    team.accounts.close("quinn")
    team.clock.pass_(seconds=1)
    assert by(team, "ron", Action.APPROVE, Role.REVIEWER, numbered(team, 2)) is State.APPROVED
    assert team.standing().state is State.APPROVED


KEY_TIMES = {
    # what the roster says: (since of the first key, its until, since of the second), in hours from when it was signed, and why not
    "begins in the future": (1, None, None, "begins or ends after"),
    "ends in the future": (-2, 1, None, "begins or ends after"),
    "two at once": (-3, None, -2, "two keys at once"),
    "overlapping": (-3, -1, -2, "two keys at once"),
    "backwards": (-2, -3, None, "ends before it begins"),
}


@pytest.mark.parametrize("what", KEY_TIMES)
def test_d2_a_roster_gives_keys_only_times_that_can_be(team: Team, what: str) -> None:
    since, until, second, why = KEY_TIMES[what]

    def at(hours: int | None) -> str | None:
        return None if hours is None else instant(team.clock.now + timedelta(hours=hours))

    eva = next(one for one in team.accounts.people() if one.account == "eva")
    people = [eva.model_copy(update={"since": at(since), "until": at(until)})]
    if second is not None:
        key = development_keys(1).release.public.pem.decode()
        people.append(eva.model_copy(update={"since": at(second), "public_key": key}))
    roster = Roster(product="pump", number=1, on=instant(team.clock.now), people=people)
    data = sign_roster(roster, KEYS.release.signer, KEYS.release.public)
    with pytest.raises(IntegrityError, match=why):
        open_roster(data, KEYS.release.public, "pump", "the roster")
