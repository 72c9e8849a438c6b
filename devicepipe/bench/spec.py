"""What a test session is to do, as typed values: they cross from the caller's process to pytest's as JSON."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from devicepipe.evidence.predicates import Identity, Sha256
from devicepipe.project.board import Board


class SessionSpec(BaseModel):
    """One board's test session.

    Attributes:
        board: The board under test.
        factory: Its factory image (Intel HEX): what is installed before every test.
        signed_image: The MCUboot image inside it, alone.
        public_key: The PEM public key that the bootloader trusts.
        expected: What the device must say of itself; its `digest` is the image's.
        payload_digest: SHA-256 of the application binary that was signed.
        tests: The folder of the device tests. Case ids and procedure files are relative to the folder it lies in.
        pytest_arguments: Further arguments, e.g. ("-k", "occlusion"). What they deselect is left out of the results.
        boards: The names of all boards of the product: the mark `boards` may name no other. Empty: it may name any.
        output: The folder for logs and the record; made when missing.
        serial_log: The name, inside the bundle, of the raw serial log; its last part names the file in `output`.
        tester: Who runs the tests.
        timeout: The longest that the session may take, in seconds.
        boot_timeout: The longest that the device may take from reset to its ready line, in seconds.
        cache: Where pytest keeps what failed last (for --lf); None: nowhere.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    board: Board
    factory: Path
    signed_image: Path
    public_key: Path
    expected: Identity
    payload_digest: Sha256
    tests: Path
    pytest_arguments: tuple[str, ...] = ()
    boards: tuple[str, ...] = ()
    output: Path
    serial_log: str
    tester: str
    timeout: float = Field(default=600.0, gt=0)
    boot_timeout: float = Field(default=20.0, gt=0)
    cache: Path | None = None

    @property
    def root(self) -> Path:
        """The folder that case ids and procedure files are relative to."""
        return self.tests.parent


class SessionFile(BaseModel):
    """What the pytest plugin is given: the session, where its files go, and who owns it.

    Attributes:
        spec: The session.
        record: The file that the record is appended to.
        serial_log: The raw serial log.
        timed_log: The serial log with times and directions.
        emulator_log: What the emulator prints.
        progress: A file descriptor that gets a copy of each record.
        owner: The process that started pytest.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    spec: SessionSpec
    record: Path
    serial_log: Path
    timed_log: Path
    emulator_log: Path
    progress: int
    owner: int
