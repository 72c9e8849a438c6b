"""Updates as a user makes them, by SMP with the stock client: trial, confirmation, revert. Requirements: requirements/update.md.

The new image is the payload under test with the next build number, signed by the same key (docs/reference/bundle.md).
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import pytest
from smpclient.generics import success
from smpclient.requests.image_management import ImageStatesRead, ImageStatesWrite
from smpclient.requests.os_management import ResetWrite

from devicepipe.bench.device import Device
from hil.campaigns import image_digest
from hil.smp_serial import request, upload
from hil.updates import Started, lose_ram, power_cycle, trailer, wait_image

if TYPE_CHECKING:
    from hil.conftest import Pump

RESET_MARK, WATCHDOG_TEST = 0x54534552, 3  # firmware/src/core/handover.h
HANDOVER_RESET = 24  # offset of reset_mark and reset in it
RAM_HANDOVER = 64


class Update:
    """The new image, and the ways to it."""

    def __init__(self, device: Device) -> None:
        assert device.images.update is not None, "the session has no update-test image"
        self.device = device
        device.altered = True  # by the device itself: another image than the one under test runs in the end
        self.image = device.images.update.read_bytes()
        self.old, self.new = device.images.digest, image_digest(self.image)

    def put(self) -> None:
        """Put the new image into slot 1 as a programmer does, and start the device."""
        self.device.install(self.image, "slot1")
        self.device.reset()
        assert wait_image(self.device).digest == self.old

    def ask_for(self, *, confirm: bool = False) -> None:
        """Request the new image for the next boot: for a trial, or for good."""
        assert success(request(self.device, ImageStatesWrite(hash=bytes.fromhex(self.new), confirm=confirm)))

    def restart(self) -> Started:
        """Reset the device; what it started."""
        self.device.reset()
        return wait_image(self.device)

    def try_out(self) -> Started:
        """Put the new image there and let it run on trial."""
        self.put()
        self.ask_for()
        started = self.restart()
        assert started.digest == self.new
        return started

    def boot(self) -> dict[str, str]:
        """What the device reports of its last boot."""
        reply = self.device.command("boot")
        assert reply.startswith("OK boot "), reply
        return dict(word.split("=") for word in reply.split()[2:])

    def assert_boot(self, **expected: str) -> None:
        """The device reports this, among others, of its last boot."""
        said = self.boot()
        assert {name: said[name] for name in expected} == expected


@pytest.fixture
def update(device: Device) -> Update:
    """The new image for the device under test."""
    return Update(device)


def holds(update: Update, region: str, image: bytes) -> bool:
    """Whether a slot holds an image, whole."""
    return update.device.read_flash(update.device.board.regions[region].offset, len(image)) == image


@pytest.mark.verifies("SRS-045", "SRS-046", "SRS-051")
def test_update_by_smp(update: Update) -> None:
    """Upload, request of a trial, reset: the new image runs and says so; confirmed, it stays at every reset.

    Before the reset: slot 1 is pending, nothing else has changed. On trial: action and kind `test`, not confirmed, active. After
    the confirmation and two resets: no action, confirmed; the old image is still in slot 1.
    """
    device = update.device
    upload(device, update.image)
    assert holds(update, "slot1", update.image)
    update.ask_for()
    slots = {one.slot: one for one in request(device, ImageStatesRead()).images if not one.image}
    assert bytes(slots[1].hash).hex() == update.new
    assert (slots[1].pending, slots[0].active, slots[0].confirmed) == (True, True, True)
    assert success(request(device, ResetWrite()))
    device.wait_started()
    update.assert_boot(action="test", swap="test", refused="none", confirmed="no", reset="command")
    slots = {one.slot: one for one in request(device, ImageStatesRead()).images if not one.image}
    assert bytes(slots[0].hash).hex() == update.new
    assert (bool(slots[0].active), bool(slots[0].confirmed), bool(slots[1].pending)) == (True, False, False)
    update.ask_for(confirm=True)
    update.assert_boot(action="test", confirmed="yes")
    for _ in range(2):
        assert update.restart().digest == update.new
        update.assert_boot(action="none", swap="none", refused="none", confirmed="yes")
    assert holds(update, "slot1", device.images.signed.read_bytes())


@pytest.mark.verifies("RC-023", kind="effectiveness")
@pytest.mark.verifies("SRS-047", "SRS-051")
@pytest.mark.virtual_time(at="plant_sent")
def test_unconfirmed_trial_reverts(update: Update) -> None:
    """The reset after a trial brings the old image back for good; the new one is whole in slot 1, and can be tried again."""
    update.try_out()
    assert update.restart().digest == update.old
    update.assert_boot(action="revert", swap="revert", refused="none", confirmed="yes")
    assert update.restart().digest == update.old
    update.assert_boot(action="none", swap="none")
    assert holds(update, "slot1", update.image)
    update.ask_for()
    assert update.restart().digest == update.new


@pytest.mark.verifies("SRS-047", "SRS-041")
@pytest.mark.virtual_time(at="plant_sent")
def test_trial_that_hangs_reverts(update: Update) -> None:
    """A trial whose control loop stands still is reset by the deadline monitor: the old image runs, both reasons can be read."""
    update.try_out()
    assert update.device.command("crash hang") == "OK crash"
    update.device.wait_started(60)
    assert update.device.identity().digest == update.old
    update.assert_boot(action="revert", confirmed="yes", reset="deadline")


@pytest.mark.verifies("SRS-045", "SRS-047")
def test_power_loss_on_trial_reverts(update: Update) -> None:
    """Power lost while a trial runs: the old image runs, although the handover in RAM is gone."""
    update.try_out()
    power_cycle(update.device)
    assert wait_image(update.device).digest == update.old
    update.assert_boot(confirmed="yes")
    assert update.restart().digest == update.old


@pytest.mark.verifies("SRS-045", "SRS-042")
def test_watchdog_proof_does_not_end_a_trial(update: Update) -> None:
    """Power lost between request and swap: the trial proves its watchdog by a reset, and runs on.

    The next reset brings the old image back.
    """
    update.put()
    update.ask_for()
    power_cycle(update.device)
    started = wait_image(update.device)
    assert started.digest == update.new
    assert started.said("boot: trial goes on")
    update.assert_boot(confirmed="no", reset="watchdog-test")
    assert update.restart().digest == update.old
    update.assert_boot(action="revert")


@pytest.mark.verifies("SRS-046")
@pytest.mark.virtual_time(at="plant_sent")
def test_trial_confirms_itself(pump: Pump) -> None:
    """9 s after its start a trial is not confirmed, 11 s after it is; and it stays at the next reset."""
    update = Update(pump.device)
    update.put()
    update.ask_for()
    pump.device.reset()
    pump.restarted()
    pump.run(9_000)
    update.assert_boot(confirmed="no", action="test")
    pump.run(2_000)
    update.assert_boot(confirmed="yes", action="test")
    pump.device.reset()
    pump.restarted()
    assert pump.device.identity().digest == update.new


@pytest.mark.verifies("SRS-045", "SRS-051")
@pytest.mark.virtual_time(at="plant_sent")
def test_update_for_good(update: Update) -> None:
    """Requested as confirmed, the new image runs for good at once: action and kind `permanent`; it stays."""
    update.put()
    update.ask_for(confirm=True)
    assert update.restart().digest == update.new
    update.assert_boot(action="permanent", swap="permanent", confirmed="yes")
    assert update.restart().digest == update.new
    update.assert_boot(action="none")


@pytest.mark.verifies("SRS-045", "SRS-051")
@pytest.mark.virtual_time(at="plant_sent")
def test_bad_images_are_not_swapped_in(update: Update) -> None:
    """A trial requested for an image that would not be started: the old one runs, the reason can be read, the request is gone.

    One bit of the payload changed: bad-digest; of the signature: bad-signature; cut off: bad-size; the drug library, which is
    no program: bad-header; nothing: no-image.
    """
    device, image = update.device, update.image
    library = device.board.regions["library"]
    data = device.read_flash(library.offset, library.size // 2)
    for name, bad, reason in (
        ("payload", image[:600] + bytes([image[600] ^ 1]) + image[601:], "bad-digest"),
        ("signature", image[:-1] + bytes([image[-1] ^ 1]), "bad-signature"),
        ("cut off", image[: len(image) // 2], "bad-size"),
        ("library", data.rstrip(b"\xff"), "bad-header"),
        ("nothing", b"", "no-image"),
    ):
        # Requested as the bootloader sees it, since the application would not find an image to request.
        slot = device.board.regions["slot1"]
        magic = struct.pack("<4I", 0xF395C277, 0x7FEFD260, 0x0F505235, 0x8079B62C)
        device.install(bad.ljust(slot.size - 16, b"\xff") + magic, "slot1")
        started = update.restart()
        assert started.digest == update.old, name
        assert started.said(f"boot: slot1 refused {reason}"), name
        update.assert_boot(action="none", swap="none", refused=reason, confirmed="yes")
        assert trailer(device, "slot1") == (False, False, False), name
        update.restart()
        update.assert_boot(refused="none")


@pytest.mark.verifies("RC-006", kind="effectiveness")
@pytest.mark.verifies("SRS-045", "SRS-019")
@pytest.mark.virtual_time(at="plant_sent")
def test_older_image_is_not_swapped_in(update: Update) -> None:
    """On a device whose stored counter is above both images': slot 1's is refused as downgrade, and so is slot 0's."""
    update.put()
    update.ask_for()
    update.device.install(struct.pack("<4I", 0x43535044, 7, 7 ^ 0xFFFFFFFF, 0xBCACAFBB), "state")
    update.device.reset()
    assert update.device.wait_started() == "boot: refused downgrade"
    assert b"boot: slot1 refused downgrade\r\n" in update.device.boot_output
    assert holds(update, "slot1", update.image)


