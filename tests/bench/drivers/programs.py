"""Programs that stand for those of probes: they take exactly their command lines, and their flash is a file.

PROBE_FLASH names the file; PROBE_FAULT what goes wrong.
"""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path
from typing import NoReturn

from intelhex import IntelHex

SIZE = 0x10000


def fault(name: str) -> bool:
    return os.environ.get("PROBE_FAULT") == name


def fail(message: str, code: int = 1) -> NoReturn:
    sys.stderr.write(f"{message}\n")
    sys.exit(code)


def flash_file() -> Path:
    """The flash, which holds something else before it is written first."""
    file = Path(os.environ["PROBE_FLASH"])
    if not file.exists():
        file.write_bytes(b"\x5a" * SIZE)
    return file


def pieces(file: str, base: int | None = None) -> dict[int, bytes]:
    """What an Intel HEX file holds, or a binary one at an address."""
    if base is not None:
        return {base: Path(file).read_bytes()}
    image = IntelHex(file)
    return {start: image.tobinstr(start=start, end=end - 1) for start, end in image.segments()}


def write_flash(parts: dict[int, bytes]) -> None:
    """With the fault `worn` one bit does not become 0."""
    contents = bytearray(flash_file().read_bytes())
    for start, data in parts.items():
        contents[start : start + len(data)] = data
    if fault("worn"):
        contents[0x123] |= 0x80
    flash_file().write_bytes(contents)


def read_flash(address: int, size: int) -> bytes:
    return flash_file().read_bytes()[address : address + size]


def probe(arguments: list[str]) -> None:
    """A probe with a command line of its own: `probe --id one-1 write FILE`, `… read FILE`."""
    match arguments:
        case ["--id", "one-1", "write", file]:
            if fault("locked"):
                fail("connecting\nflash is locked", 7)
            write_flash(pieces(file))
        case ["--id", "one-1", "read", file]:
            image = IntelHex()
            image.frombytes(read_flash(0, SIZE))
            image.write_hex_file(file)
        case _:
            fail(f"usage: probe --id ID write|read FILE, not {arguments}", 2)


def pyocd(arguments: list[str]) -> None:
    """pyOCD with one probe; `test_pyocds_own_parser_takes_the_command_lines` gives what it was asked to the real one's parser."""
    with flash_file().with_name("commands").open("a") as commands:
        commands.write(json.dumps(arguments) + "\n")
    if arguments == ["json", "--probes"]:
        print(json.dumps({"pyocd_version": "0.46.0", "boards": [{"unique_id": "000683459284"}]}))
        return
    name, *connect = arguments[:10]
    known = "--no-wait --uid 000683459284 --target nrf51822 --frequency 4000000 --connect halt"
    if connect != known.split():
        fail("No connected debug probe matches unique ID")
    match [name, *arguments[10:]]:
        case ["load", "--erase", "sector", "--no-reset", *file]:
            if fault("silent"):
                return
            match file:
                case ["--base-address", address, binary]:
                    write_flash(pieces(binary, int(address, 0)))
                case [hexadecimal]:
                    write_flash(pieces(hexadecimal))
        case ["commander", *commands_of_it]:
            _savemem(commands_of_it)
        case ["reset", "--method", method]:
            flash_file().with_name("reset").write_text(method)
        case unknown:
            fail(f"unexpected arguments {unknown}", 2)


def _savemem(words: list[str]) -> None:
    for word, command in zip(words[::2], words[1::2], strict=True):
        found = re.fullmatch(r"savemem (\w+) (\w+) '([^']+)'", command)
        if found is None or word != "--command":
            fail(f"Error: unknown command {command}")
        if not fault("unread"):
            Path(found[3]).write_bytes(read_flash(int(found[1], 0), int(found[2])))


def openocd(arguments: list[str]) -> None:
    """OpenOCD with exactly the arguments of a probe and a target; its exit codes are those of 0.12's `program`."""
    match arguments:
        case ["--version"]:
            fail("Open On-Chip Debugger 0.12.0\nLicensed under GNU GPL v2", 0)
        case [
            "-c", "gdb_port disabled", "-c", "tcl_port disabled", "-c", "telnet_port disabled",
            "-f", "interface/cmsis-dap.cfg", "-c", "adapter serial 0006", "-c", "transport select swd",
            "-f", "target/nrf51.cfg", "-c", "adapter speed 4000",
            *commands,
        ]:  # fmt: skip
            pass
        case _:
            fail(f"Error: unexpected arguments {arguments}")
    match commands:
        case ["-c", "init", "-c", "reset run", "-c", "shutdown"]:
            flash_file().with_name("reset").write_text("run")
        case ["-c", program]:
            found = re.fullmatch(r"program \{([^{}]+)\}( 0x0)? preverify verify exit", program)
            if found is None:
                fail(f"Error: {program}")
            parts = pieces(found[1], 0 if found[2] else None)
            write_flash(parts)
            if any(read_flash(start, len(data)) != data for start, data in parts.items()):
                fail("** Verify Started **\nError: checksum mismatch - attempting binary compare\n** Verify Failed **")
        case _:
            fail(f"Error: unexpected commands {commands}")


def uhubctl(arguments: list[str]) -> None:
    """uhubctl 2.5 with a hub of USB 3, which is two: 1-1.2 and 2-1.2."""
    state = Path(os.environ["PROBE_FLASH"]).with_name("port")
    power = state.read_text() == "on" if state.exists() else True
    match arguments:
        case ["-v"]:
            print("2.5.0")
            return
        case ["-l", "1-1.2", "-p", "3", "-N"]:
            pass
        case ["-l", "1-1.2", "-p", "3", "-N", "-a", "on" | "off" as action]:
            if not fault("stuck"):
                state.write_text(action)
        case ["-l", "1-1.2", "-p", "4", "-N"]:
            return
        case _:
            fail("No compatible devices detected at location 1-9!\nRun with -h to get usage info.")
    print("Current status for hub 2-1.2 [2109:0813 VIA Labs, Inc. USB3.0 Hub, USB 3.00, 4 ports, ppps]")
    print(f"  Port 3: {'02a0 power 5gbps Rx.Detect' if power or fault('half') else '0080 off'}")
    print("Current status for hub 1-1.2 [2109:2813 VIA Labs, Inc. USB2.0 Hub, USB 2.10, 4 ports, ppps]")
    print(f"  Port 3: {'0103 power enable connect [0403:6001 a power meter]' if power else '0000 off'}")
