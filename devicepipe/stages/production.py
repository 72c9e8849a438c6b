"""Production: what ships of an approved release, made of the released commit and of the tested payloads, and started once.

Nothing is compiled anew but the bootloader: the payloads are those of the bundle, so what was tested is what ships. The bootloader
is built with the production key in the place of the bench's and must differ in nothing else; then an emulated device has to start
what ships, and to refuse what the bench signed.
"""

from __future__ import annotations

import shutil
import threading
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from datetime import datetime
from importlib.metadata import version
from pathlib import Path, PurePosixPath

from devicepipe.bench.channel import SerialLoop
from devicepipe.bench.device import Device
from devicepipe.bench.emulated import EmulatedTarget
from devicepipe.bench.emulator import emulator_program, emulator_tool
from devicepipe.bench.faults import DeviceFaultError
from devicepipe.bench.protocol import identity_errors, parse_identity
from devicepipe.bench.qemu import Qemu
from devicepipe.bench.serial_log import SerialLog
from devicepipe.bench.spec import SessionSpec
from devicepipe.build.platformio import Build, BuildInputs, build_board
from devicepipe.build.source import commit_of, export_tree
from devicepipe.build.surroundings import Surroundings
from devicepipe.errors import BenchError, IntegrityError, ProductError, UsageError
from devicepipe.evidence.build_links import source_files
from devicepipe.evidence.facts import sha256_of, utc_now
from devicepipe.evidence.layout import RELEASE_STATEMENT, SOURCE_CONFIG
from devicepipe.evidence.predicates import DataImage, ImageSigning, Provenance, SourceInfo, Tool
from devicepipe.evidence.production import (
    ATTESTATION,
    NAME_A_KEY,
    PRODUCTION_KEY,
    Production,
    ProductionBoard,
    ProductionImage,
    Start,
    VerifiedProduction,
    named_production_key,
    released_production_key,
    sign_production,
    verify_production,
)
from devicepipe.evidence.results import Identity
from devicepipe.evidence.verify import VerifiedBundle
from devicepipe.project.config import CONFIG_NAME, Project, ProjectBoard, load_project
from devicepipe.signing.factory import Placement, make_factory_image
from devicepipe.signing.image import SignedImage, imgtool_version, sign_image
from devicepipe.signing.keys import PublicKey, load_signer
from devicepipe.signing.trusted_key import check_other_key, holds_key
from devicepipe.stages.context import SigningKey, check_in_force, load_history
from devicepipe.stages.logged import logged_standing
from devicepipe.stages.source import lay_down_libraries

_SHIPS = ("approved", "released")
_TIMEOUT = 20.0  # s; of an emulated device's answer


@dataclass(frozen=True)
class Shipping:
    """What is being made of one release.

    Attributes:
        project: The product as released: its paths lie in a copy of the commit.
        bundle: The release.
        bench_key: The key of the tested images.
        key: The production key.
        work: The run's own folder.
        folder: What ships, while it is being made.
        cancel: Set when the run is to stop.
        builds: Each board's build of the bootloader.
        images: Each board's signed images by name.
        boards: What is to be attested of each board that is done.
    """

    project: Project
    bundle: VerifiedBundle
    bench_key: PublicKey
    key: SigningKey
    work: Path
    folder: Path
    cancel: threading.Event
    builds: dict[str, Build] = field(default_factory=dict)
    images: dict[str, dict[str, SignedImage]] = field(default_factory=dict)
    boards: dict[str, ProductionBoard] = field(default_factory=dict)


def check_ships(project: Project, bundle: VerifiedBundle) -> None:
    """Check that a release is one that ships: approved by people, and not withdrawn.

    Raises:
        UsageError: It is not.
        IntegrityError: A signature does not hold, or one that was logged is not there.
    """
    _, standing = logged_standing(project, bundle)
    if standing.state not in _SHIPS:
        raise UsageError(
            f"the release is {standing.state.told}: only an approved one is signed with the production key",
            file=bundle.folder,
            remedy="see `devicepipe approvals` for what it wants",
        )


