"""A signature whose file is taken away from the end of the record: the other files do not tell, the product's log does."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pyotp
import pytest
from click.testing import CliRunner

from devicepipe.cli.main import cli
from devicepipe.errors import DevicepipeError, IntegrityError
from devicepipe.evidence.ledger.index import INDEX
from devicepipe.evidence.signatures import record_folder
from devicepipe.evidence.verify import verify_bundle
from devicepipe.project.config import load_project
from devicepipe.stages.context import open_keys
from devicepipe.stages.production import check_ships
from tests.cli.calls import run
from tests.publication.publishing import sign

MISSING = r"pump-1\.2\.3\.signatures/0004\.dsse\.json: is not there: entry \d+ of the log is the signature of Quinn"


def take_away(bundle: Path, number: int = 4) -> None:
    for path in record_folder(bundle).glob(f"{number:04}.*"):
        path.unlink()


@pytest.mark.parametrize("action", ["reject", "withdraw"])
def test_who_deletes_a_rejection_or_a_withdrawal_publishes_nothing(
    root: Path, bundle: Path, people: dict[str, pyotp.TOTP], action: str
) -> None:
    assert root
    sign(action, bundle, "quinn", people, "Do not ship: alarm defect")
    take_away(bundle)
    for refused in (
        lambda: sign("publish", bundle, "mara", people),
        lambda: sign("withdraw", bundle, "quinn", people),
        lambda: run("approvals", bundle),
    ):
        with pytest.raises(IntegrityError, match=MISSING) as caught:
            refused()
        assert "restore the file" in caught.value.remedy
    assert run("repository", "status")[1]["releases"] == []
    assert not (record_folder(bundle) / "0004.dsse.json").exists()


def test_who_deletes_a_rejection_does_not_ship(root: Path, bundle: Path, people: dict[str, pyotp.TOTP]) -> None:
    project = load_project(root / "devicepipe.toml")
    verified = verify_bundle(bundle, open_keys(project).trust)
    check_ships(project, verified)
    sign("reject", bundle, "quinn", people)
    take_away(bundle)
    with pytest.raises(IntegrityError, match=MISSING):
        check_ships(project, verified)


def test_who_deletes_a_withdrawal_does_not_publish_the_release_again(
    root: Path, bundle: Path, people: dict[str, pyotp.TOTP]
) -> None:
    sign("publish", bundle, "mara", people)
    sign("unpublish", bundle, "quinn", people)
    take_away(bundle, 5)
    for command in ("publish", "unpublish"):
        with pytest.raises(IntegrityError, match=r"0005\.dsse\.json: is not there"):
            run(command, bundle)
    assert run("repository", "status")[1]["releases"][0]["state"] == "withdrawn"
    assert root


def test_the_whole_record_taken_away_is_missed(root: Path, bundle: Path) -> None:
    assert root
    shutil.rmtree(record_folder(bundle))
    with pytest.raises(IntegrityError, match=r"0001\.dsse\.json: is not there"):
        run("approvals", bundle)


def test_an_index_that_hides_the_entry_hides_nothing(root: Path, bundle: Path, people: dict[str, pyotp.TOTP]) -> None:
    sign("reject", bundle, "quinn", people)
    run("log", "show", "--kind", "approval")
    with closing(sqlite3.connect(root / ".devicepipe/log" / INDEX)) as database, database:
        database.execute("DELETE FROM entries WHERE kind = 'approval'")
    assert run("log", "show", "--kind", "approval")[1] == []
    take_away(bundle)
    with pytest.raises(IntegrityError, match=MISSING):
        sign("publish", bundle, "mara", people)


@pytest.mark.parametrize("what", ["taken away", "begun anew", "as it was before"])
def test_a_log_that_is_not_the_one_that_proofs_are_of_lets_nobody_go_on(
    root: Path, bundle: Path, people: dict[str, pyotp.TOTP], what: str
) -> None:
    log = root / ".devicepipe/log"
    kept = shutil.copytree(log, root / "kept")
    sign("reject", bundle, "quinn", people)
    shutil.rmtree(log)
    if what == "begun anew":
        (root / "approval/roster.dsse.json").unlink()
        run("account", "roster", "--accept-differences")
    elif what == "as it was before":
        shutil.copytree(kept, log)
    with pytest.raises(IntegrityError, match="there is no log here" if what == "taken away" else "another one"):
        sign("publish", bundle, "mara", people)
    with pytest.raises(DevicepipeError, match=r"is not here|another one|is older than"):
        sign("submit", bundle, "eva", people)
    assert (
        len(run("verify", bundle, "--key", root / ".devicepipe/keys/release.pub.pem")[1]["approval"]["signatures"]) == 4
    )


def test_what_somebody_else_left_unlogged_is_told_before_it_is_logged(
    root: Path, bundle: Path, people: dict[str, pyotp.TOTP]
) -> None:
    assert root
    (record_folder(bundle) / "0003.tlog-proof").unlink()
    words = ["reject", str(bundle), "--as", "ron", "--meaning", "No"]
    told = CliRunner().invoke(cli, words, input="", standalone_mode=False)
    assert "0003.dsse.json has no proof that it was logged, and is logged now: approve, Quinn (qa) on" in told.stderr
