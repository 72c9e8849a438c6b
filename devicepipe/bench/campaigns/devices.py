"""The devices of a campaign's process: one that runs its bootloader only, one with its application."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from devicepipe.bench.campaigns.machine import Boot, BootMachine
from devicepipe.bench.campaigns.scenario import BootScenario, BrokenPromiseError
from devicepipe.bench.channel import SerialLoop
from devicepipe.bench.device import Device
from devicepipe.bench.emulated import EmulatedTarget
from devicepipe.bench.faults import DeviceFaultError
from devicepipe.bench.qemu import Qemu
from devicepipe.bench.serial_log import SerialLog
from devicepipe.bench.spec import SessionSpec
from devicepipe.bench.symbols import symbols_of
from devicepipe.errors import UsageError

_SHOWN = 2000


class Bootloader:
    """A bootloader that is run from a flash once: from the same deciding parts it does the same again.

    Args:
        spec: The session.
        scenario: The product's.
        boot: Runs the bootloader once from a flash, after a loss of power.

    Attributes:
        boots: How often it ran.
    """

    def __init__(self, spec: SessionSpec, scenario: BootScenario, boot: Callable[[bytes], Boot]) -> None:
        self.boots = 0
        self._spec = spec
        self._scenario = scenario
        self._boot = boot
        self._known: dict[bytes, tuple[Boot, bytes]] = {}

    def run(self, flash: bytes) -> tuple[Boot, bytes, bytes]:
        """The run from a flash, and the keys of that flash and of the one it leaves.

        Raises:
            BrokenPromiseError: It comes to no end.
        """
        key = self._key(flash)
        if key not in self._known:
            self.boots += 1
            boot = self._boot(flash)
            self._known[key] = boot, self._key(boot.flash)
        boot, after = self._known[key]
        if not boot.at:
            raise BrokenPromiseError(f"the bootloader neither starts nor refuses anything{self.said(boot)}")
        return boot, key, after

    def started(self, boot: Boot) -> str | None:
        """The digest of the image that a run started; None where it refused to start any.

        Raises:
            BrokenPromiseError: It is none of the signed ones, whole.
        """
        if not self._scenario.stops[boot.at]:
            return None
        return self._scenario.image_started(self._spec, boot.flash)

    @staticmethod
    def said(boot: Boot) -> str:
        """What it said, for messages."""
        return f"; it said:\n{boot.said[-_SHOWN:]}"

    def _key(self, flash: bytes) -> bytes:
        return hashlib.sha256(self._scenario.deciding(self._spec, flash)).digest()


class Machines:
    """The two devices of a process, each started when it is needed."""

    def __init__(self, spec: SessionSpec, scenario: BootScenario) -> None:
        self._spec = spec
        self._scenario = scenario
        self._ram = scenario.lost_ram(spec)
        self._count = 0
        self._machine: BootMachine | None = None
        self._device: Device | None = None
        self._loop: SerialLoop | None = None

    def boot(self, flash: bytes) -> Boot:
        """Run the bootloader once; a processor that locks up takes its emulator along, the next run gets another one."""
        if self._machine is None:
            self._machine = boot_machine(self._spec, self._scenario, self._folder("boot"))
        try:
            return self._machine.boot(flash, self._ram)
        except DeviceFaultError:
            self._machine.close()
            self._machine = None
            raise

    def device(self, flash: bytes) -> Device:
        """The device with an application, with that flash; it stands."""
        if self._device is None:
            self._loop = self._loop or SerialLoop()
            self._device = application_device(self._spec, self._folder("application"), self._loop)
            self._device.prepare()
        self._device.write_flash(0, flash)
        return self._device

    def check(self, flash: bytes, digest: str, number: int) -> None:
        """Start the application from the same flash.

        Raises:
            BrokenPromiseError: It is not the image that the bootloader alone was found to start.
        """
        found = self._scenario.run_application(self.device(flash), number=number)
        if found != digest:
            raise BrokenPromiseError(f"the application says it is {found}, its bootloader seemed to start {digest}")

    def retire(self) -> None:
        """End the device with an application, after a fault in which it may have locked up: the next one is another."""
        if self._device is not None:
            self._device.close()
            self._device = None

    def close(self) -> None:
        """End both."""
        if self._machine is not None:
            self._machine.close()
        self.retire()
        if self._loop is not None:
            self._loop.close()

    def _folder(self, name: str) -> Path:
        self._count += 1
        return self._spec.output / f"{name}-{self._count}"


def boot_machine(spec: SessionSpec, scenario: BootScenario, folder: Path) -> BootMachine:
    """A machine that halts where the bootloader's decision is made.

    Raises:
        UsageError: The session has no bootloader's ELF file, or that has no such function.
    """
    if spec.bootloader_elf is None:
        raise UsageError("a campaign needs the bootloader's ELF file")
    symbols = symbols_of(spec.bootloader_elf)
    return BootMachine(spec.board, folder, {name: symbols.address(name) for name in scenario.stops})


def application_device(spec: SessionSpec, folder: Path, loop: SerialLoop) -> Device:
    """A device of the session, not started yet."""
    folder.mkdir(parents=True, exist_ok=True)
    logs = {uart: SerialLog(folder / f"uart{uart}.log") for uart in spec.board.uarts}

    def start(halt_at: int | None) -> Qemu:
        return Qemu(spec.board, folder / "emulator.log", logs, loop, halt_at=halt_at)

    return Device(spec, EmulatedTarget(spec, start))


@contextmanager
def opened(spec: SessionSpec) -> Iterator[Device]:
    """A device with the factory image in it, running."""
    with closing(SerialLoop()) as loop, closing(application_device(spec, spec.output, loop)) as device:
        device.prepare()
        yield device
