"""A product whose development build is the tests' own firmware, for plain pytest."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

from devicepipe.evidence import predicates as p
from devicepipe.evidence.bundle import BundleWriter
from devicepipe.evidence.layout import IMAGE_KEY, RELEASE_KEY
from devicepipe.signing.keys import ensure_development_keys
from tests.bench.samples import COMMIT, Firmware

ROOT = Path(__file__).parents[2]
TIME = "2026-01-01T00:00:00Z"
CONFIG = """\
[product]
name = "pump"
title = "A pump"
manufacturer = "Us"
safety-class = "C"

[firmware]
project = "firmware"

[[board]]
name = "microbit"
manifest = "boards/microbit.json"
application = "microbit"
bootloader = "microbit_boot"

[[board]]
name = "other"
manifest = "boards/microbit.json"
application = "other"
bootloader = "other_boot"
"""
INI = """\
[pytest]
addopts = -p devicepipe.bench.plugin --import-mode=importlib --strict-markers --color=no
"""
BENCH = """\
[[device]]
id = "real-1"
board = "microbit"
port = "/dev/ttyACM0"
"""


def make_product(
    folder: Path, firmware: Firmware, modules: dict[str, str], script: bytes = b"", mood: str = "n"
) -> Path:
    """A product with device tests (name → source) and the bundle of a development build of its first board."""
    for name in ("firmware", "boards", "requirements", "hil"):
        (folder / name).mkdir(parents=True)
    (folder / "devicepipe.toml").write_text(CONFIG)
    (folder / "requirements/pump.md").write_text("# Pump\n\n## SRS-001 Status\n\nIt answers.\n")
    board = firmware.board.model_dump(mode="json", by_alias=True, exclude_none=True, exclude={"name", "title"})
    (folder / "boards/microbit.json").write_text(json.dumps({"name": "Board", "devicepipe": board}))
    (folder / "hil/pytest.ini").write_text(INI)
    (folder / "hil/bench.toml").write_text(BENCH)
    for name, source in modules.items():
        text = textwrap.dedent(source)
        (folder / "hil" / name).write_text(f"import pytest\n{text}" if name.endswith(".py") else text, encoding="utf-8")
    write_bundle(folder / ".devicepipe/dev", folder, firmware, script, mood)
    return folder


def write_bundle(bundle: Path, folder: Path, firmware: Firmware, script: bytes = b"", mood: str = "n") -> BundleWriter:
    """The bundle of a development build of a product's first board, as far as its device tests need it."""
    keys = ensure_development_keys(folder / "keys")
    writer = BundleWriter(bundle, keys.release.signer(), keys.release.public)
    board, images = firmware.board.name, f"images/{firmware.board.name}"
    for name in (IMAGE_KEY, RELEASE_KEY):
        writer.add_bytes(b"a public key\n", name)
    writer.add_file(firmware.factory(folder / "firmware", mood, script), f"{images}/factory.hex")
    writer.add_bytes(firmware.image(mood, script), f"{images}/application.signed.bin")
    elfs = {role: f"{images}/{role}.elf" for role in ("application", "bootloader")}
    for name in elfs.values():
        writer.add_file(firmware.elf, name)
    outputs = [f"{images}/factory.hex", f"{images}/application.signed.bin", *elfs.values()]
    info = {"keyid": "0" * 64, "scheme": "ed25519", "development": True}
    source: dict[str, Any] = {
        "product": "pump", "title": "Pump", "manufacturer": "Us", "safety_class": "C", "version": "0.0.0", "commit": COMMIT,
        "commit_time": TIME, "dirty": False, "boards": [board], "started_on": TIME, "tester": "tester", "tools": [],
        "image_key": info, "release_key": info,
    }  # fmt: skip
    writer.attest("source", p.SOURCE, p.SourceInfo.model_validate(source), [IMAGE_KEY, RELEASE_KEY])
    use = p.MemoryUse(used=1, limit=2)
    builds = [
        p.FirmwareBuild.model_validate({
            "role": role, "environment": board, "flash": use, "ram": use,
            "artifacts": [{"role": "elf", "path": name, "sha256": writer.subject(name).digest.sha256, "size": 1}],
        })
        for role, name in elfs.items()
    ]  # fmt: skip
    definition = p.BuildDefinition(
        build_type=p.BUILD_TYPE, external_parameters={}, internal_parameters={}, resolved_dependencies=[]
    )
    provenance = p.Provenance(
        build_definition=definition,
        run_details=p.RunDetails(builder={"id": "urn:devicepipe:builder:local"}, metadata={}),
        devicepipe=p.BuildResult(board=board, firmwares=builds, compilers=[]),
    )
    writer.attest(f"{board}/build", p.PROVENANCE, provenance, outputs)
    expected = firmware.identity()
    signing: dict[str, Any] = {
        "board": board, "image": f"{images}/application.signed.bin", "factory_image": f"{images}/factory.hex",
        "payload_digest": hashlib.sha256(firmware.code).hexdigest(), "image_digest": expected.digest,
        "image_version": expected.version, "security_counter": 1, "key": info, "tool": {"name": "imgtool", "version": "1"},
    }  # fmt: skip
    writer.attest(f"{board}/signing", p.IMAGE_SIGNING, p.ImageSigning.model_validate(signing), outputs)
    return writer


def plain_environment() -> dict[str, str]:
    """The environment of plain pytest, without what this pytest was told."""
    unwanted = ("PYTEST_ADDOPTS", "PYTEST_PLUGINS", "PYTEST_XDIST_WORKER", "PYTEST_DISABLE_PLUGIN_AUTOLOAD")
    return {name: value for name, value in os.environ.items() if name not in unwanted} | {"PYTHONPATH": str(ROOT)}


def plain_pytest(product: Path, *arguments: str) -> tuple[int, str]:
    """Exit status and output of `pytest` with these arguments, in the product's folder."""
    command = [sys.executable, "-m", "pytest", *arguments]
    ended = subprocess.run(
        command, check=False, capture_output=True, text=True, cwd=product, env=plain_environment(), timeout=300
    )
    return ended.returncode, ended.stdout + ended.stderr
