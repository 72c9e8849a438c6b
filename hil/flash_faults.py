"""What the pump keeps in flash, and what must become of it when bits of it flip.

Requirements: an altered image never runs (SRS-017, SRS-045), the stored counter is never forgotten (SRS-019), settings are in two
copies (SRS-043), a drug library is signed and in two copies (SRS-049), a log record that is not intact is none (SRS-044).
"""

from __future__ import annotations

import struct

from devicepipe.bench.campaigns.bitflip import NEW, OLD, REFUSED
from devicepipe.bench.campaigns.flips import Target
from devicepipe.bench.campaigns.scenario import BrokenPromiseError
from devicepipe.bench.device import Device
from hil.updates import UpdateError, lose_ram, power_cycle, wait_image

SETTINGS = ("config kvo=22", "config occlusion=300")
RECORD = 20  # bytes of a copy of the settings: firmware/src/application/store/config.c
DEFAULTS = "OK config kvo=10 occlusion=517 copies="
NO_LIBRARY = "ERR library none"
NO_ENTRY = "ERR log no-entry"
KEPT, FALLEN_BACK, LEFT_OUT = "kept", "as if there were none", "record left out"
COUNTER_RECORD = 16
_MAGIC = struct.pack("<4I", 0xF395C277, 0x7FEFD260, 0x0F505235, 0x8079B62C)  # MCUboot, docs/design.md
_FIELDS, _MARKS = 48, 12  # of a trailer: firmware/src/core/update.c
_SOME_RUNS = frozenset({OLD, NEW, REFUSED, f"{NEW}, {OLD}"})
_BOUND = 120.0


