"""Whether a device may be used: what the inventory says of it, and whether it passed its last health check.

What always holds: a device that failed its last health check stays out of service, for all of the machine, until it passes one.
"""

from __future__ import annotations

import datetime as dt
import os
import socket
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from devicepipe.bench.lease import default_folder, make_folder
from devicepipe.errors import UsageError
from devicepipe.project.inventory import DeviceEntry, Inventory


class Health(BaseModel):
    """What a health check found.

    Attributes:
        device: The device's id.
        time: When; "" where the record of it is damaged.
        wrong: Why the device failed it, "" where it passed.
        says: What it said of itself.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    device: str
    time: str
    wrong: str
    says: str = ""


@dataclass(frozen=True)
class Service:
    """Where the results of health checks are kept: beside the leases.

    Attributes:
        folder: The machine's folder for them.
        today: The day that calibrations are judged by.
    """

    folder: Path
    today: dt.date

    @classmethod
    def here(cls) -> Service:
        """This machine's, today."""
        return cls(default_folder(), dt.datetime.now(dt.UTC).date())

    def reason(self, device: DeviceEntry) -> str:
        """Why a device is out of service; "" where it may be used."""
        health = self.last_health(device.id)
        failed = health.wrong if health else ""
        if health and failed and health.time:
            failed = f"it failed its health check on {health.time}: {failed}"
        return "; ".join(filter(None, (device.out_of_service(self.today), failed)))

    def last_health(self, device: str) -> Health | None:
        """The result of the device's last health check on this machine; a damaged record is that of a device that is not well."""
        try:
            return Health.model_validate_json(self._file(device).read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, ValidationError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is damaged"
            again = f"check it again: devicepipe bench health {device}"
            wrong = f"the record of its last health check, {self._file(device)}, cannot be read: {why}; {again}"
            return Health(device=device, time="", wrong=wrong)

    def keep(self, health: Health) -> None:
        """Keep the result of a health check in the place of the last one."""
        path = self._file(health.device)
        make_folder(self.folder)
        new = path.with_name(f"{path.name}.{os.getpid()}")
        new.write_text(health.model_dump_json() + "\n", encoding="utf-8")
        new.chmod(0o666)
        new.replace(path)

    def _file(self, device: str) -> Path:
        return self.folder / f"{device}.health.json"


def choose_device(inventory: Inventory, board: str, wanted: str | None, service: Service) -> DeviceEntry:
    """The device that a board's tests run on.

    Args:
        inventory: All devices.
        board: The board.
        wanted: The id of one; None: the emulated one, which anyone can have at any time, else the first in service
            that is connected to this machine.
        service: Says which are.

    Returns:
        The device. It can be out of service, where it is wanted or there is no other: then no test is run on it.

    Raises:
        UsageError: There is no such device, it is of another board, or the board has none.
    """
    if wanted is not None:
        device = inventory.device(wanted)
        if device.board != board:
            raise UsageError(f"device '{wanted}' is of board '{device.board}', not '{board}'")
        return device
    devices = inventory.of_board(board)
    if not devices:
        raise UsageError(
            f"board '{board}' has no device: neither an emulator in its manifest nor one in the inventory",
            file=inventory.path,
            remedy="add a [[device]] of that board (docs/reference/bench.md), or an emulator to its manifest",
        )
    host = socket.gethostname()
    here = [device for device in devices if not inventory.wrong_host(device, host)]
    return next((device for device in here if not service.reason(device)), (here or devices)[0])
