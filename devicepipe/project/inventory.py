"""hil/bench.toml: the benches and their devices, as typed values.

What always holds of an `Inventory`: ids are unique, every device is of a board of the product and on a bench that is named, and
every key was known, but for the settings of drivers, which the driver itself validates (devicepipe/bench/drivers). Every board with
an emulator has an emulated device, named in the file or not.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from devicepipe.errors import UsageError
from devicepipe.project.board import Board
from devicepipe.project.config import Project
from devicepipe.project.sections import Name
from devicepipe.project.toml_file import Table, Text, TomlFile, Where, matching

INVENTORY_NAME = "bench.toml"
EMULATED = "qemu"
"""The driver of emulated devices."""
CAPABILITIES = frozenset({"debugger", "emulated", "read-flash", "virtual-time", "write-flash"})
"""What tests can require beside tags. The bench knows which device has them, so no tag may say so."""

_SCHEMES = ("unix", "socket", "rfc2217", "spy", "alt", "hwgrep")
_URL = rf"^(/\S+|({'|'.join(_SCHEMES)})://\S+)$"
_Tag = Annotated[
    str,
    matching(
        r"^[a-z0-9][a-z0-9._-]{0,31}$", "at most 32 small letters, digits, '.', '_' and '-', a letter or digit first"
    ),
]
_Uart = Annotated[str, matching(r"^(0|[1-9][0-9]?)$", "the number of a UART")]
_Url = Annotated[
    str,
    matching(
        _URL, f"a device file (/dev/…) or a URL that begins with {' or '.join(f'{scheme}://' for scheme in _SCHEMES)}"
    ),
]
_ROLES = ("flash", "reset", "power")


class Bench(Table):
    """[[bench]]: a place with devices. `host` is the machine that they are connected to, where it is not any that has this file."""

    name: Name
    title: str = ""
    host: str | None = None


class DriverEntry(BaseModel):
    """[device.flash], [device.reset], [device.power]: a driver and its settings, which are the driver's to understand."""

    model_config = ConfigDict(extra="allow", frozen=True)

    driver: Name

    @property
    def settings(self) -> dict[str, Any]:
        """All keys but `driver`."""
        return dict(self.__pydantic_extra__ or {})


class DeviceEntry(Table):
    """[[device]]: one unit of a board, real or emulated.

    Attributes:
        id: Its name, which stands in the evidence.
        board: A board of devicepipe.toml.
        bench: Where it is.
        driver: "qemu" for an emulated device; left out for a real one, which is put together from the tables below.
        serial_number: What the device must say of itself (`serial=` of its reply to `id`).
        port: The console: a device file by a name that stays (/dev/serial/by-id/…), or a URL.
        ports: UART of the board's manifest → the port of it, for links that have a UART of their own.
        flash: Writes the flash.
        reset: Resets the device.
        power: Switches its power.
        reflash: When its flash is written: before every test, or only where a test may have changed it, since flash wears.
        tags: What it has, e.g. a scale.
        calibration_due: The last day on which its instruments are calibrated.
        fixture_revision: The revision of the fixture that it sits in.
        in_service: Whether it may be used; `reason` says why not.
    """

    id: Name
    board: Name
    bench: Name | None = None
    driver: Name | None = None
    serial_number: Text | None = None
    port: _Url | None = None
    ports: dict[_Uart, _Url] = Field(default_factory=dict)
    flash: DriverEntry | None = None
    reset: DriverEntry | None = None
    power: DriverEntry | None = None
    reflash: Literal["every-test", "when-changed"] = "when-changed"
    tags: tuple[_Tag, ...] = Field(default=(), strict=False)
    calibration_due: dt.date | None = None
    fixture_revision: Text | None = None
    in_service: bool = True
    reason: Text | None = None

    @model_validator(mode="after")
    def _is_emulated_or_real(self) -> DeviceEntry:
        stated = [role for role in ("port", *_ROLES) if getattr(self, role) is not None] + ["ports"] * bool(self.ports)
        if self.driver == EMULATED and stated:
            raise ValueError(f"{stated[0]}: an emulated device (driver '{EMULATED}') has none")
        if self.driver is None and self.port is None:
            raise ValueError(f"port: a device needs its console's port, or the driver '{EMULATED}' if it is emulated")
        if self.driver not in (None, EMULATED):
            raise ValueError(
                f"driver: expected '{EMULATED}'; drivers of real devices stand in [device.flash] and so on"
            )
        if claimed := sorted(CAPABILITIES & {*self.tags}):
            raise ValueError(f"tags: '{claimed[0]}' is what the bench knows of a device by itself: leave it out")
        if not self.in_service and self.reason is None:
            raise ValueError("reason: say why it is out of service")
        return self

    @property
    def emulated(self) -> bool:
        """Whether an emulator stands for it."""
        return self.driver == EMULATED

    @property
    def drivers(self) -> dict[str, str]:
        """Role → the name of the driver."""
        entries: dict[str, DriverEntry | None] = {role: getattr(self, role) for role in _ROLES}
        return {role: entry.driver for role, entry in entries.items() if entry is not None}

    def out_of_service(self, today: dt.date) -> str:
        """Why it may not be used on that day, as far as the inventory tells; "" where it may."""
        if not self.in_service:
            return self.reason or "no reason given"
        if self.calibration_due is not None and today > self.calibration_due:
            return f"its calibration was due on {self.calibration_due.isoformat()}"
        return ""


