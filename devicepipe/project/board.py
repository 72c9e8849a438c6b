"""Board manifests: a PlatformIO board JSON with a `devicepipe` section (memory map, image layout, emulator, flash method).

What always holds of a `Board`: regions lie inside the flash, begin and end on page boundaries and do not overlap.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from devicepipe.errors import UsageError
from devicepipe.project.toml_file import Table, first_mistake


def _integer(value: object) -> object:
    """Accept "0x1000" beside 4096: JSON has no hexadecimal numbers and memory maps are written in them."""
    if isinstance(value, str):
        try:
            return int(value, 0)
        except ValueError:
            raise ValueError("expected an integer or a string such as '0x8000'") from None
    return value


def _one_or_more(value: object) -> object:
    """Accept "02" beside ["02"]."""
    return (value,) if isinstance(value, str) else value


_Lead = Annotated[str, StringConstraints(pattern=r"^([0-9a-f]{2}){1,8}$")]
_LinkName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,31}$")]
Number = Annotated[int, BeforeValidator(_integer), Field(ge=0)]


class _Model(Table):
    model_config = ConfigDict(strict=False)  # numbers are also read from strings


class Flash(_Model):
    """Flash memory: base address and sizes in bytes; `erased` is the byte value after an erase."""

    base: Number
    size: Number
    page: Number = Field(gt=0)
    write: Number = Field(gt=0)
    erased: Number = 0xFF


class Ram(_Model):
    """RAM: base address and size in bytes, and how many of them may be code.

    `code` is 0 but for a board whose flash cannot be executed from while it is programmed: its driver must run from RAM.
    """

    base: Number
    size: Number
    code: Number = 0


class Region(_Model):
    """A part of the flash: offset from the flash base and size, in bytes."""

    offset: Number
    size: Number = Field(gt=0)


class ImageLayout(_Model):
    """MCUboot image layout: header size and write alignment in bytes (imgtool's --header-size and --align)."""

    header_size: Number = 512
    align: Literal[1, 2, 4, 8, 16, 32] = 4


class Console(_Model):
    """The serial console: UART index on the board and its speed in baud."""

    uart: int = Field(default=0, ge=0, le=15)
    baud: int = 115200


class Link(_Model):
    """A further serial line of the device beside its console, e.g. to what surrounds it in its use.

    It has a UART of its own, or shares one: then its lines are those that begin with one of the byte strings `lead` (hexadecimal).
    """

    uart: int = Field(ge=0, le=15)
    baud: int = Field(default=115200, gt=0)
    lead: Annotated[tuple[_Lead, ...], BeforeValidator(_one_or_more)] = ()

    @model_validator(mode="after")
    def _leads_lie_in_a_line(self) -> Link:
        for lead in self.leads:
            if b"\n" in lead:
                raise ValueError(f"lead: {lead.hex()} holds a line end, so no line can begin with it")
        return self

    @property
    def leads(self) -> tuple[bytes, ...]:
        """The byte strings that its lines begin with; () where it has its UART alone."""
        return tuple(bytes.fromhex(lead) for lead in self.lead)


_HARMLESS = frozenset({"-m", "-cpu", "-smp", "-icount", "-rtc"})


class Emulator(_Model):
    """An emulated device: QEMU program, machine and further arguments.

    Only arguments that describe the machine are taken: with others (`-kernel`, `-device loader,…`) a device could run something
    else than what was installed in its flash.

    `cfi_flash` says that the machine's flash is a bank of CFI chips (JEDEC JESD68.01), which answers with its status while a
    command runs. Such a machine begins elsewhere by itself; the bench has it begin at the flash's first byte.
    """

    driver: Literal["qemu"]
    program: Annotated[str, StringConstraints(pattern=r"^qemu-system-[a-z0-9_]+$")]
    machine: str
    arguments: tuple[str, ...] = ()
    cfi_flash: bool = False

    @model_validator(mode="after")
    def _describes_only_the_machine(self) -> Emulator:
        for name, value in zip(self.arguments[::2], (*self.arguments[1::2], ""), strict=False):
            if name not in _HARMLESS or value.startswith("-") or not value:
                raise ValueError(f"arguments: '{name}' is not one of {', '.join(sorted(_HARMLESS))} with a value")
        return self


class DebugLock(_Model):
    """What locks the debug port: a word of flash or option bytes that the bootloader's image programs.

    The port is locked where the word under `mask` is `value`; `name` is the register's, for people.
    """

    name: str
    address: Number
    mask: Number = 0xFFFFFFFF
    value: Number


class Board(_Model):
    """The `devicepipe` section of a board manifest, with the board's name and title."""

    name: str
    title: str
    core: str
    flash: Flash
    ram: Ram
    regions: dict[str, Region]
    image: ImageLayout = ImageLayout.model_construct()
    console: Console = Console.model_construct()
    links: dict[_LinkName, Link] = Field(default_factory=dict)
    watchdog: bool = False
    emulator: Emulator | None = None
    flash_method: Literal["gdbstub"] = "gdbstub"
    debug_lock: DebugLock | None = None

    @model_validator(mode="after")
    def _regions_are_sound(self) -> Board:
        for needed in ("bootloader", "slot0"):
            if needed not in self.regions:
                raise ValueError(f"regions: expected a region '{needed}'")
        previous_end, previous = 0, ""
        for name, region in sorted(self.regions.items(), key=lambda item: item[1].offset):
            end = region.offset + region.size
            if region.offset % self.flash.page or region.size % self.flash.page:
                raise ValueError(
                    f"regions.{name}: offset and size must be multiples of the page of {self.flash.page} bytes"
                )
            if end > self.flash.size:
                raise ValueError(f"regions.{name}: ends at {end:#x}, beyond the flash of {self.flash.size:#x} bytes")
            if previous and region.offset < previous_end:
                raise ValueError(f"regions.{name}: overlaps region '{previous}', which ends at {previous_end:#x}")
            previous_end, previous = end, name
        return self

    @model_validator(mode="after")
    def _links_are_told_apart(self) -> Board:
        users: dict[int, list[str]] = {self.console.uart: ["the console"]}
        for name, link in self.links.items():
            users.setdefault(link.uart, []).append(f"link '{name}'")
        seen: dict[tuple[int, bytes], str] = {}
        for name, link in self.links.items():
            if len(users[link.uart]) > 1 and not link.lead:
                others = ", ".join(user for user in users[link.uart] if user != f"link '{name}'")
                raise ValueError(f"links.{name}: shares UART {link.uart} with {others}, so it needs a key 'lead'")
            for lead in link.leads:
                for (uart, other), owner in seen.items():
                    if uart == link.uart and (lead.startswith(other) or other.startswith(lead)):
                        raise ValueError(
                            f"links.{name}: lead {lead.hex()} cannot be told from {other.hex()} of '{owner}'"
                        )
                seen[link.uart, lead] = name
        return self

    @property
    def uarts(self) -> tuple[int, ...]:
        """The UARTs that are in use, the console's first."""
        others = {link.uart for link in self.links.values()} - {self.console.uart}
        return (self.console.uart, *sorted(others))

    @property
    def slot0(self) -> Region:
        """The slot that the running image is executed from."""
        return self.regions["slot0"]

    def address(self, region: str) -> int:
        """The absolute address of a region's first byte."""
        return self.flash.base + self.regions[region].offset


def load_board(path: Path, name: str) -> Board:
    """Read a board manifest.

    Args:
        path: The manifest's JSON file.
        name: The board's name in devicepipe.toml.

    Raises:
        UsageError: The file is missing, is not JSON, or has a wrong or missing key; names file, key and what was expected.
    """
    try:
        manifest: Any = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(
            f"cannot be read: {error.strerror}", file=path, remedy="name an existing board manifest"
        ) from error
    except ValueError as error:
        line = getattr(error, "lineno", None)
        raise UsageError(f"is not valid JSON: {error}", file=path, line=line) from error
    section = manifest.get("devicepipe") if isinstance(manifest, dict) else None
    if not isinstance(section, dict):
        raise UsageError(
            "expected a table with the board's memory map",
            file=path,
            key="devicepipe",
            remedy="add the section; docs/reference/configuration.md shows one",
        )
    try:
        return Board.model_validate({**section, "name": name, "title": manifest.get("name", name)})
    except ValidationError as error:
        first = first_mistake(error)
        key = ".".join(["devicepipe", *(str(part) for part in first["loc"])])
        raise UsageError(first["msg"].removeprefix("Value error, "), file=path, key=key) from error
