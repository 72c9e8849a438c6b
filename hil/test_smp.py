"""SMP by a stock smpclient: what it does, and when it is refused. Requirements: requirements/update.md."""

from __future__ import annotations

import base64
import struct
from typing import TYPE_CHECKING, Any

import pytest
from smp import error as smp_error
from smpclient import SMPClient
from smpclient.requests.file_management import FileDownload
from smpclient.requests.image_management import ImageErase, ImageStatesRead, ImageStatesWrite, ImageUploadWrite
from smpclient.requests.os_management import (
    DateTimeRead,
    EchoWrite,
    MCUMgrParametersRead,
    ResetWrite,
    TaskStatisticsRead,
)
from smpclient.requests.settings_management import ReadSetting
from smpclient.requests.shell_management import Execute
from smpclient.requests.statistics_management import ListOfGroups

from hil.plant.frames import crc
from hil.smp_serial import request, succeeded, upload, with_client

if TYPE_CHECKING:
    from hil.conftest import Pump

pytestmark = pytest.mark.virtual_time(at="plant_sent")

LIBRARY = 1  # number of the drug library among the images
BUSY, NOT_SUPPORTED, INVALID = (
    int(one) for one in (smp_error.MGMT_ERR.EBUSY, smp_error.MGMT_ERR.ENOTSUP, smp_error.MGMT_ERR.EINVAL)
)
START = b"\x06\x09"


def code(response: Any) -> int:
    """The error's number, of version 1 or 2 of the protocol; 0 where there is no error."""
    fields = response.model_dump()
    rc = fields["err"]["rc"] if fields.get("err") else fields.get("rc")
    return int(rc or 0)


def with_payload(packet: bytes, payload: bytes) -> bytes:
    """The request with another payload."""
    return packet[:2] + struct.pack(">H", len(payload)) + packet[4:8] + payload


def frame(packet: bytes, *, check: int | None = None) -> bytes:
    """A packet as one line of the serial transport, with the right CRC or another one."""
    body = packet + struct.pack(">H", crc(packet) if check is None else check)
    return START + base64.b64encode(struct.pack(">H", len(body)) + body) + b"\n"


@pytest.mark.verifies("SRS-052")
def test_echo_and_parameters(pump: Pump) -> None:
    """Texts come back as they were sent, up to 200 characters; packets of 512 bytes are taken, one at a time."""
    for text in ("", "hello", "x" * 200):
        reply = request(pump.device, EchoWrite(d=text))
        assert succeeded(reply)
        assert reply.r == text
    parameters = request(pump.device, MCUMgrParametersRead())
    assert (parameters.buf_size, parameters.buf_count) == (512, 1)


@pytest.mark.verifies("SRS-052")
def test_image_state_is_that_of_the_image(pump: Pump) -> None:
    """Image 0 in slot 0 with the digest of the image under test, bootable, active and confirmed; the library is image 1."""
    images = request(pump.device, ImageStatesRead()).images
    running = next(one for one in images if (one.image or 0) == 0 and one.slot == 0)
    assert bytes(running.hash).hex() == pump.device.images.digest
    assert (running.bootable, running.active, running.confirmed) == (True, True, True)
    assert not running.pending
    library = pump.ask("library")
    held = next(one for one in images if one.image == LIBRARY and one.active)
    assert bytes(held.hash).hex() == library["digest"]


@pytest.mark.verifies("SRS-052")
def test_reset_by_smp(pump: Pump) -> None:
    """The reset is answered, then the device starts anew, and says that a command was the reason."""
    assert succeeded(request(pump.device, ResetWrite()))
    pump.restarted()
    assert pump.ask("boot")["reset"] == "command"


@pytest.mark.verifies("SRS-052")
def test_unknown_groups_and_commands_are_refused(pump: Pump) -> None:
    """Task statistics, date and time, and the group of statistics: error 8 (not supported); the console works as before."""
    for message in (TaskStatisticsRead(), DateTimeRead(), ListOfGroups()):
        assert code(request(pump.device, message)) == NOT_SUPPORTED, message
    assert pump.status().state == "idle"


