"""`devicepipe build`, `sign` and `test`: the working tree as it is, quickly, without a release."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING

import click

from devicepipe.cli.common import boards_option, json_option, open_project, print_json, project_option, tell
from devicepipe.cli.progress import make_progress
from devicepipe.errors import EXIT_BENCH, EXIT_OK, EXIT_PRODUCT_FAILED

if TYPE_CHECKING:
    from devicepipe.evidence.predicates import TestRun
    from devicepipe.pipeline.development import Development, Goal


@click.command()
@boards_option
@project_option
@json_option
def build(boards: tuple[str, ...], folder: Path, as_json: bool) -> int:
    """Build the working tree's firmware for each board, and show sizes and compilers.

    Outputs and attestations lie in .devicepipe/dev. Exit codes: 0 built, 1 it does not compile or fit.
    """
    from devicepipe.evidence.predicates import Provenance

    made = _develop("build", folder, boards, as_json)
    results = [made.bundle.predicate(Provenance, board).devicepipe for board in made.boards]
    if as_json:
        print_json([result.to_json() for result in results])
        return EXIT_OK
    for result in results:
        for firmware in result.firmwares:
            flash, ram = firmware.flash, firmware.ram
            tell(
                f"{result.board:16} {firmware.role:12} flash {flash.used:7} of {flash.limit} ({flash.used / flash.limit:.0%})"
                f"   RAM {ram.used:6} of {ram.limit} ({ram.used / ram.limit:.0%})"
            )
    for compiler in dict.fromkeys(compiler for result in results for compiler in result.compilers):
        tell(f"{compiler.name} {compiler.version}  sha256 {compiler.sha256}", dim=True)
    return EXIT_OK


@click.command()
@boards_option
@project_option
@json_option
def sign(boards: tuple[str, ...], folder: Path, as_json: bool) -> int:
    """Build, and make signed MCUboot images and factory images in .devicepipe/dev.

    Exit codes: 0 signed and verified, 1 it does not compile or fit.
    """
    from devicepipe.evidence.predicates import ImageSigning

    made = _develop("sign", folder, boards, as_json)
    results = [made.bundle.predicate(ImageSigning, board) for board in made.boards]
    if as_json:
        print_json([result.to_json() for result in results])
        return EXIT_OK
    for result in results:
        tell(f"{result.board}: {made.bundle.folder / result.image}")
        tell(f"  image digest {result.image_digest}, version {result.image_version}, counter {result.security_counter}")
        tell(f"  factory image: {made.bundle.folder / result.factory_image}")
        if result.key.development:
            tell("  signed with a DEVELOPMENT key: not for production", fg="yellow")
    return EXIT_OK


@click.command()
@boards_option
@click.option("-k", "expression", help="Only tests that match this pytest expression.")
@click.option("-x", "exitfirst", is_flag=True, help="Stop at the first test that does not pass.")
@project_option
@json_option
def test(boards: tuple[str, ...], expression: str | None, exitfirst: bool, folder: Path, as_json: bool) -> int:
    """Build, sign, and run the device tests through the signed image on each board's device.

    Exit codes: 0 all passed, 1 a test failed or was not run, 3 the bench or harness erred (nothing is said of the product).
    """
    from devicepipe.evidence.predicates import TestResult, Verdict

    arguments = (*(("-k", expression) if expression else ()), *(("-x",) if exitfirst else ()))
    made = _develop("test", folder, boards, as_json, arguments)
    runs = [made.bundle.predicate(TestResult, board).devicepipe for board in made.boards]
    if as_json:
        print_json([run.to_json() for run in runs])
    else:
        for run in runs:
            _tell_run(made, run)
        for finding in made.findings:
            tell(f"{finding.kind}: {finding.message} ({finding.file}:{finding.line})", fg="yellow")
    verdicts = {case.verdict for run in runs for case in run.cases}
    if verdicts & {Verdict.FAILED, Verdict.NOT_RUN}:
        return EXIT_PRODUCT_FAILED
    return EXIT_BENCH if Verdict.ERROR in verdicts else EXIT_OK


def _tell_run(made: Development, run: TestRun) -> None:
    from devicepipe.evidence.predicates import Verdict

    passed = sum(case.verdict is Verdict.PASSED for case in run.cases)
    everything = passed == len(run.cases)
    tell(f"{run.board}: {passed} of {len(run.cases)} passed", fg="green" if everything else "red", bold=True)
    for case in run.cases:
        if case.verdict is Verdict.PASSED:
            continue
        tell(f"  {case.verdict.value:7} {case.id}  ({case.procedure_file}:{case.procedure_line})", fg="red")
        tell(f"          verifies {', '.join(case.verifies) or 'nothing'}; device {run.device.id}")
        tell(f"          {case.reason}")
        log = made.bundle.folder / run.serial_log
        tell(f"          serial log: {log}, bytes {case.log_start} to {case.log_end}", dim=True)
    for error in run.identity_errors:
        tell(f"  identity: {error}", fg="red")


def _develop(
    goal: Goal, folder: Path, boards: tuple[str, ...], as_json: bool, arguments: tuple[str, ...] = ()
) -> Development:
    from devicepipe.pipeline.development import develop

    return develop(
        open_project(folder),
        goal,
        boards=boards,
        pytest_arguments=arguments,
        progress=make_progress(quiet=as_json),
        cancel=threading.Event(),
    )
