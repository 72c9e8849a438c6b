"""What a campaign must be told by the product: what an update is, and what must hold after a fault.

The product's module (`[campaigns] module` of devicepipe.toml) holds an object of the name `SCENARIO`. Nothing here, nor in the rest
of the campaigns, knows a product.

What always holds: a promise that the device breaks is a `BrokenPromiseError`, never a value that could be taken for a good one.
"""

from __future__ import annotations

import importlib.util
import sys
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, Protocol

from devicepipe.bench.campaigns.cuts import Operation, Point, points
from devicepipe.bench.campaigns.flips import Target
from devicepipe.bench.device import Device
from devicepipe.bench.lockstep import VirtualTime
from devicepipe.bench.spec import SessionSpec
from devicepipe.errors import UsageError

NAME = "SCENARIO"
_REMEDY = "correct the module (docs/reference/campaigns.md)"
_OURS = Path(__file__).parents[2]


class BrokenPromiseError(AssertionError):
    """The device did what it must never do."""


@dataclass(frozen=True)
class Phase:
    """A recorded part of an update.

    Attributes:
        name: What happens in it.
        before: The digest of the image that may run if the cut came early; it runs for good. None: nothing but `after` may run.
        after: The digest of the image that runs at the end.
        trial: Whether that is a trial, from which the next reset leads back to `before`.
        start: The flash when it begins.
        operations: What the device does to its flash, through to a running application.
    """

    name: str
    before: str | None
    after: str
    trial: bool = False
    start: bytes = b""
    operations: list[Operation] = field(default_factory=list)

    def points(self, seeds: int) -> list[Point]:
        """All cuts."""
        return points(len(self.operations), seeds)


class BootScenario(Protocol):
    """What any campaign that judges boots must know.

    Attributes:
        stops: Functions of the bootloader at which its decision is made → whether it starts an application there.
    """

    stops: Mapping[str, bool]

    def deciding(self, spec: SessionSpec, flash: bytes) -> bytes:
        """The parts of a flash that decide what the bootloader does."""

    def lost_ram(self, spec: SessionSpec) -> Sequence[tuple[int, bytes]]:
        """What a loss of power leaves where programs would leave each other something in RAM: absolute addresses and bytes."""

    def image_started(self, spec: SessionSpec, flash: bytes) -> str:
        """The digest of the image that starts from this flash.

        Raises:
            BrokenPromiseError: It is not, byte for byte, one of the signed images; or the flash says what it must never say.
        """

    def run_application(self, device: Device, *, number: int) -> str:
        """Start a device as after a loss of power, and say the digest of the image that its application says it is.

        Args:
            device: Its flash was written; it stands.
            number: The point's, so that the ways in which a device can be switched on take turns.

        Raises:
            BrokenPromiseError: No application runs.
        """


class UpdateScenario(BootScenario, Protocol):
    """A product's update, for power cuts."""

    def record(self, device: Device) -> list[Phase]:
        """Let a device with the factory image through an update, and record each part."""


class FlashScenario(BootScenario, Protocol):
    """What a product keeps in flash, for bits that flip in it."""

    def targets(self, device: Device) -> list[Target]:
        """Bring a device with the factory image into use, and say what lies in its flash and what may become of it."""

    def examine(self, device: Device, target: Target, number: int) -> str:
        """Start a device as after a loss of power, ask what the target says, and say what became of it.

        Args:
            device: Its flash was written, with the damage in it; it stands.
            target: What was damaged.
            number: As for `run_application`.

        Raises:
            BrokenPromiseError: An answer that must not be.
        """


class Live(Protocol):
    """A device at work, with what surrounds it."""

    def keep(self) -> object:
        """What of the surroundings belongs to this moment."""

    def put_back(self, kept: object) -> None:
        """Make the surroundings what they were; `kept` is needed again."""

    def disturb(self, stream: str, draw: Random) -> tuple[str, bool]:
        """Send inputs that follow from the draw, let the device run, and say what became of it.

        Returns:
            That, and whether the device has answered since, and so has taken all that it was sent.

        Raises:
            BrokenPromiseError: It does what it must not, or does not answer.
        """