@pytest.mark.verifies("SRS-060")
def test_memory_files_and_settings_are_given_to_nobody(pump: Pump) -> None:
    """Reading a file or a setting, a command for a shell: an error (not supported, or invalid), and no content in the answer."""
    for message in (FileDownload(name="/keys", off=0), ReadSetting(name="key"), Execute(argv=["cat", "keys"])):
        reply = request(pump.device, message)
        assert code(reply) in (NOT_SUPPORTED, INVALID), message
        assert not {"data", "val", "o"} & {key for key, value in reply.model_dump().items() if value}
    for line in ("dump", "read 0", "md 0x20000000 64", "mem", "key"):
        assert pump.device.command(line) == "ERR unknown-command"


@pytest.mark.verifies("SRS-052")
def test_upload_and_erase(pump: Pump) -> None:
    """The first 2 kB of an image arrive in slot 1 unaltered; a piece sent twice is told where to go on; erase empties the slot."""
    image = pump.device.images.signed.read_bytes()
    slot = pump.device.board.regions["slot1"]

    async def pieces(client: SMPClient) -> None:
        taken = 0
        while taken < 2000:
            size = {"len": len(image)} if taken == 0 else {}
            piece = ImageUploadWrite(off=taken, data=image[taken : taken + 200], image=0, **size)  # type: ignore[arg-type]
            reply: Any = await client.request(piece)
            assert succeeded(reply), reply
            assert reply.off == taken + 200
            taken += 200
        again: Any = await client.request(ImageUploadWrite(off=400, data=image[400:600]))
        assert succeeded(again), again
        assert again.off == taken

    with_client(pump.device, pieces)
    # Flash is written in larger pieces than they come.
    assert pump.device.read_flash(slot.offset, 1792) == image[:1792]
    assert succeeded(request(pump.device, ImageErase(), timeout=60))
    assert pump.device.read_flash(slot.offset, 4096) == b"\xff" * 4096
    assert pump.status().state == "idle"


@pytest.mark.verifies("SRS-052", "SRS-024")
def test_drug_library_is_uploaded_into_the_other_copy(pump: Pump) -> None:
    """The library of the factory image, uploaded as image 1, stands in both copies; it counts as before, also after a reset."""
    said = pump.command("library")
    region = pump.device.board.regions["library"]
    half = region.size // 2
    copies = [pump.device.read_flash(region.offset + number * half, half) for number in (0, 1)]
    (full,) = [copy for copy in copies if copy[:4] == b"\x3d\xb8\xf3\x96"]
    header, protected, size = struct.unpack_from("<HHI", full, 8)
    end = header + size + protected
    end += struct.unpack_from("<H", full, end + 2)[0]
    upload(pump.device, full[:end], LIBRARY)
    for number in (0, 1):
        assert pump.device.read_flash(region.offset + number * half, end) == full[:end]
    assert pump.command("library") == said
    pump.reset()
    assert pump.command("library") == said
    pump.infuse()


@pytest.mark.verifies("SRS-052")
def test_upload_that_does_not_fit_is_refused(pump: Pump) -> None:
    """An image as large as the slot, one larger, and one for a third image: an error, and slot 1 is as it was.

    So is the version that runs, where nothing but an upgrade is wanted.
    """
    image = pump.device.images.signed.read_bytes()
    slot = pump.device.board.regions["slot1"]
    before = pump.device.read_flash(slot.offset, slot.size)
    for size, number in ((slot.size, 0), (slot.size + 1, 0), (0x7FFF_FFFF, 0), (len(image), 2)):
        reply = request(pump.device, ImageUploadWrite(off=0, data=image[:128], len=size, image=number))
        assert not succeeded(reply), (size, number)
    upgrade = ImageUploadWrite(off=0, data=image[:128], len=len(image), image=0, upgrade=True)
    assert not succeeded(request(pump.device, upgrade))
    assert pump.device.read_flash(slot.offset, slot.size) == before


