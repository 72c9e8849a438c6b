"""Results of other test frameworks: made in the released sources, or found in the working tree; read strictly, and attested."""

from __future__ import annotations

import platform
import shutil
from pathlib import Path

from devicepipe.build.process import run_logged
from devicepipe.errors import BenchError, ProductError, UsageError
from devicepipe.evidence.foreign_results import (
    FOREIGN_RESULTS,
    RESULTS_FOLDER,
    ForeignResults,
    ForeignSet,
    cases_of,
    currency_of,
)
from devicepipe.evidence.names import RULE, is_name
from devicepipe.evidence.predicates import ResultsWish, SourceInfo
from devicepipe.project.config import CONFIG_NAME, Project
from devicepipe.project.exchange import TraceResults
from devicepipe.secret_variables import inherited
from devicepipe.stages.context import Context


def results_wishes(project: Project) -> list[ResultsWish] | None:
    """The results that a release of the project needs; None where there are none."""
    return [
        ResultsWish(
            name=entry.name,
            format=entry.format,
            command=list(entry.command) or None,
            properties=list(entry.properties),
            items=entry.items,
        )
        for entry in project.traceability.results
    ] or None


def check_results(project: Project) -> None:
    """Tell early what would stop a release at its end: results that nothing makes and that are not there.

    Raises:
        UsageError: There are no such files.
    """
    for index, entry in enumerate(project.traceability.results):
        if not entry.command:
            _files(project.root, entry, index, project.root)


def attest_foreign_results(context: Context) -> None:
    """Write the attestation of the results that the source asks for; its subjects are their files and the commands' output.

    Raises:
        UsageError: There are no files, or one is no JUnit XML.
        ProductError: A command made no files.
        BenchError: A command was not done in time.
    """
    source = context.bundle.predicate(SourceInfo)
    sets = [
        _attest_set(context, index, entry, wish, source.commit)
        for index, (entry, wish) in enumerate(
            zip(context.project.traceability.results, source.results or [], strict=True)
        )
    ]
    subjects = [file.name for one in sets for file in (*one.files, *([one.log] if one.log else []))]
    results = ForeignResults(tester=source.tester, sets=sets)
    context.writer.attest("foreign-results", FOREIGN_RESULTS, results, subjects)


def _attest_set(context: Context, index: int, entry: TraceResults, wish: ResultsWish, commit: str) -> ForeignSet:
    folder, exit_code, log = context.home, None, None
    if entry.command:
        folder = context.work / f"results-{index}"
        log = context.work / f"results-{index}.log"
        exit_code = _run(context, entry, folder, log, commit)
    place = f"{RESULTS_FOLDER}{entry.name}"
    files = [
        context.writer.add_file(path, f"{place}/{name}")
        for name, path in _files(folder, entry, index, context.home, log).items()
    ]
    output = context.writer.add_file(log, f"{place}/output.log") if log else None
    data = {file.name: context.bundle.read(file.name) for file in files}
    cases, commits, started = cases_of(wish, data, exit_code)
    current, why = currency_of(wish, commits, commit)
    return ForeignSet(
        name=wish.name,
        format=wish.format,
        files=files,
        command=wish.command,
        exit_code=exit_code,
        log=output,
        commits=commits,
        current=current,
        why=why,
        started_on=started,
        host=platform.platform() if entry.command else "",
        cases=cases,
    )


def _run(context: Context, entry: TraceResults, folder: Path, log: Path, commit: str) -> int:
    """Run a command in a copy of the released sources, which it may fill with what it builds; its exit code."""
    shutil.copytree(context.project.root, folder, symlinks=True)
    for path in folder.glob(entry.path):  # what is committed is no result of this run
        path.unlink()
    environment = inherited() | {"DEVICEPIPE_COMMIT": commit, "DEVICEPIPE_VERSION": context.version}
    try:
        return run_logged(
            entry.command,
            cwd=folder,
            environment=environment,
            log=log,
            timeout=entry.timeout,
            cancel=context.cancel,
        )
    except OSError as error:
        raise BenchError(
            f"{entry.command[0]}, which makes the results of {entry.name}, cannot be run: {error.strerror}",
            remedy="install it, or correct the command in [[traceability.results]]",
        ) from error


def _files(folder: Path, entry: TraceResults, index: int, root: Path, log: Path | None = None) -> dict[str, Path]:
    """The files of a set by their names relative to the folder.

    Raises:
        UsageError: There are none, or one's name cannot be that of a file in a bundle.
        ProductError: The command made none.
    """
    found = {path.relative_to(folder).as_posix(): path for path in sorted(folder.glob(entry.path)) if path.is_file()}
    if not found and log is not None:
        end = log.read_text(encoding="utf-8", errors="replace").strip().rpartition("\n")[2]
        raise ProductError(
            f"{' '.join(entry.command)} made no results of {entry.name} at '{entry.path}'; it said last: {end[:200]}",
            remedy="see that it builds and writes JUnit XML there",
        )
    if not found:
        raise UsageError(
            f"there are no results of {entry.name} at '{entry.path}'",
            file=root / CONFIG_NAME,
            key=f"traceability.results.{index}.path",
            remedy="run these tests first, or name the command that makes them",
        )
    for name in found:
        if not is_name(f"{RESULTS_FOLDER}{entry.name}/{name}"):
            raise UsageError(f"its name cannot be that of a file in a bundle: {RULE}", file=folder / name)
    return found
