"""The cross links of a board's device tests: of the image that ships, on that board, as their serial log has it."""

from __future__ import annotations

from devicepipe.errors import IntegrityError
from devicepipe.evidence.bundle import Attestation, Bundle
from devicepipe.evidence.checks import Link, about, file_is, same
from devicepipe.evidence.devices import check_device
from devicepipe.evidence.files import size_of
from devicepipe.evidence.predicates import ImageSigning, SourceInfo
from devicepipe.evidence.results import Attempt, Identity, TestCase, TestResult, TestRun, Verdict


def check_result(bundle: Bundle, attestation: Attestation, source: SourceInfo, signing: ImageSigning) -> Link:
    """Check a board's test session.

    Args:
        bundle: The bundle; its reads must be checked ones.
        attestation: The session's.
        source: The released commit.
        signing: The board's image.

    Raises:
        IntegrityError: It is of another board or image, its files are others, its lists do not agree with its cases, or a
            device that it calls the right one is not.
    """
    result, link = attestation.read(TestResult), attestation.path
    run = result.devicepipe
    about(attestation, signing.image)
    same("board", run.board, attestation.board, link, "its name")
    same("device's board", run.device.board, attestation.board, link, "its name")
    same("payload digest", run.payload_digest, signing.payload_digest, link, "the signing attestation")
    same("image digest", run.image_digest, signing.image_digest, link, "the signing attestation")
    file_is(bundle, run.serial_log, run.serial_log_sha256, link)
    for log in run.uart_logs:
        file_is(bundle, log.log, log.log_sha256, link)
    for used in result.configuration:
        file_is(bundle, used.name, used.digest.sha256, link)
    _check_cases(result, link)
    _check_log_places(run, size_of(bundle.folder, run.serial_log), link)
    check_device(run, link)
    if not run.identity_errors:
        for identity in (run.identity_before, run.identity_after):
            _check_identity(identity, run, source, signing, link)
    return Link(link, f"tested the signed payload in the signed image; its serial log is {run.serial_log}")


def _check_cases(result: TestResult, link: str) -> None:
    run = result.devicepipe
    ids = [case.id for case in run.cases]
    if len(set(ids)) != len(ids):
        raise IntegrityError("has a test case twice", link=link)
    passed = {case.id for case in run.cases if case.verdict is Verdict.PASSED}
    others = {*result.failed_tests, *result.warned_tests}
    failed = {case.id for case in run.cases if case.verdict in (Verdict.FAILED, Verdict.ERROR)}
    if set(result.passed_tests) != passed or others & passed or not others <= set(ids):
        raise IntegrityError("its lists of tests do not agree with the verdicts of its cases", link=link)
    if result.result == "PASSED" and failed:
        raise IntegrityError("says PASSED over cases that did not pass", link=link)
    for case in run.cases:
        if case.verdict is Verdict.PASSED and not all(measured.within for measured in case.measurements):
            raise IntegrityError(f"case {case.id} passed with a value outside its limits", link=link)
        if any(part.verdict not in (Verdict.FAILED, Verdict.ERROR) for part in case.earlier_attempts):
            raise IntegrityError(f"case {case.id} was tried again though it had not failed", link=link)
        if case.quarantine is not None and case.quarantine.expires < run.started_on[:10]:
            raise IntegrityError(f"case {case.id} ran in a quarantine that had ended", link=link)


def _check_log_places(run: TestRun, length: int, link: str) -> None:
    """Where a case says that its output stands in the serial log of `length` bytes, there is some, in order."""
    for case in run.cases:
        parts: list[Attempt | TestCase] = [*case.earlier_attempts, case]
        places = [0, *(place for part in parts for place in (part.log_start, part.log_end)), length]
        if places != sorted(places):
            raise IntegrityError(f"case {case.id} refers to what is not in the serial log", link=link)


def _check_identity(
    identity: Identity | None, run: TestRun, source: SourceInfo, signing: ImageSigning, link: str
) -> None:
    """Where the test says that the device's identity was right, it must have been."""
    if identity is None:
        raise IntegrityError("reports no identity error, but the device was not asked before and after", link=link)
    same("device's image digest", identity.digest, run.image_digest, link, "the image under test")
    same("device's board", identity.board, run.board, link, "the image under test")
    same("device's commit", identity.commit, source.commit, link, "the source")
    if identity.version not in (source.version, signing.image_version):
        raise IntegrityError(f"its device's version is {identity.version!r}, not {signing.image_version!r}", link=link)
