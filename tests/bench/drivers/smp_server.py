"""A device that serves SMP on its console, a pty, beside what it prints there; two slots and MCUboot's swap.

Frames and messages are made by `smp`, the library of the stock client. Faults are named by what goes wrong.
"""

from __future__ import annotations

import hashlib
import os
import pty
import select
import struct
import threading
import tty
from collections.abc import Callable
from typing import Any

import cbor2
from smp import header as smpheader
from smp import packet

HEADER = 32


def mcuboot_image(payload: bytes, build: int = 0) -> bytes:
    """An MCUboot image without a signature: header, payload, the TLV of its SHA-256."""
    header = struct.pack("<IIHHIIBBHI4x", 0x96F3B83D, 0, HEADER, 0, len(payload), 0, 1, 0, 0, build)
    return header + payload + struct.pack("<HHBBH", 0x6907, 40, 0x10, 0, 32) + digest(header + payload)


def digest(image: bytes) -> bytes:
    (size,) = struct.unpack_from("<I", image, 12)
    return hashlib.sha256(image[: HEADER + size]).digest()


class SmpDevice:
    """The device, in a thread; `slots` are images, of which the first one runs; `babble` is sent in the place of them."""

    def __init__(self, running: bytes, fault: str = "") -> None:
        self.slots = [running]
        self.uploads, self.babble = 0, b""
        self._fault = fault
        self._confirmed, self._pending, self._permanent = True, False, False
        self._upload, self._sha, self._size, self._garble = bytearray(), b"", 0, False
        self._ours, self._device = pty.openpty()
        tty.setraw(self._device)
        self.port = os.ttyname(self._device)
        self._stop = os.eventfd(0)
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self) -> None:
        os.eventfd_write(self._stop, 1)
        self._thread.join()
        for fd in (self._stop, self._ours, self._device):
            if fd >= 0:
                os.close(fd)

    def _serve(self) -> None:
        received, decoder = b"", None
        while self._stop not in select.select((self._ours, self._stop), (), ())[0]:
            received += os.read(self._ours, 4096)
            *lines, received = received.split(b"\n")
            for line in lines:
                if line.startswith(packet.START_DELIMITER):
                    decoder = packet.decode()
                    next(decoder)
                if decoder is None:
                    continue
                try:
                    decoder.send(line + b"\n")
                except StopIteration as whole:
                    decoder = None
                    if not self._answer(whole.value):
                        return

    def _answer(self, frame: bytes) -> bool:
        """Answer a request; false once the line is lost."""
        head = smpheader.Header.loads(frame[: smpheader.Header.SIZE])
        what = (int(head.group_id), int(head.command_id), head.op.name)
        said = self._said(what, cbor2.loads(frame[smpheader.Header.SIZE :]))
        if self._fault == "line lost" and what == (1, 1, "WRITE"):
            os.close(self._ours)
            self._ours = -1
            return False
        if said is None:
            return True
        if self.babble and what == (1, 0, "READ"):
            os.write(self._ours, self.babble)
            return True
        body = cbor2.dumps(said)
        answer = smpheader.Header(
            smpheader.OP(head.op + 1),
            head.version,
            smpheader.Flag(0),
            len(body),
            head.group_id,
            head.sequence,
            head.command_id,
        )
        lines = b"".join(packet.encode(bytes(answer) + body))
        if self._garble and what == (1, 0, "READ"):
            self._garble, lines = False, lines[:20] + b"\n"
        os.write(self._ours, b"pump: state=idle\r\n" + lines + b"app: rea")
        return True

    def _said(self, what: tuple[int, int, str], asked: dict[str, Any]) -> dict[str, Any] | None:
        if self._fault == "silent":
            return None
        if what == (0, 5, "WRITE"):
            self._reset()
        handlers: dict[tuple[int, int, str], Callable[[], dict[str, Any]]] = {
            (0, 5, "WRITE"): dict,
            (0, 6, "READ"): lambda: {"buf_size": 384, "buf_count": 2},
            (1, 0, "READ"): self._images,
            (1, 0, "WRITE"): lambda: self._request(asked),
            (1, 1, "WRITE"): lambda: self._take(asked),
        }
        return handlers[what]() if what in handlers else {"rc": 8}

    def _images(self) -> dict[str, Any]:
        pending = {"pending": self._pending, "permanent": self._permanent}
        running = {"bootable": True, "confirmed": self._confirmed, "active": True}
        images = [{"slot": 0, "version": "1.0.0", "hash": digest(self.slots[0]), **running}]
        images += [{"slot": 1, "version": "1.0.1", "hash": digest(one), **pending} for one in self.slots[1:]]
        return {"images": images}

    def _request(self, asked: dict[str, Any]) -> dict[str, Any]:
        if asked["hash"] == digest(self.slots[0]):
            self._confirmed = self._fault != "never confirmed"
        elif asked["hash"] == digest(self.slots[-1]):
            self._pending, self._permanent = True, asked["confirm"]
        else:
            return {"rc": 5}
        return self._images()

    def _take(self, asked: dict[str, Any]) -> dict[str, Any]:
        if self._fault == "no room":
            return {"rc": 2}
        if asked["off"] == 0:
            self.uploads += 1
            self._upload, self._sha, self._size = bytearray(), asked["sha"], asked["len"]
        if asked["off"] == len(self._upload):
            self._upload += asked["data"]
        if len(self._upload) < self._size:
            return {"off": len(self._upload)}
        if self._fault == "corrupted":
            self._upload[HEADER] ^= 1
        self.slots[1:] = [bytes(self._upload)]
        return {"off": len(self._upload), "match": hashlib.sha256(self._upload).digest() == self._sha}

    def _reset(self) -> None:
        if self._fault == "does not come back":
            self._fault = "silent"
        if self._pending and self._fault != "refused by the bootloader":
            self.slots.reverse()
            self._confirmed = self._permanent
        self._pending = self._permanent = False
        self._garble = True
        os.write(self._ours, b"\r\nboot: slot0\r\n")
