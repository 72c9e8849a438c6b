"""Whose signatures count as whose: one person is one, whatever accounts they have had; and what is signed when."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from devicepipe.approval import record
from devicepipe.approval.lifecycle import Action, ApprovalPolicy, Role, State
from devicepipe.approval.record import Intent, read_record, sign, standing_of
from devicepipe.errors import IntegrityError, UsageError
from devicepipe.evidence.files import read_file
from devicepipe.evidence.layout import SOURCE_CONFIG
from devicepipe.evidence.signatures import Identity, Person, Roster, SignedRecord, instant, sign_roster
from devicepipe.evidence.verify import verify_bundle
from devicepipe.stages.standing import counts, signed_standing
from tests.approval import test_record
from tests.approval.conftest import PASSWORD
from tests.approval.forging import forge
from tests.approval.test_record import KEYS, POLICY, Team
from tests.evidence.synthetic_bundle import Spoil, make_bundle
from tests.evidence.test_personal_waivers import CONFIG

team = test_record.team
TWO = ApprovalPolicy(thresholds={Role.REVIEWER: 2})


def roster(team: Team, number: int, *, same: Mapping[str, str] | None = None) -> bytes:
    """A roster as of now; `same` gives an account the e-mail address of another."""
    addresses = {account: f"{other}@Example.com" for account, other in (same or {}).items()}
    people = [one.model_copy(update={"email": addresses.get(one.account, one.email)}) for one in team.accounts.people()]
    made = Roster(product="pump", number=number, on=instant(team.clock.now), people=people)
    return sign_roster(made, KEYS.release.signer, KEYS.release.public)


def by(team: Team, account: str, action: Action, role: Role, data: bytes, policy: ApprovalPolicy = POLICY) -> State:
    who, intent = team.identified(account), Intent(action, role, "I have read it")
    return sign(team.bundle, intent, who, data, policy=policy, authors={"ADA@example.com"}, now=team.clock)[1].state


def second_account(team: Team, account: str, role: Role) -> str:
    """Close somebody's account and make them another one; the database would not have the address twice."""
    team.accounts.close(account)
    again = f"{account}2"
    team.uris[again] = team.accounts.add(again, "The Same", f"{again}@example.com", [role], PASSWORD)
    return again


def test_one_person_with_two_accounts_is_one_approval(team: Team) -> None:
    first = roster(team, 1)
    by(team, "eva", Action.SUBMIT, Role.ENGINEER, first, TWO)
    by(team, "ron", Action.APPROVE, Role.REVIEWER, first, TWO)
    again = second_account(team, "ron", Role.REVIEWER)
    team.clock.pass_(seconds=60)
    with pytest.raises(UsageError, match="has approved it already"):
        by(team, again, Action.APPROVE, Role.REVIEWER, roster(team, 2, same={again: "ron"}), TWO)
    assert by(team, again, Action.APPROVE, Role.REVIEWER, roster(team, 2), TWO) is State.APPROVED  # somebody else


def test_who_submitted_does_not_approve_under_another_account(team: Team) -> None:
    by(team, "eva", Action.SUBMIT, Role.ENGINEER, roster(team, 1))
    again = second_account(team, "eva", Role.REVIEWER)
    team.clock.pass_(seconds=60)
    with pytest.raises(UsageError, match="eva2 submitted it"):
        by(team, again, Action.APPROVE, Role.REVIEWER, roster(team, 2, same={again: "eva"}))


def test_an_author_does_not_approve_under_another_account(team: Team) -> None:
    by(team, "eva", Action.SUBMIT, Role.ENGINEER, roster(team, 1))
    with pytest.raises(UsageError, match="quinn is an author of the change"):
        by(team, "quinn", Action.APPROVE, Role.QA, roster(team, 2, same={"quinn": "ada"}))


def test_who_submitted_before_a_rejection_does_not_approve(team: Team) -> None:
    team.accounts.set_roles("eva", [Role.ENGINEER, Role.REVIEWER])
    same = roster(team, 1)
    by(team, "eva", Action.SUBMIT, Role.ENGINEER, same)
    by(team, "quinn", Action.REJECT, Role.QA, same)
    by(team, "rita", Action.SUBMIT, Role.RELEASE_MANAGER, same)
    with pytest.raises(UsageError, match="eva submitted it"):
        by(team, "eva", Action.APPROVE, Role.REVIEWER, same)