@pytest.mark.verifies("SRS-052")
def test_malformed_frames_change_nothing(pump: Pump) -> None:
    """Wrong CRC, no base64, a length that is not that of the packet, a packet cut off, 1000 bytes: no answer, and all goes on.

    A number that no variable holds is an error. Keys that nobody knows change nothing of the answer.
    """
    reset = bytes(ResetWrite().BYTES)
    echo = bytes(EchoWrite(d="hello").BYTES)
    link, resets = pump.device.link("smp"), pump.device.guest_resets()
    pump.infuse(rate=500)
    for line in (
        frame(reset, check=crc(reset) ^ 1),
        START + b"!!!! this is no base64\n",
        START + base64.b64encode(struct.pack(">H", 500) + reset) + b"\n",
        START + base64.b64encode(struct.pack(">H", 3) + reset) + b"\n",
        START + b"AAAA\n",
        START + b"\n",
        START + b"A" * 1000 + b"\n",
        b"\x04\x14" + frame(reset)[2:],  # the continuation of nothing
        frame(reset[:-1]),
        frame(b""),
        frame(with_payload(echo, b"\xa1\x61x\x3b" + b"\xff" * 8)),  # -2^64
    ):
        link.write(line)
        pump.run(500)
        answer = link.read(1000, 0)
        assert not answer or answer.startswith(START), line
        status = pump.status()
        assert (status.state, status.rate) == ("infusing", 500), line
    assert pump.device.guest_resets() == resets
    answers = []
    unknown = b"\xbf\x61a\x05\x61b\x24\x61c\xf6\x61d\x65hello\xff"  # 5, -5 and null, then what is to be echoed
    for packet in (echo, with_payload(echo, unknown)):
        link.discard()
        link.write(frame(packet))
        pump.run(500)
        answers.append(link.read(1000, 0))
    assert answers[0].startswith(START)
    assert answers[1] == answers[0]


@pytest.mark.verifies("RC-026", kind="effectiveness")
@pytest.mark.verifies("SRS-053")
def test_update_is_refused_while_delivering(pump: Pump) -> None:
    """Upload, erase and change of state: busy (10), slot 1 stays, and the delivery goes on; reading the state is answered.

    Once stopped, the upload is taken.
    """
    image = pump.device.images.signed.read_bytes()
    slot = pump.device.board.regions["slot1"]
    before = pump.device.read_flash(slot.offset, slot.size)
    begin = ImageUploadWrite(off=0, data=image[:128], len=len(image), image=0)
    digest = bytes.fromhex(pump.device.images.digest)
    pump.infuse(rate=360)
    first = pump.status()
    for message in (begin, ImageErase(), ImageStatesWrite(hash=digest), ImageStatesWrite(hash=digest, confirm=True)):
        assert code(request(pump.device, message)) == BUSY, message
    assert succeeded(request(pump.device, ImageStatesRead()))
    last = pump.status()
    assert (last.state, last.rate) == ("infusing", 360)
    assert abs(last.volume - first.volume - (last.uptime - first.uptime) / 100) <= 3
    pump.command("stop")
    assert pump.device.read_flash(slot.offset, slot.size) == before
    assert succeeded(request(pump.device, begin))


@pytest.mark.verifies("SRS-053")
def test_update_is_refused_during_a_trial(pump: Pump) -> None:
    """While a trial is not confirmed, upload and erase of image 0 are refused and slot 1 stays; confirmed, upload is taken."""
    update = pump.device.images.update
    assert update is not None
    image = update.read_bytes()
    slot = pump.device.board.regions["slot1"]
    pump.quiet()
    pump.device.install(image, "slot1")
    pump.reset()
    new = next(one for one in request(pump.device, ImageStatesRead()).images if (one.image or 0) == 0 and one.slot == 1)
    assert succeeded(request(pump.device, ImageStatesWrite(hash=new.hash)))
    pump.reset()
    assert pump.ask("boot")["confirmed"] == "no"
    before = pump.device.read_flash(slot.offset, slot.size)
    for message in (ImageUploadWrite(off=0, data=image[:128], len=len(image), image=0), ImageErase()):
        assert not succeeded(request(pump.device, message)), message
    assert pump.device.read_flash(slot.offset, slot.size) == before
    pump.run(11_000)
    assert pump.ask("boot")["confirmed"] == "yes"
    assert succeeded(request(pump.device, ImageUploadWrite(off=0, data=image[:128], len=len(image), image=0)))
