"""`devicepipe build`, `sign` and `test`: the working tree as it is, quickly, without a release."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING

import click

from devicepipe.cli.common import (
    boards_option,
    devices_option,
    json_option,
    open_project,
    print_json,
    project_option,
    tell,
    wanted_devices,
)
from devicepipe.cli.progress import make_progress
from devicepipe.errors import EXIT_OK

if TYPE_CHECKING:
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
@devices_option
@click.option("-k", "expression", help="Only tests that match this pytest expression.")
@click.option("-x", "exitfirst", is_flag=True, help="Stop at the first test that does not pass.")
@click.option("--coverage", is_flag=True, help="Tell which lines and functions of the firmware the tests executed.")
@project_option
@json_option
def test(
    boards: tuple[str, ...],
    devices: tuple[str, ...],
    expression: str | None,
    exitfirst: bool,
    coverage: bool,
    folder: Path,
    as_json: bool,
) -> int:
    """Build, sign, and run the device tests through the signed image on each board's device.

    Without --board, --device means the boards of those devices only. A real device is held (`devicepipe bench list`) meanwhile.

    Exit codes: 0 all passed, 1 a test failed, 3 none failed, but one erred or was not run (nothing is said of the product).
    Tests in quarantine do not count.
    """
    from devicepipe.cli.verdicts import exit_code, tell_findings, tell_run
    from devicepipe.evidence.results import TestResult

    arguments = (*(("-k", expression) if expression else ()), *(("-x",) if exitfirst else ()))
    wanted = wanted_devices(folder, boards, devices)
    made = _develop("test", folder, boards or tuple(wanted), as_json, arguments, coverage=coverage, devices=wanted)
    runs = [made.bundle.predicate(TestResult, board).devicepipe for board in made.boards]
    if as_json:
        print_json([run.to_json() for run in runs])
    else:
        for run in runs:
            tell_run(run, made.bundle.folder)
            if coverage:
                _tell_coverage(made, run.board)
        tell_findings(made.findings)
    return exit_code(runs)


def _tell_coverage(made: Development, board: str) -> None:
    from devicepipe.evidence.coverage import CoverageResult, Share
    from devicepipe.stages.coverage import FUNCTIONS, LCOV

    folder = made.bundle.folder / "evidence" / board
    result = made.bundle.predicate(CoverageResult, board)

    def part(share: Share) -> str:
        return f"{share.executed} of {share.all} ({share.percent})"

    total = result.total
    never = sum(not function.hits for function in result.functions)
    tell(f"  executed: lines {part(total.lines)}, functions {part(total.functions)}, outcomes {part(total.outcomes)}")
    tell(f"  {never} functions never; see {folder / LCOV}, {folder / FUNCTIONS}", dim=True)


def _develop(
    goal: Goal,
    folder: Path,
    boards: tuple[str, ...],
    as_json: bool,
    arguments: tuple[str, ...] = (),
    *,
    coverage: bool = False,
    devices: dict[str, str] | None = None,
) -> Development:
    from devicepipe.pipeline.development import develop

    return develop(
        open_project(folder),
        goal,
        boards=boards,
        pytest_arguments=arguments,
        coverage=coverage,
        devices=devices,
        progress=make_progress(quiet=as_json),
        cancel=threading.Event(),
    )
