"""Driver `smp`: flash by an update over the console's line, as in the field: SMP with the stock client `smpclient`.

The device must run an application that serves SMP. Only its application is replaced: the rest of the flash stays as it is.
"""

from __future__ import annotations

import asyncio
import importlib.metadata
import importlib.util
import struct
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from devicepipe.bench.drivers.driver import DriverConfig, FlashDriver, FlashImages, Place, Timeout
from devicepipe.errors import BenchError, UsageError

_EXTRA = "pip install 'devicepipe[smp]'"


class SmpConfig(DriverConfig):
    """`request_timeout` bounds each request, `timeout` all of the update, in s; `baud`: the console's by default.

    With `mode` "test" the image is started on trial and confirmed once it runs and answers; with "confirm" it is confirmed before.
    """

    mode: Literal["test", "confirm"] = "test"
    baud: Annotated[int, Field(gt=0)] | None = None
    request_timeout: Timeout = 10.0
    timeout: Timeout = 600.0


class SmpFlash(FlashDriver):
    """Uploads the signed image, has it started, and demands that the device says it runs, confirmed."""

    Config = SmpConfig
    config: SmpConfig

    @property
    def needs_port(self) -> bool:
        """See `Driver`."""
        return True

    def check(self) -> str:
        """See `Driver`."""
        _demand_client(self.place)
        return f"smpclient {importlib.metadata.version('smpclient')}"

    def write(self, images: FlashImages) -> None:
        """See `FlashDriver`. An image that runs already is not uploaded; the device's word for its digest is the read-back."""
        config, place = self.config, self.place
        image, digest = _image(images.signed)
        _demand_client(place)
        from devicepipe.bench.drivers.smp_update import Update

        update = Update(place, image, digest, config.baud or place.board.console.baud, config.request_timeout)
        try:
            asyncio.run(asyncio.wait_for(update.run(trial=config.mode == "test"), config.timeout))
        except TimeoutError:
            raise update.error(f"was not done within {config.timeout:g} s") from None


def _demand_client(place: Place) -> None:
    if importlib.util.find_spec("smpclient") is None:
        raise BenchError(f"device '{place.device}': smpclient is not installed", remedy=_EXTRA)


def _image(signed: Path) -> tuple[bytes, bytes]:
    """The image, and the digest that MCUboot knows it by: SHA-256 of header, payload and protected TLVs."""
    from imgtool.image import Image, VerifyResult

    try:
        image = signed.read_bytes()
        result, _, digest, _ = Image.verify(str(signed), None)
    except (struct.error, OSError) as error:
        raise UsageError(f"is no MCUboot image: {error}", file=signed, remedy="build and sign first") from error
    if result != VerifyResult.OK:
        raise UsageError(f"is no MCUboot image: {result.name}", file=signed, remedy="build and sign first")
    return image, bytes(digest)
