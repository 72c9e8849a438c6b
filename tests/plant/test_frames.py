"""The codec of the plant link against itself, and against frames written out by hand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hil.plant.frames import FrameError, MotorFrame, SensorFrame, crc
from hil.plant.link import corrupt, cut, garbled

U8, U16, U24, U32 = (st.integers(0, 2**bits - 1) for bits in (8, 16, 24, 32))
motors = st.builds(MotorFrame, U8, U32, st.integers(0, 0x1F))
sensors = st.builds(SensorFrame, U8, U16, U24, U8, U8, U32)


def test_crc_is_xmodem() -> None:
    assert crc(b"123456789") == 0x31C3  # the check value of CRC-16/XMODEM in every catalogue


def test_frames_written_out() -> None:
    motor = MotorFrame(seq=0x0A, steps=0x01020304, flags=0x0D)
    assert motor.encode() == b"\x02M0a010203040d%04x\n" % crc(b"M0a010203040d")
    assert (motor.drive, motor.safe, motor.priority, motor.paused) == (True, False, 3, False)
    sensor = SensorFrame(seq=0xFF, pressure=517, position=69588, flags=4, battery=100, flow=1)
    assert sensor.encode() == b"\x02Sff0205010fd4046400000001%04x\n" % crc(b"Sff0205010fd4046400000001")


@given(motors)
def test_motor_frame_comes_back(frame: MotorFrame) -> None:
    assert MotorFrame.decode(frame.encode()) == frame


@given(sensors)
def test_sensor_frame_comes_back(frame: SensorFrame) -> None:
    assert SensorFrame.decode(frame.encode()) == frame


@given(st.one_of(motors, sensors), st.data())
def test_any_changed_byte_is_refused(frame: MotorFrame | SensorFrame, data: st.DataObject) -> None:
    line = bytearray(frame.encode())
    at = data.draw(st.integers(0, len(line) - 1))
    line[at] ^= data.draw(st.integers(1, 255))
    with pytest.raises(FrameError):
        type(frame).decode(bytes(line))


@given(st.binary(max_size=40))
def test_noise_is_no_frame(line: bytes) -> None:
    for kind in (MotorFrame, SensorFrame):
        with pytest.raises(FrameError):
            kind.decode(line)


@given(sensors)
def test_spoilers_spoil(frame: SensorFrame) -> None:
    for spoiler in (corrupt, garbled, cut):
        line = spoiler(frame)
        assert line.endswith(b"\n")
        with pytest.raises(FrameError):
            SensorFrame.decode(line)


@pytest.mark.parametrize("field", ["seq", "pressure", "position", "flags", "battery", "flow"])
@pytest.mark.parametrize("value", [-1, 2**32])
def test_fields_out_of_range_are_refused(field: str, value: int) -> None:
    values = dict.fromkeys(("seq", "pressure", "position", "flags", "battery", "flow"), 0) | {field: value}
    with pytest.raises(FrameError):
        SensorFrame(**values).encode()


def test_reserved_flags_of_a_motor_frame_are_refused() -> None:
    with pytest.raises(FrameError, match="reserved"):
        MotorFrame.decode(MotorFrame(0, 0, 0x20).encode())
