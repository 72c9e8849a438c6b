"""Driver `command`: any command line, for flash, reset and power.

A command line is a list of words, run as it stands: no shell. Placeholders: `{device}`, `{port}`, and for the flash `{hex}`,
`{image}` and, in `read`, `{read}`; a brace is written twice.
"""

from __future__ import annotations

import re
import string
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field, model_validator

from devicepipe.bench.drivers.driver import (
    DriverConfig,
    FlashDriver,
    FlashImages,
    Place,
    PowerConfig,
    PowerDriver,
    ResetDriver,
    Timeout,
)
from devicepipe.bench.drivers.flash_image import compare
from devicepipe.bench.drivers.program import failure, find, run
from devicepipe.bench.factory import load_factory
from devicepipe.errors import UsageError

_REMEDY = "try the command line of bench.toml by hand"


def _takes(*known: str) -> Callable[[tuple[str, ...]], tuple[str, ...]]:
    """A check that a command line uses these placeholders only."""

    def check(words: tuple[str, ...]) -> tuple[str, ...]:
        if "{" in words[0]:
            raise ValueError("the program, the first word, takes no placeholder")
        for word in words:
            try:
                parts = list(string.Formatter().parse(word))
            except ValueError:
                raise ValueError(f"a brace too many in '{word}': write {{{{ and }}}} for braces themselves") from None
            for _, name, form, conversion in parts:
                if name is not None and (name not in known or form or conversion):
                    raise ValueError(
                        f"unknown placeholder {{{name}}}; known: {', '.join(known)}; write {{{{ for a brace"
                    )
        return words

    return check


_Words = Annotated[tuple[Annotated[str, Field(min_length=1)], ...], Field(strict=False, min_length=1)]
_Plain = Annotated[_Words, AfterValidator(_takes("device", "port"))]
_Flash = Annotated[_Words, AfterValidator(_takes("device", "port", "hex", "image"))]
_Read = Annotated[_Words, AfterValidator(_takes("device", "port", "read"))]
_Code = Annotated[int, Field(ge=0, le=255)]


def _pattern(text: str) -> str:
    try:
        re.compile(text)
    except re.error as error:
        raise ValueError(f"is no regular expression: {error}") from None
    return text


_Pattern = Annotated[str, Field(min_length=1), AfterValidator(_pattern)]


class FlashCommand(DriverConfig):
    """`command` writes the flash; `read`, if any, reads all of it as Intel HEX into the file `{read}`, to be compared."""

    command: _Flash
    read: _Read | None = None
    timeout: Timeout = 120.0
    exit_code: _Code = 0


class ResetCommand(DriverConfig):
    """`command` resets the device."""

    command: _Plain
    timeout: Timeout = 30.0
    exit_code: _Code = 0


class PowerCommand(PowerConfig):
    """`on` and `off` switch; what `state` prints afterwards, if there is one, must match `state_on` or `state_off`."""

    on: _Plain
    off: _Plain
    state: _Plain | None = None
    state_on: _Pattern | None = None
    state_off: _Pattern | None = None
    timeout: Timeout = 30.0
    exit_code: _Code = 0

    @model_validator(mode="after")
    def _state_can_be_told(self) -> PowerCommand:
        together = (self.state, self.state_on, self.state_off)
        if None in together and together != (None, None, None):
            raise ValueError("state, state-on and state-off: all three or none")
        return self


class CommandFlash(FlashDriver):
    """Writes the flash with a command line."""

    Config = FlashCommand
    config: FlashCommand

    @property
    def needs_port(self) -> bool:
        """See `Driver`: where a command line has the placeholder `{port}`."""
        return _names_port(self.config.command, self.config.read or ())

    def check(self) -> str:
        """See `Driver`."""
        return _check(self.place, self.config.command, self.config.read or ())

    def write(self, images: FlashImages) -> None:
        """See `FlashDriver`; without `read`, that the flash holds the images is the program's word alone."""
        config, place = self.config, self.place
        command = _fill(config.command, place, hex=str(images.factory.absolute()), image=str(images.signed.absolute()))
        run(command, place, config.timeout, _REMEDY, exit_code=config.exit_code)
        if config.read is None:
            return
        wanted = load_factory(images.factory)
        with tempfile.TemporaryDirectory(prefix="devicepipe-") as folder:
            file = Path(folder) / "read.hex"
            output = run(
                _fill(config.read, place, read=str(file)), place, config.timeout, _REMEDY, exit_code=config.exit_code
            )
            try:
                have = load_factory(file)
            except UsageError as error:
                what = f"what was read of its flash is no Intel HEX file: {error.message}"
                raise failure(place, what, output, _REMEDY) from error
        compare(wanted, lambda address, size: _bytes_from(have, address, size), place)


class CommandReset(ResetDriver):
    """Resets with a command line."""

    Config = ResetCommand
    config: ResetCommand

    @property
    def needs_port(self) -> bool:
        """See `Driver`: where the command line has the placeholder `{port}`."""
        return _names_port(self.config.command)

    def check(self) -> str:
        """See `Driver`."""
        return _check(self.place, self.config.command)

    def reset(self) -> None:
        """See `ResetDriver`."""
        config = self.config
        run(_fill(config.command, self.place), self.place, config.timeout, _REMEDY, exit_code=config.exit_code)


class CommandPower(PowerDriver):
    """Switches the power with command lines, such as those of a relay card."""

    Config = PowerCommand
    config: PowerCommand

    @property
    def needs_port(self) -> bool:
        """See `Driver`: where a command line has the placeholder `{port}`."""
        return _names_port(self.config.on, self.config.off, self.config.state or ())

    def check(self) -> str:
        """See `Driver`."""
        return _check(self.place, self.config.on, self.config.off, self.config.state or ())

    def switch(self, on: bool) -> None:
        """See `PowerDriver`; without `state`, that the power is switched is the program's word alone."""
        config, place = self.config, self.place
        command = config.on if on else config.off
        run(_fill(command, place), place, config.timeout, _REMEDY, exit_code=config.exit_code)
        if config.state is None or config.state_on is None or config.state_off is None:
            return
        output = run(_fill(config.state, place), place, config.timeout, _REMEDY, exit_code=config.exit_code)
        if not re.search(config.state_on if on else config.state_off, output):
            wanted = "on" if on else "off"
            raise failure(
                place, f"its power was switched {wanted}, and {config.state[0]} does not say so", output, _REMEDY
            )


def _fill(words: tuple[str, ...], place: Place, **values: str) -> list[str]:
    return [word.format(device=place.device, port=place.port, **values) for word in words]


def _names_port(*commands: tuple[str, ...]) -> bool:
    return any(
        name == "port" for words in commands for word in words for _, name, _, _ in string.Formatter().parse(word)
    )


def _check(place: Place, *commands: tuple[str, ...]) -> str:
    programs = dict.fromkeys(words[0] for words in commands if words)
    return ", ".join(str(find(program, place, _REMEDY)) for program in programs)


def _bytes_from(segments: dict[int, bytes], address: int, size: int) -> bytes:
    """The bytes from an address on, as far as they were read."""
    for start, data in segments.items():
        if start <= address < start + len(data):
            return data[address - start :][:size]
    return b""
