"""Test: a board's device runs the factory image that will ship, and every collected case gets a verdict."""

from __future__ import annotations

from collections.abc import Callable

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
    output = context.work / "test" / board.name
    run = run_session(
        _spec(context, board, f"{folder}/serial.log", pytest_arguments),
        progress=_Counter(tell),
        cancel=context.cancel,
    )
    writer.add_file(output / "serial.log", run.serial_log)
    for name in ("record.jsonl", "serial.log.timed", "emulator.log", "pytest.log"):
        if (output / name).is_file():
            # What pytest prints names the folder it ran in; evidence names no folder of this machine.
            text = (output / name).read_bytes().replace(str(context.project.root).encode(), b".")
            writer.add_bytes(text, f"{folder}/{name}")
    writer.attest(
        f"{board.name}/test",
        TEST_RESULT,
        _result(context, board, run),
        [image_name(board.name), factory_name(board.name)],
    )


def _spec(context: Context, board: ProjectBoard, serial_log: str, pytest_arguments: tuple[str, ...]) -> SessionSpec:
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
        tests=project.root / project.tests.path,
        pytest_arguments=pytest_arguments,
        boards=tuple(source.boards),
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
