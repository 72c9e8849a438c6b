"""What the benchmarks of the bench share: emulated devices with the test firmware of tests/bench, and how a result is printed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

from devicepipe.bench.channel import SerialLoop
from devicepipe.bench.device import Device
from devicepipe.bench.emulated import EmulatedTarget
from devicepipe.bench.qemu import Qemu
from devicepipe.bench.serial_log import SerialLog
from tests.bench.samples import Firmware, build_firmware, spec_for

BOARD = "microbit"


@contextmanager
def devices(folder: Path, count: int = 1) -> Iterator[list[Device]]:
    """Running devices, all received by one loop as in any process."""
    folder.mkdir(parents=True)
    firmware = build_firmware(BOARD, folder)
    with ExitStack() as stack:
        loop = stack.enter_context(closing(SerialLoop()))
        opened = [stack.enter_context(_device(folder / str(number), firmware, loop)) for number in range(count)]
        for device in opened:
            device.prepare()
        yield opened


@contextmanager
def _device(folder: Path, firmware: Firmware, loop: SerialLoop) -> Iterator[Device]:
    folder.mkdir()
    spec = spec_for(folder, firmware, {})
    logs = {uart: SerialLog(folder / Path(spec.log_name(uart)).name) for uart in spec.board.uarts}
    start = lambda _halt_at: Qemu(spec.board, folder / "emulator.log", logs, loop)  # noqa: E731
    try:
        with closing(Device(spec, EmulatedTarget(spec, start))) as device:
            yield device
    finally:
        for log in logs.values():
            log.close()


def report(measure: str, value: float, unit: str, target: float) -> int:
    """Print the last line of a benchmark; its exit code."""
    ok = value <= target
    print(json.dumps({"measure": measure, "value": value, "unit": unit, "target": target, "ok": ok}))
    return 0 if ok else 1
