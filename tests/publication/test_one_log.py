"""What was logged is what is there: a signature that was exchanged, a proof or a release of another log, one without a proof."""

from __future__ import annotations

import shutil
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pyotp
import pytest

from devicepipe.approval.record import read_record
from devicepipe.approval.secret_box import open_box
from devicepipe.errors import IntegrityError, UsageError
from devicepipe.evidence.ledger.checkpoint import Trust
from devicepipe.evidence.ledger.log import Log
from devicepipe.evidence.ledger.note import NoteKey, NoteSigner
from devicepipe.evidence.ledger.writer import append_entries, create_log
from devicepipe.evidence.log_proofs import DECISION
from devicepipe.evidence.signature_proofs import entry_of
from devicepipe.evidence.signatures import record_folder, sign_release
from devicepipe.evidence.verify import VerifiedBundle, verify_bundle
from devicepipe.project.config import load_project
from devicepipe.stages.approval import log_signatures
from devicepipe.stages.context import Keys, open_keys
from tests.cli.calls import entries, run
from tests.evidence.logged import add_proofs
from tests.publication.publishing import WORDS, make_release, pull, sign


def opened(root: Path, bundle: Path) -> tuple[Keys, VerifiedBundle]:
    keys = open_keys(load_project(root / "devicepipe.toml"))
    return keys, verify_bundle(bundle, keys.trust)


@pytest.mark.parametrize(
    "change", [{"components": ["password"], "first_of_session": False}, {"session": "never was"}], ids=["component", "session"]
)  # fmt: skip
def test_a_signature_that_its_signer_exchanged_after_it_was_logged_is_none(
    root: Path, bundle: Path, change: dict[str, object]
) -> None:
    _, verified = opened(root, bundle)
    last = read_record(verified).signatures[-1]
    with closing(sqlite3.connect(root / ".devicepipe/accounts.sqlite")) as database:
        (box,) = database.execute("select box from account where id = 'quinn'").fetchone()
    mine = open_box(box, "quinn", WORDS["quinn"])
    assert mine is not None
    other = last.signature.model_copy(update=change)
    data = sign_release(other, verified.sha256("release.json"), mine.signer(), mine.public_key())
    (record_folder(bundle) / last.file).write_bytes(data)
    with pytest.raises(IntegrityError, match="its entry is") as caught:
        run("verify", bundle, "--key", root / ".devicepipe/keys/release.pub.pem")
    assert caught.value.link == "0003.tlog-proof"
    (record_folder(bundle) / "0003.tlog-proof").unlink()
    with pytest.raises(IntegrityError, match=r"0003\.dsse\.json: is not there: entry \d+ of the log"):
        run("approvals", bundle)


def test_a_proof_of_a_log_of_another_name_proves_nothing(root: Path, bundle: Path) -> None:
    """Whoever signs has the release key at hand, and can sign a log of their own with it."""
    keys, verified = opened(root, bundle)
    signer = NoteSigner(NoteKey.of_log("scratch.example/log", keys.release.public), keys.release.signer)
    create_log(root / "scratch", signer)
    last = read_record(verified).signatures[-1]
    append_entries(root / "scratch", signer, [entry_of(last, verified.sha256("release.json"))] * 40)
    proof = Log.open(root / "scratch", Trust((keys.release.public,))).prove(39).to_bytes()
    (record_folder(bundle) / "0003.tlog-proof").write_bytes(proof)
    with pytest.raises(IntegrityError, match=r"is of the log 'scratch\.example/log', expected 'pump/log'"):
        run("verify", bundle, "--key", root / ".devicepipe/keys/release.pub.pem")


def test_what_is_pulled_has_the_proofs_of_all_its_signatures(
    root: Path, bundle: Path, people: dict[str, pyotp.TOTP]
) -> None:
    sign("publish", bundle, "mara", people)
    pull(root, first=True)
    folder = root / "pulled/pump-1.2.3"
    (folder / "release.signatures/0003.tlog-proof").unlink()
    with pytest.raises(IntegrityError, match="has no proof that it is in the log") as caught:
        run("verify", folder, "--key", root / ".devicepipe/keys/release.pub.pem")
    assert caught.value.link == "0003.dsse.json"


def test_a_release_of_another_log_is_not_signed_here(root: Path, people: dict[str, pyotp.TOTP]) -> None:
    """Else somebody puts the log aside, and with it all that was done to the roster since."""
    made = make_release(root, "1.3.0")
    add_proofs(made, root / "elsewhere")
    before = len(entries("approval"))
    with pytest.raises(IntegrityError, match="of the product's log, and the log here is not that one") as caught:
        sign("submit", made.path, "eva", people)
    assert caught.value.link == DECISION
    assert "bring the log" in caught.value.remedy
    shutil.rmtree(root / ".devicepipe/log")
    with pytest.raises(IntegrityError, match="the log here is not that one"):
        sign("publish", made.path, "mara", people)
    with pytest.raises(UsageError, match="the product's log, in which every roster is, is not here"):
        sign("submit", made.path, "eva", people)
    assert before > 0
    assert not record_folder(made.path).exists() or not [*record_folder(made.path).glob("*.dsse.json")]


def test_two_who_log_the_same_signatures_at_once_both_finish(root: Path, bundle: Path) -> None:
    project = load_project(root / "devicepipe.toml")
    _, verified = opened(root, bundle)
    for number in (1, 2, 3):
        (record_folder(bundle) / f"000{number}.tlog-proof").unlink()
    with ThreadPoolExecutor(4) as pool:
        done = [pool.submit(log_signatures, project, verified) for _ in range(8)]
        assert [one.result() for one in done] == [None] * 8
    assert read_record(verified).unlogged == []
    assert len(entries("approval")) == 3


@pytest.mark.parametrize("words", [("repository", "refresh"), ("repository", "rotate")], ids=" ".join)
def test_where_the_log_is_gone_nothing_begins_another_one(root: Path, bundle: Path, words: tuple[str, ...]) -> None:
    """The daily timer did: whoever restored the log then had two, one in the other."""
    assert bundle
    (root / ".devicepipe/log").rename(root / "away")
    with pytest.raises(
        UsageError, match=r"there is a roster of people, and the product's log, .*log, is not here"
    ) as caught:
        run(*words)
    assert "restore the log from a copy" in caught.value.remedy
    assert not (root / ".devicepipe/log").exists()
    (root / "away").rename(root / ".devicepipe/log")
    run(*words)
