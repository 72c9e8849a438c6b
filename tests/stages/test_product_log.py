"""The log of a product whose checkpoint was lost: nothing is begun over the rest, and the checkpoint put back makes all good."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from devicepipe.errors import IntegrityError
from devicepipe.evidence.ledger.disk import Disk
from devicepipe.evidence.ledger.entry import make_entry
from devicepipe.evidence.ledger.log import has_log
from devicepipe.evidence.ledger.verify import verify_log
from devicepipe.evidence.ledger.writer import LogWriter, create_log
from devicepipe.project.config import Project, load_project
from devicepipe.stages import ledger
from devicepipe.stages.context import open_keys
from tests.evidence.ledger.keys import log_signer
from tests.traceability.test_reviews import make_project

DIGEST = "ab" * 32
ENTRY = make_entry("login", at="2026-11-29T00:00:00Z", by="eva", subject="eva", details={"outcome": "refused"})
MISSING = "checkpoint: is missing, though the log has"
USES: dict[str, Callable[[Project], object]] = {
    "append": lambda project: ledger.append(project, [ENTRY]),
    "append once": lambda project: ledger.append_once(project, [ENTRY]),
    "check": ledger.check,
    "entries about": lambda project: ledger.entries_about(project, "approval", DIGEST, recover=True),
    "entries with": lambda project: ledger.entries_with(project, (b"login",)),
}


@pytest.fixture
def project(tmp_path: Path) -> Project:
    make_project(tmp_path)
    return load_project(tmp_path / "devicepipe.toml")


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def acknowledge(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """Append an entry that stays in the journal, as after a kill."""
    with monkeypatch.context() as patch:
        patch.setattr(LogWriter, "publish", lambda self: self.checkpoint)
        ledger.append(project, [ENTRY])


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("left", ["tiles", "a journal"])
def test_a_lost_checkpoint_begins_a_new_log_over_the_old_one(
    project: Project, monkeypatch: pytest.MonkeyPatch, use: str, left: str
) -> None:
    if left == "tiles":
        ledger.append(project, [ENTRY] * 300)
    acknowledge(project, monkeypatch)
    log = ledger.log_folder(project)
    size = 301 if left == "tiles" else 1
    kept = (log / "checkpoint").read_bytes()
    (log / "checkpoint").unlink()
    before = files(log)
    with pytest.raises(IntegrityError, match=f"{MISSING} {left}") as caught:
        USES[use](project)
    assert f"restore it from a copy of the log: {log / 'checkpoint'}" in (caught.value.remedy or "")
    with pytest.raises(IntegrityError, match=MISSING):
        create_log(log, log_signer())
    assert files(log) == before
    (log / "checkpoint").write_bytes(kept)
    assert ledger.append(project, [ENTRY]) == range(size, size + 1)
    trust = ledger._trust(project)
    assert verify_log(log, trust).signed.size == size + 1


def test_a_log_that_was_being_made_when_its_process_was_killed_is_made(project: Project) -> None:
    log = ledger.log_folder(project)
    create_log(log, log_signer())
    (log / "checkpoint").unlink()  # the journal is there, and empty
    assert not has_log(Disk(log))
    assert ledger.append(project, [ENTRY]) == range(1)
    shutil.rmtree(log)
    assert ledger.entries_with(project, (b"login",), open_keys(project)) == {}
