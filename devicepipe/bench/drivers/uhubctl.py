"""Driver `uhubctl`: the power of a device that hangs on a USB hub which can switch its ports."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints

from devicepipe.bench.drivers.driver import PowerConfig, PowerDriver, Timeout
from devicepipe.bench.drivers.program import failure, run
from devicepipe.project.toml_file import Text

_INSTALL = "install uhubctl (Debian or Ubuntu: apt-get install uhubctl)"
_REMEDY = "`uhubctl` lists the hubs that can switch their ports; its documentation has the udev rule without which it needs root"


class UhubctlConfig(PowerConfig):
    """`location`: the hub as uhubctl names it, e.g. "1-1.2"; `port`: which of its ports."""

    location: Annotated[str, StringConstraints(pattern=r"^[0-9]+(-[0-9]+(\.[0-9]+)*)?$")]
    port: Annotated[int, Field(ge=1, le=63)]
    program: Text = "uhubctl"
    timeout: Timeout = 30.0


class UhubctlPower(PowerDriver):
    """Switches a port's power, and reads back what the hub says of it."""

    Config = UhubctlConfig
    config: UhubctlConfig

    def check(self) -> str:
        """See `Driver`; also that the hub is there and can switch the port."""
        version = run([self.config.program, "-v"], self.place, 30.0, _REMEDY, install=_INSTALL).strip()
        self._powered(self._run())
        return f"uhubctl {version}"

    def switch(self, on: bool) -> None:
        """See `PowerDriver`."""
        word = "on" if on else "off"
        self._run("-a", word)
        output = self._run()
        if self._powered(output) != {on}:
            raise failure(
                self.place,
                f"port {self.config.port} of hub {self.config.location} was switched {word}, and is not",
                output,
                "see the list of hubs in uhubctl's documentation: some only pretend to switch",
            )

    def _run(self, *action: str) -> str:
        # -N: the device is not asked for its description, which one that hangs does not give.
        config = self.config
        command = [config.program, "-l", config.location, "-p", str(config.port), "-N", *action]
        return run(command, self.place, config.timeout, _REMEDY, install=_INSTALL)

    def _powered(self, output: str) -> set[bool]:
        """Whether the port has power: a hub of USB 3 is two, which have the port together and may say different things."""
        states = set()
        for line in output.splitlines():
            match line.partition("[")[0].split():
                case ["Port", number, *state] if number == f"{self.config.port}:":
                    states.add("power" in state)
        if not states:
            raise failure(
                self.place,
                f"uhubctl says nothing of port {self.config.port} of hub {self.config.location}",
                output,
                _REMEDY,
            )
        return states
