"""What the benchmarks on the demonstration pump share: its images of the working tree, and a device with the plant around it."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from devicepipe.bench.channel import SerialLoop
from devicepipe.bench.device import Device
from devicepipe.bench.emulated import EmulatedTarget
from devicepipe.bench.lockstep import VirtualTime
from devicepipe.bench.qemu import Qemu
from devicepipe.bench.serial_log import SerialLog
from devicepipe.bench.spec import SessionSpec
from devicepipe.cli.progress import make_progress
from devicepipe.evidence.bundle import Bundle
from devicepipe.pipeline.development import develop
from devicepipe.project.config import load_project
from hil.plant.link import PERIOD, PlantLink
from hil.plant.model import Plant

ROOT = Path(__file__).resolve().parent.parent
EXCHANGE = VirtualTime("plant_sent", PERIOD)
_LINE = re.compile(rb"^[^\n]*\n", re.MULTILINE)


def built(boards: Sequence[str]) -> Bundle:
    """The working tree, built and signed."""
    project, quiet = load_project(ROOT / "devicepipe.toml"), make_progress(quiet=True)
    return develop(project, "sign", boards=boards, progress=quiet, cancel=threading.Event()).bundle


@contextmanager
def opened(spec: SessionSpec, mode: VirtualTime | None) -> Iterator[Device]:
    """A device with the factory image in it, running; in virtual time, at its first exchange."""
    spec.output.mkdir(parents=True, exist_ok=True)
    logs = {uart: SerialLog(spec.output / Path(spec.log_name(uart)).name) for uart in spec.board.uarts}
    loop = SerialLoop()

    def start(halt_at: int | None) -> Qemu:
        receiver = loop if halt_at is None else None
        return Qemu(spec.board, spec.output / "emulator.log", logs, receiver, halt_at=halt_at)

    try:
        with closing(Device(spec, EmulatedTarget(spec, start))) as device:
            device.prepare(mode)
            yield device
    finally:
        loop.close()
        for log in logs.values():
            log.close()


def connect(device: Device) -> PlantLink:
    """Put the plant around a device in virtual time; its record begins after three exchanges."""
    link, wire = PlantLink(Plant()), device.link("plant")
    wire.discard()

    def exchange() -> None:
        while line := wire.take_line(_LINE, 0):
            wire.write(link.exchange(line))

    device.on_exchange(exchange)
    device.run_for(3 * PERIOD)
    return link
