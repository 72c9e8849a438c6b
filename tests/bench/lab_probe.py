"""A lab's probe and relay, as programs: `lab_probe.py flash|reset|on|off|state FOLDER [HEX]`, on a QEMU's sockets in that folder.

It imports nothing of devicepipe's, so that it starts at once.
"""

from __future__ import annotations

import json
import socket
import sys
import time
from pathlib import Path
from typing import Any

_CHUNK = 0x400


class Control:
    """QMP: the machine, from outside."""

    def __init__(self, folder: str) -> None:
        self._file = _connected(folder, "control").makefile("rw")
        self._file.readline()  # the greeting
        self.do("qmp_capabilities")

    def do(self, command: str) -> Any:
        self._file.write(json.dumps({"execute": command}) + "\n")
        self._file.flush()
        while True:
            message = json.loads(self._file.readline())
            if "event" not in message:
                return message["return"]


class Probe:
    """gdb's remote protocol: the flash, past its write protection."""

    def __init__(self, folder: str) -> None:
        self._file = _connected(folder, "gdb").makefile("rwb", buffering=0)

    def ask(self, packet: str) -> str:
        self._file.write(f"${packet}#{sum(packet.encode()) % 256:02x}".encode())
        answer = b""
        while b"#" not in answer or len(answer.partition(b"#")[2]) < 2:
            answer += self._file.read(4096)
        return answer.partition(b"$")[2].partition(b"#")[0].decode()


def segments(path: str) -> dict[int, bytes]:
    """The records of an Intel HEX file."""
    found, base = dict[int, bytes](), 0
    with Path(path).open(encoding="ascii") as file:
        for line in file:
            record = bytes.fromhex(line.strip()[1:])
            size, offset, kind, data = record[0], int.from_bytes(record[1:3], "big"), record[3], record[4:-1]
            if kind == 4:
                base = int.from_bytes(data, "big") << 16
            elif kind == 0 and size:
                found[base + offset] = data
    return found


def joined(records: dict[int, bytes]) -> dict[int, bytes]:
    """Records that follow each other as one, of limited size."""
    found, end = dict[int, bytes](), -1
    first = 0
    for address, data in sorted(records.items()):
        if address == end and len(found[first]) < _CHUNK:
            found[first] += data
        else:
            first, found[address] = address, data
        end = address + len(data)
    return found


def main(what: str, folder: str, *arguments: str) -> str:
    control = Control(folder)
    if what == "flash":
        control.do("stop")
        probe = Probe(folder)
        written = joined(segments(arguments[0]))
        for address, data in written.items():
            if probe.ask(f"M{address:x},{len(data):x}:{data.hex()}") != "OK":
                sys.exit(f"cannot write {address:#x}")
            if probe.ask(f"m{address:x},{len(data):x}") != data.hex():
                sys.exit(f"{address:#x} does not hold what was written")
        return f"wrote {sum(map(len, written.values()))} bytes"
    if what == "off":
        control.do("stop")
    elif what == "late-reset":
        # A probe that takes its time, while the device runs: it says that it is ready, and is reset after that.
        control.do("system_reset")
        control.do("query-status")
        control.do("cont")
        time.sleep(0.3)
        control.do("system_reset")
        control.do("query-status")
    elif what in {"reset", "on"}:
        control.do("system_reset")
        control.do("query-status")
        control.do("cont")
    return str(control.do("query-status")["status"])


def _connected(folder: str, end: str) -> socket.socket:
    stream = socket.socket(socket.AF_UNIX)
    stream.settimeout(20)
    stream.connect(f"{folder}/{end}")
    return stream


if __name__ == "__main__":
    sys.stdout.write(main(*sys.argv[1:]) + "\n")
