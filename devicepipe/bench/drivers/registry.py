"""Drivers by name: our own, and those of other packages by their entry points of the group `devicepipe.drivers`.

An entry point is named `ROLE.NAME`: `power.rack = "our_lab.rack:RackPower"` lets bench.toml say `[device.power] driver = "rack"`.
Our own are not entry points: they must be those of the code that runs, whatever was installed when.
"""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points
from typing import Any, Literal, overload

from pydantic import ValidationError

from devicepipe.bench.drivers.driver import Driver, FlashDriver, Place, PowerDriver, ResetDriver
from devicepipe.errors import BenchError
from devicepipe.project.inventory import DriverEntry, Inventory
from devicepipe.project.toml_file import explain

GROUP = "devicepipe.drivers"
Role = Literal["flash", "reset", "power"]

_BASES: dict[Role, type[Driver]] = {"flash": FlashDriver, "reset": ResetDriver, "power": PowerDriver}
_OWN = {
    "flash.command": "command:CommandFlash",
    "flash.esptool": "esptool:EsptoolFlash",
    "flash.openocd": "openocd:OpenocdFlash",
    "flash.pyocd": "pyocd:PyocdFlash",
    "flash.smp": "smp:SmpFlash",
    "reset.command": "command:CommandReset",
    "reset.esptool": "esptool:EsptoolReset",
    "reset.openocd": "openocd:OpenocdReset",
    "reset.pyocd": "pyocd:PyocdReset",
    "power.command": "command:CommandPower",
    "power.scpi": "scpi:ScpiPower",
    "power.uhubctl": "uhubctl:UhubctlPower",
}
_REMEDY = "see docs/reference/drivers.md"


def drivers(role: Role) -> dict[str, list[EntryPoint]]:
    """The drivers of a role by name; more than one where packages do not agree on a name."""
    own = [EntryPoint(name, f"{__package__}.{where}", GROUP) for name, where in _OWN.items()]
    found: dict[str, list[EntryPoint]] = {}
    for point in (*own, *entry_points(group=GROUP)):
        of, _, name = point.name.partition(".")
        if of == role:
            found.setdefault(name, []).append(point)
    return found


@overload
def make_driver(role: Literal["flash"], entry: DriverEntry, place: Place, inventory: Inventory) -> FlashDriver: ...
@overload
def make_driver(role: Literal["reset"], entry: DriverEntry, place: Place, inventory: Inventory) -> ResetDriver: ...
@overload
def make_driver(role: Literal["power"], entry: DriverEntry, place: Place, inventory: Inventory) -> PowerDriver: ...
def make_driver(role: Role, entry: DriverEntry, place: Place, inventory: Inventory) -> Any:
    """The driver that a table of bench.toml names, with its settings. Nothing is run and no device touched.

    Args:
        role: Which of the device's tables.
        entry: The table.
        place: What the driver is used at.
        inventory: The file that the table is in, for errors.

    Raises:
        UsageError: No such driver is known, or a setting is wrong, unknown or missing; at file, line and key.
        BenchError: Another package's driver cannot be loaded.
    """
    driver = _load(role, entry.driver, place.device, inventory)
    try:
        config = driver.Config.model_validate(entry.settings)
    except ValidationError as error:
        message, where, remedy = explain(error, driver.Config)
        raise inventory.error(message, place.device, role, *map(str, where), remedy=remedy or _REMEDY) from error
    return driver(config, place)


def _load(role: Role, name: str, device: str, inventory: Inventory) -> type[Driver]:
    known = drivers(role)
    if name not in known:
        raise inventory.error(
            f"unknown driver '{name}'", device, role, "driver", remedy=f"drivers for {role}: {', '.join(sorted(known))}"
        )
    if len(known[name]) > 1:
        packages = ", ".join(_package(point) for point in known[name])
        message = f"more than one package has a driver '{name}' for {role}: {packages}"
        raise inventory.error(message, device, role, "driver", remedy="uninstall all of them but one")
    point = known[name][0]
    try:
        driver = point.load()
    except Exception as error:
        raise BenchError(
            f"driver '{name}' of {_package(point)} cannot be loaded: {type(error).__name__}: {error}",
            remedy=f"install {_package(point)} anew",
        ) from error
    base = _BASES[role]
    if not (isinstance(driver, type) and issubclass(driver, base) and issubclass(driver.Config, base.Config)):
        raise BenchError(
            f"'{point.value}', driver '{name}' of {_package(point)}, is no {base.__name__} with a {base.Config.__name__}",
            remedy=f"correct the entry point '{point.name}' of that package",
        )
    return driver


def _package(point: EntryPoint) -> str:
    return f"package '{point.dist.name}'" if point.dist is not None else "devicepipe"
