"""The cross links of coverage: it is of the image, the programs and the test session that the other attestations are about."""

from __future__ import annotations

from collections.abc import Sequence

from devicepipe.errors import IntegrityError
from devicepipe.evidence.bundle import Attestation
from devicepipe.evidence.checks import Link, about, artifact, same
from devicepipe.evidence.coverage import OUTSIDE, CoverageResult, MergedCoverage, Share, added
from devicepipe.evidence.predicates import BuildResult, ImageSigning
from devicepipe.evidence.results import TestResult


def check_coverage(attestation: Attestation, build: BuildResult, signing: ImageSigning, tested: Attestation) -> Link:
    """Check a board's coverage.

    Args:
        attestation: The coverage.
        build: The board's build.
        signing: The board's image.
        tested: The board's test session.

    Raises:
        IntegrityError: It is of another image, other programs or another session, or says of its tests what they do not.
    """
    result, link = attestation.read(CoverageResult), attestation.path
    run = tested.read(TestResult).devicepipe
    same("board", result.board, attestation.board, link, "its name")
    same("image digest", result.image_digest, signing.image_digest, link, "the signing attestation")
    elves = [artifact(build, role, "elf", link) for role in ("application", "bootloader")]
    about(attestation, signing.image, *elves, tested.path)
    if result.tests > len(run.cases):
        raise IntegrityError(f"counts {result.tests} tests, more than the {len(run.cases)} of the session", link=link)
    if any(function.hits > len(elves) * len(run.cases) for function in result.functions):
        raise IntegrityError("has a function executed by more tests than the session has", link=link)
    verified = {item for case in run.cases for item in case.verifies}
    if unknown := sorted(result.requirements.keys() - verified):
        raise IntegrityError(f"tells of {unknown[0]}, which no test of the session verifies", link=link)
    return Link(link, "is of the signed image, this build's programs and this test session")


def check_merged(attestation: Attestation, boards: Sequence[Attestation]) -> Link:
    """Check what was merged of the boards' coverage.

    Raises:
        IntegrityError: It is not about these boards' coverage, or not what they say.
    """
    merged, link = attestation.read(MergedCoverage), attestation.path
    results = [board.read(CoverageResult) for board in boards]
    about(attestation, *(board.path for board in boards))
    same("boards", merged.boards, [result.board for result in results], link, "the source")
    listed = {(one.file, one.function, board) for one in merged.never_executed for board in one.boards}
    seen = {(one.file, one.function, result.board) for result in results for one in result.functions if not one.hits}
    if wrong := sorted(listed ^ seen):
        path, function, where = wrong[0]
        raise IntegrityError(f"differs from the board's own account of {path}:{function} on {where}", link=link)
    files = {one.file: one for result in results for one in result.files if one.file != OUTSIDE}
    same("list of files", [file.file for file in merged.files], sorted(files), link, "the boards' coverage")
    for file in merged.files:
        own = [(result.board, one) for result in results for one in result.files if one.file == file.file]
        same(f"{file.file}'s boards", file.boards, [board for board, _ in own], link, "the boards' coverage")
        for what, here, there in (
            ("instructions", file.instructions, added(one.instructions for _, one in own)),
            ("outcomes", file.outcomes, added(one.outcomes for _, one in own)),
        ):
            same(f"{file.file}'s {what}", here, there, link, "the boards' coverage")
        executed = [{one.function: one.hits > 0 for one in of.functions if one.file == file.file} for of in results]
        names = {name for functions in executed for name in functions}
        some = sum(any(functions.get(name, False) for functions in executed) for name in names)
        all_of = sum(all(functions.get(name, True) for functions in executed) for name in names)
        counted = (file.functions.any, file.functions.every, file.functions.all)
        same(f"{file.file}'s functions", counted, (some, all_of, len(names)), link, "the boards' coverage")
    total = merged.total
    sums: tuple[tuple[str, Share, Share], ...] = (
        ("instructions", total.instructions, added(file.instructions for file in merged.files)),
        ("outcomes", total.outcomes, added(file.outcomes for file in merged.files)),
    )
    for what, here, there in sums:
        same(f"total of {what}", here, there, link, "its files")
    return Link(link, f"is the coverage of {', '.join(merged.boards)}, merged")