@pytest.mark.verifies("SRS-049", "SRS-051")
@pytest.mark.virtual_time(at="plant_sent")
def test_image_without_its_drug_library_is_refused(update: Update) -> None:
    """The new image needs the drug library. With the library erased, or changed by one bit: dependency, and the old image stays.

    With the library back, the same request is carried out.
    """
    device = update.device
    region = device.board.regions["library"]
    library = device.read_flash(region.offset, region.size)
    changed = library[:600] + bytes([library[600] ^ 1]) + library[601:]
    for contents in (b"", changed):
        update.put()
        update.ask_for()
        device.install(contents, "library")
        started = update.restart()
        assert started.digest == update.old
        assert started.said("boot: slot1 refused dependency")
        update.assert_boot(action="none", refused="dependency")
    device.install(library, "library")
    update.put()
    update.ask_for()
    assert update.restart().digest == update.new


@pytest.mark.verifies("SRS-047", "SRS-049")
@pytest.mark.virtual_time(at="plant_sent")
def test_revert_does_not_need_the_drug_library(update: Update) -> None:
    """The library is lost during a trial: the old image runs again all the same, and says that there is no library."""
    update.try_out()
    update.device.install(b"", "library")
    assert update.restart().digest == update.old
    update.assert_boot(action="revert")
    assert update.device.command("library") == "ERR library none"


