"""Driver `scpi`: power from a supply that speaks SCPI, through PyVISA.

Source: SCPI-1999, vol. 2: OUTPut[:STATe], INSTrument:NSELect, SYSTem:ERRor.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

from pydantic import Field, model_validator

from devicepipe.bench.drivers.driver import Place, PowerConfig, PowerDriver, Timeout
from devicepipe.errors import BenchError, DevicepipeError
from devicepipe.project.toml_file import Text

_REMEDY = "check the instrument, its connection and its settings in bench.toml"
_QUEUE = 32  # errors that an instrument's queue may hold
_CHANNEL = "{channel}"


class ScpiConfig(PowerConfig):
    """`resource` and `library` as PyVISA names them, `{channel}` stands for `channel`; "" for what the instrument does not know.

    With a channel every message begins with `select`; one message, so that nobody selects another one in between.
    """

    resource: Text
    library: str = "@py"
    channel: Annotated[int, Field(ge=0)] | None = None
    select: str = "INST:NSEL {channel}"
    on: Text = "OUTP ON"
    off: Text = "OUTP OFF"
    state: str = "OUTP?"
    errors: str = "SYST:ERR?"
    baud: Annotated[int, Field(gt=0)] | None = None
    timeout: Timeout = 5.0

    @model_validator(mode="after")
    def _has_the_channel_it_names(self) -> ScpiConfig:
        if self.channel is None and any(_CHANNEL in text for text in (self.on, self.off, self.state)):
            raise ValueError("channel: missing, and a command names it")
        return self

    def message(self, command: str) -> str:
        """A command as it is sent."""
        if self.channel is None:
            return command
        parts = (self.select, command) if self.select else (command,)
        return ";:".join(parts).replace(_CHANNEL, str(self.channel))


class ScpiPower(PowerDriver):
    """Switches an output, reads back whether it is, and the instrument's errors."""

    Config = ScpiConfig
    config: ScpiConfig

    def check(self) -> str:
        """See `Driver`: the instrument's answer to `*IDN?`, and PyVISA's version."""
        with self._connection() as instrument:
            identity = instrument.ask("*IDN?")
        return f"{identity} (PyVISA {_pyvisa(self.place).__version__})"

    def switch(self, on: bool) -> None:
        """See `PowerDriver`."""
        config, word = self.config, "on" if on else "off"
        with self._connection() as instrument:
            instrument.take_errors()  # those that somebody else left
            instrument.tell(config.message(config.on if on else config.off))
            if errors := instrument.take_errors():
                raise self._error(f"the instrument refused to switch {word}: {'; '.join(errors)}")
            if not config.state:
                return
            state = instrument.ask(config.message(config.state)).upper()
            if errors := instrument.take_errors():
                raise self._error(f"the instrument does not know '{config.state}': {'; '.join(errors)}")
        if state not in (("1", "ON") if on else ("0", "OFF")):
            raise self._error(f"its power was switched {word}, and '{config.state}' says {state!r}")

    @contextmanager
    def _connection(self) -> Iterator[_Instrument]:
        visa, config = _pyvisa(self.place), self.config
        milliseconds = int(config.timeout * 1000)
        manager = resource = None
        try:
            manager = visa.ResourceManager(config.library)
            resource = manager.open_resource(config.resource, open_timeout=milliseconds)
            resource.timeout = milliseconds
            resource.read_termination = resource.write_termination = "\n"
            if config.baud is not None:
                resource.baud_rate = config.baud
            yield _Instrument(resource, config.errors, self.place)
        except DevicepipeError:
            raise
        except Exception as error:
            said = next(iter(str(error).splitlines()), type(error).__name__)
            raise self._error(f"the instrument '{config.resource}' cannot be used: {said}") from error
        finally:
            for each in (resource, manager):
                if each is not None:
                    each.close()

    def _error(self, message: str) -> BenchError:
        return BenchError(
            f"device '{self.place.device}': {message}", remedy=f"{_REMEDY}; all messages: {self.place.log}"
        )


class _Instrument:
    """An open instrument; what passes is in the device's log."""

    def __init__(self, resource: Any, errors: str, place: Place) -> None:
        self._resource, self._errors = resource, errors
        place.log.parent.mkdir(parents=True, exist_ok=True)
        self._log = place.log

    def tell(self, message: str) -> None:
        self._write(f"> {message}")
        self._resource.write(message)

    def ask(self, message: str) -> str:
        self.tell(message)
        with warnings.catch_warnings():
            # It only warns of an answer that was cut off; what was meant as one is not empty, and fits what was asked.
            warnings.simplefilter("ignore", UserWarning)
            answer = str(self._resource.read()).strip()
        self._write(f"< {answer}")
        if not answer:
            raise ValueError(f"it answers nothing to '{message}'")
        return answer

    def take_errors(self) -> list[str]:
        """The errors in the instrument's queue, which is empty afterwards."""
        errors: list[str] = []
        while self._errors and len(errors) < _QUEUE:
            answer = self.ask(self._errors)
            # 0 is no error; numbers are negative for SCPI's, positive for the instrument's own.
            if int(answer.partition(",")[0]) == 0:
                break
            errors.append(answer)
        return errors

    def _write(self, line: str) -> None:
        with self._log.open("a", encoding="utf-8") as log:
            log.write(f"{line}\n")


def _pyvisa(place: Place) -> Any:
    try:
        import pyvisa
    except ImportError as error:
        raise BenchError(
            f"device '{place.device}': PyVISA is not installed", remedy="pip install 'devicepipe[scpi]'"
        ) from error
    return pyvisa
