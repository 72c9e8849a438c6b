"""Fault-injection campaigns of the pump: what an update is here, and what must hold after each power cut.

    devicepipe campaign powercut --board microbit                    # all points
    devicepipe campaign powercut --board microbit --point swap:17    # one of them again
    devicepipe campaign fuzz --board microbit --points 1000          # inputs that nobody meant
    devicepipe campaign bitflip --board microbit --points 1000       # bits that flip in flash

An update is a request for a trial and the swap, the confirmation, and the way back. Its flash operations are recorded at the
functions through which both programs write flash. After a cut the device must start a validly signed image, the old or the new
one; never go back from an image that runs for good; and come to rest after further resets. Requirements: requirements/update.md.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Mapping, Sequence
from dataclasses import replace

from devicepipe.bench.campaigns.flips import Target
from devicepipe.bench.campaigns.scenario import BrokenPromiseError, Phase
from devicepipe.bench.device import Device
from devicepipe.bench.lockstep import VirtualTime
from devicepipe.bench.spec import SessionSpec
from devicepipe.errors import BenchError
from hil import flash_faults, wild_inputs
from hil.updates import (
    HANDOVER_SIZE,
    UpdateError,
    lost_handover,
    power_cycle,
    record,
    request_state,
    trailer,
    wait_image,
)

RESET = b"reset\n"
_ATTEMPTS = 5
UNPROVEN = 8  # at each eighth point the device proves its watchdog as well, by another reset
# firmware/src/bootloader/counter.h
_RECORD = struct.Struct("<4I")
_START, _END = 0x43535044, 0xBCACAFBB


class PumpUpdate:
    """The pump's update, as a campaign needs it."""

    stops: Mapping[str, bool] = {"port_start_program": True, "port_halt": False}

    def record(self, device: Device) -> list[Phase]:
        """A trial, its confirmation and a revert."""
        return record_update(device)

    def deciding(self, spec: SessionSpec, flash: bytes) -> bytes:
        """Slots, stored counter and the drug library that images depend on."""
        regions = spec.board.regions
        parts = (regions[name] for name in ("slot0", "slot1", "state", "library"))
        return b"".join(flash[part.offset : part.offset + part.size] for part in parts)

    def lost_ram(self, spec: SessionSpec) -> Sequence[tuple[int, bytes]]:
        """The handover at the end of RAM."""
        ram = spec.board.ram
        return [(ram.base + ram.size - HANDOVER_SIZE, lost_handover(proven=False))]

    def image_started(self, spec: SessionSpec, flash: bytes) -> str:
        """The digest of slot 0's image, which is byte for byte one of the two; the stored counter is not above its own."""
        slot, state = spec.board.regions["slot0"], spec.board.regions["state"]
        held = flash[slot.offset : slot.offset + slot.size]
        for file in (spec.signed_image, spec.update):
            image = file.read_bytes() if file is not None else b""
            if image and held.startswith(image):
                digest, counter = image_digest(image), image_counter(image)
                stored = stored_counter(flash[state.offset : state.offset + state.size])
                if stored > counter:
                    raise BrokenPromiseError(f"the stored counter is {stored}: above {counter}, that of any image")
                return digest
        raise BrokenPromiseError("slot 0 holds none of the signed images, whole: the image that starts is a mixture")

    def targets(self, device: Device) -> list[Target]:
        """Images, their trailers, the stored counter, settings, drug library and log."""
        return flash_faults.targets(device)

    def examine(self, device: Device, target: Target, number: int) -> str:
        """What the application says of settings, library and log."""
        return flash_faults.examine(device, target, proven=number % UNPROVEN != 0)

    virtual_time = VirtualTime(at="plant_sent")
    moment = wild_inputs.MOMENT
    streams = wild_inputs.STREAMS

    def live(self, device: Device) -> wild_inputs.WildPump:
        """The pump while it infuses."""
        return wild_inputs.WildPump(device)

    def run_application(self, device: Device, *, number: int) -> str:
        """What the device says that it started, and what its application says that it is."""
        try:
            power_cycle(device, proven=number % UNPROVEN != 0)
            said = wait_image(device).digest
            found = device.identity().digest
        except UpdateError as error:
            raise BrokenPromiseError(str(error)) from error
        if said != found:
            raise BrokenPromiseError(f"the bootloader starts {said}, the application says it is {found}")
        return found