def test_a_release_could_not_be_withdrawn_once_two_of_its_approvers_turned_out_to_be_one(
    team: Team, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A login that was linked to the wrong account, and then to the right one, is enough for that."""
    first = roster(team, 1)
    by(team, "eva", Action.SUBMIT, Role.ENGINEER, first)
    by(team, "ron", Action.APPROVE, Role.REVIEWER, first)
    by(team, "quinn", Action.APPROVE, Role.QA, first)
    team.clock.pass_(seconds=60)
    now = roster(team, 2, same={"quinn": "ron"})
    with pytest.raises(IntegrityError, match="has approved it already"):
        by(team, "rita", Action.RELEASE, Role.RELEASE_MANAGER, now)
    with pytest.raises(UsageError, match="a reviewer may not withdraw"):
        by(team, "ron", Action.WITHDRAW, Role.REVIEWER, now)
    assert by(team, "rita", Action.WITHDRAW, Role.RELEASE_MANAGER, now) is State.WITHDRAWN
    record = read_record(team.bundle)
    standing = standing_of(record, POLICY)
    assert standing.state is State.WITHDRAWN
    assert [counts(one, record, standing) for one in record.signatures] == [True, True, False, True]
    with pytest.raises(UsageError, match="nothing can be signed any more"):
        by(team, "rita", Action.WITHDRAW, Role.RELEASE_MANAGER, now)
    monkeypatch.setattr(team, "roster", lambda: now)
    forge(team, "rita", "withdraw", "release-manager")
    with pytest.raises(IntegrityError, match="could not be given"):
        standing_of(read_record(team.bundle), POLICY)


def person(account: str, email: str, identity: Identity | None = None) -> Person:
    since = instant(datetime(2026, 3, 1, tzinfo=UTC))
    return Person(account=account, name="N", email=email, roles=["qa"], public_key="k", since=since, identity=identity)


@pytest.mark.parametrize(
    ("people", "expected"),
    [
        ([person("a", "a@x"), person("b", "b@x")], {"a": "a", "b": "b"}),
        ([person("b", "A@X"), person("a", "a@x")], {"a": "a", "b": "a"}),
        ([person("a", "re\u0301@x"), person("b", "R\u00e9@x")], {"a": "a", "b": "a"}),
        ([person("a", "a@x"), person("a", "b@x"), person("b", "b@x")], {"a": "a", "b": "a"}),
        (
            [person("a", "a@x", Identity(issuer="i", subject="s")), person("b", "b@x", Identity(issuer="i", subject="s"))],
            {"a": "a", "b": "a"},
        ),
        (
            [person("c", "c@x"), person("b", "b@x"), person("a", "b@x"), person("c", "b@x")],
            {"a": "a", "b": "a", "c": "a"},
        ),
    ],
    ids=["two", "case", "composed", "moved", "one identity", "joined later"],
)  # fmt: skip
def test_accounts_of_one_person(people: list[Person], expected: dict[str, str]) -> None:
    rosters = (Roster(product="pump", number=1, on=instant(datetime(2026, 3, 1, tzinfo=UTC)), people=people),)
    assert SignedRecord((), rosters).people() == expected


def test_a_release_that_is_not_releasable_comes_to_nothing_by_forged_signatures(team: Team, tmp_path: Path) -> None:
    def failed(gate: dict[str, Any]) -> None:
        gate["verificationResult"], gate["verifiedLevels"] = "FAILED", ["FAILED"]
        gate["devicepipe"].update(releasable=False, reasons=["it failed"])

    edit = {"gate": failed, "release": lambda release: release.update(releasable=False, reasons=["it failed"])}
    made = make_bundle(tmp_path, name="failed", spoil=Spoil(edit=edit))
    team.bundle = verify_bundle(made.path, KEYS.release.public)
    forge(team, "eva", "submit", "engineer")
    with pytest.raises(IntegrityError, match="NOT RELEASABLE cannot be submitted") as caught:
        signed_standing(team.bundle)
    assert caught.value.link == "0001.dsse.json"


def test_nothing_is_signed_before_it_was_sealed(team: Team, monkeypatch: pytest.MonkeyPatch) -> None:
    since = "2026-02-01T00:00:00.000000Z"
    people = [one.model_copy(update={"since": since}) for one in team.accounts.people()]
    old = sign_roster(
        Roster(product="pump", number=1, on=since, people=people), KEYS.release.signer, KEYS.release.public
    )
    monkeypatch.setattr(team, "roster", lambda: old)
    forge(team, "eva", "submit", "engineer", on="2026-03-01T07:59:59.999999Z")
    with pytest.raises(IntegrityError, match=r"before the release was sealed on 2026-03-01T08:00:00\.000000Z"):
        read_record(team.bundle)


def test_nothing_is_signed_before_its_roster_was_made(team: Team) -> None:
    """Who was given a role just now has not had it before."""
    team.clock.pass_(seconds=10)
    early = instant(team.clock.now)
    team.accounts.set_roles("rita", [Role.QA])
    forge(team, "rita", "withdraw", "qa", on=early)
    with pytest.raises(IntegrityError, match="before its roster was made"):
        read_record(team.bundle)


def test_a_machine_that_is_behind_signs_with_the_time_of_the_roster(team: Team) -> None:
    signed = roster(team, 1)
    made = instant(team.clock.now)
    team.clock.pass_(seconds=-60)
    who = team.identified("eva")  # 31 s on
    intent = Intent(Action.SUBMIT, Role.ENGINEER, "Ready")
    given, _ = sign(team.bundle, intent, who, signed, policy=POLICY, authors=(), now=team.clock)
    assert given.signature.on == made


def test_each_file_of_a_record_is_read_once(team: Team, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is exchanged between two reads would be verified as one file and used as another."""
    team.approve()
    read: list[str] = []

    def counted(folder: Path, name: str, most: int) -> bytes:
        read.append(name)
        return original(folder, name, most)

    original = read_file
    monkeypatch.setattr("devicepipe.evidence.signatures.read_file", counted)
    assert len(record.read_record(team.bundle).signatures) == 3
    assert len(read) == len({*read}) == 6  # three signatures, three rosters


def test_what_is_no_longer_taken_in_a_devicepipe_toml_leaves_an_older_release_as_it_is(
    team: Team, tmp_path: Path
) -> None:
    """Only what it asks of approvals counts of the released [approval]; and nothing else of it is repeated in an error."""
    table = '[approval]\nsession-minutes = 600\naccounts = "postgresql://u:hunter2@h/n"\napprovals = {{ qa = {} }}\n'
    for number, holds in ((2, True), (0, False)):
        config = CONFIG + table.format(number).encode()
        made = make_bundle(tmp_path, name=f"older-{number}", spoil=Spoil(files={SOURCE_CONFIG: config}))
        bundle = verify_bundle(made.path, KEYS.release.public)
        if holds:
            assert signed_standing(bundle)[1].thresholds == {Role.QA: 2}
            continue
        with pytest.raises(IntegrityError, match="at least 1 approval") as caught:
            signed_standing(bundle)
        assert "hunter2" not in str(caught.value)
