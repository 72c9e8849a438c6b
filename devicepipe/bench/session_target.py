"""The device of a session: what pytest's process makes of what the session file says."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from devicepipe.bench.channel import SerialLoop
from devicepipe.bench.composed import ComposedTarget, make_parts
from devicepipe.bench.coverage_map import CoverageMap
from devicepipe.bench.drivers.driver import FlashImages
from devicepipe.bench.emulated import EmulatedTarget
from devicepipe.bench.qemu import Qemu
from devicepipe.bench.serial_log import SerialLog
from devicepipe.bench.spec import SessionFile
from devicepipe.bench.target import Target


def make_target(
    file: SessionFile,
    logs: Mapping[int, SerialLog],
    loop: SerialLoop,
    counts: CoverageMap | None,
    on_program: Callable[[], object],
) -> Target:
    """The session's device; nothing is started or opened yet.

    Args:
        file: The session.
        logs: The records of the serial lines.
        loop: Receives them.
        counts: Counts what an emulated device executes.
        on_program: Called after each time that a real device's flash was written.

    Raises:
        UsageError: A driver of it is unknown, or a setting of it wrong.
    """
    spec = file.spec

    def start(halt_at: int | None) -> Qemu:
        received_by = loop if halt_at is None else None
        return Qemu(spec.board, file.emulator_log, logs, received_by, halt_at=halt_at, coverage=counts)

    if spec.entry.emulated:
        return EmulatedTarget(spec, start)
    parts = make_parts(spec.entry, spec.board, spec.inventory, spec.project or spec.root, file.emulator_log)
    images = FlashImages(factory=spec.factory, signed=spec.signed_image)
    return ComposedTarget(spec.entry, spec.board, parts, images, logs, loop, on_program)
