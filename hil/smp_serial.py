"""Stock `smpclient` on a device's link `smp`: only its transport's way to the bytes is ours, as its documentation foresees."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from smpclient import SMPClient
from smpclient.generics import success
from smpclient.transport.serial import SMPSerialTransport

from devicepipe.bench.device import Device

T = TypeVar("T")

_POLL = 0.1  # s that the device runs, or is waited for, at each look for bytes


class _Port:
    """What SMPSerialTransport uses of a pyserial port, on the device's link."""

    out_waiting = 0
    port = "smp"

    def __init__(self, device: Device) -> None:
        self._link = device.link("smp")
        self._link.discard()

    def write(self, data: bytes) -> int:
        """Send bytes."""
        self._link.write(data)
        return len(data)

    def read_all(self) -> bytes:
        """What has arrived; the device runs a little for it."""
        data: bytes = self._link.read(65536, _POLL)
        return data

    def close(self) -> None:
        """Nothing to close: the link belongs to the device."""


class _Transport(SMPSerialTransport):
    """The serial transport on a device's link."""

    def __init__(self, device: Device) -> None:
        super().__init__()
        self._device = device

    async def connect(self, address: str, timeout_s: float) -> None:  # noqa: ARG002 - the interface's
        """Take the device's link in the place of a port that would be opened."""
        self._reset_state()
        self._conn = _Port(self._device)  # type: ignore[misc]


def with_client(device: Device, use: Callable[[SMPClient], Coroutine[Any, Any, T]], timeout: float = 10.0) -> T:
    """Connect a client to the device, which asks for its parameters, and use it; each request within `timeout` seconds."""

    async def session() -> T:
        async with SMPClient(_Transport(device), device.board.name, timeout_s=timeout) as client:
            return await use(client)

    return asyncio.run(session())


def request(device: Device, message: Any, timeout: float = 10.0) -> Any:
    """Send one request; the response, or the error, that the device answers with."""

    async def use(client: SMPClient) -> Any:
        return await client.request(message)

    return with_client(device, use, timeout)


def succeeded(response: Any) -> bool:
    """Whether a response is no error. To smpclient one of an upload is none whatever its `rc` says."""
    return bool(success(response)) and not getattr(response, "rc", None)


def upload(device: Device, image: bytes, number: int = 0) -> None:
    """Upload an image; smpclient checks each step and that the digest matches in the end."""

    async def use(client: SMPClient) -> None:
        async for _ in client.upload(image, number):
            pass

    with_client(device, use)
