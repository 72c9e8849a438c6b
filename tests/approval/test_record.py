"""The signatures of a release: its whole life, and whatever is done to their files without the keys."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from devicepipe.approval.accounts import Accounts, Identified
from devicepipe.approval.lifecycle import Action, ApprovalPolicy, Role, Standing, State
from devicepipe.approval.record import Intent, read_record, sign, standing_of
from devicepipe.errors import IntegrityError, UsageError
from devicepipe.evidence.signatures import Given, Roster, instant, record_folder, sign_release, sign_roster
from devicepipe.evidence.verify import VerifiedBundle, verify_bundle
from tests.approval.conftest import CHEAP, PASSWORD, Clock, code
from tests.evidence.synthetic_bundle import Keys, development_keys, make_bundle

PEOPLE = {
    "eva": ("Eva Engineer", [Role.ENGINEER]),
    "ada": ("Ada Author", [Role.ENGINEER, Role.QA]),
    "ron": ("Ron Reviewer", [Role.REVIEWER]),
    "quinn": ("Quinn Quality", [Role.QA]),
    "rita": ("Rita Release", [Role.RELEASE_MANAGER]),
}
POLICY = ApprovalPolicy()
KEYS = development_keys()


@dataclass
class Team:
    """People who sign a bundle."""

    accounts: Accounts
    clock: Clock
    bundle: VerifiedBundle
    uris: dict[str, str]

    def roster(self, keys: Keys = KEYS, product: str = "pump") -> bytes:
        roster = Roster(product=product, number=1, on=instant(self.clock.now), people=self.accounts.people())
        return sign_roster(roster, keys.release.signer, keys.release.public)

    def identified(self, account: str) -> Identified:
        self.clock.pass_(seconds=31)
        return self.accounts.identify(account, PASSWORD, code(self.uris[account], self.clock))

    def sign(self, account: str, action: Action, role: Role, meaning: str = "I have read it") -> tuple[Given, Standing]:
        who = self.identified(account)
        return sign(
            self.bundle,
            Intent(action, role, meaning),
            who,
            self.roster(),
            policy=POLICY,
            authors={"ada@example.com"},
            now=self.clock,
        )

    def approve(self) -> Standing:
        self.sign("eva", Action.SUBMIT, Role.ENGINEER)
        self.sign("ron", Action.APPROVE, Role.REVIEWER)
        return self.sign("quinn", Action.APPROVE, Role.QA)[1]

    def standing(self) -> Standing:
        return standing_of(read_record(self.bundle), POLICY, {"ada@example.com"})

    @property
    def folder(self) -> Path:
        return record_folder(self.bundle.folder)


@pytest.fixture
def team(tmp_path: Path, clock: Clock) -> Iterator[Team]:
    made = make_bundle(tmp_path)
    accounts = Accounts(f"sqlite:///{tmp_path}/accounts.sqlite", CHEAP, clock)
    uris = {
        id_: accounts.add(id_, name, f"{id_}@example.com", roles, PASSWORD) for id_, (name, roles) in PEOPLE.items()
    }
    yield Team(accounts, clock, verify_bundle(made.path, KEYS.release.public), uris)
    accounts.dispose()


def test_a_release_that_was_made_anew_while_somebody_signed_is_not_signed(team: Team) -> None:
    """The signature was written beside the new bundle, and was about the old one."""
    statement = team.bundle.folder / "release.json"
    statement.write_bytes(statement.read_bytes().replace(b"pump", b"lamp"))
    with pytest.raises(UsageError, match="made anew meanwhile"):
        team.sign("eva", Action.SUBMIT, Role.ENGINEER)
    assert not team.folder.exists()


def test_a_release_is_approved_released_and_withdrawn_and_its_bundle_is_the_same_as_before(team: Team) -> None:
    assert team.standing().state is State.DRAFT
    assert team.approve().state is State.APPROVED
    assert team.sign("rita", Action.RELEASE, Role.RELEASE_MANAGER)[1].state is State.RELEASED
    given, standing = team.sign("quinn", Action.WITHDRAW, Role.QA, "The pump alarms without cause")
    assert standing.state is team.standing().state is State.WITHDRAWN
    assert given.signature.told == "Quinn Quality (qa) on 2026-03-02 03:06:40 UTC: The pump alarms without cause"
    assert given.signature.components == ["password", "totp"]
    verify_bundle(team.bundle.folder, KEYS.release.public)


@pytest.mark.parametrize(
    ("account", "action", "role", "why"),
    [
        ("ron", Action.APPROVE, Role.REVIEWER, "draft cannot be approved"),
        ("eva", Action.SUBMIT, Role.RELEASE_MANAGER, "eva does not have the role release-manager"),
        ("eva", Action.WITHDRAW, Role.ENGINEER, "may not withdraw"),
    ],
)
def test_what_may_not_be_signed_leaves_no_trace(team: Team, account: str, action: Action, role: Role, why: str) -> None:
    with pytest.raises(UsageError, match=why):
        team.sign(account, action, role)
    assert read_record(team.bundle).signatures == ()
    assert not [*team.folder.rglob("*.json")]


def test_the_author_of_a_change_does_not_approve_it(team: Team) -> None:
    team.sign("eva", Action.SUBMIT, Role.ENGINEER)
    with pytest.raises(UsageError, match="ada is an author of the change"):
        team.sign("ada", Action.APPROVE, Role.QA)


def test_a_signature_without_a_meaning_is_none(team: Team) -> None:
    with pytest.raises(UsageError, match="has a meaning"):
        team.sign("eva", Action.SUBMIT, Role.ENGINEER, " ")


def test_a_roster_of_another_product_lets_nobody_sign(team: Team) -> None:
    who = team.identified("eva")
    intent = Intent(Action.SUBMIT, Role.ENGINEER, "Ready for review")
    with pytest.raises(IntegrityError, match="is the roster of another product, pen"):
        sign(team.bundle, intent, who, team.roster(product="pen"), policy=POLICY, authors=(), now=team.clock)


def test_a_record_takes_no_roster_of_another_product(team: Team) -> None:
    team.sign("eva", Action.SUBMIT, Role.ENGINEER)
    foreign = team.roster(product="pen")
    name = f"rosters/{hashlib.sha256(foreign).hexdigest()}.dsse.json"
    (team.folder / name).write_bytes(foreign)
    with pytest.raises(IntegrityError, match="is the roster of another product, pen") as caught:
        read_record(team.bundle)
    assert caught.value.link == name


def test_a_roster_of_another_key_lets_nobody_sign(team: Team) -> None:
    who = team.identified("eva")
    intent = Intent(Action.SUBMIT, Role.ENGINEER, "Ready")
    with pytest.raises(IntegrityError):
        sign(team.bundle, intent, who, team.roster(development_keys(1)), policy=POLICY, authors=(), now=team.clock)


def test_a_role_that_is_in_the_database_alone_signs_nothing(team: Team) -> None:
    roster, who = team.roster(), team.identified("eva")
    team.accounts.set_roles("eva", [Role.ENGINEER, Role.QA])
    team.sign("rita", Action.SUBMIT, Role.RELEASE_MANAGER)
    with pytest.raises(UsageError, match="eva does not have the role qa"):
        sign(
            team.bundle, Intent(Action.APPROVE, Role.QA, "Fine"), who, roster, policy=POLICY, authors=(), now=team.clock
        )


def test_people_who_sign_at_once_all_sign(team: Team) -> None:
    team.sign("eva", Action.SUBMIT, Role.ENGINEER)
    people = [(team.identified(one), role) for one, role in (("ron", Role.REVIEWER), ("quinn", Role.QA))]
    roster = team.roster()

    def approve(who: tuple[Identified, Role]) -> int:
        intent = Intent(Action.APPROVE, who[1], "I have read it")
        return sign(team.bundle, intent, who[0], roster, policy=POLICY, authors=(), now=team.clock)[0].signature.number

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(approve, people)) == [2, 3]
    assert team.standing().state is State.APPROVED


# --- tampering


def flip(folder: Path, name: str) -> None:
    path = folder / name
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def swap(folder: Path, one: str, two: str) -> None:
    first, second = (folder / one).read_bytes(), (folder / two).read_bytes()
    (folder / one).write_bytes(second)
    (folder / two).write_bytes(first)


def rosters(folder: Path) -> list[Path]:
    return sorted((folder / "rosters").iterdir())


TAMPERING: dict[str, tuple[Callable[[Path], object], str]] = {
    # what is done: (how, the link that is named)
    "a bit of a signature flipped": (lambda at: flip(at, "0002.dsse.json"), "0002.dsse.json"),
    "the first signature dropped": (lambda at: (at / "0001.dsse.json").unlink(), "0001.dsse.json"),
    "a signature in the middle dropped": (lambda at: (at / "0002.dsse.json").unlink(), "0002.dsse.json"),
    "a signature dropped and the gap closed": (
        lambda at: (at / "0003.dsse.json").rename(at / "0002.dsse.json"), "0002.dsse.json"),
    "two signatures exchanged": (lambda at: swap(at, "0002.dsse.json", "0003.dsse.json"), "0002.dsse.json"),
    "a signature given twice": (lambda at: shutil.copy(at / "0003.dsse.json", at / "0004.dsse.json"), "0004.dsse.json"),
    "a roster dropped": (lambda at: rosters(at)[0].unlink(), "000"),
    "a roster flipped": (lambda at: flip(at, f"rosters/{rosters(at)[0].name}"), "rosters/"),
    "a roster under another name": (lambda at: rosters(at)[0].rename(at / f"rosters/{'0' * 64}.dsse.json"), "rosters/000"),
    "something else among the signatures": (lambda at: (at / "note.txt").write_text("hello"), "note.txt"),
    "a folder among the signatures": (lambda at: (at / "more").mkdir(), "more"),
}  # fmt: skip


@pytest.mark.parametrize("what", TAMPERING)
def test_whatever_is_done_to_the_files_is_found_and_named(team: Team, what: str) -> None:
    team.approve()
    how, link = TAMPERING[what]
    how(team.folder)
    with pytest.raises(IntegrityError) as caught:
        read_record(team.bundle)
    assert caught.value.link.startswith(link)


def test_signatures_of_another_release_are_not_this_ones(team: Team, tmp_path: Path) -> None:
    team.approve()
    (tmp_path / "other").mkdir()
    other = make_bundle(tmp_path / "other", version="1.2.4")
    shutil.copytree(team.folder, record_folder(other.path))
    with pytest.raises(IntegrityError, match="another release statement") as caught:
        read_record(verify_bundle(other.path, KEYS.release.public))
    assert caught.value.link == "0001.dsse.json"


def test_the_same_version_made_anew_has_no_signatures(team: Team, tmp_path: Path) -> None:
    team.approve()
    (tmp_path / "anew").mkdir()
    again = make_bundle(tmp_path / "anew", boards=("alpha", "beta"))
    shutil.copytree(team.folder, record_folder(again.path))
    with pytest.raises(IntegrityError, match="another release statement"):
        read_record(verify_bundle(again.path, KEYS.release.public))


@pytest.mark.parametrize("what", ["another person's key", "a key that is in no roster", "the release key itself"])
def test_a_signature_by_another_key_is_not_the_persons(team: Team, what: str) -> None:
    given = team.sign("eva", Action.SUBMIT, Role.ENGINEER)[0]
    other = team.identified("ron")
    pair = development_keys(1).release if what == "a key that is in no roster" else KEYS.release
    signer, public = (other.signer, other.public_key) if what == "another person's key" else (pair.signer, pair.public)
    forged = sign_release(given.signature, team.bundle.sha256("release.json"), signer, public)
    (team.folder / given.file).write_bytes(forged)
    with pytest.raises(IntegrityError, match="is signed by the key"):
        read_record(team.bundle)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"name": "Rita Release"}, "the roster Eva Engineer"),
        ({"role": "qa"}, "the roster Eva Engineer"),
        ({"account": "ron"}, "is signed by the key"),
        ({"account": "nobody"}, "the roster knows no nobody"),
        ({"on": "2020-01-01T00:00:00.000000Z"}, "was not in force"),
        ({"roster": "0" * 64}, "a roster that is not in the record"),
        ({"number": 2}, "does not follow"),
        ({"follows": "0" * 64}, "does not follow"),
        ({"version": "9.9.9"}, "is about pump 9.9.9"),
        ({"components": ["password"]}, "with one component only"),
        ({"components": ["password", "password"]}, "with one component only"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_what_a_person_signs_is_held_against_the_roster_and_the_record(
    team: Team, change: dict[str, object], why: str
) -> None:
    given = team.sign("eva", Action.SUBMIT, Role.ENGINEER)[0]
    eva = team.identified("eva")
    told = given.signature.model_copy(update=change)
    forged = sign_release(told, team.bundle.sha256("release.json"), eva.signer, eva.public_key)
    (team.folder / "0001.dsse.json").write_bytes(forged)
    with pytest.raises(IntegrityError, match=why):
        read_record(team.bundle)


def test_a_signature_that_the_life_of_a_release_does_not_allow_is_found(team: Team) -> None:
    given = team.sign("eva", Action.SUBMIT, Role.ENGINEER)[0]
    eva = team.identified("eva")
    told = given.signature.model_copy(update={"action": "approve"})
    (team.folder / "0001.dsse.json").write_bytes(
        sign_release(told, team.bundle.sha256("release.json"), eva.signer, eva.public_key)
    )
    with pytest.raises(IntegrityError, match="could not be given: a release that is a draft cannot be approved"):
        team.standing()


def test_what_was_signed_with_a_key_that_was_replaced_stays_valid_and_it_signs_nothing_more(team: Team) -> None:
    old = team.identified("eva")
    team.sign("eva", Action.SUBMIT, Role.ENGINEER)
    team.clock.pass_(hours=1)
    team.accounts.reset("quinn", "quite another phrase")
    team.accounts.close("eva")
    team.clock.pass_(hours=1)
    assert team.standing().state is State.CANDIDATE
    with pytest.raises(UsageError, match="does not know the key of eva"):
        sign(
            team.bundle,
            Intent(Action.WITHDRAW, Role.QA, "Late"),
            old,
            team.roster(),
            policy=POLICY,
            authors=(),
            now=team.clock,
        )
    team.sign("ron", Action.APPROVE, Role.REVIEWER)
    assert len(read_record(team.bundle).signatures) == 2
