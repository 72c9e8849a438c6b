"""What ships of a synthetic bundle, made with the real signers and the real imgtool; no device is emulated.

`make_production` takes edits of the predicate and of files *before* they are signed: that is how evidence comes about whose
signatures are all good and whose story is not.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from devicepipe.evidence import predicates as p
from devicepipe.evidence import production as q
from devicepipe.evidence.dsse import sign_envelope
from devicepipe.evidence.layout import RELEASE_STATEMENT
from devicepipe.evidence.statement import canonical_text, make_statement
from devicepipe.evidence.verify import VerifiedBundle, verify_bundle
from devicepipe.signing.factory import make_factory_image
from devicepipe.signing.image import imgtool_version
from devicepipe.signing.trusted_key import KIND_SIZE, check_other_key, key_kind, trusted_forms
from tests.evidence.synthetic_bundle import (
    BOOTLOADER,
    SLOT,
    TABLE,
    Keys,
    Made,
    Pair,
    board_files,
    production_pair,
    signed,
    to_hex,
)
from tests.evidence.synthetic_records import COMMIT, COMPILER, TIME

EMULATOR = p.Tool(name="qemu-system-arm", version="7.2.0", sha256="ee" * 32)


@dataclass(frozen=True)
class Spoil:
    """What to do differently.

    Attributes:
        edit: Changes the predicate's JSON before it is signed.
        files: By name: other bytes, listed with their own SHA-256, or further files.
        leave_out: Files that are neither written nor listed.
        unlisted: Files that are written and not listed.
        release_key: Another key that signs the attestation.
    """

    edit: Callable[[dict[str, Any]], object] = lambda _: None
    files: Mapping[str, bytes] = field(default_factory=dict)
    leave_out: Collection[str] = ()
    unlisted: Mapping[str, bytes] = field(default_factory=dict)
    release_key: Pair | None = None


@cache
def board_production(board: str, version: str, bench: Keys, production: Pair) -> Mapping[str, bytes]:
    """The files that ship for a board, by name: made once per process, because each imgtool start costs."""
    files = board_files(board, version, bench)
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        keys = Keys(production, bench.release)
        (work / "application.bin").write_bytes(files["application.bin"])
        (work / "table.bin").write_bytes(files["table.bin"])
        bootloader = production_bootloader(files["bootloader.bin"], bench.image, production)
        (work / "bootloader.bin").write_bytes(bootloader)
        image = signed(work, "application", version, keys)
        table = signed(work, "table", "1.0.0", keys, bootable=False, dependencies=())
        make_factory_image(work / "bootloader.bin", BOOTLOADER, image, SLOT, work / "factory.hex", [(table, TABLE)])
        return {
            "application.signed.bin": image.path.read_bytes(),
            "table.signed.bin": table.path.read_bytes(),
            "bootloader.hex": to_hex(bootloader, BOOTLOADER.address),
            "factory.hex": (work / "factory.hex").read_bytes(),
        }


def production_bootloader(tested: bytes, bench: Pair, production: Pair) -> bytes:
    """The tested bootloader, as a build with the production key would give it."""
    old, new = (trusted_forms(key.public)[0] for key in (bench, production))
    return tested.replace(old, new).replace(
        b"development\0", key_kind(production.public).encode().ljust(KIND_SIZE, b"\0")
    )


def make_production(made: Made, *, production: Pair | None = None, spoil: Spoil | None = None) -> Path:
    """Write what ships of a synthetic bundle beside it; returns the folder."""
    spoil, key = spoil or Spoil(), production or production_pair()
    bundle = verify_bundle(made.path, made.keys.release.public)
    source = bundle.predicate(p.SourceInfo)
    files: dict[str, bytes] = {q.PRODUCTION_KEY: key.public.pem}
    boards = [_board(bundle, board, source, made.keys, key, files) for board in source.boards]
    predicate = q.Production(
        product=source.product,
        version=source.version,
        commit=source.commit,
        release_statement=bundle.sha256(RELEASE_STATEMENT),
        production_key=key.info,
        bench_key=made.keys.image.info,
        made_on=TIME,
        generator=p.Tool(name="devicepipe", version="0.1.0"),
        image_tool=p.Tool(name="imgtool", version=imgtool_version()),
        boards=boards,
    ).to_json()
    spoil.edit(predicate)
    files |= spoil.files
    files = {name: data for name, data in files.items() if name not in spoil.leave_out}
    folder = q.production_folder(made.path)
    for name, data in {**files, **spoil.unlisted}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    digests = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
    signer = spoil.release_key or made.keys.release
    text = canonical_text(make_statement(q.PRODUCTION, predicate, digests, q.ATTESTATION))
    (folder / q.ATTESTATION).write_bytes(sign_envelope(text, signer.signer, signer.public))
    return folder


def _board(
    bundle: VerifiedBundle, board: str, source: p.SourceInfo, bench: Keys, key: Pair, files: dict[str, bytes]
) -> q.ProductionBoard:
    """What ships for a board; its files are added to `files`."""
    signing = bundle.predicate(p.ImageSigning, board)
    made = board_production(board, source.version, bench, key)
    files |= {f"images/{board}/{name}": data for name, data in made.items()}
    lines = {
        "production": f"OK id board={board} version={signing.image_version} commit={COMMIT} digest={signing.image_digest}"
        f" key={key_kind(key.public)} serial=emulated",
        "bench": "boot: refused unknown-key",
    }
    log, starts = b"", []
    for image in ("production", "bench", "production"):
        part = f"boot: hello\r\n{lines[image]}\r\n".encode()
        starts.append(q.Start(image=image, line=lines[image], log_start=len(log), log_end=len(log) + len(part)))
        log += part
    files[f"evidence/{board}/serial.log"] = log
    files[f"evidence/{board}/build.log"] = b"built\n"
    built = bundle.predicate(p.Provenance, board)
    environment = built.build_definition.internal_parameters["environment"]
    bootloader = f"images/{board}/bootloader.hex"
    old, new = bundle.read(bootloader), made["bootloader.hex"]
    return q.ProductionBoard(
        board=board,
        application=_image("application", signing.image, signing, bundle),
        data=[_image(data.name, data.image, data, bundle) for data in signing.data],
        bootloader=bootloader,
        tested_bootloader_sha256=bundle.sha256(bootloader),
        key_at=check_other_key(old, new, bench.image.public, key.public, bootloader),
        factory_image=f"images/{board}/factory.hex",
        compilers=[COMPILER],
        environment=environment
        | {"DEVICEPIPE_IMAGE_KEY": f"sha256:{key.public.keyid}", "DEVICEPIPE_KEY_KIND": key_kind(key.public)},
        build_log=f"evidence/{board}/build.log",
        emulator=EMULATOR,
        serial_log=f"evidence/{board}/serial.log",
        other_logs=[],
        starts=starts,
    )


def _image(name: str, file: str, said: p.ImageSigning | p.DataImage, bundle: VerifiedBundle) -> q.ProductionImage:
    return q.ProductionImage(
        name=name,
        image=file,
        tested=file,
        tested_sha256=bundle.sha256(file),
        payload_digest=said.payload_digest,
        image_digest=said.image_digest,
        image_version=said.image_version,
        security_counter=said.security_counter,
    )