def open_production_key(project: Project, bundle: VerifiedBundle) -> SigningKey:
    """The production key of devicepipe.toml, which must be the one that was released.

    Raises:
        UsageError: The release names none, none is configured, it cannot be used, it was replaced or revoked, or it is not the
            released one.
        IntegrityError: The released devicepipe.toml cannot be read.
        BenchError: The signing device or service cannot be reached.
    """
    found = named_production_key(bundle)
    if isinstance(found, str):
        raise UsageError(found, file=bundle.folder / SOURCE_CONFIG, key="keys.production-public", remedy=NAME_A_KEY)
    name, digest = found
    config, keys = project.root / CONFIG_NAME, project.keys
    for key, value in (("keys.production", keys.production), ("keys.production-public", keys.production_public)):
        if value is None:
            raise UsageError(
                "no production key is configured",
                file=config,
                key=key,
                remedy='name the signer, e.g. production = "pkcs11:token=production;object=image", and production-public, its '
                "public half as a PEM file of the repository",
            )
    assert keys.production is not None
    assert keys.production_public is not None
    public = PublicKey.load(project.root / keys.production_public)
    if sha256_of(project.root / keys.production_public) != digest:
        raise UsageError(
            f"is not {name} of the released commit: who approved the release approved that key",
            file=project.root / keys.production_public,
            remedy="ship it under the released key, or release a commit that names the new one",
        )
    if public.development:
        raise UsageError("is a development key: nothing ships under it", file=project.root / keys.production_public)
    if public.keyid == bundle.predicate(SourceInfo).image_key.keyid:
        raise UsageError(
            "is the key of the tested images: a device in the field would trust what a bench signs",
            file=project.root / keys.production_public,
            remedy="use different keys: [keys] image signs for the bench, production for the field",
        )
    check_in_force(project, load_history(project), "production", public)
    return SigningKey(load_signer(keys.production, public, project.root), public)


def released_source(project: Project, bundle: VerifiedBundle, copy: Path) -> Project:
    """A copy of the released commit, each file as the bundle lists it, with the locked libraries; and the product read from it.

    Raises:
        UsageError: The commit is not in the repository; as `load_project`.
        IntegrityError: A file of the commit is not what the bundle lists.
        BenchError: git or an archive of a library cannot be had.
    """
    export_tree(project.root, copy, commit=commit_of(project.root, bundle.release.commit))
    listed = source_files(bundle)
    found = {path.relative_to(copy).as_posix(): path for path in copy.rglob("*") if path.is_file()}
    for name in sorted(listed.keys() | found.keys()):
        if name not in found or listed.get(name) != sha256_of(found[name]):
            raise IntegrityError("is not in the commit as it is in the release", link=name)
    released = load_project(copy / CONFIG_NAME)
    lay_down_libraries(released, project.state / "cache")
    return released


def check_devices(project: Project) -> None:
    """Check, before anything is built, that there is an emulated device of every board to start what ships on.

    Raises:
        UsageError: A board has none; names it.
        BenchError: An emulator is not installed.
    """
    for board in project.boards:
        emulator_program(board.board)


def build_bootloader(shipping: Shipping, board: ProjectBoard) -> None:
    """Build a board's bootloader for the production key.

    Raises:
        ProductError, UsageError: As `build_board`.
        BenchError: A compiler is missing, or is another one than that of the release.
        IntegrityError: It differs from the tested one in more than the key.
    """
    name, source = board.name, shipping.bundle.predicate(SourceInfo)
    folder = shipping.work / "build" / name
    copy = shutil.copytree(shipping.project.root, folder / "source", symlinks=True)
    key = folder / PurePosixPath(PRODUCTION_KEY).name
    key.write_bytes(shipping.key.public.pem)
    made = build_board(
        project=copy / shipping.project.firmware.project,
        board=board.board,
        environments={"bootloader": board.entry.bootloader},
        inputs=_inputs(source, key, shipping.key.public),
        output=folder / "out",
        log=folder / "build.log",
        cancel=shipping.cancel,
        surroundings=Surroundings("build"),
        build_root=copy,
    )
    released = shipping.bundle.predicate(Provenance, name).devicepipe
    others = {f"{tool.name} {tool.version}": tool.sha256 for tool in released.compilers}
    for tool in made.result.compilers:
        if tool.sha256 not in others.values():
            raise BenchError(
                f"{name}: {tool.name} {tool.version} is not the compiler of the release: {', '.join(others)}",
                remedy="build on a machine with the release's compilers: its SHA-256 is in the build attestation",
            )
    tested = shipping.bundle.read(released.firmware("bootloader").artifact("hex").path)
    check_other_key(
        tested, _bootloader(made).read_bytes(), shipping.bench_key, shipping.key.public, f"bootloader of {name}"
    )
    shipping.builds[name] = made


