# SPDX-License-Identifier: Apache-2.0
"""The local development platform needs nothing beyond PlatformIO's base class."""

from platformio.public import PlatformBase


class BaremetalPlatform(PlatformBase):
    """Bare-metal Cortex-M and RISC-V with a compiler from PATH; no packages to install."""
