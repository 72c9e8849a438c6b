"""Having a device: the lease that a session or a command takes of a real one, keeps, and gives back."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from devicepipe.bench.holder import this_process
from devicepipe.bench.lease import Lease, LeaseLostError, LeaseStore
from devicepipe.errors import UsageError
from devicepipe.project.inventory import DeviceEntry

SECONDS = 60.0
"""How long a lease lasts where nobody renews it. A process that dies gives it back at once."""
BY_HAND = 3900.0
"""The same where nobody renews it while a driver works, which it does for an hour at the longest."""
_RENEW = 1.0


class Held:
    """A lease in the hand of this process.

    Attributes:
        lease: The lease; None: the device is emulated and has none.
        holder: Who has it, in words.
    """

    def __init__(self, store: LeaseStore | None, lease: Lease | None, *, own: bool, seconds: float = SECONDS) -> None:
        self.lease = lease
        self.holder = str(store.demand(lease).holder) if store and lease else ""
        self._store = store
        self._own = own
        self._seconds = seconds
        self._renewed = time.monotonic()

    def lost(self) -> str:
        """Renew it from time to time; why it is no longer held, or ""."""
        if self._store is None or self.lease is None or time.monotonic() - self._renewed < _RENEW:
            return ""
        self._renewed = time.monotonic()
        try:
            if self._own:
                self._store.renew(self.lease, self._seconds)
            else:
                self._store.demand(self.lease)
        except LeaseLostError as error:
            return error.message
        return ""

    def release(self) -> None:
        """Give it back, unless it is the user's own, or lost."""
        if self._store is not None and self.lease is not None and self._own:
            with suppress(LeaseLostError):
                self._store.release(self.lease)


@contextmanager
def holding(device: DeviceEntry, purpose: str, store: LeaseStore, *, by_hand: bool = False) -> Iterator[Held]:
    """Have a device for this process, as long as the context lasts.

    Args:
        device: The device; an emulated one is anybody's.
        purpose: What for, in words.
        store: The machine's leases.
        by_hand: Whether a person does it, who may do so under a lease of their own (`devicepipe bench lease`).

    Raises:
        LeaseHeldError: Somebody else has it.
        BenchError: Leases cannot be kept.
    """
    if device.emulated:
        yield Held(None, None, own=False)
        return
    process = this_process(purpose)
    record = store.read(device.id)
    if by_hand and record.holder is not None and record.holder.process is None and record.holder.same_user(process):
        held = Held(store, Lease(device.id, record.token, store.folder), own=False)
    else:
        seconds = BY_HAND if by_hand else SECONDS
        held = Held(store, store.acquire(device.id, process, seconds), own=True, seconds=seconds)
    try:
        yield held
    finally:
        held.release()


def demand_lease(lease: Lease | None) -> None:
    """Raise where a lease is no longer held; an emulated device has none.

    Raises:
        LeaseLostError: It is not; says what became of it.
    """
    if lease is not None:
        LeaseStore(lease.folder).demand(lease)


def demand_here(wrong_host: str, device: str) -> None:
    """Raise where a device is on another machine.

    Raises:
        UsageError: It is.
    """
    if wrong_host:
        raise UsageError(f"device '{device}' is connected to machine '{wrong_host}'", remedy="run this there")