@pytest.mark.verifies("SRS-050")
def test_counter_is_raised_by_the_confirmation_only(update: Update) -> None:
    """On a device that never stored a counter, a trial does not store one at its boot.

    The counter is stored at the reset after the confirmation.
    """
    device = update.device
    update.try_out()
    state = device.board.regions["state"]
    device.install(b"", "state")
    # As the application resets to prove its watchdog: the one reset that does not end a trial.
    lose_ram(device)
    ram = device.board.ram
    words = struct.pack("<2I", RESET_MARK, WATCHDOG_TEST)
    device.debugger().write_memory(ram.base + ram.size - RAM_HANDOVER + HANDOVER_RESET, words)
    assert update.restart().digest == update.new
    assert device.read_flash(state.offset, 16) == b"\xff" * 16
    update.ask_for(confirm=True)
    assert device.read_flash(state.offset, 16) == b"\xff" * 16
    assert update.restart().digest == update.new
    assert device.read_flash(state.offset, 16) == struct.pack("<4I", 0x43535044, 1, 1 ^ 0xFFFFFFFF, 0xBCACAFBB)


@pytest.mark.verifies("SRS-050", "SRS-047")
@pytest.mark.virtual_time(at="plant_sent")
def test_reverted_trial_leaves_the_counter(update: Update) -> None:
    """The stored counter's records are the same, byte for byte, before a trial, on trial and after the revert."""
    state = update.device.board.regions["state"]
    before = update.device.read_flash(state.offset, state.size)
    update.try_out()
    assert update.device.read_flash(state.offset, state.size) == before
    assert update.restart().digest == update.old
    assert update.device.read_flash(state.offset, state.size) == before


@pytest.mark.verifies("SRS-045", "SRS-051")
@pytest.mark.virtual_time(at="plant_sent")
def test_damaged_image_is_replaced_by_the_other_one(update: Update) -> None:
    """One bit of the image in slot 0 decays while a valid one lies in slot 1: that one runs, for good, and the device says so."""
    device = update.device
    update.put()
    slot = device.board.regions["slot0"]
    byte = device.read_flash(slot.offset + 600, 1)[0]
    device.write_flash(slot.offset + 600, bytes([byte ^ 1]))
    started = update.restart()
    assert started.digest == update.new
    assert started.said("boot: recover slot1 because=bad-digest")
    update.assert_boot(action="recovered", swap="permanent", confirmed="yes")
    assert update.restart().digest == update.new
