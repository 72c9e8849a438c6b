"""What a device under test can do wrong, as assertion failures.

The error tree (devicepipe/errors.py) is for users and the bench; these accuse the product, so pytest reports them as it reports
any assertion that does not hold, and the verdict is `failed`.
"""

from __future__ import annotations


class DeviceFaultError(AssertionError):
    """The device did something that no correct device does."""


class LockupError(DeviceFaultError):
    """The processor locked up: a fault inside a fault handler (Armv6-M/Armv7-M Architecture Reference Manual, "Lockup")."""


class BadIdentityError(DeviceFaultError):
    """The device's reply to `id` is no identity: it cannot be the image under test."""


class UnexpectedResetError(DeviceFaultError):
    """The device reset itself, and the test did not notice."""


class UnaskedReplyError(DeviceFaultError):
    """The device sent more replies than it was sent commands: none of them can be trusted to answer what was asked."""


class NoReplyError(DeviceFaultError):
    """The device did not answer, or answered another command."""


class UnwantedOutputError(DeviceFaultError, ValueError):
    """The device sent what the test said that it must not send meanwhile (`not_matching`). pytest-embedded raises a ValueError."""
