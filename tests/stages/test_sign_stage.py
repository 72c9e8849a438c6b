"""The sign stage on a small build: application, update-test image, data image and factory image, and what must not be signed."""

from __future__ import annotations

import hashlib
import json
import threading
from pathlib import Path

import pytest

from devicepipe.errors import ProductError, UsageError
from devicepipe.evidence import predicates as p
from devicepipe.evidence.bundle import BundleWriter
from devicepipe.project.config import load_project
from devicepipe.signing.factory import check_factory_image
from devicepipe.signing.image import verify_image
from devicepipe.stages.context import Context, Keys, SigningKey
from devicepipe.stages.sign import data_name, factory_name, image_name, sign, update_name
from tests.evidence.synthetic_bundle import development_keys, to_hex

CONFIG = """\
[product]
name = "pump"
title = "A pump"
manufacturer = "Us"
safety-class = "C"

[firmware]
project = "firmware"

[[board]]
name = "one"
manifest = "one.json"
application = "one"
bootloader = "one_boot"

[[data]]
name = "table"
artifact = "table.bin"
region = "table"
image = 1
version = "1.2.0"
security-counter = 4
copies = 2

[image]
security-counter = 3
dependencies = ["(1, 1.0.0)"]
"""

MANIFEST = {
    "name": "Board one",
    "devicepipe": {
        "core": "cortex-m0",
        "flash": {"base": "0x0", "size": "0x40000", "page": 1024, "write": 4},
        "ram": {"base": "0x20000000", "size": "0x4000"},
        "regions": {
            "bootloader": {"offset": 0, "size": "0x8000"},
            "slot0": {"offset": "0x8000", "size": "0x8000"},
            "table": {"offset": "0x20000", "size": "0x800"},
        },
    },
}

APPLICATION, BOOTLOADER, TABLE = b"application" * 100, b"bootloader" * 30, b"table" * 40


def context_of(root: Path, *, version: str = "1.2.3+7", table: bytes = TABLE) -> Context:
    """A run whose build has ended."""
    for folder in ("firmware", "requirements", "hil"):
        (root / folder).mkdir()
    (root / "one.json").write_text(json.dumps(MANIFEST), encoding="utf-8")
    (root / "devicepipe.toml").write_text(CONFIG, encoding="utf-8")
    keys = development_keys()
    writer = BundleWriter(root / "bundle", keys.release.signer, keys.release.public)
    files = {
        "application.bin": ("bin", APPLICATION),
        "table.bin": ("data/table", table),
        "bootloader.hex": ("hex", to_hex(BOOTLOADER, 0)),
    }
    artifacts: dict[str, list[p.Artifact]] = {"application": [], "bootloader": []}
    for name, (role, content) in files.items():
        path = f"images/one/{name}"
        writer.add_bytes(content, path)
        artifact = p.Artifact(role=role, path=path, sha256=hashlib.sha256(content).hexdigest(), size=len(content))
        artifacts["bootloader" if name.startswith("boot") else "application"].append(artifact)
    use = p.MemoryUse(used=1, limit=2)
    firmwares = [
        p.FirmwareBuild.model_validate(
            {"role": role, "environment": role, "artifacts": found, "flash": use, "ram": use}
        )
        for role, found in artifacts.items()
    ]
    provenance = p.Provenance(
        build_definition=p.BuildDefinition(
            build_type=p.BUILD_TYPE, external_parameters={}, internal_parameters={}, resolved_dependencies=[]
        ),
        run_details=p.RunDetails(builder={}, metadata={}),
        devicepipe=p.BuildResult(board="one", firmwares=firmwares, compilers=[]),
    )
    writer.attest("one/build", p.PROVENANCE, provenance, [f"images/one/{name}" for name in files])
    return Context(
        project=load_project(root / "devicepipe.toml"),
        home=root,
        work=root / "work",
        version=version,
        writer=writer,
        keys=Keys(
            image=SigningKey(keys.image.signer, keys.image.public),
            release=SigningKey(keys.release.signer, keys.release.public),
        ),
        tester="nobody",
        cancel=threading.Event(),
    )


def test_everything_is_signed_placed_and_attested(tmp_path: Path) -> None:
    context = context_of(tmp_path)
    (board,) = context.project.boards
    sign(context, board)
    bundle, key = context.bundle, context.keys.image.public
    image, update, table = (
        verify_image(bundle.path(name), key)
        for name in (image_name("one"), update_name("one"), data_name("one", "table"))
    )
    assert (image.version, update.version, table.version) == ("1.2.3+7", "1.2.3+8", "1.2.0+0")
    assert image.payload_digest == update.payload_digest == hashlib.sha256(APPLICATION).hexdigest()
    assert table.payload_digest == hashlib.sha256(TABLE).hexdigest()
    assert (image.bootable, update.bootable, table.bootable) == (True, True, False)
    assert (image.security_counter, update.security_counter, table.security_counter) == (3, 3, 4)
    assert image.dependencies == update.dependencies == ("(1, 1.0.0+0)",)
    start = check_factory_image(
        bundle.read(factory_name("one")),
        bundle.read("images/one/bootloader.hex"),
        bundle.read(image_name("one")),
        "factory",
        {"table": (0x20000, bundle.read(data_name("one", "table")))},
    )
    assert start == 0x8000, "and the update-test image is not in it"
    signing = bundle.predicate(p.ImageSigning, "one")
    assert signing.images == [image_name("one"), update_name("one"), data_name("one", "table")]
    assert [(data.name, data.number, data.region, data.address) for data in signing.data] == [
        ("table", 1, "table", 0x20000)
    ]
    subjects = {subject.name for subject in bundle.attestation("attestations/one/signing.dsse.json").statement.subjects}
    assert subjects == {*signing.images, factory_name("one")}


def test_data_that_fits_the_region_but_not_its_copy_is_refused(tmp_path: Path) -> None:
    context = context_of(tmp_path, table=b"x" * 0x300)
    with pytest.raises(ProductError, match="does not fit"):
        sign(context, context.project.boards[0])
    assert not context.bundle.exists(factory_name("one"))


def test_a_version_that_has_no_next_build_is_refused(tmp_path: Path) -> None:
    context = context_of(tmp_path, version="1.2.3+4294967295")
    with pytest.raises(UsageError, match="does not fit into 32 bits"):
        sign(context, context.project.boards[0])
