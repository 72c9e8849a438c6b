# SPDX-License-Identifier: Apache-2.0
"""The local development platform needs nothing beyond PlatformIO's base class."""

from platformio.public import PlatformBase


class HostPlatform(PlatformBase):
    """Programs for this computer with a compiler from PATH; no packages to install, no board."""

    def is_embedded(self):
        return False
