"""What a test session is to do, as typed values: they cross from the caller's process to pytest's as JSON."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from pydantic import BaseModel, ConfigDict, Field

from devicepipe.bench.lease import Lease
from devicepipe.evidence.model import Sha256
from devicepipe.evidence.results import Identity
from devicepipe.project.board import Board
from devicepipe.project.inventory import CAPABILITIES, EMULATED, INVENTORY_NAME, DeviceEntry, Inventory, emulated_id
from devicepipe.project.quarantine import Quarantined
from devicepipe.project.sections import Retries


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
        serial_log: The name, inside the bundle, of the console's raw serial log; its last part names the file in `output`.
        tester: Who runs the tests.
        timeout: The longest that the session may take, in seconds, from the moment its tests are collected; until then it may take
            as long again, and a minute in any case.
        boot_timeout: The longest that the device may take from reset to its ready line, in seconds.
        elf: The ELF file of the application: names for breakpoints and virtual time.
        bootloader_elf: The ELF file of the bootloader.
        update: A second signed image of the same payload with the next build number, for tests of an update.
        coverage: Whether to record which instructions of the two programs each test executes; it needs both ELF files.
        cache: Where pytest keeps what failed last (for --lf); None: nowhere.
        retries: How often a test is tried again, and after which verdicts.
        quarantine: The entries of the product's list of tests in quarantine that are about the board.
        tags: The tags of all devices of the inventory, so that a test that requires another is told so; None: not known.
        device: The device, as the inventory has it; None: the board's emulated one.
        out_of_service: Why the device may not be used: then no test is run; "": it may.
        healthy_on: When the device passed its last health check.
        project: The folder that relative paths in the device's settings are relative to; None: `root`.
        leases: Where the leases of real devices are; None: where this machine has them.
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
    elf: Path | None = None
    bootloader_elf: Path | None = None
    update: Path | None = None
    coverage: bool = False
    cache: Path | None = None
    retries: Retries = Retries()
    quarantine: tuple[Quarantined, ...] = ()
    tags: tuple[str, ...] | None = None
    device: DeviceEntry | None = None
    out_of_service: str = ""
    healthy_on: str | None = None
    project: Path | None = None
    leases: Path | None = None

    def log_name(self, uart: int) -> str:
        """The name, inside the bundle, of a UART's raw serial log: `serial_log`, or beside it, e.g., `serial-uart1.log`."""
        if uart == self.board.console.uart:
            return self.serial_log
        name = PurePosixPath(self.serial_log)
        return str(name.with_name(f"{name.stem}-uart{uart}{name.suffix}"))

    @property
    def has(self) -> frozenset[str]:
        """What the device has, in the words of the mark `requires`: its tags, and what the bench can do with it."""
        if not self.entry.emulated:
            return frozenset(self.entry.tags)
        return frozenset(self.entry.tags) | CAPABILITIES - (frozenset() if self.elf else {"virtual-time"})

    def lacks(self, required: Iterable[str]) -> list[str]:
        """What the device has not of what a test requires, in words."""
        known = None if self.tags is None else sorted({*self.tags} | CAPABILITIES)
        return [
            tag
            if known is None or tag in known
            else f"{tag} (no device of {INVENTORY_NAME} has this tag; known: {', '.join(known)})"
            for tag in sorted({*required} - self.has)
        ]

    @property
    def entry(self) -> DeviceEntry:
        """The device."""
        if self.device is not None:
            return self.device
        return DeviceEntry(id=emulated_id(self.board.name), board=self.board.name, driver=EMULATED)

    def as_stated(self) -> SessionSpec:
        """The session, expecting of the device also the serial number that the inventory states."""
        if self.entry.serial_number is None:
            return self
        return self.model_copy(
            update={"expected": self.expected.model_copy(update={"serial": self.entry.serial_number})}
        )

    @property
    def inventory(self) -> Inventory:
        """What drivers are told of the inventory: where it would be, for their errors."""
        return Inventory(self.tests / INVENTORY_NAME, {}, {self.entry.id: self.entry})

    @property
    def root(self) -> Path:
        """The folder that case ids and procedure files are relative to."""
        return self.tests.parent


class SessionFile(BaseModel):
    """What the pytest plugin is given: the session, where its files go, and who owns it.

    Attributes:
        spec: The session.
        record: The file that the record is appended to.
        logs: UART → its raw serial log; beside each is the one with times and directions, `.timed`.
        coverage: The record of what each test executed; None: there is none.
        emulator_log: What the emulator prints, or the programs of the device's drivers.
        progress: A file descriptor that gets a copy of each record.
        owner: The process that started pytest, and with which it ends; None: pytest was started by a person.
        lease: The owner's lease of the device; None: an emulated one has none.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    spec: SessionSpec
    record: Path
    logs: dict[int, Path]
    coverage: Path | None = None
    emulator_log: Path
    progress: int
    owner: int | None
    lease: Lease | None = None
