"""A version that is made anew: nobody signs what is replaced while it is, and what people signed is replaced by nothing."""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import cast

import pytest

from devicepipe.errors import DevicepipeError
from devicepipe.evidence.signatures import record_folder
from devicepipe.pipeline import release
from devicepipe.pipeline.graph import Progress
from devicepipe.project.config import Project, load_project
from devicepipe.project.state import locked_in_state
from devicepipe.stages.context import Context, open_keys
from devicepipe.stages.seal import log_evidence, seal
from tests.cli.calls import make_repository
from tests.evidence.synthetic_bundle import Keys, Pair, Spoil, _Maker
from tests.traceability.test_reviews import make_project

SOON = 60


@pytest.fixture
def project(tmp_path: Path) -> Project:
    make_project(tmp_path)
    return load_project(tmp_path / "devicepipe.toml")


def made(project: Project, name: str) -> Context:
    """A release of development keys that is done but for its seal."""
    keys, work = open_keys(project), project.root / name
    work.mkdir()
    pairs = Keys(Pair(keys.image.signer, keys.image.public), Pair(keys.release.signer, keys.release.public))
    maker = _Maker(work, ("alpha",), "1.2.3", pairs, Spoil())
    maker.source()
    maker.board("alpha")
    maker.product()
    return Context(project, project.root, work, "1.2.3", maker.writer, keys, "a tester", threading.Event())


def can_be_signed(final: Path) -> bool:
    """Whether somebody who signs would get the lock that signing takes."""
    record = record_folder(final)
    lock = os.open(record.with_name(f".{record.name}.lock"), os.O_RDWR | os.O_CREAT)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(lock)
    return True


def put(project: Project, name: str) -> Callable[[], object]:
    context, final = made(project, name), project.root / "dist" / "pump-1.2.3"
    final.parent.mkdir(exist_ok=True)
    return lambda: release._put_in_place(context, project, final, replace_existing=False)


@pytest.fixture
def signable(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Whether each bundle that is put in its place could be signed just before."""
    found: list[bool] = []

    def looked_at(context: Context, project: Project, final: Path) -> object:
        found.append(final.exists() and can_be_signed(final))
        return seal(context, project, final)

    monkeypatch.setattr(release, "seal", looked_at)
    return found


def test_nobody_signs_a_development_bundle_while_it_is_made_anew(project: Project, signable: list[bool]) -> None:
    put(project, "first")()
    put(project, "second")()
    assert signable == [False, False]


def test_nobody_signs_the_bundle_of_another_run_while_the_one_that_waited_for_it_replaces_it(
    project: Project, signable: list[bool]
) -> None:
    """Whether there is a bundle to be locked was asked before it was this run's turn."""
    first, final = made(project, "first"), project.root / "dist" / "pump-1.2.3"
    waiting = threading.Thread(target=put(project, "second"))
    with locked_in_state(project, "publish"):
        waiting.start()
        waiting.join(1)
        assert waiting.is_alive()
        log_evidence(first, project)
        seal(first, project, final)
    waiting.join(SOON)
    assert not waiting.is_alive()
    assert signable == [False]


def test_a_run_that_begins_lets_another_one_finish_its_replacement(project: Project) -> None:
    """It took back the bundle that was being replaced, and the other run failed though its release was sealed and logged."""
    make_repository(project.root)
    aside = project.root / "dist" / ".pump-1.2.3.replaced"
    aside.mkdir(parents=True)
    told = cast("Progress", None)  # it does not come to that

    def begin() -> None:
        with suppress(DevicepipeError):  # there is nothing to be released
            release.make_release(
                project, "1.2.3", allow_dirty=True, replace_existing=True, progress=told, cancel=threading.Event()
            )

    beginning = threading.Thread(target=begin)
    with locked_in_state(project, "publish"):
        beginning.start()
        beginning.join(2)
        assert (beginning.is_alive(), aside.exists()) == (True, True)
    beginning.join(SOON)
    assert not aside.exists()