def sign_production_images(shipping: Shipping, board: ProjectBoard) -> None:
    """Sign a board's tested payloads with the production key, and make the factory image.

    Raises:
        ProductError: A payload holds the key of the bench.
        IntegrityError: What was signed is not what was tested.
        UsageError, BenchError: As `sign_image`.
    """
    name, layout = board.name, board.board
    signing = shipping.bundle.predicate(ImageSigning, name)
    build = shipping.bundle.predicate(Provenance, name).devicepipe
    entries = {entry.name: entry for entry in shipping.project.data}
    folder = shipping.folder / "images" / name
    binary = build.firmware("application").artifact("bin").path
    images = {"application": _signed(shipping, board, "application", binary, layout.slot0.size, signing)}
    placed = []
    for data in signing.data:
        size = layout.regions[data.region].size // entries[data.name].copies
        images[data.name] = _signed(shipping, board, data.name, data.artifact, size, data)
        placed.append((images[data.name], Placement(data.address, layout.regions[data.region].size)))
    bootloader = folder / "bootloader.hex"
    shutil.copyfile(_bootloader(shipping.builds[name]), bootloader)
    make_factory_image(
        bootloader,
        Placement(layout.address("bootloader"), layout.regions["bootloader"].size),
        images["application"],
        Placement(layout.address("slot0"), layout.slot0.size),
        folder / "factory.hex",
        placed,
    )
    shipping.images[name] = images


def start_device(shipping: Shipping, board: ProjectBoard) -> None:
    """Start what ships on an emulated device, have it refuse what the bench signed, and start what ships once more.

    Raises:
        ProductError: The device does something else.
        UsageError: The board has no emulator.
        BenchError: The emulator cannot be used.
    """
    name, folder = board.name, shipping.folder / "evidence" / board.name
    folder.mkdir(parents=True)
    build = shipping.builds[name]
    shutil.copyfile(build.log, folder / "build.log")
    signing = shipping.bundle.predicate(ImageSigning, name)
    spec = _session(shipping, board, signing)
    with ExitStack() as stack:
        loop = stack.enter_context(closing(SerialLoop()))
        logs = {
            uart: stack.enter_context(
                closing(SerialLog(folder / Path(spec.log_name(uart)).name, shipping.work / f"{name}-{uart}"))
            )
            for uart in board.board.uarts
        }
        output = shipping.work / f"{name}-emulator.log"
        target = EmulatedTarget(spec, lambda _: Qemu(board.board, output, logs, loop))
        device = stack.enter_context(closing(Device(spec, target)))
        console = logs[board.board.console.uart]
        try:
            starts = [_accepted(device, console, spec), _refused(device, console, shipping.bundle.read(signing.image))]
            starts.append(_accepted(device, console, spec))
        except DeviceFaultError as fault:
            raise ProductError(f"{name}: what ships does not start as it must: {fault}") from fault
    shipping.boards[name] = _told(shipping, board, signing, starts, spec)


def attest_production(shipping: Shipping, release_key: SigningKey) -> VerifiedProduction:
    """Write the key and the attestation over all files, and verify the whole.

    Raises:
        IntegrityError: It does not hold.
        UsageError, BenchError: As `keys.sign`.
    """
    folder, bundle = shipping.folder, shipping.bundle
    (folder / PRODUCTION_KEY).parent.mkdir()
    (folder / PRODUCTION_KEY).write_bytes(_released_pem(shipping))
    source = bundle.predicate(SourceInfo)
    production = Production(
        product=source.product,
        version=source.version,
        commit=source.commit,
        release_statement=bundle.sha256(RELEASE_STATEMENT),
        production_key=shipping.key.info,
        bench_key=source.image_key,
        made_on=utc_now(),
        generator=Tool(name="devicepipe", version=version("devicepipe")),
        image_tool=Tool(name="imgtool", version=imgtool_version()),
        boards=[shipping.boards[board] for board in source.boards],
    )
    names = [PRODUCTION_KEY, *(name for board in production.boards for name in board.files)]
    digests = {name: sha256_of(folder / name) for name in names}
    attestation = sign_production(production, digests, release_key.signer, release_key.public)
    (folder / ATTESTATION).write_bytes(attestation)
    return verify_production(bundle, folder, release_key=release_key.public)


def _released_pem(shipping: Shipping) -> bytes:
    """The public key's file as the commit has it, byte for byte."""
    name, _ = released_production_key(shipping.bundle)
    return (shipping.project.root / name).read_bytes()


def _inputs(source: SourceInfo, key: Path, public: PublicKey) -> BuildInputs:
    return BuildInputs(
        version=source.version,
        commit=source.commit,
        source_date_epoch=int(datetime.fromisoformat(source.commit_time).timestamp()),
        image_key=key,
        image_key_sha256=public.keyid,
        key_kind="development" if public.development else "production",
    )


def _bootloader(build: Build) -> Path:
    return build.output / build.result.firmware("bootloader").artifact("hex").path


