"""The frames of the plant link (firmware/PROTOCOL.md, "Plant link"): lower-case hexadecimal text with a CRC.

What always holds: a frame that is decoded, encodes to the very same bytes; anything else raises FrameError.
"""

from __future__ import annotations

import binascii
import re
from dataclasses import dataclass

LEAD = b"\x02"

_MOTOR = re.compile(rb"\x02(M([0-9a-f]{2})([0-9a-f]{8})([0-9a-f]{2}))([0-9a-f]{4})\n")
_SENSOR = re.compile(
    rb"\x02(S([0-9a-f]{2})([0-9a-f]{4})([0-9a-f]{6})([0-9a-f]{2})([0-9a-f]{2})([0-9a-f]{8}))([0-9a-f]{4})\n"
)


class FrameError(ValueError):
    """The bytes are no frame of this kind."""


def crc(data: bytes) -> int:
    """CRC-16/XMODEM: polynomial 0x1021, initial value 0."""
    return binascii.crc_hqx(data, 0)


@dataclass(frozen=True)
class MotorFrame:
    """Pump to plant, every 100 ms.

    Attributes:
        seq: Sequence number, modulo 256.
        steps: Motor steps since the pump's reset, modulo 2^32.
        flags: Bit 0 drive enabled, bit 1 safe state, bits 2-3 priority sounded, bit 4 audio paused.
    """

    seq: int
    steps: int
    flags: int

    @property
    def drive(self) -> bool:
        """The drive is enabled."""
        return bool(self.flags & 0x01)

    @property
    def safe(self) -> bool:
        """The pump is in its safe state: an alarm that stops, or a fault."""
        return bool(self.flags & 0x02)

    @property
    def priority(self) -> int:
        """The priority sounded: 0 none, 1 low, 2 medium, 3 high."""
        return self.flags >> 2 & 0x03

    @property
    def paused(self) -> bool:
        """The audio is paused."""
        return bool(self.flags & 0x10)

    def encode(self) -> bytes:
        """The frame's bytes, line feed included."""
        return _frame(f"M{self.seq:02x}{self.steps:08x}{self.flags:02x}", 13)

    @classmethod
    def decode(cls, line: bytes) -> MotorFrame:
        """The frame in one line.

        Raises:
            FrameError: It is none, its CRC is wrong, or a reserved flag is set.
        """
        seq, steps, flags = _fields(_MOTOR, line)
        if flags & 0xE0:
            raise FrameError(f"reserved flags {flags:#04x} in {line!r}")
        return cls(seq, steps, flags)


@dataclass(frozen=True)
class SensorFrame:
    """Plant to pump, one answer to each motor frame.

    Attributes:
        seq: Sequence number, modulo 256.
        pressure: Of the line, mmHg.
        position: Of the plunger above empty, µm.
        flags: Bit 0 air in line, bit 1 door open, bit 2 syringe in place.
        battery: %.
        flow: nl that the second channel has measured, modulo 2^32.
    """

    seq: int
    pressure: int
    position: int
    flags: int
    battery: int
    flow: int

    def encode(self) -> bytes:
        """The frame's bytes, line feed included."""
        return _frame(
            f"S{self.seq:02x}{self.pressure:04x}{self.position:06x}{self.flags:02x}{self.battery:02x}{self.flow:08x}",
            25,
        )

    @classmethod
    def decode(cls, line: bytes) -> SensorFrame:
        """The frame in one line.

        Raises:
            FrameError: It is none, or its CRC is wrong.
        """
        return cls(*_fields(_SENSOR, line))


def _frame(text: str, length: int) -> bytes:
    if len(text) != length or "-" in text:
        raise FrameError(f"a field is out of its range: {text!r}")
    body = text.encode("ascii")
    return LEAD + body + b"%04x\n" % crc(body)


def _fields(form: re.Pattern[bytes], line: bytes) -> list[int]:
    found = form.fullmatch(line)
    if found is None:
        raise FrameError(f"no frame: {line!r}")
    body, *fields, check = found.groups()
    if crc(body) != int(check, 16):
        raise FrameError(f"wrong CRC in {line!r}")
    return [int(field, 16) for field in fields]
