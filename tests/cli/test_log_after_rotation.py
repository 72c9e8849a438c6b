"""Who watches the log goes on when its key is rotated, and when the former one is revoked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from devicepipe.errors import IntegrityError, UsageError
from devicepipe.evidence.signatures import record_folder
from devicepipe.signing.keys import ED25519, ensure_development_key
from tests.cli.calls import run
from tests.cli.rotation import HISTORY, Rotated, prepare, revoke, rotate
from tests.signing.softhsm import Token

LOG = ".devicepipe/log"
PROOF = "first.tlog-proof"
KEPT = "kept.checkpoint"


@pytest.fixture
def watched(root: Path, people: Any, token: Token) -> Rotated:
    """A product whose log was watched before its key was rotated: a witness's state, a kept checkpoint, a proof."""
    assert people
    ensure_development_key(root / "witness-keys", "witness")
    prepare(root, people)
    key = root / ".devicepipe/keys/release.pub.pem"
    witness(key, "--first")
    run("log", "checkpoint", "--output", KEPT)
    run("log", "prove", 0, "--output", PROOF)
    return rotate(root, people, token, ED25519)


def witness(key: Path, *more: object) -> Any:
    own = ("--state", "pump.seen", "--name", "witness.example.com/qa", "--signer", "file:witness-keys/witness.key.pem")
    return run("log", "witness", LOG, "--key", key, *own, "--public", "witness-keys/witness.pub.pem", *more)[1]


def test_a_witness_goes_on_after_the_key_was_rotated(watched: Rotated) -> None:
    with pytest.raises(IntegrityError, match="is not signed by a trusted key") as caught:
        witness(watched.new)
    assert "--history" in (caught.value.remedy or "")
    told = witness(watched.new, "--history", HISTORY, "--full")
    assert told["before"] < told["size"]
    assert witness(watched.new)["before"] == told["size"]


def test_kept_checkpoints_and_proofs_hold_after_the_key_was_rotated(watched: Rotated) -> None:
    for words in ((LOG, "--earlier", KEPT), (LOG, "--earlier", PROOF), ("--proof", PROOF)):
        with pytest.raises(IntegrityError, match="is not signed by a trusted key") as caught:
            run("log", "verify", *words, "--key", watched.new)
        assert "--history" in (caught.value.remedy or "")
        for key in (watched.new, watched.old):
            run("log", "verify", *words, "--key", key, "--history", HISTORY)
    for command in ("show", "checkpoint"):
        run("log", command, LOG, "--key", watched.old, "--history", HISTORY)
    run("log", "prove", 0, LOG, "--key", watched.old, "--history", HISTORY)


def test_who_watched_under_a_key_that_was_revoked_still_sees_what_they_saw(watched: Rotated) -> None:
    revoke(watched, watched.first)
    words = ("--key", watched.new, "--history", HISTORY)
    assert run("log", "verify", LOG, *words, "--earlier", KEPT)[1]["earlier"]
    assert witness(watched.new, "--history", HISTORY)["before"]
    # A proof counts where the revocation lists it, and no other: who has the key can sign any.
    run("log", "verify", "--proof", record_folder(watched.first) / "0001.tlog-proof", *words)
    with pytest.raises(IntegrityError, match="which was revoked"):
        run("log", "verify", "--proof", PROOF, *words)
    # Nor is a log that the revoked key signs the log.
    (watched.root / LOG / "checkpoint").write_bytes((watched.root / KEPT).read_bytes())
    with pytest.raises(IntegrityError, match="is not signed by a trusted key"):
        run("log", "verify", LOG, *words)


def test_the_history_of_another_products_keys_is_not_the_logs(watched: Rotated) -> None:
    words = ("--key", watched.new, "--history", HISTORY)
    with pytest.raises(UsageError, match=r"is of the keys of the log pump/log, not of example\.com/x"):
        run("log", "verify", LOG, *words, "--origin", "example.com/x")
    with pytest.raises(UsageError, match="--history goes with --key"):
        run("log", "show", "--history", HISTORY)


def test_a_pem_file_where_a_witness_is_named_is_told_so(watched: Rotated) -> None:
    pem = watched.root / "witness-keys/witness.pub.pem"
    for value in (pem, pem.read_text()):
        with pytest.raises(UsageError, match="PEM file") as caught:
            run("log", "verify", LOG, "--key", watched.new, "--witness", value)
        assert "BEGIN" not in str(caught.value)
    with pytest.raises(UsageError, match="its verifier key, NAME"):
        run("log", "checkpoint", "--add", KEPT, "--witness", pem)
