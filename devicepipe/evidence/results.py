"""The results of device tests as evidence: the device, its identity, the cases with their verdicts and measurements.

They stand under `devicepipe` of an in-toto test-result predicate (spec/predicates/test-result.md).
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, FiniteFloat, StringConstraints, model_validator

from devicepipe.evidence.model import Model, Sha256, Time
from devicepipe.evidence.predicates import Subject, Tool
from devicepipe.evidence.words import Verdict

__all__ = ["Verdict"]  # where the rest of the house has it from

Day = Annotated[str, StringConstraints(pattern=r"^\d{4}-\d\d-\d\d$")]


class Identity(Model):
    """What a device says of itself: board, version, commit and the digest of the image it is running."""

    board: str
    version: str
    commit: str
    digest: str
    serial: str = ""
    key: str = ""


class DriverUse(Model):
    """A driver of a real device: its role (flash, reset, power), its name, and what it found itself to work with."""

    role: str
    name: str
    says: str = ""


class Device(Model):
    """The device under test, whether it was emulated (by what), and how and under which lease it was driven if not.

    Attributes:
        id: Its id in the inventory.
        board: Its board.
        serial: What it said of itself.
        driver: `qemu`, or `composed` for a real one.
        emulated: Whether an emulator stood for it.
        emulator: Which.
        drivers: Those of a real one.
        bench: Where it is.
        stated_serial: The serial number that the inventory states.
        tags: What it has.
        calibration_due: The last day on which its instruments are calibrated.
        fixture_revision: The revision of its fixture.
        out_of_service: Why no test was run on it; "": it was in service.
        healthy_on: When it passed its last health check.
        lease_token: Of the lease that the session had; a later one of the device has a higher one.
        lease_holder: Who had it.
        reflash: When the flash of a real one was written: `every-test`, or `when-changed`.
        flash_writes: How often it was written in the session.
    """

    id: str
    board: str
    serial: str
    driver: str
    emulated: bool
    emulator: Tool | None = None
    drivers: list[DriverUse] = Field(default_factory=list)
    bench: str = ""
    stated_serial: str = ""
    tags: list[str] = Field(default_factory=list)
    calibration_due: Day | None = None
    fixture_revision: str = ""
    out_of_service: str = ""
    healthy_on: Time | None = None
    lease_token: int | None = Field(default=None, ge=1)
    lease_holder: str = ""
    reflash: str = ""
    flash_writes: int | None = Field(default=None, ge=0)


class Measurement(Model):
    """A value that a test measured, with its limits; with neither it only informs. `where` parts the values of a series."""

    name: str
    where: str = ""
    value: FiniteFloat
    unit: str
    low: FiniteFloat | None = None
    high: FiniteFloat | None = None

    within: bool

    @model_validator(mode="after")
    def _limits_decide(self) -> Self:
        low, high = self.low, self.high
        if low is not None and high is not None and low > high:
            raise ValueError("the lower limit is above the upper one")
        if self.within != within(self.value, low, high):
            raise ValueError(f"within is not what {self.value} and its limits say")
        return self


def within(value: float, low: float | None, high: float | None) -> bool:
    """Whether a value is not outside its limits."""
    return (low is None or value >= low) and (high is None or value <= high)


class Attempt(Model):
    """An attempt at a case that was tried again after it: what it ended with, what it measured, and its part of the serial log."""

    verdict: Verdict
    reason: str
    started_on: Time | None = None
    duration_seconds: float
    log_start: int
    log_end: int
    measurements: list[Measurement] = Field(default_factory=list)


class Quarantine(Model):
    """That a case was in quarantine: why, until which day, who looks after it (and where), and the file and line that say so."""

    reason: str
    owner: str
    issue: str = ""
    expires: Annotated[str, StringConstraints(pattern=r"^\d{4}-\d\d-\d\d$")]
    file: str
    line: int


class TestCase(Model):
    """One collected case and its verdict.

    The verdict is that of the last attempt; `earlier_attempts` are those before it, after which policy had it tried again. A case
    in `quarantine` has the verdict that it has, and verifies nothing.

    `procedure` is file, line and SHA-256 of the test's source; `expected` is its docstring: IEC 62304 5.7.5's procedure and
    expected result. `log` is the part of the raw serial log, by byte offsets, that the case produced. `fingerprints` are those
    that the items it verifies had in the commit that was tested: the verdict is about these, and no later ones. None: not recorded.
    `effectiveness` are those of `verifies` that are risk controls whose effectiveness it shows; None: none.
    """

    __test__: ClassVar[bool] = False  # not a test, whatever pytest makes of the name

    id: str
    verdict: Verdict
    reason: str = ""
    verifies: list[str]
    procedure_file: str
    procedure_line: int
    procedure_sha256: Sha256
    expected: str
    started_on: Time | None = None
    duration_seconds: float
    log_start: int
    log_end: int
    measurements: list[Measurement] = Field(default_factory=list)
    earlier_attempts: list[Attempt] = Field(default_factory=list)
    quarantine: Quarantine | None = None
    fingerprints: dict[str, Sha256] | None = None
    effectiveness: list[str] | None = None

    @property
    def passed_on_retry(self) -> bool:
        """Whether it passed, but not at its first attempt."""
        return self.verdict is Verdict.PASSED and bool(self.earlier_attempts)


class UartLog(Model):
    """The raw serial log of a UART beside the console's, and the links that have it."""

    uart: int
    links: list[str]
    log: str
    log_sha256: Sha256


class TestRun(Model):
    """One board's test session; goes under `devicepipe` of the in-toto test-result predicate.

    Holds IEC 62304 5.7.5: procedure and expected result (per case), result, software version, hardware and software
    configuration, tools, date, tester. `identity_before` and `identity_after` are the device's own words, taken before the
    first assertion and after the last; `identity_errors` is empty only where both equal the image under test.
    """

    __test__: ClassVar[bool] = False  # not a test, whatever pytest makes of the name

    board: str
    device: Device
    image_digest: Sha256
    payload_digest: Sha256
    identity_before: Identity | None = None
    identity_after: Identity | None = None
    identity_errors: list[str]
    tools: list[Tool]
    tester: str
    started_on: Time
    finished_on: Time
    serial_log: str
    serial_log_sha256: Sha256
    uart_logs: list[UartLog] = Field(default_factory=list)
    cases: list[TestCase]

    def counts(self) -> dict[Verdict, int]:
        """Number of cases by verdict, zeros included, in the order of the closed set."""
        counts = dict.fromkeys(Verdict, 0)
        for case in self.cases:
            counts[case.verdict] += 1
        return counts


class TestResult(Model):
    """Predicate TEST_RESULT (in-toto test-result v0.1) with our record under `devicepipe`."""

    __test__: ClassVar[bool] = False  # not a test, whatever pytest makes of the name

    result: Literal["PASSED", "WARNED", "FAILED"]
    configuration: list[Subject]
    passed_tests: list[str]
    warned_tests: list[str]
    failed_tests: list[str]
    devicepipe: TestRun
