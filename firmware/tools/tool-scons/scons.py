# SPDX-License-Identifier: Apache-2.0
"""PlatformIO's build engine, taken from the SCons of the Python that runs PlatformIO.

PlatformIO 6.2.0 asks its registry for `tool-scons ~4.41101.0`; this folder satisfies it without a
registry when scons==4.11.1 is installed from PyPI. Without this folder PlatformIO fetches its own.
"""

import sys

try:
    import SCons
    import SCons.Script
except ImportError:
    sys.exit(
        "firmware/tools/tool-scons: SCons is not installed in " + sys.executable + "\n"
        "Either install it there (pip install scons==4.11.1), or delete firmware/tools/tool-scons "
        "and let PlatformIO fetch it from its registry."
    )
if SCons.__version__ != "4.11.1":
    sys.exit("firmware/tools/tool-scons: need scons==4.11.1, found " + SCons.__version__)

SCons.Script.main()
