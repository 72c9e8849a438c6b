"""What the commands of the approval tell: before a signature, of signatures that count no more, and of mistakes."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pyotp
import pytest
from click.testing import CliRunner

from devicepipe.cli.main import cli
from devicepipe.errors import IntegrityError, UsageError
from devicepipe.evidence.signatures import record_folder
from devicepipe.evidence.verify import verify_bundle
from devicepipe.project.config import load_project
from devicepipe.stages.context import open_keys
from tests.cli.calls import WORDS, enrol, run, run_text, sign
from tests.evidence.synthetic_bundle import Keys, Pair, Spoil, make_bundle


def test_an_approval_that_a_rejection_made_void_is_told_as_one_that_counts_no_more(
    bundle: Path, people: dict[str, pyotp.TOTP]
) -> None:
    sign("submit", bundle, "eva", WORDS["eva"], people["eva"].now())
    sign("approve", bundle, "ron", WORDS["ron"], people["ron"].now())
    sign("reject", bundle, "quinn", WORDS["quinn"], people["quinn"].now())
    told = run("approvals", bundle)[1]
    assert (told["product"], told["version"]) == ("pump", "1.2.3")
    assert [(one["action"], one["counts"]) for one in told["signatures"]] == [
        ("submit", True), ("approve", False), ("reject", True),
    ]  # fmt: skip
    said = run_text("approvals", bundle).splitlines()
    assert [one.split()[0] for one in said if "counts no more" in one] == ["approve"]


def test_a_draft_wants_to_be_submitted_again_too(bundle: Path, people: dict[str, pyotp.TOTP]) -> None:
    """It said that it wants approvals, which nobody can give yet."""
    assert (
        run_text("approvals", bundle).splitlines()[-1] == "wanted: `devicepipe submit`, as engineer or release-manager"
    )
    sign("submit", bundle, "eva", WORDS["eva"], people["eva"].now())
    assert run_text("approvals", bundle).splitlines()[-1] == "wanted: 1 approval as reviewer, 1 approval as qa"
    sign("reject", bundle, "quinn", WORDS["quinn"], people["quinn"].now())
    assert "wanted: `devicepipe submit`" in run_text("approvals", bundle)
    assert sign("submit", bundle, "eva", WORDS["eva"])[1]["state"] == "candidate"


def test_who_signs_is_shown_what_before_any_secret_is_asked_for(bundle: Path, people: dict[str, pyotp.TOTP]) -> None:
    """The prompt was "Password of eva", and nothing of what the password signs."""
    words = ["submit", str(bundle), "--as", "eva", "--meaning", "Ready for review"]
    result = CliRunner().invoke(cli, words, input="", standalone_mode=False)
    assert people
    assert isinstance(result.exception, UsageError)
    trust = open_keys(load_project(bundle.parents[1] / "devicepipe.toml")).trust
    digest = verify_bundle(bundle, trust).sha256("release.json")
    assert result.stderr.splitlines()[:4] == [
        f"verifying {bundle}",
        "eva signs: submit pump 1.2.3 as engineer",
        "  meaning: Ready for review",
        f"  release.json: SHA-256 {digest}",
    ]


@pytest.mark.parametrize("command", ["submit", "approve"])
def test_who_submits_is_told_that_a_release_names_no_production_key(
    root: Path, people: dict[str, pyotp.TOTP], command: str
) -> None:
    """Everybody signed, and only `production` told it."""
    boards = b'[[board]]\nname = "alpha"\nmanifest = "boards/alpha.json"\napplication = "alpha"\nbootloader = "alpha"\n'
    without = Spoil(files={"evidence/source/devicepipe.toml": b'[product]\nname = "pump"\n' + boards})
    bundle = make_bundle(root, keys=_keys(root), spoil=without).path
    assert people
    words = [command, str(bundle), "--as", "eva", "--meaning", "Ready for review"]
    said = CliRunner().invoke(cli, words, input="", standalone_mode=False).stderr
    told = (
        "no production key was configured in the devicepipe.toml that was released: it can be approved, but not shipped"
    )
    assert (told in said) is (command == "submit")


def test_an_account_that_there_is_not_is_told_as_that(bundle: Path, people: dict[str, pyotp.TOTP]) -> None:
    """It was told as one without the role."""
    assert people
    for role in ({}, {"role": "qa"}):
        with pytest.raises(UsageError, match="the roster has no account 'quin'") as caught:
            sign("submit", bundle, "quin", **role)
        assert "eva, quinn, ron" in caught.value.remedy
    with pytest.raises(UsageError, match="quinn does not have the role reviewer, but qa"):
        sign("approve", bundle, "quinn", role="reviewer")


def test_signatures_of_another_bundle_are_told_with_a_remedy(bundle: Path, people: dict[str, pyotp.TOTP]) -> None:
    sign("submit", bundle, "eva", WORDS["eva"], people["eva"].now())
    other = make_bundle(bundle.parent, keys=_keys(bundle.parents[1]), version="1.2.4", name="other").path
    shutil.copytree(record_folder(bundle), record_folder(other))
    with pytest.raises(IntegrityError, match="is about another release statement") as caught:
        run("approvals", other)
    assert "restore from a copy the bundle that was signed" in caught.value.remedy
    (record_folder(bundle) / "0001.dsse.json").unlink()
    with pytest.raises(IntegrityError, match="proves no signature that is there") as caught:
        run("approvals", bundle)
    assert "restore 0001.dsse.json from a copy" in caught.value.remedy


def test_a_wrong_password_is_told_with_a_remedy(bundle: Path, people: dict[str, pyotp.TOTP]) -> None:
    for secrets in (("not the password", people["eva"].now()), (WORDS["eva"], "000000")):
        with pytest.raises(UsageError, match="account, password or code is wrong") as caught:
            sign("submit", bundle, "eva", *secrets)
        assert "devicepipe account reset" in caught.value.remedy


def test_a_roster_that_was_deleted_is_restored_not_made_anew(bundle: Path, people: dict[str, pyotp.TOTP]) -> None:
    """The remedy was to make accounts."""
    (bundle.parents[1] / "approval/roster.dsse.json").unlink()
    assert people
    with pytest.raises(UsageError, match="there is no roster of people") as caught:
        sign("submit", bundle, "eva")
    assert caught.value.remedy.startswith("restore number 3 of ")
    assert caught.value.remedy.endswith("from version control")


def test_a_database_of_accounts_that_was_deleted_is_told(root: Path, people: dict[str, pyotp.TOTP]) -> None:
    """It said "there is no account yet"."""
    assert people
    (root / ".devicepipe/accounts.sqlite").unlink()
    for words in (("list",), ("close", "eva")):
        with pytest.raises(UsageError, match="no account in the database, and 3 in the roster") as caught:
            run("account", *words)
        assert "restore the database of accounts from a copy" in caught.value.remedy


def test_a_lost_database_without_a_copy_is_no_dead_end(bundle: Path, people: dict[str, pyotp.TOTP]) -> None:
    """Once its people's keys had been ended, nobody could be enrolled any more. What they signed stays valid."""
    sign("submit", bundle, "eva", WORDS["eva"], people["eva"].now())
    (bundle.parents[1] / ".devicepipe/accounts.sqlite").unlink()
    run("account", "roster", "--accept-differences")
    again = enrol("eva2", WORDS["eva"], "release-manager")
    sign("withdraw", bundle, "eva2", WORDS["eva"], again.now())
    assert [one["account"] for one in run("approvals", bundle)[1]["signatures"]] == ["eva", "eva2"]


