"""The serial bootloader in the ROM of an ESP32, on a TCP port, with a flash: what esptool speaks to without its stub.

Source: Espressif, esptool documentation, "Serial Protocol" (SLIP frames; header direction, operation, size, value).
"""

from __future__ import annotations

import contextlib
import hashlib
import socket
import struct
import threading
from collections.abc import Iterator

from serial.rfc2217 import PortManager

SIZE = 0x400000
_ESC = {0xDC: 0xC0, 0xDD: 0xDB}
_MAGIC_ADDRESS, _MAGIC = 0x40001000, 0x00F01D83
FLASH_BEGIN, FLASH_DATA, FLASH_END, SYNC, READ_REG = 0x02, 0x03, 0x04, 0x08, 0x0A
WRITE_REG, SPI_SET_PARAMS, SPI_ATTACH, CHANGE_BAUD, SPI_FLASH_MD5 = 0x09, 0x0B, 0x0D, 0x0F, 0x13


class Lines:
    """What a serial server (pyserial's, RFC 2217) does to its port: its reset line is all that matters."""

    baudrate, bytesize, parity, stopbits, dtr = 115200, 8, "N", 1, False
    xonxoff = rtscts = cts = dsr = ri = cd = break_condition = False

    def __init__(self) -> None:
        self.pulled: list[bool] = []

    @property
    def rts(self) -> bool:
        return bool(self.pulled) and self.pulled[-1]

    @rts.setter
    def rts(self, on: bool) -> None:
        self.pulled.append(on)

    def reset_input_buffer(self) -> None:
        """Nothing waits anywhere."""

    reset_output_buffer = reset_input_buffer


class EspRom:
    """One device; `worn`: a flash whose first byte does not take what is written; `server`: behind a serial server."""

    def __init__(self, *, worn: bool = False, server: bool = False) -> None:
        self.lines = Lines() if server else None
        self.flash = bytearray(b"\x00" * SIZE)
        self.operations: list[int] = []
        self._worn = worn
        self._write = self._block = 0
        self._server = socket.create_server(("127.0.0.1", 0))
        self.url = f"{'rfc2217' if server else 'socket'}://127.0.0.1:{self._server.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        self._thread.join()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._server.accept()
            except OSError:
                return
            # esptool may be gone before it is answered.
            with connection, contextlib.suppress(OSError):
                manager = PortManager(self.lines, _Sender(connection)) if self.lines else None
                for frame in _frames(connection, manager):
                    answer = self._answer(frame)
                    connection.sendall(b"".join(manager.escape(answer)) if manager else answer)

    def _answer(self, frame: bytes) -> bytes:
        _, operation, _, checksum = struct.unpack_from("<BBHI", frame)
        data = frame[8:]
        self.operations.append(operation)
        value, payload, status = 0, b"", 0
        words = struct.unpack_from(f"<{len(data) // 4}I", data)
        if operation == SYNC:
            value = 0x20120707
        elif operation == READ_REG:
            value = _MAGIC if words[0] == _MAGIC_ADDRESS else 0
        elif operation == FLASH_BEGIN:
            size, _, self._block, self._write = words[:4]
            end = self._write + -(-size // 4096) * 4096
            self.flash[self._write : end] = b"\xff" * (end - self._write)
        elif operation == FLASH_DATA:
            block = data[16 : 16 + words[0]]
            at = self._write + words[1] * self._block
            status = 0 if _checksum(block) == checksum else 1
            self.flash[at : at + len(block)] = block
            if self._worn:
                self.flash[0] = 0xFF
        elif operation == SPI_FLASH_MD5:
            payload = hashlib.md5(self.flash[words[0] : words[0] + words[1]]).hexdigest().encode()
        elif operation not in (WRITE_REG, SPI_SET_PARAMS, SPI_ATTACH, CHANGE_BAUD, FLASH_END):
            status = 1
        body = payload + bytes([status, 5 if status else 0, 0, 0])
        answer = _slip(struct.pack("<BBHI", 1, operation, len(body), value) + body)
        return answer * (8 if operation == SYNC else 1)


def _checksum(data: bytes) -> int:
    state = 0xEF
    for byte in data:
        state ^= byte
    return state


class _Sender:
    """What PortManager answers on."""

    def __init__(self, connection: socket.socket) -> None:
        self.write = connection.sendall


def _frames(connection: socket.socket, manager: PortManager | None) -> Iterator[bytes]:
    frame, escaped = bytearray(), False
    while True:
        try:
            received = connection.recv(65536)
        except OSError:
            return
        if not received:
            return
        plain = b"".join(manager.filter(received)) if manager else received
        for byte in plain:
            if byte == 0xC0:
                if len(frame) >= 8:
                    yield bytes(frame)
                frame.clear()
            elif byte == 0xDB:
                escaped = True
            else:
                frame.append(_ESC[byte] if escaped else byte)
                escaped = False


def _slip(data: bytes) -> bytes:
    return b"\xc0" + data.replace(b"\xdb", b"\xdb\xdd").replace(b"\xc0", b"\xdb\xdc") + b"\xc0"