SCENARIO = PumpUpdate()


def record_update(device: Device, *, permanent: bool = False) -> list[Phase]:
    """Let a device with the factory image in it through an update, and record each part.

    Args:
        device: The device.
        permanent: Also an update for good, whose operations are nearly those of a trial.

    Raises:
        UpdateError: The update does not go as it must even without a cut.
    """
    assert device.images.update is not None, "there is no update-test image"
    old, update = device.images.digest, device.images.update.read_bytes()
    new = image_digest(update)
    device.install(update, "slot1")
    device.reset()
    _expect(device, old)
    waiting = _flash(device)
    swap = _record_trial(device, waiting, old, new)
    on_trial = _flash(device)
    confirm = _record(device, Phase("confirm", before=old, after=new), request_state(new, confirm=True), RESET)
    device.write_flash(0, on_trial)
    phases = [swap, confirm, _record(device, Phase("revert", before=None, after=old), None)]
    if permanent:
        device.write_flash(0, waiting)
        device.reset()
        _expect(device, old)
        for_good = Phase("permanent", before=old, after=new)
        phases.append(_record(device, for_good, request_state(new, confirm=True), RESET))
    return phases


def _record_trial(device: Device, waiting: bytes, old: str, new: str) -> Phase:
    """Record how a trial begins; again where a busy machine let the 10 s go by after which it confirms itself."""
    phase = Phase("swap", before=old, after=new, trial=True)
    for _ in range(_ATTEMPTS):
        swap = _record(device, phase, request_state(new, confirm=False), RESET)
        _, confirmed, _ = trailer(device, "slot0")
        if not confirmed:
            return swap
        device.write_flash(0, waiting)
        device.reset()
        _expect(device, old)
    raise BenchError("a trial confirmed itself before it could be looked at", remedy="run again on a less busy machine")


def _sizes(image: bytes) -> tuple[int, int, int]:
    """Of a MCUboot image: header, protected TLVs, payload (MCUboot, docs/design.md)."""
    header, protected, payload = (
        int.from_bytes(image[at : at + size], "little") for at, size in ((8, 2), (10, 2), (12, 4))
    )
    return header, protected, payload


def image_digest(image: bytes) -> str:
    """The digest that a MCUboot image says of itself."""
    return hashlib.sha256(image[: sum(_sizes(image))]).hexdigest()


def image_counter(image: bytes) -> int:
    """The security counter in the protected TLVs (0x50) of a MCUboot image."""
    header, protected, payload = _sizes(image)
    at, end = header + payload + 4, header + payload + protected
    while at < end:
        kind, size = struct.unpack_from("<2H", image, at)
        if kind == 0x50:
            return int.from_bytes(image[at + 4 : at + 4 + size], "little")
        at += 4 + size
    raise ValueError("the image has no security counter")


def stored_counter(state: bytes) -> int:
    """The highest counter of the valid records in the state region; 0 where there is none."""
    records = _RECORD.iter_unpack(state)
    valid = (
        counter for start, counter, other, end in records if (start, other ^ counter, end) == (_START, 0xFFFFFFFF, _END)
    )
    return max(valid, default=0)


def _record(device: Device, phase: Phase, *orders: bytes | None) -> Phase:
    start = _flash(device)
    operations, found = record(device, orders)
    if found.digest != phase.after:
        raise UpdateError(f"{phase.name}: {found.digest} runs instead of {phase.after}")
    return replace(phase, start=start, operations=operations)


def _expect(device: Device, digest: str) -> None:
    found = wait_image(device)
    if found.digest != digest:
        raise UpdateError(f"{found.digest} runs instead of {digest}")


def _flash(device: Device) -> bytes:
    return device.read_flash(0, device.board.flash.size)