@pytest.mark.parametrize("which", ["signatures", "production", "dist"])
def test_a_folder_that_is_no_bundle_is_a_mistake_of_the_user(
    bundle: Path, people: dict[str, pyotp.TOTP], which: str
) -> None:
    """It was told as evidence that does not hold."""
    sign("submit", bundle, "eva", WORDS["eva"], people["eva"].now())
    bundle.with_name(f"{bundle.name}.production").mkdir()
    folder = bundle.parent if which == "dist" else bundle.with_name(f"{bundle.name}.{which}")
    key = bundle.parents[1] / ".devicepipe/keys/release.pub.pem"
    with pytest.raises(UsageError, match="is no bundle of a release") as caught:
        run("verify", folder, "--key", key)
    assert ("dist/NAME-VERSION" if which == "dist" else f"name the bundle itself: {bundle}") in caught.value.remedy


@pytest.mark.parametrize("command", ["add", "roster", "submit"])
def test_a_roster_without_the_products_log_begins_no_new_log(
    bundle: Path, people: dict[str, pyotp.TOTP], command: str
) -> None:
    """A log that was moved away was begun anew, and the roster overwritten."""
    assert people
    root = bundle.parents[1]
    log, roster = root / ".devicepipe/log", root / "approval/roster.dsse.json"
    log.rename(root / "elsewhere")
    before = roster.read_bytes()
    done: dict[str, Callable[[], object]] = {
        "add": lambda: enrol("max", "four green umbrellas", "qa"),
        "roster": lambda: run("account", "roster", "--accept-differences"),
        "submit": lambda: sign("submit", bundle, "eva", WORDS["eva"], people["eva"].now()),
    }
    with pytest.raises(UsageError, match="the product's log, in which every roster is, is not here") as caught:
        done[command]()
    assert str(log) in caught.value.remedy
    assert roster.read_bytes() == before
    assert not log.exists()


def _keys(root: Path) -> Keys:
    keys = open_keys(load_project(root / "devicepipe.toml"))
    return Keys(Pair(keys.image.signer, keys.image.public), Pair(keys.release.signer, keys.release.public))
