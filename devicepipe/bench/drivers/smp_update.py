"""One update over SMP. Of the stock client's serial transport only the way to the bytes is ours, as its documentation foresees."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable
from typing import Any

from serial import SerialException
from smp.image_management import ImageState
from smpclient import SMPClient
from smpclient.generics import success
from smpclient.requests.image_management import ImageStatesRead, ImageStatesWrite
from smpclient.requests.os_management import ResetWrite
from smpclient.transport import SMPTransportDisconnected
from smpclient.transport.serial import SMPSerialTransport

from devicepipe.bench.drivers.driver import Place
from devicepipe.bench.ports import Port, open_port
from devicepipe.errors import BenchError, DevicepipeError

_AGAIN = 0.1  # s between two attempts to reach a device that starts
# What it cannot say to its caller it logs as an error, on stderr where nobody listens.
logging.getLogger("smpclient").addHandler(logging.NullHandler())


class _UnreachedError(Exception):
    """The device, or its port, did not answer as one does; says how."""

    def __init__(self, error: Exception) -> None:
        super().__init__(next(iter(str(error).splitlines()), "") or type(error).__name__)


class Update:
    """An update of a device to an image.

    Args:
        place: Where the device is.
        image: The MCUboot image.
        digest: What MCUboot knows it by.
        baud: The rate of the line.
        timeout: The longest that the device may take to answer a request, in s.
    """

    def __init__(self, place: Place, image: bytes, digest: bytes, baud: int, timeout: float) -> None:
        self._place, self._image, self._digest, self._timeout = place, image, digest, timeout
        self._open = lambda: open_port(place.port, baud)
        self._now = "connect"

    def error(self, why: str) -> BenchError:
        """An error of what is being done."""
        return BenchError(
            f"device '{self._place.device}': update by SMP: {self._now}: {why}",
            remedy=f"check that the application on the device serves SMP on '{self._place.port}'; "
            f"the steps are in {self._place.log}",
        )

    async def run(self, *, trial: bool) -> None:
        """Have the device run the image, confirmed.

        Raises:
            BenchError: It does not answer, refuses, or runs another image in the end.
        """
        try:
            async with self._client() as client:
                self._step("read the images")
                if self._runs(await self._images(client), confirmed=True):
                    return
                self._step(f"upload {len(self._image)} bytes")
                async for _ in client.upload(self._image, first_timeout_s=max(40.0, self._timeout)):
                    pass
                self._step(f"request the image {'for a trial' if trial else 'for good'}")
                await self._accepted(client, ImageStatesWrite(hash=self._digest, confirm=not trial))
                self._step("reset")
                # It may be gone before its answer is.
                with contextlib.suppress(_UnreachedError):
                    await self._accepted(client, ResetWrite())
        except _UnreachedError as error:
            raise self.error(str(error)) from error
        self._step("wait until it runs, confirmed")
        await self._settled(trial=trial)

    async def _settled(self, *, trial: bool) -> None:
        """Wait until the device runs the image, confirm one on trial, and read back that it is; the caller bounds it."""
        asked = False
        while True:
            try:
                async with self._client() as client:
                    images = await self._images(client)
                    if self._runs(images, confirmed=True):
                        return
                    if self._runs(images):
                        if asked or not trial:
                            raise self.error(f"the image runs, and is not confirmed; {_told(images)}")
                        self._note("confirm")
                        await self._accepted(client, ImageStatesWrite(hash=self._digest, confirm=True))
                        asked = True
                        continue
            except _UnreachedError as error:
                # It starts, or its port comes and goes with it.
                self._note(f"no answer yet: {error}")
            else:
                # While the image is pending the device has not been reset yet.
                if not any(one.hash == self._digest and (one.pending or one.permanent) for one in images):
                    raise self.error(f"the device did not start the image; {_told(images)}")
            await asyncio.sleep(_AGAIN)

    @contextlib.asynccontextmanager
    async def _client(self) -> AsyncIterator[SMPClient]:
        """The client, connected.

        Raises:
            _UnreachedError: Whatever it raises, or its codec: of frames that are none they raise many things, AssertionError too.
        """
        try:
            async with SMPClient(_Transport(self._open), self._place.port, timeout_s=self._timeout) as client:
                yield client
        except (DevicepipeError, _UnreachedError):
            raise
        except Exception as error:
            raise _UnreachedError(error) from error

    async def _images(self, client: SMPClient) -> list[ImageState]:
        """The device's images, but for those of other cores."""
        return [one for one in (await self._accepted(client, ImageStatesRead())).images if not one.image]

    def _runs(self, images: list[ImageState], *, confirmed: bool = False) -> bool:
        return any(one.active and one.hash == self._digest and (one.confirmed or not confirmed) for one in images)

    async def _accepted(self, client: SMPClient, request: Any) -> Any:
        try:
            response = await client.request(request)
        except Exception as error:
            raise _UnreachedError(error) from error
        succeeded: bool = success(response)
        if not succeeded or getattr(response, "rc", None):
            raise self.error(f"the device refuses: {response}")
        return response

    def _step(self, what: str) -> None:
        self._now = what
        self._note(what)

    def _note(self, text: str) -> None:
        self._place.log.parent.mkdir(parents=True, exist_ok=True)
        with self._place.log.open("a", encoding="utf-8") as log:
            log.write(f"smp: {text}\n")


class _Connection:
    """What SMPSerialTransport uses of a pyserial port, on one of ours: every URL of bench.toml, and writes that are bounded."""

    out_waiting = 0

    def __init__(self, port: Port, name: str) -> None:
        self._port, self.port = port, name

    def write(self, data: bytes) -> int:
        try:
            self._port.send(data, 10.0)
        except OSError as error:
            raise SerialException(f"cannot be written: {error}") from error
        return len(data)

    def read_all(self) -> bytes:
        try:
            return self._port.receive()
        except (OSError, EOFError) as error:
            raise SerialException(f"the line was lost: {error}") from error

    def close(self) -> None:
        self._port.close()


class _Transport(SMPSerialTransport):
    """The serial transport on a port of ours."""

    def __init__(self, open_: Callable[[], Port]) -> None:
        super().__init__()
        self._open = open_

    async def connect(self, address: str, timeout_s: float) -> None:  # noqa: ARG002 - the interface's
        self._reset_state()
        try:
            self._conn = _Connection(self._open(), address)  # type: ignore[misc]
        except BenchError as error:
            raise SMPTransportDisconnected(error.message) from error


def _told(images: list[ImageState]) -> str:
    """What the device says of its images."""
    return "; ".join(
        f"slot {one.slot}: {bytes(one.hash or b'').hex()[:16]}"
        + "".join(f" {flag}" for flag in ("active", "confirmed", "pending", "permanent") if getattr(one, flag))
        for one in images
    )