class _File(Table):
    bench: tuple[Bench, ...] = Field(default=(), strict=False)
    device: tuple[DeviceEntry, ...] = Field(default=(), strict=False)


@dataclass(frozen=True)
class Inventory:
    """The devices of a product.

    Attributes:
        path: The file, which need not exist.
        benches: By name.
        devices: By id, in the order of the file, then the emulated ones that it does not name.
    """

    path: Path
    benches: dict[str, Bench]
    devices: dict[str, DeviceEntry]
    source: TomlFile | None = None
    _places: dict[str, int] | None = None

    def device(self, name: str) -> DeviceEntry:
        """The device of that id.

        Raises:
            UsageError: There is none; lists the known ones.
        """
        if name not in self.devices:
            raise UsageError(
                f"unknown device '{name}'", file=self.path, remedy=f"known devices: {', '.join(self.devices)}"
            )
        return self.devices[name]

    def of_board(self, board: str) -> list[DeviceEntry]:
        """The devices of a board: emulated ones first, which anyone can have at any time."""
        devices = [device for device in self.devices.values() if device.board == board]
        return sorted(devices, key=lambda device: not device.emulated)

    def wrong_host(self, device: DeviceEntry, host: str) -> str:
        """On which other machine a device is; "" where it is on that one, or on any that has the file."""
        bench = self.benches.get(device.bench or "")
        return (bench.host or "") if bench is not None and bench.host != host else ""

    def error(self, message: str, device: str, *keys: str, remedy: str = "") -> UsageError:
        """A UsageError at a key of a device."""
        if self.source is None or self._places is None or device not in self._places:
            return UsageError(message, file=self.path, key=".".join(keys), remedy=remedy)
        return self.source.error(message, ("device", self._places[device], *keys), remedy=remedy)


def emulated_id(board: str) -> str:
    """The id of a board's emulated device, where the inventory does not give it another."""
    return f"{EMULATED}-{board}"


def load_inventory(project: Project) -> Inventory:
    """Read bench.toml of the folder of device tests; without it there are the emulated devices alone.

    Raises:
        UsageError: A mistake in it, with file, line, key and what was expected.
    """
    path = project.root / project.tests.path / INVENTORY_NAME
    source = TomlFile.read(path, advice="see docs/reference/bench.md") if path.exists() else None
    file = source.parse(_File) if source is not None else _File()
    devices = {device.id: device for device in file.device}
    if source is not None:
        _check(source, file, project)
    for board in project.boards:
        has = any(device.emulated and device.board == board.name for device in devices.values())
        if board.board.emulator is not None and not has and emulated_id(board.name) not in devices:
            entry = DeviceEntry(id=emulated_id(board.name), board=board.name, driver=EMULATED)
            devices[entry.id] = entry
    places = {device.id: index for index, device in enumerate(file.device)}
    return Inventory(path, {bench.name: bench for bench in file.bench}, devices, source, places)


def _check(source: TomlFile, file: _File, project: Project) -> None:
    """What one table cannot know of the others."""
    benches = [bench.name for bench in file.bench]
    for index, bench in enumerate(benches):
        if bench in benches[:index]:
            raise source.error(
                f"bench '{bench}' stands twice", ("bench", index, "name"), remedy="give each a name of its own"
            )
    boards = {board.name: board.board for board in project.boards}
    ids, ports = set[str](), dict[str, str]()
    for index, device in enumerate(file.device):
        at: Where = ("device", index)
        if device.id in ids:
            remedy = "give each device an id of its own: it stands in the evidence"
            raise source.error(f"device '{device.id}' stands twice", (*at, "id"), remedy=remedy)
        ids.add(device.id)
        if device.board not in boards:
            known = f"known boards: {', '.join(boards)}"
            raise source.error(f"unknown board '{device.board}'", (*at, "board"), remedy=known)
        if device.bench is not None and device.bench not in benches:
            known = f"known benches: {', '.join(benches)}" if benches else f'add [[bench]] name = "{device.bench}"'
            raise source.error(f"unknown bench '{device.bench}'", (*at, "bench"), remedy=known)
        _check_lines(source, at, device, boards[device.board], ports)


def _check_lines(source: TomlFile, at: Where, device: DeviceEntry, board: Board, ports: dict[str, str]) -> None:
    """The device's ports are those of its board, and no other's; `ports`: whose they are so far."""
    if device.emulated and board.emulator is None:
        raise source.error(
            f"board '{board.name}' has no emulator", (*at, "driver"), remedy="add it to the board's manifest"
        )
    for uart in device.ports:
        if int(uart) not in board.uarts[1:]:
            others = ", ".join(map(str, board.uarts[1:])) or "none"
            message = f"no link of board '{board.name}' is on UART {uart}; UARTs of links: {others}"
            raise source.error(message, (*at, "ports", uart))
    missing = [uart for uart in board.uarts[1:] if str(uart) not in device.ports]
    if missing and not device.emulated:
        names = ", ".join(name for name, link in board.links.items() if link.uart in missing)
        raise source.error(
            f"missing key: the ports of links {names}", (*at, "ports"), remedy=f'{missing[0]} = "/dev/…"'
        )
    for keys, url in ((("port",), device.port), *((("ports", uart), url) for uart, url in device.ports.items())):
        if url is not None and url in ports:
            message = f"'{url}' is a port of device '{ports[url]}' already"
            raise source.error(message, (*at, *keys), remedy="a port belongs to one device")
        if url is not None:
            ports[url] = device.id
