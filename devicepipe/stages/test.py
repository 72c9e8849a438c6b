"""Test: a board's device runs the factory image that will ship, and every collected case gets a verdict."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from devicepipe.bench.session import run_session
from devicepipe.bench.spec import SessionSpec
from devicepipe.evidence.layout import IMAGE_KEY
from devicepipe.evidence.predicates import (
    TEST_RESULT,
    Identity,
    ImageSigning,
    SourceInfo,
    TestCase,
    TestResult,
    TestRun,
    Verdict,
)
from devicepipe.project.config import ProjectBoard
from devicepipe.stages.context import Context
from devicepipe.stages.sign import factory_name, image_name
from devicepipe.stages.source import check_source


def run_tests(
    context: Context, board: ProjectBoard, tell: Callable[[str], None], pytest_arguments: tuple[str, ...] = ()
) -> None:
    """Run a board's device tests and attest their results with the raw serial log.

    Args:
        context: The run.
        board: The board.
        tell: Gets "n cases, m bad" as cases end.
        pytest_arguments: Further arguments, in development runs only.

    Raises:
        BenchError: The session could not be held at all; a session that went wrong is evidence, not an exception.
        UsageError: There are no tests, or the board has no device.
    """
    writer = context.writer
    folder = f"evidence/{board.name}"
    root, output = _own_copy(context, board), context.work / "test" / board.name
    run = run_session(
        _spec(context, board, root, f"{folder}/serial.log", pytest_arguments),
        progress=_Counter(tell),
        cancel=context.cancel,
    )
    run = TestRun.model_validate_json(_pathless(context, root, run.model_dump_json().encode()))
    writer.add_file(output / "serial.log", run.serial_log)
    for name in ("record.jsonl", "serial.log.timed", "emulator.log", "pytest.log"):
        if (output / name).is_file():
            writer.add_bytes(_pathless(context, root, (output / name).read_bytes()), f"{folder}/{name}")
    writer.attest(
        f"{board.name}/test",
        TEST_RESULT,
        _result(context, board, run),
        [image_name(board.name), factory_name(board.name)],
    )


def _own_copy(context: Context, board: ProjectBoard) -> Path:
    """A copy of the sources for the tests, which are code of the product and may write where they stand."""
    if context.in_place:
        return context.project.root
    check_source(context)
    return Path(shutil.copytree(context.project.root, context.work / "test-source" / board.name, symlinks=True))


def _pathless(context: Context, root: Path, text: bytes) -> bytes:
    """Evidence names no folder of this machine: neither where the tests ran nor the user's home or Python."""
    folders = {root: b".", context.work: b".", context.home: b".", Path(sys.prefix): b"<python>", Path.home(): b"~"}
    for folder, word in folders.items():
        if folder != Path("/"):
            text = text.replace(os.fsencode(folder), word)
    return text


def _spec(
    context: Context, board: ProjectBoard, root: Path, serial_log: str, pytest_arguments: tuple[str, ...]
) -> SessionSpec:
    bundle, project = context.bundle, context.project
    source = bundle.predicate(SourceInfo)
    signing = bundle.predicate(ImageSigning, board.name)
    return SessionSpec(
        board=board.board,
        factory=bundle.path(factory_name(board.name)),
        signed_image=bundle.path(image_name(board.name)),
        public_key=bundle.path(IMAGE_KEY),
        expected=Identity(
            board=board.name, version=signing.image_version, commit=source.commit, digest=signing.image_digest
        ),
        payload_digest=signing.payload_digest,
        tests=root / project.tests.path,
        pytest_arguments=pytest_arguments,
        # A development run may be about some of the boards only; a mark may still name the others.
        boards=() if context.in_place else tuple(source.boards),
        output=context.work / "test" / board.name,
        serial_log=serial_log,
        tester=context.tester,
        timeout=project.tests.timeout,
    )


def _result(context: Context, board: ProjectBoard, run: TestRun) -> TestResult:
    ids: dict[Verdict, list[str]] = {verdict: [] for verdict in Verdict}
    for case in run.cases:
        ids[case.verdict].append(case.id)
    failed = ids[Verdict.FAILED] + ids[Verdict.ERROR]
    return TestResult(
        result="FAILED" if failed else "WARNED" if ids[Verdict.NOT_RUN] else "PASSED",
        configuration=[context.writer.subject(image_name(board.name)), context.writer.subject(IMAGE_KEY)],
        passed_tests=ids[Verdict.PASSED],
        warned_tests=ids[Verdict.NOT_RUN],
        failed_tests=failed,
        devicepipe=run,
    )


class _Counter:
    """Counts cases for the progress view."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = tell
        self._count = 0
        self._bad = 0

    def __call__(self, case: TestCase) -> None:
        self._count += 1
        self._bad += case.verdict is not Verdict.PASSED
        self._tell(f"{self._count} cases" + (f", {self._bad} not passed" if self._bad else ""))