class LiveScenario(Protocol):
    """A product's device at work, for inputs that nobody meant.

    Attributes:
        virtual_time: Where the device halts, and how often.
        moment: A function of the application that it begins when it has taken the answer of its surroundings, and no input is
            under way.
        streams: Where inputs go: the names of the groups.
    """

    virtual_time: VirtualTime
    moment: str
    streams: Sequence[str]

    def live(self, device: Device) -> Live:
        """Bring a device with the factory image, in virtual time, to work."""


NEEDED = {
    "powercut": ("stops", "deciding", "lost_ram", "image_started", "run_application", "record"),
    "fuzz": ("virtual_time", "moment", "streams", "live"),
    "bitflip": ("stops", "deciding", "lost_ram", "image_started", "run_application", "targets", "examine"),
}
"""The members of the product's scenario that each campaign needs."""


def load_scenario(path: Path, kind: str) -> Any:
    """A product's scenario from its module, whose folder's parent is made importable.

    Args:
        path: The module.
        kind: Of the campaign: what the scenario must have.

    Raises:
        UsageError: The module cannot be imported, has no `SCENARIO`, or one that lacks what that campaign needs.
    """
    if not path.is_file():
        raise UsageError("there is no such module", file=path, remedy="name it as 'module' of [campaigns]")
    root = str(path.resolve().parent.parent)
    if root not in sys.path:
        sys.path.insert(0, root)
    found = importlib.util.spec_from_file_location(f"{path.resolve().parent.name}.{path.stem}", path)
    if found is None or found.loader is None:
        raise UsageError("is no Python module", file=path, remedy="name a .py file as 'module' of [campaigns]")
    module = importlib.util.module_from_spec(found)
    # While it is executed, it is looked up by its name (by dataclasses, and by modules that import it).
    before = sys.modules.get(found.name)
    sys.modules[found.name] = module
    try:
        found.loader.exec_module(module)
    except BaseException as error:
        del sys.modules[found.name]
        if before is not None:
            sys.modules[found.name] = before
        if not isinstance(error, Exception):
            raise
        file, line = _place(error, path) or (path, None)
        raise UsageError(
            f"cannot be imported: {type(error).__name__}: {_said(error)}", file=file, line=line, remedy=_REMEDY
        ) from error
    if not hasattr(module, NAME):
        raise UsageError(f"has no '{NAME}'", file=path, remedy=f"end it with {NAME} = … (docs/reference/campaigns.md)")
    scenario = getattr(module, NAME)
    if missing := [name for name in NEEDED[kind] if not hasattr(scenario, name)]:
        raise UsageError(
            f"{NAME} has no '{missing[0]}', which a {kind} campaign needs",
            file=path,
            remedy="add it: see docs/reference/campaigns.md",
        )
    return scenario


@contextmanager
def blaming(path: Path) -> Iterator[None]:
    """While a product's scenario works: an exception that nobody meant is told with its file and line, where it is the product's.

    Args:
        path: The product's module; what lies in its folder is the product's as well.

    Raises:
        UsageError: Such an exception came.
    """
    try:
        yield
    except AssertionError:
        raise
    except Exception as error:
        place = _place(error, path)
        if place is None or type(error).__module__.partition(".")[0] == _OURS.name:
            raise
        raise UsageError(
            f"{NAME} failed: {type(error).__name__}: {_said(error)}", file=place[0], line=place[1], remedy=_REMEDY
        ) from error


def _place(error: BaseException, path: Path) -> tuple[Path, int | None] | None:
    """The product's own line that an exception came from or through, the last one; None where it has none."""
    folder = path.resolve().parent
    if isinstance(error, SyntaxError) and error.filename and Path(error.filename).resolve().is_relative_to(folder):
        return _as_named(Path(error.filename), path), error.lineno
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        file = Path(frame.filename).resolve()
        if file.is_relative_to(folder) and not file.is_relative_to(_OURS) and "site-packages" not in file.parts:
            return _as_named(file, path), frame.lineno
    return None


def _as_named(file: Path, path: Path) -> Path:
    """A file of the module's folder, by a path as the module's."""
    return path.parent / file.resolve().relative_to(path.resolve().parent)


def _said(error: BaseException) -> str:
    return error.msg if isinstance(error, SyntaxError) else str(error)