def targets(device: Device) -> list[Target]:
    """A device with changed settings, a log, both copies of the library; without an update, with one, and on trial."""
    regions = device.board.regions
    answers = _use(device)
    plain = device.read_flash(0, device.board.flash.size)
    assert device.images.update is not None, "there is no update-test image"
    old, new = device.images.signed.read_bytes(), device.images.update.read_bytes()
    slot0, slot1 = regions["slot0"], regions["slot1"]
    waiting = _with(plain, slot1.offset, new)
    requested = _with(waiting, slot1.offset + slot1.size - len(_MAGIC), _MAGIC)
    trial = _trial(device, requested)
    header, payload = (int.from_bytes(old[at : at + size], "little") for at, size in ((8, 2), (12, 4)))
    trailer = _FIELDS + _MARKS * (slot0.size // device.board.flash.page)
    refused = frozenset({REFUSED})
    state, config, library, log = (regions[name] for name in ("state", "config", "library", "log"))
    copies = [(config.offset, RECORD), (config.offset + config.size // 2, RECORD)]
    held = len(plain[library.offset : library.offset + library.size // 2].rstrip(b"\xff"))
    libraries = [(library.offset, held), (library.offset + library.size // 2, held)]
    settings = {"config": answers["config"]}
    drugs = {line: reply for line, reply in answers.items() if line.startswith("library")}
    records = {line: reply for line, reply in answers.items() if line.startswith("log")}
    kept, either = frozenset({OLD}), frozenset({KEPT, FALLEN_BACK})
    return [
        Target("header", plain, ((slot0.offset, header),), refused),
        Target("payload", plain, ((slot0.offset + header, payload),), refused),
        Target("tlvs", plain, ((slot0.offset + header + payload, len(old) - header - payload),), refused),
        Target("recovered", waiting, ((slot0.offset, len(old)),), frozenset({NEW})),
        Target("requested", requested, ((slot1.offset, len(new)),), frozenset({OLD})),
        Target("request", requested, ((slot1.offset + slot1.size - trailer, trailer),), _SOME_RUNS - refused),
        Target("trial", trial, ((slot0.offset + slot0.size - trailer, trailer),), _SOME_RUNS - refused),
        Target("counter", plain, tuple(_counter_records(plain, state.offset, state.size)), frozenset({OLD, REFUSED})),
        Target("settings-1", plain, (copies[0],), kept, settings),
        Target("settings-2", plain, (copies[1],), kept, settings),
        Target("settings-both", plain, tuple(copies), kept | either, settings),
        Target("library-1", plain, (libraries[0],), kept, drugs),
        Target("library-2", plain, (libraries[1],), kept, drugs),
        Target("library-both", plain, tuple(libraries), kept | either, drugs),
        Target("log", plain, ((log.offset, COUNTER_RECORD * len(records)),), kept, records),
    ]


def examine(device: Device, target: Target, *, proven: bool) -> str:
    """Start the application and ask it; settings and library of a damaged copy are those of the other."""
    try:
        power_cycle(device, proven=proven)
        wait_image(device)
    except UpdateError as error:
        raise BrokenPromiseError(str(error)) from error
    found = set()
    both = FALLEN_BACK in target.allowed
    last = True
    for line, before in reversed(list(target.answers.items())):
        reply = device.command(line)
        if line.startswith("log"):
            last = last and reply != before
            found.add(_judge_record(line, reply, before, last=last))
        elif _without_count(reply) == _without_count(before):
            found.add(KEPT)
        elif both and (reply == NO_LIBRARY or reply.startswith(DEFAULTS)):
            found.add(FALLEN_BACK)
        else:
            raise BrokenPromiseError(f"'{line}' is answered with {reply!r}, before the damage with {before!r}")
    if "config" in target.answers and not both:
        _expect_restored(device)
    return FALLEN_BACK if FALLEN_BACK in found else LEFT_OUT if LEFT_OUT in found else KEPT


def _expect_restored(device: Device) -> None:
    """By the next power-on both copies are valid again (SRS-043)."""
    lose_ram(device, proven=True)
    device.reset()
    wait_image(device)
    reply = device.command("config")
    if not reply.endswith(" copies=2"):
        raise BrokenPromiseError(f"the damaged copy is not restored by the next power-on: {reply!r}")


def _judge_record(line: str, reply: str, before: str, *, last: bool) -> str:
    if reply == before:
        return KEPT
    # The number of a record that does not count any more is used again where no later one counts.
    again = last and reply.startswith(f"OK {line.replace(' ', ' seq=')} ") and " event=boot " in reply
    if reply != NO_ENTRY and not again:
        raise BrokenPromiseError(f"'{line}' is answered with {reply!r}, before the damage with {before!r}")
    return LEFT_OUT


def _without_count(reply: str) -> str:
    """The settings without the number of their copies, of which a damaged one is none."""
    return reply.partition(" copies=")[0]


def _use(device: Device) -> dict[str, str]:
    """Settings, a few records in the log, a second copy of the library; what the application says then."""
    for line in SETTINGS:
        assert device.command(line).startswith("OK config"), line
    library = device.board.regions["library"]
    half = library.size // 2
    first = device.read_flash(library.offset, half)
    device.write_flash(library.offset + half, first)
    power_cycle(device, proven=True)
    wait_image(device)
    answers = {line: device.command(line) for line in ("config", "library")}
    # Its digest alone is what the library says of itself: it can be right where a drug is not.
    lines = [f"library {drug}" for drug in range(1, int(_fields(answers["library"])["drugs"]) + 1)]
    log = _fields(device.command("log"))
    lines += [f"log {number}" for number in range(int(log["oldest"]), int(log["newest"]) + 1)]
    answers |= {line: device.command(line) for line in lines}
    assert answers["config"] == "OK config kvo=22 occlusion=300 copies=2", answers["config"]
    assert all(reply.startswith("OK") for reply in answers.values()), answers
    return answers


def _fields(reply: str) -> dict[str, str]:
    return dict(field.split("=") for field in reply.split()[2:])


def _trial(device: Device, requested: bytes) -> bytes:
    """The flash when the application of a trial begins."""
    device.write_flash(0, requested)
    lose_ram(device, proven=True)
    debugger = device.debugger()
    debugger.set_breakpoint("port_start_program", 1)
    debugger.reset()
    assert debugger.run(_BOUND) is not None, "the bootloader starts no trial"
    return device.read_flash(0, device.board.flash.size)


def _counter_records(flash: bytes, offset: int, size: int) -> list[tuple[int, int]]:
    """Where the records of the stored counter lie."""
    return [
        (at, COUNTER_RECORD)
        for at in range(offset, offset + size, COUNTER_RECORD)
        if flash[at : at + COUNTER_RECORD] != b"\xff" * COUNTER_RECORD
    ]


def _with(flash: bytes, offset: int, data: bytes) -> bytes:
    return flash[:offset] + data + flash[offset + len(data) :]
