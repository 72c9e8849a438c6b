# SPDX-License-Identifier: Apache-2.0
"""A known-bad variant of the firmware, built instead of it: proof that the device tests find what they are for.

The flag is the environment variable DEVICEPIPE_DEFECT, or the option custom_defect of platformio.ini that stands for it: the
name of a patch in defects/. The patch is applied to a copy of the sources in the build folder; the product's sources stay as
they are.

What keeps a defect out of a product: devicepipe gives no DEVICEPIPE_* variable of the user's to a build; a production key is
refused here; and a tree whose platformio.ini names a defect differs from the commit by that line.
"""

import os
import shutil
import subprocess
from pathlib import Path


class DefectError(Exception):
    """The defect cannot be built; the message is for people."""


def source_folder(*, project: Path, build: Path, name: str, key_kind: str) -> str:
    """The folder of sources to build: the product's own, or a copy of it with that defect.

    Args:
        project: The PlatformIO project.
        build: The environment's build folder.
        name: The defect's name; empty for the product as it is.
        key_kind: "development" or "production".

    Raises:
        DefectError: There is no such defect, its patch does not apply, or the key is a production key.
    """
    sources = project / "src"
    if not name:
        return str(sources)
    patch = project / "defects" / f"{name}.patch"
    if not patch.is_file():
        known = ", ".join(sorted(path.stem for path in patch.parent.glob("*.patch")))
        raise DefectError(f"defect {name}: no {patch.name} in {patch.parent}; known: {known}")
    if key_kind != "development":
        raise DefectError(f"defect {name}: a firmware with a defect is never built for a {key_kind} key")
    copy = build / "defect"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(sources, copy / "src")
    # A ceiling, so that git takes the copy for a folder of its own even where it lies in a repository.
    environment = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    environment |= {"GIT_CEILING_DIRECTORIES": str(build.resolve()), "LC_ALL": "C"}
    command = ["git", "apply", "-C1", str(patch)]
    done = subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise DefectError(f"defect {name}: its patch does not apply any more: {done.stderr.strip()}")
    return str(copy / "src")
