"""A device at work in virtual time, brought back to the same moment for each point of a campaign.

Where the board's emulator takes snapshots, that is the restoring of one; a board whose flash is a bank of CFI chips is started
and brought to work again. The product's surroundings (a plant, the sensors) are put back with it.

What always holds: after `restore` the device stands, has taken all input that was sent before, and nothing of an earlier point
is left in it; a device in which that cannot be known is replaced by another.
"""

from __future__ import annotations

from devicepipe.bench.campaigns.scenario import Live, LiveScenario
from devicepipe.bench.device import Device
from devicepipe.bench.emulated import EmulatedTarget
from devicepipe.bench.qemu import Qemu
from devicepipe.bench.serial_log import SerialLog
from devicepipe.bench.spec import SessionSpec


class Standing:
    """Devices of a campaign's process, one at a time.

    Args:
        spec: The session; its `output` takes the logs and the snapshot.
        scenario: The product's.
    """

    def __init__(self, spec: SessionSpec, scenario: LiveScenario) -> None:
        self._spec = spec
        self._scenario = scenario
        self._count = 0
        self._device: Device | None = None
        self._target: EmulatedTarget | None = None
        self._logs: dict[int, SerialLog] = {}
        self._live: Live | None = None
        self._kept: object = None
        self._clean = False

    def restore(self) -> Live:
        """The device at work with its surroundings, as at every point.

        Raises:
            DeviceFaultError, AssertionError: It cannot be brought to work.
            BenchError: The device was lost.
        """
        if not self._clean:
            self.retire()
        self._clean = False
        if self._device is None or self._target is None or self._live is None:
            return self._begin()
        if not self._target.emulator.takes_snapshots:
            self._device.prepare(self._scenario.virtual_time)
            self._live = self._scenario.live(self._device)
            return self._live
        self._target.load()
        self._live.put_back(self._kept)
        return self._live

    def settled(self) -> None:
        """Note that the device has answered, and so has taken all that it was sent."""
        self._clean = True

    def retire(self) -> None:
        """End the device: the next one is another."""
        if self._device is not None:
            self._device.close()
        for log in self._logs.values():
            log.close()
        self._device = self._target = self._live = None
        self._logs = {}

    def close(self) -> None:
        """End it all."""
        self.retire()

    def _begin(self) -> Live:
        self._count += 1
        spec, folder = self._spec, self._spec.output / f"device-{self._count}"
        folder.mkdir(parents=True, exist_ok=True)
        self._logs = {uart: SerialLog(folder / f"uart{uart}.log") for uart in spec.board.uarts}

        def start(halt_at: int | None) -> Qemu:
            return Qemu(spec.board, folder / "emulator.log", self._logs, None, halt_at=halt_at)

        self._target = EmulatedTarget(spec, start)
        self._device = Device(spec, self._target)
        self._device.prepare(self._scenario.virtual_time)
        self._live = self._scenario.live(self._device)
        if self._target.emulator.takes_snapshots:
            self._target.save(self._scenario.moment, folder / "snapshot.qcow2")
            self._kept = self._live.keep()
        return self._live