def _signed(
    shipping: Shipping, board: ProjectBoard, name: str, binary: str, size: int, tested: ImageSigning | DataImage
) -> SignedImage:
    """A tested payload under the production key; it must be the tested image in all that is signed."""
    program = isinstance(tested, ImageSigning)
    payload = shipping.work / f"{board.name}-{name}.bin"
    payload.write_bytes(shipping.bundle.read(binary))
    if holds_key(payload.read_bytes(), shipping.bench_key):
        raise ProductError(
            f"{binary}: it holds the key of the bench, and would trust it in the field",
            remedy="let the program take the key that it trusts from its bootloader, as the reference product does",
        )
    made = sign_image(
        payload,
        shipping.folder / tested.image,
        signer=shipping.key.signer,
        public_key=shipping.key.public,
        version=tested.image_version,
        security_counter=tested.security_counter,
        header_size=board.board.image.header_size,
        slot_size=size,
        align=board.board.image.align,
        bootable=program,
        dependencies=tested.dependencies if isinstance(tested, ImageSigning) else (),
    )
    if (made.payload_digest, made.image_digest) != (tested.payload_digest, tested.image_digest):
        raise IntegrityError("is not the payload that was tested under another key", link=tested.image)
    return made


def _session(shipping: Shipping, board: ProjectBoard, signing: ImageSigning) -> SessionSpec:
    folder = shipping.folder / "images" / board.name
    return SessionSpec(
        board=board.board,
        factory=folder / "factory.hex",
        signed_image=shipping.folder / signing.image,
        public_key=shipping.work / "build" / board.name / PurePosixPath(PRODUCTION_KEY).name,
        expected=Identity(
            board=board.name,
            version=signing.image_version,
            commit=shipping.bundle.release.commit,
            digest=signing.image_digest,
        ),
        payload_digest=signing.payload_digest,
        tests=shipping.project.root / shipping.project.tests.path,
        output=shipping.folder / "evidence" / board.name,
        serial_log=f"evidence/{board.name}/serial.log",
        tester="production",
    )


def _accepted(device: Device, console: SerialLog, spec: SessionSpec) -> Start:
    """The device starts what ships, and says that it is that."""
    start = console.offset
    device.prepare()
    line = device.command("id", timeout=_TIMEOUT)
    said = parse_identity(line)
    # Not every product tells the kind of the key that its bootloader trusts.
    expected = spec.expected.model_copy(update={"key": "production" if said.key else ""})
    if wrong := identity_errors(expected, said):
        raise DeviceFaultError("; ".join(wrong))
    return Start(image="production", line=line, log_start=start, log_end=console.offset)


def _refused(device: Device, console: SerialLog, image: bytes) -> Start:
    """The device refuses the image of the bench, and starts nothing."""
    device.install(image)
    start = console.offset
    device.reset()
    line = device.wait_started()
    if not line.startswith("boot: refused "):
        raise DeviceFaultError(f"its bootloader starts an image that the bench signed: {line!r}")
    return Start(image="bench", line=line, log_start=start, log_end=console.offset)


def _told(
    shipping: Shipping, board: ProjectBoard, signing: ImageSigning, starts: list[Start], spec: SessionSpec
) -> ProductionBoard:
    name, build = board.name, shipping.builds[board.name]
    released = shipping.bundle.predicate(Provenance, name).devicepipe
    tested = released.firmware("bootloader").artifact("hex").path
    bootloader = f"images/{name}/bootloader.hex"
    source = shipping.bundle.predicate(SourceInfo)
    key = shipping.key.public
    return ProductionBoard(
        board=name,
        application=_image(shipping, "application", signing),
        data=[_image(shipping, data.name, data) for data in signing.data],
        bootloader=bootloader,
        tested_bootloader_sha256=shipping.bundle.sha256(tested),
        key_at=check_other_key(
            shipping.bundle.read(tested),
            (shipping.folder / bootloader).read_bytes(),
            shipping.bench_key,
            key,
            bootloader,
        ),
        factory_image=f"images/{name}/factory.hex",
        compilers=build.result.compilers,
        environment=_inputs(source, Path(), key).recorded(),
        build_log=f"evidence/{name}/build.log",
        emulator=emulator_tool(board.board),
        serial_log=spec.serial_log,
        other_logs=[spec.log_name(uart) for uart in board.board.uarts if uart != board.board.console.uart],
        starts=starts,
    )


def _image(shipping: Shipping, name: str, tested: ImageSigning | DataImage) -> ProductionImage:
    return ProductionImage(
        name=name,
        image=tested.image,
        tested=tested.image,
        tested_sha256=shipping.bundle.sha256(tested.image),
        payload_digest=tested.payload_digest,
        image_digest=tested.image_digest,
        image_version=tested.image_version,
        security_counter=tested.security_counter,
    )
