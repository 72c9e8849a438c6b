"""Test: a board's device runs the factory image that will ship, and every collected case gets a verdict."""

from __future__ import annotations

import os
import shutil
import socket
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from devicepipe.bench.composed import make_parts
from devicepipe.bench.holding import demand_here
from devicepipe.bench.service import Service, choose_device
from devicepipe.bench.session import run_session
from devicepipe.bench.spec import SessionSpec
from devicepipe.bench.under_test import session_of
from devicepipe.evidence.layout import IMAGE_KEY
from devicepipe.evidence.predicates import TEST_RESULT, SourceInfo
from devicepipe.evidence.results import TestCase, TestResult, TestRun, Verdict
from devicepipe.project.config import ProjectBoard
from devicepipe.project.inventory import DeviceEntry, load_inventory
from devicepipe.stages.context import Context
from devicepipe.stages.sign import factory_name, image_name
from devicepipe.stages.source import check_source
from devicepipe.traceability.items import read_items


def run_tests(
    context: Context,
    board: ProjectBoard,
    tell: Callable[[str], None],
    pytest_arguments: tuple[str, ...] = (),
    *,
    coverage: bool = False,
) -> None:
    """Run a board's device tests and attest their results with the raw serial log.

    Args:
        context: The run.
        board: The board.
        tell: Gets "n cases ended, m not passed" as cases end.
        pytest_arguments: Further arguments, in development runs only.
        coverage: Whether to record what each test executes, for `stages.coverage`.

    Raises:
        BenchError: The session could not be held at all; a session that went wrong is evidence, not an exception.
        UsageError: There are no tests, or the board has no device, or what the inventory says of it is wrong; or the items are.
    """
    writer = context.writer
    fingerprints = {item.id: item.fingerprint for item in read_items(context.project)}
    folder = f"evidence/{board.name}"
    root, output = own_copy(context, board, "test"), context.work / "test" / board.name
    run = run_session(
        _spec(context, board, root, f"{folder}/serial.log", pytest_arguments).model_copy(update={"coverage": coverage}),
        progress=_Counter(tell),
        cancel=context.cancel,
    )
    run = TestRun.model_validate_json(pathless(context, root, run.model_dump_json().encode()))
    run = run.model_copy(update={"cases": [_bound(case, fingerprints) for case in run.cases]})
    logs = [run.serial_log, *(log.log for log in run.uart_logs)]
    for log in logs:
        writer.add_file(output / Path(log).name, log)
    for name in ("record.jsonl", *(f"{Path(log).name}.timed" for log in logs), "emulator.log", "pytest.log"):
        if (output / name).is_file():
            writer.add_bytes(pathless(context, root, (output / name).read_bytes()), f"{folder}/{name}")
    writer.attest(
        f"{board.name}/test",
        TEST_RESULT,
        _result(context, board, run),
        [image_name(board.name), factory_name(board.name)],
    )


def _bound(case: TestCase, fingerprints: Mapping[str, str]) -> TestCase:
    """A case that says which state of the items it verifies its verdict is about."""
    return case.model_copy(
        update={"fingerprints": {name: fingerprints[name] for name in case.verifies if name in fingerprints}}
    )


def own_copy(context: Context, board: ProjectBoard, stage: str) -> Path:
    """A copy of the sources for a stage that runs code of the product, which may write where it stands."""
    if context.in_place:
        return context.project.root
    check_source(context)
    return Path(shutil.copytree(context.project.root, context.work / f"{stage}-source" / board.name, symlinks=True))


def pathless(context: Context, root: Path, text: bytes) -> bytes:
    """Evidence names no folder of this machine: neither where the tests ran nor the user's home or Python."""
    folders = {root: b".", context.work: b".", context.home: b".", Path(sys.prefix): b"<python>", Path.home(): b"~"}
    for folder, word in folders.items():
        if folder != Path("/"):
            text = text.replace(os.fsencode(folder), word)
    return text


def _spec(
    context: Context, board: ProjectBoard, root: Path, serial_log: str, pytest_arguments: tuple[str, ...]
) -> SessionSpec:
    device, reason, healthy_on = _device(context, board, root)
    return session_of(
        context.bundle,
        context.project,
        board,
        root,
        pytest_arguments=pytest_arguments,
        # A development run may be about some of the boards only; a mark may still name the others.
        boards=() if context.in_place else tuple(context.bundle.predicate(SourceInfo).boards),
        output=context.work / "test" / board.name,
        serial_log=serial_log,
        tester=context.tester,
        device=device,
        out_of_service=reason,
        healthy_on=healthy_on,
    )


def _device(context: Context, board: ProjectBoard, root: Path) -> tuple[DeviceEntry, str, str | None]:
    """The device that the board's tests run on, why it is out of service ("": it is not), and when it was last found well."""
    inventory, service = load_inventory(context.project), Service.here()
    device = choose_device(inventory, board.name, context.devices.get(board.name), service)
    if not device.emulated:
        demand_here(inventory.wrong_host(device, socket.gethostname()), device.id)
        # Once here already, where a mistake can be told with its line in the inventory.
        make_parts(device, board.board, inventory, root, context.work / "drivers.log")
    health = service.last_health(device.id)
    return device, service.reason(device), health.time if health and not health.wrong else None


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
        self._bad += case.verdict is not Verdict.PASSED and case.quarantine is None
        self._tell(
            f"{self._count} {'case' if self._count == 1 else 'cases'} ended"
            + (f", {self._bad} not passed" if self._bad else "")
        )
