from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from devicepipe.errors import IntegrityError, UsageError
from devicepipe.evidence.ledger.checkpoint import Checkpoint, Trust, open_checkpoint, sign_checkpoint
from devicepipe.evidence.ledger.log import CHECKPOINT, Log
from devicepipe.evidence.ledger.note import NoteKey, NoteSigner
from devicepipe.evidence.ledger.proof import verify_proof
from devicepipe.evidence.ledger.tree import EMPTY_ROOT
from devicepipe.evidence.ledger.witness import Witnessed, witness_checkpoint, witness_log
from devicepipe.evidence.ledger.writer import open_writer, store_cosignatures
from tests.evidence.ledger.keys import ORIGIN, log_signer, witness_signer
from tests.evidence.ledger.logs import TRUST, make_log, sample

WITNESS = witness_signer()
WITNESSED = Trust(TRUST.keys, ORIGIN, (WITNESS.key,), quorum=1)


def see(log: Path, state: Path, *, first: bool = False) -> Witnessed:
    return witness_log(lambda: Log.open(log, TRUST), TRUST, state, WITNESS, first=first)


def grow(log: Path, by: int, of: str = "pump") -> None:
    with open_writer(log, log_signer()) as writer:
        start = writer.checkpoint.size
        writer.append([sample(number, of=of) for number in range(start, start + by)])


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return make_log(tmp_path / "log", 10)


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "witness" / "pump"


def test_it_follows_a_log(log: Path, state: Path) -> None:
    assert see(log, state, first=True).before is None
    for by in (1, 245, 1, 300, 0):
        grow(log, by)
        before = open_checkpoint(state.read_bytes(), WITNESSED, "state").size
        seen = see(log, state)
        assert (seen.before, seen.signed.size) == (before, before + by)
        assert state.read_bytes() == seen.data
        assert open_checkpoint(seen.data, WITNESSED, "x").cosigned[0].name == WITNESS.key.name


def test_its_cosignature_comes_into_the_log_and_its_proofs(log: Path, state: Path) -> None:
    seen = see(log, state, first=True)
    with pytest.raises(IntegrityError, match="cosigned by 0 of the witnesses"):
        Log.open(log, WITNESSED)
    merged = store_cosignatures(log, TRUST, seen.data, [WITNESS.key], "seen")
    assert (log / CHECKPOINT).read_bytes() == merged.data == seen.data
    proof = Log.open(log, WITNESSED).prove(3).to_bytes()
    assert verify_proof(proof, WITNESSED, "proof").checkpoint.cosigned[0].name == WITNESS.key.name
    grow(log, 1)
    with pytest.raises(IntegrityError, match="the log has grown since"):
        store_cosignatures(log, TRUST, seen.data, [WITNESS.key], "seen")


def test_it_refuses_a_rollback(log: Path, state: Path, tmp_path: Path) -> None:
    shutil.copytree(log, tmp_path / "old")
    grow(log, 5)
    kept = see(log, state, first=True).data
    with pytest.raises(IntegrityError, match="has 10 entries, and the witness has seen 15: the log was rolled back"):
        see(tmp_path / "old", state)
    assert state.read_bytes() == kept


def test_it_refuses_forks(log: Path, state: Path, tmp_path: Path) -> None:
    shutil.copytree(log, tmp_path / "fork")
    grow(log, 5)
    kept = see(log, state, first=True).data
    for by in (5, 1, 300):
        grow(tmp_path / "fork", by, of="forged")  # of the same size as seen, and of larger ones
        with pytest.raises(IntegrityError, match="is not of a log that grew from the 15 entries"):
            see(tmp_path / "fork", state)
    assert state.read_bytes() == kept
    grow(log, 1)
    assert see(log, state).before == 15


def test_it_refuses_wrong_proofs(log: Path, state: Path) -> None:
    see(log, state, first=True)
    grow(log, 7)
    opened = Log.open(log, TRUST)
    proof = opened.consistency(10)
    for bad in ([], proof[:-1], [*proof, EMPTY_ROOT], proof[::-1], [proof[0][:31], *proof[1:]]):
        with pytest.raises(IntegrityError, match="a fork"):
            witness_checkpoint(opened.signed.data, TRUST, state, WITNESS, proof=bad)
    seen = witness_checkpoint(opened.signed.data, TRUST, state, WITNESS, proof=proof, now=1_800_000_000)
    assert open_checkpoint(seen.data, WITNESSED, "x").cosigned[0].time == 1_800_000_000


