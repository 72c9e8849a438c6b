"""Updates of a device: its requests in SMP, its lines about a boot, and the records of flash operations while it works.

SMP frames are made by `smp`, the library of the stock client.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass

from smp.packet import encode
from smpclient.requests.image_management import ImageStatesWrite

from devicepipe.bench.campaigns.cuts import Operation, write
from devicepipe.bench.device import Device

ERASE, PROGRAM, EXCHANGE = "port_flash_erase", "port_flash_program", "plant_sent"
# firmware/src/core/handover.h
HANDOVER_SIZE = 64
PROVEN_AT, PROVEN_MARK = 32, 0x4E565250

_STARTED_IMAGE = re.compile(r"^boot: slot0 version=(\S+) counter=\S+ digest=([0-9a-f]{64})$", re.MULTILINE)
_BOUND = 120.0
_QUIET = 3  # exchanges


class UpdateError(AssertionError):
    """The device did not do what an update demands of it."""


@dataclass(frozen=True)
class Started:
    """A boot that ended with a running application.

    Attributes:
        version: Of the image that was started.
        digest: Of that image.
        lines: What the device said until its application was ready, line by line.
    """

    version: str
    digest: str
    lines: tuple[str, ...]

    def said(self, beginning: str) -> list[str]:
        """The lines that begin like that."""
        return [line for line in self.lines if line.startswith(beginning)]


def wait_image(device: Device, timeout: float | None = None) -> Started:
    """Wait after a reset until the device runs an application, and say which.

    Raises:
        UpdateError: The bootloader refuses to start anything.
    """
    device.wait_started(timeout)
    return _started(device.boot_output)


def _started(sent: bytes) -> Started:
    text = sent.decode("ascii", "backslashreplace").replace("\r\n", "\n")
    images = _STARTED_IMAGE.findall(text)
    if "\napp: ready" not in text or not images:
        raise UpdateError(f"no application runs:\n{text}")
    version, digest = images[-1]
    return Started(version, digest, tuple(text.splitlines()))


def power_cycle(device: Device, *, proven: bool = False) -> None:
    """Start the device as after a loss of power: what the programs leave each other in RAM is gone.

    Args:
        device: The device.
        proven: Leave it that the watchdog was proven since the device was switched on, which saves the reset that proves it.
    """
    lose_ram(device, proven=proven)
    device.reset()


def lose_ram(device: Device, *, proven: bool = False) -> None:
    """Overwrite the handover at the end of RAM; the device is stopped for that."""
    ram = device.board.ram
    device.debugger().write_memory(ram.base + ram.size - HANDOVER_SIZE, lost_handover(proven=proven))


def lost_handover(*, proven: bool) -> bytes:
    """What a loss of power makes of the handover; `proven`: but for the mark that the watchdog was proven."""
    lost = bytearray([0x5A]) * HANDOVER_SIZE
    if proven:
        struct.pack_into("<I", lost, PROVEN_AT, PROVEN_MARK)
    return bytes(lost)


def frames(request: ImageStatesWrite) -> bytes:
    """A request as the lines that go over the serial line."""
    return b"".join(encode(request.BYTES))


def request_state(digest: str, *, confirm: bool) -> bytes:
    """The request that an image be tested at the next boot, or started for good; for the running one: that it stays."""
    return frames(ImageStatesWrite(hash=bytes.fromhex(digest), confirm=confirm))


def record(device: Device, orders: Sequence[bytes | None]) -> tuple[list[Operation], Started]:
    """What the device does to its flash while it carries out orders, and what it started in the end. It stands afterwards.

    The device stands at each flash operation and at each exchange of the plant link, every 100 ms of its time.

    Args:
        device: The device.
        orders: What it is sent, each when it has done no flash operation for some exchanges; None: it is reset from outside. The
            last one must end in a start of the application.

    Raises:
        UpdateError: It does not come to rest, or its flash in the end is not what the operations make of the flash before.
    """
    debugger = device.debugger()
    names = {
        debugger.set_breakpoint(name, program): name
        for program in range(len(debugger.programs))
        for name in (ERASE, PROGRAM)
    }
    names[debugger.set_breakpoint(EXCHANGE)] = EXCHANGE
    flash = bytearray(device.read_flash(0, device.board.flash.size))
    operations: list[Operation] = []
    device.channel.discard()
    for number, order in enumerate(orders):
        if order is None:
            debugger.reset()
        else:
            device.channel.write(order)
        quiet = 0
        while quiet < _QUIET or (number == len(orders) - 1 and b"app: ready" not in device.channel.unread):
            address = debugger.run(_BOUND)
            if address is None:
                raise UpdateError(f"the device neither writes flash nor exchanges frames for {_BOUND:g} s")
            quiet += 1
            if names[address] != EXCHANGE:
                operations.append(_operation(device, names[address]))
                write(flash, operations[-1])
                quiet = 0
    started = _started(device.channel.unread)
    if bytes(flash) != device.read_flash(0, device.board.flash.size):
        raise UpdateError("the flash is not what the recorded operations make of it")
    return operations, started


def _operation(device: Device, name: str) -> Operation:
    debugger = device.debugger()
    offset, words, count, _ = debugger.registers().arguments
    if name == ERASE:
        return Operation(offset, bytes([0xFF]) * device.board.flash.page, erase=True)
    return Operation(offset, debugger.read_memory(words, 4 * count), erase=False)


def trailer(device: Device, region: str) -> tuple[bool, bool, bool]:
    """What the trailer of a slot says: magic, image_ok, copy_done (MCUboot, docs/design.md, "Image trailer")."""
    place = device.board.regions[region]
    end = device.read_flash(place.offset + place.size - 32, 32)
    magic = struct.pack("<4I", 0xF395C277, 0x7FEFD260, 0x0F505235, 0x8079B62C)
    return end[16:] == magic, end[8] == 1, end[0] == 1
