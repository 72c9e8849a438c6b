"""The lock's file is removed while a process has it, so that two append at once: nothing acknowledged is lost without a word."""

from __future__ import annotations

from pathlib import Path

import pytest

from devicepipe.errors import BenchError
from devicepipe.evidence.ledger.journal import JOURNAL
from devicepipe.evidence.ledger.log import CHECKPOINT, Log
from devicepipe.evidence.ledger.writer import create_log, open_writer, recover_log
from tests.evidence.ledger.keys import log_signer
from tests.evidence.ledger.logs import TRUST

SIGNER = log_signer()
SOMEBODY = "somebody else wrote to the log while this process had it locked"


@pytest.fixture
def log(tmp_path: Path) -> Path:
    create_log(tmp_path / "log", SIGNER)
    return tmp_path / "log"


def entries(log: Path) -> list[bytes]:
    recover_log(log, TRUST)
    return [data for _, data in Log.open(log, TRUST).entries()]


def test_an_acknowledged_entry_is_lost_to_a_writer_whose_lock_was_removed(log: Path) -> None:
    with open_writer(log, SIGNER) as one:
        one.append_raw([b"first of one"])
        (log / ".lock").unlink()
        with open_writer(log, SIGNER) as other:
            other.append_raw([b"first of other"])
        with pytest.raises(BenchError, match=SOMEBODY):
            one.append_raw([b"second of one"])
        with pytest.raises(BenchError, match="given up"):
            one.append_raw([b"third of one"])
    assert entries(log) == [b"first of one", b"first of other"]


def test_nor_does_it_publish_over_what_the_other_published(log: Path) -> None:
    with open_writer(log, SIGNER) as one:
        one.append_raw([b"first of one"])
        (log / ".lock").unlink()
        with open_writer(log, SIGNER) as other:
            other.append_raw([b"first of other"])
        published = (log / CHECKPOINT).read_bytes()
        with pytest.raises(BenchError, match=SOMEBODY):
            one.publish()
    assert (log / CHECKPOINT).read_bytes() == published
    assert entries(log) == [b"first of one", b"first of other"]


def test_nor_over_what_the_other_has_in_the_journal_only(log: Path) -> None:
    with open_writer(log, SIGNER) as one:
        (log / ".lock").unlink()
        with open_writer(log, SIGNER) as other:
            other.append_raw([b"first of other"])
            with pytest.raises(BenchError, match=SOMEBODY):
                one.append_raw([b"first of one"])
    assert entries(log) == [b"first of other"]


@pytest.mark.parametrize("name", [CHECKPOINT, JOURNAL])
def test_what_is_taken_away_under_a_writer_ends_it(log: Path, name: str) -> None:
    with open_writer(log, SIGNER) as one:
        one.append_raw([b"first"])
        kept = (log / name).read_bytes()
        (log / name).unlink()
        with pytest.raises(BenchError):
            one.append_raw([b"second"])
        (log / name).write_bytes(kept)
    assert entries(log) == [b"first"]
