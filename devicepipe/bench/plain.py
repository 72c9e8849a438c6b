"""Plain `pytest hil/`: device tests of a build that is there, without the devicepipe command.

What always holds: it says which image is on which device, and that it is no evidence; its exit status is 0 only where every case
that pytest was asked for has the verdict `passed`, read from the record as in any session, or is in quarantine.

Each process that runs tests (pytest itself, or each worker of pytest-xdist) has a session and an emulated device of its own. A real
device is refused: it has to be held, and its flash wears.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections import Counter
from pathlib import Path

import pytest
from pytest_embedded.plugin import _junit_merger_key, _junit_report_path_key

from devicepipe.bench.record import parse_entries
from devicepipe.bench.recorder import RECORDER
from devicepipe.bench.results import Ending, SessionResult
from devicepipe.bench.service import Service
from devicepipe.bench.spec import SessionFile, SessionSpec
from devicepipe.bench.told import attempts_told, reason_told
from devicepipe.bench.under_test import session_of
from devicepipe.errors import UsageError
from devicepipe.evidence.bundle import Bundle
from devicepipe.evidence.facts import utc_now
from devicepipe.evidence.predicates import SourceInfo
from devicepipe.evidence.results import TestCase, Verdict
from devicepipe.project.config import Project, find_project, load_project
from devicepipe.project.inventory import load_inventory

_WORKER = "devicepipe_folder"
_KEPT = 3


class PlainSession:
    """What plain pytest tests, and its account of it.

    Raises:
        UsageError: There is no build to test, or the options name something that is not there.
    """

    def __init__(self, config: pytest.Config) -> None:
        self._project = load_project(find_project(_folder(config)))
        self._bundle = _bundle(config, self._project)
        self._source = self._bundle.predicate(SourceInfo)
        self._session: pytest.Session | None = None
        self._interrupted = False
        worker = getattr(config, "workerinput", {}).get(_WORKER)
        self._runs = worker is not None or not config.getoption("numprocesses", None)
        self._main = worker is None
        if not self._main:
            # Only the main process writes the report; pytest-embedded would look for one of each worker.
            config.stash[_junit_report_path_key] = config.stash[_junit_merger_key].junit_path = None
        spec = _spec(config, self._project, self._bundle, self._source)
        self._folder = Path(worker) if worker else _new_folder(self._project)
        self.spec = spec.model_copy(update={"output": self._folder})

    def file(self) -> SessionFile | None:
        """The session of this process; None where workers run the tests."""
        if not self._runs:
            return None
        self._folder.mkdir(exist_ok=True)
        uarts = self.spec.board.uarts
        return SessionFile(
            spec=self.spec,
            record=self._folder / "record.jsonl",
            logs={uart: self._folder / self.spec.log_name(uart) for uart in uarts},
            emulator_log=self._folder / "emulator.log",
            progress=os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC),
            owner=None if self._main else os.getppid(),
        )

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: object) -> None:
        """Give each worker of pytest-xdist a folder of its own."""
        node.workerinput[_WORKER] = str(self._folder / node.gateway.id)  # type: ignore[attr-defined]

    def pytest_report_header(self) -> list[str]:
        """Say what is tested."""
        said, dirty = self.spec.expected, " (and changes)" if self._source.dirty else ""
        image = f"{said.board} {said.version}, image {said.digest[:16]}, commit {said.commit[:12]}{dirty}"
        lines = [
            f"devicepipe: {image}, built {self._source.started_on}",
            f"devicepipe: NOT evidence of a release; logs are in {self._folder}",
        ]
        if newer := _newer(self._project, self._bundle):
            lines.append(
                f"devicepipe: {newer} is newer than the build: `devicepipe sign --board {said.board}` makes it anew"
            )
        return lines

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Every test of the process begins with the device: others have no place here."""
        for item in items:
            if not item.path.is_relative_to(self.spec.tests):
                raise pytest.UsageError(
                    f"{item.nodeid} is none of the device tests in {self.spec.tests}: run it by itself"
                )

    def pytest_sessionstart(self, session: pytest.Session) -> None:
        """Keep the session, which has the exit status."""
        self._session = session

    @pytest.hookimpl(tryfirst=True)
    def pytest_keyboard_interrupt(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        """Say at once that it was heard: workers and devices are still to be ended."""
        self._interrupted = excinfo.type is KeyboardInterrupt
        if self._main and self._interrupted and self._session is not None:
            reporter = self._session.config.pluginmanager.get_plugin("terminalreporter")
            if reporter is not None:
                reporter.ensure_newline()
                reporter.write_line("interrupted: stopping the devices ...")

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """End a worker's session before the worker says that it has ended: it is killed soon after that."""
        if not self._main:
            session.config.stash[RECORDER].finish(session)

    @pytest.hookimpl(trylast=True)
    def pytest_unconfigure(self, config: pytest.Config) -> None:
        """Tell the verdicts, which can be worse than what pytest believes, and make the exit status theirs."""
        session, reporter = self._session, config.pluginmanager.get_plugin("terminalreporter")
        if not self._main or session is None or reporter is None or config.getoption("collectonly"):
            return
        if session.exitstatus == pytest.ExitCode.USAGE_ERROR:
            return  # nothing was run, and the reason comes next
        cases = self._cases()
        if not cases:
            return
        reporter.section("device verdicts (not evidence of a release)", sep="-")
        for case, log in cases:
            for line in _told(case, log):
                reporter.line(line)
        counts = Counter(case.verdict for case, _ in cases)
        reporter.line(", ".join(f"{counts[verdict]} {verdict}" for verdict in Verdict if counts[verdict]))
        if counts[Verdict.ERROR]:
            reporter.line(
                "(pytest counts an error of the bench or the test as FAILED; only `failed` here accuses the product)"
            )
        bad = any(case.verdict is not Verdict.PASSED and case.quarantine is None for case, _ in cases)
        if session.exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
            session.exitstatus = pytest.ExitCode.TESTS_FAILED if bad else session.exitstatus

    def _cases(self) -> list[tuple[TestCase, Path]]:
        """The cases of all processes: each from where it ran, or as not run from the first where it did not run at all.

        Returns:
            The cases, and the raw serial log of each.
        """
        found: dict[str, TestCase] = {}
        logs: dict[str, Path] = {}
        for record in sorted(self._folder.rglob("record.jsonl")):
            result = SessionResult(parse_entries(record.read_bytes()), self.spec.retries)
            status = int(result.end.exit_status) if result.end is not None else int(pytest.ExitCode.INTERNAL_ERROR)
            cases = (
                result.interrupted()
                if self._interrupted
                else result.test_cases(Ending(status), whole=False, log_size=0)
            )
            for case in cases:
                if case.id not in found or (case.started_on and not found[case.id].started_on):
                    found[case.id] = case
                elif case.started_on:
                    found[case.id] = max(found[case.id], case, key=lambda one: one.verdict is not Verdict.PASSED)
                if found[case.id] is case:
                    logs[case.id] = record.parent / self.spec.serial_log
        return [(case, logs[name]) for name, case in found.items()]


def _told(case: TestCase, log: Path) -> list[str]:
    """What is to be said of a case in lines: nothing where it simply passed."""
    lines = list(attempts_told(case, log))
    if case.quarantine is not None:
        held = case.quarantine
        lines.append(f"in quarantine until {held.expires}: {held.reason} ({held.file}:{held.line})")
    if case.verdict is not Verdict.PASSED:
        lines.append(f"{case.verdict}: {reason_told(case.reason, log)}")
    return ["\n    ".join(f"{case.id}: {line}".splitlines()) for line in lines]


def _folder(config: pytest.Config) -> Path:
    """Where the search for devicepipe.toml begins: at the first path that pytest was given."""
    place = (config.invocation_params.dir / config.args[0].split("::")[0]).resolve()
    return place if place.is_dir() else place.parent


def _bundle(config: pytest.Config, project: Project) -> Bundle:
    given = config.getoption("bundle")
    folder = Path(config.invocation_params.dir, given).resolve() if given else project.state / "dev"
    if not (folder / "attestations").is_dir():
        board = config.getoption("board") or project.boards[0].name
        raise UsageError(
            f"{folder} is no bundle" if given else "there is no development build to test",
            remedy=f"make one: devicepipe sign --board {board}; or build and test in one go: devicepipe test --board {board}",
        )
    return Bundle(folder)


def _new_folder(project: Project) -> Path:
    """A folder of this run's own. The last ones stay, and those in use: locked for as long as their process lives."""
    runs = project.state / "pytest"
    runs.mkdir(parents=True, exist_ok=True)
    for old in sorted(runs.iterdir())[: 1 - _KEPT]:
        lock = os.open(old, os.O_RDONLY | os.O_CLOEXEC)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(old, ignore_errors=True)
        except BlockingIOError:
            pass
        finally:
            os.close(lock)
    folder = Path(tempfile.mkdtemp(prefix=f"{utc_now().replace(':', '')}-", dir=runs))
    fcntl.flock(os.open(folder, os.O_RDONLY | os.O_CLOEXEC), fcntl.LOCK_SH)
    return folder


def _spec(config: pytest.Config, project: Project, bundle: Bundle, source: SourceInfo) -> SessionSpec:
    inventory, wanted = load_inventory(project), config.getoption("device")
    name = config.getoption("board") or (inventory.device(wanted).board if wanted else source.boards[0])
    if project.board(name).name not in source.boards:
        raise UsageError(
            f"the build has no board '{name}', but {', '.join(source.boards)}", remedy=f"devicepipe sign --board {name}"
        )
    device = inventory.device(wanted) if wanted else inventory.of_board(name)[0]
    if device.board != name:
        raise UsageError(f"device '{device.id}' is of board '{device.board}', not '{name}'")
    if not device.emulated:
        raise UsageError(
            f"device '{device.id}' is real: plain pytest runs emulated devices only, one for each of its processes",
            remedy=f"devicepipe test --device {device.id} (with -k, -x) holds the device, and writes its flash",
        )
    return session_of(
        bundle,
        project,
        project.board(name),
        project.root,
        pytest_arguments=tuple(map(str, config.invocation_params.args)),
        boards=tuple(board.name for board in project.boards),
        output=Path(),
        serial_log="serial.log",
        tester=source.tester,
        device=device,
        out_of_service=Service.here().reason(device),
    )


def _newer(project: Project, bundle: Bundle) -> str:
    """A source of the firmware that was changed after the build, or "": what is tested would be the old one."""
    if not bundle.folder.is_relative_to(project.state):
        return ""
    built = bundle.folder.stat().st_mtime
    for folder, folders, files in os.walk(project.firmware_path):
        folders[:] = [name for name in folders if not name.startswith(".") and name != "lib"]
        for name in files:
            path = Path(folder, name)
            if path.stat().st_mtime > built:
                return path.relative_to(project.root).as_posix()
    return ""
