"""What `devicepipe test` tells of the verdicts, and its exit code."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from devicepipe.bench.told import alike, attempts_told, reason_told
from devicepipe.cli.common import tell
from devicepipe.errors import EXIT_BENCH, EXIT_OK, EXIT_PRODUCT_FAILED
from devicepipe.evidence.results import TestCase, TestRun, Verdict
from devicepipe.evidence.trace import TraceFinding
from devicepipe.traceability.matrix import ORPHAN_TEST

_INDENT = " " * 10
_NAMED = 3


def exit_code(runs: Iterable[TestRun]) -> int:
    """1 where anything failed, whatever else there was; otherwise 3 where anything erred or was not run, for whatever reason.

    Of a test that was not run nothing is known of the product, also where it skipped itself. Tests in quarantine do not count.
    """
    verdicts = {case.verdict for run in runs for case in run.cases if case.quarantine is None}
    if Verdict.FAILED in verdicts:
        return EXIT_PRODUCT_FAILED
    return EXIT_OK if verdicts <= {Verdict.PASSED} else EXIT_BENCH


def tell_run(run: TestRun, folder: Path) -> None:
    """Tell a board's verdicts; of each reason once.

    Args:
        run: The session.
        folder: The bundle's.
    """
    log = folder / run.serial_log
    passed = sum(case.verdict is Verdict.PASSED for case in run.cases)
    fine = all(case.verdict is Verdict.PASSED or case.quarantine is not None for case in run.cases)
    tell(
        f"{run.board}: {passed} of {len(run.cases)} passed on {run.device.id}", fg="green" if fine else "red", bold=True
    )
    for case in run.cases:
        for line in attempts_told(case, log):
            tell(f"  {case.id}: {_indented(line)}", fg="yellow")
        if case.quarantine is not None:
            held = case.quarantine
            why = f"{held.reason} (until {held.expires}, {' '.join(filter(None, (held.owner, held.issue)))})"
            tell(f"  in quarantine, {case.verdict.value}: {case.id}: {why}; {held.file}:{held.line}", fg="yellow")
    for cases in alike(run.cases):
        _tell_alike(cases, log)
    if any(case.verdict is not Verdict.NOT_RUN for case in run.cases):
        for error in run.identity_errors:
            if not any(error in case.reason for case in run.cases):
                tell(f"  identity: {_indented(error)}", fg="red")


def _tell_alike(cases: Sequence[TestCase], log: Path) -> None:
    for case in cases:
        verifies = f", verifies {', '.join(case.verifies)}" if case.verifies else ""
        tell(
            f"  {case.verdict.value:7} {case.id}  ({case.procedure_file}:{case.procedure_line}{verifies})",
            fg="red",
        )
    tell(f"{_INDENT}{_indented(reason_told(cases[0].reason, log))}")
    spans = [f"{case.log_start} to {case.log_end}" for case in cases if case.log_end > case.log_start]
    if spans:
        tell(f"{_INDENT}serial log: {log}, bytes {', '.join(spans)}", dim=True)


def _indented(text: str) -> str:
    return f"\n{_INDENT}".join(text.splitlines())


def tell_findings(findings: Iterable[TraceFinding]) -> None:
    """Tell what would stop a release later, and in one line how many tests verify nothing."""
    orphans: list[TraceFinding] = []
    for finding in findings:
        if finding.kind == ORPHAN_TEST:
            orphans.append(finding)
        else:
            tell(f"{finding.kind}: {finding.message} ({finding.file}:{finding.line})", fg="yellow")
    if orphans:
        places = ", ".join(f"{finding.file}:{finding.line}" for finding in orphans[:_NAMED])
        more = f" and {len(orphans) - _NAMED} more" if len(orphans) > _NAMED else ""
        who = "a test verifies no item" if len(orphans) == 1 else f"{len(orphans)} tests verify no item"
        tell(f"{ORPHAN_TEST}: {who} ({places}{more})", fg="yellow")