def test_it_refuses_strangers(log: Path, state: Path, tmp_path: Path) -> None:
    see(log, state, first=True)
    other = Checkpoint("example.com/other", 20, bytes(32))
    signed = sign_checkpoint(other, log_signer(0, "example.com/other")).data
    with pytest.raises(IntegrityError, match="is of the log"):
        witness_checkpoint(signed, TRUST, state, WITNESS)
    with pytest.raises(IntegrityError, match=r"use one file"):
        witness_checkpoint(signed, Trust(TRUST.keys), state, WITNESS)
    with pytest.raises(IntegrityError, match="not signed by a trusted key"):
        witness_checkpoint(
            sign_checkpoint(Checkpoint(ORIGIN, 20, bytes(32)), log_signer(3)).data, TRUST, state, WITNESS
        )


def test_its_memory(log: Path, state: Path) -> None:
    with pytest.raises(UsageError, match=r"no record of this log[^$]*--first"):
        see(log, state)
    see(log, state, first=True)
    with pytest.raises(UsageError, match="has seen this log already"):
        see(log, state, first=True)
    state.write_bytes((log / CHECKPOINT).read_bytes())  # somebody else's record: without its own cosignature
    with pytest.raises(IntegrityError, match="cosigned by 0"):
        see(log, state)


def test_an_empty_log(tmp_path: Path, state: Path) -> None:
    log = make_log(tmp_path / "empty")
    assert see(log, state, first=True).signed.size == 0
    grow(log, 3)
    assert see(log, state).before == 0


def test_the_logs_own_key_meets_the_quorum_as_its_witness(log: Path, state: Path) -> None:
    public = log_signer().key.public
    own = NoteSigner(NoteKey.of_witness("witness.example.com/qa", public), log_signer().signer)
    with pytest.raises(UsageError, match="is that of a log, and makes no cosignatures"):
        Trust(TRUST.keys, ORIGIN, (log_signer().key,), quorum=1)
    with pytest.raises(UsageError, match="has the log's own key: a log is no witness of itself"):
        Trust(TRUST.keys, ORIGIN, (own.key,), quorum=1)
    with pytest.raises(UsageError, match="no witness of itself"):  # nor with a key that was the log's
        Trust((log_signer(1).key.public, public), ORIGIN, (WITNESS.key, own.key), quorum=1)
    with pytest.raises(UsageError, match="no witness of itself"):
        witness_log(lambda: Log.open(log, TRUST), TRUST, state, own, first=True)
    assert not state.exists()
    for key, match in ((log_signer().key, "makes no cosignatures"), (own.key, "no witness of itself")):
        with pytest.raises(UsageError, match=match):
            store_cosignatures(log, TRUST, (log / CHECKPOINT).read_bytes(), [key], "copy")


def test_a_link_in_the_place_of_its_file_gets_no_fork_cosigned(log: Path, state: Path, tmp_path: Path) -> None:
    """The link was replaced, and the file that it led to stayed older: a fork of that was cosigned beside the log."""
    see(log, state, first=True)
    shutil.copytree(log, tmp_path / "fork")
    (tmp_path / "link").symlink_to(state)
    grow(log, 5)
    with pytest.raises(UsageError, match=r"link: is no regular file[^$]*not a link"):
        see(log, tmp_path / "link")
    assert see(log, state).before == 10
    grow(tmp_path / "fork", 6, of="evil")
    with pytest.raises(IntegrityError, match="a fork"):
        see(tmp_path / "fork", state)


def test_a_fifo_in_the_place_of_its_file_is_told(log: Path, state: Path) -> None:
    """It was waited for, for ever."""
    state.parent.mkdir()
    os.mkfifo(state)
    with pytest.raises(UsageError, match="is no regular file"):
        see(log, state)
