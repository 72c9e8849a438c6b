"""Sign: the built application becomes a MCUboot image, and with the bootloader and the data images a factory image.

The same payload is signed once more with the next build number: with that image, device tests exercise a real update under the
release's key without ever holding it (docs/reference/bundle.md, "The update-test image").
"""

from __future__ import annotations

from pathlib import Path

from devicepipe.evidence.predicates import (
    IMAGE_SIGNING,
    BuildResult,
    DataImage,
    ImageSigning,
    Provenance,
    Tool,
    UpdateImage,
)
from devicepipe.project.board import Board
from devicepipe.project.config import ProjectBoard
from devicepipe.project.sections import DataEntry
from devicepipe.signing.factory import Placement, make_factory_image
from devicepipe.signing.image import SignedImage, imgtool_version, next_build, sign_image
from devicepipe.stages.context import Context


def image_name(board: str) -> str:
    """The signed image's name in the bundle."""
    return f"images/{board}/application.signed.bin"


def update_name(board: str) -> str:
    """The update-test image's name in the bundle."""
    return f"images/{board}/application.update.signed.bin"


def data_name(board: str, name: str) -> str:
    """A signed data image's name in the bundle."""
    return f"images/{board}/{name}.signed.bin"


def factory_name(board: str) -> str:
    """The factory image's name in the bundle."""
    return f"images/{board}/factory.hex"


def sign(context: Context, board: ProjectBoard) -> None:
    """Sign a board's application and data images, verify the results, and merge them with the bootloader.

    Raises:
        ProductError: An image does not fit its slot or region.
        IntegrityError: Parts of the factory image overlap.
        UsageError: The version cannot be a MCUboot version, or the key cannot sign images.
        BenchError: The signer or imgtool failed.
    """
    build = context.bundle.predicate(Provenance, board.name).devicepipe
    layout, name = board.board, board.name
    folder = context.work / "sign" / name
    folder.mkdir(parents=True)
    image = _program(context, board, build, folder / "application.signed.bin", context.version)
    update = _program(context, board, build, folder / "application.update.signed.bin", next_build(context.version))
    data = {entry: _data(context, board, build, folder, entry) for entry in context.project.data}
    factory = folder / "factory.hex"
    make_factory_image(
        context.bundle.path(build.firmware("bootloader").artifact("hex").path),
        _placement(layout, "bootloader"),
        image,
        _placement(layout, "slot0"),
        factory,
        [(signed, _placement(layout, entry.region)) for entry, signed in data.items()],
    )
    files = {image_name(name): image.path, update_name(name): update.path, factory_name(name): factory}
    files |= {data_name(name, entry.name): signed.path for entry, signed in data.items()}
    for target, path in files.items():
        context.writer.add_file(path, target)
    predicate = ImageSigning(
        board=name,
        image=image_name(name),
        factory_image=factory_name(name),
        payload_digest=image.payload_digest,
        image_digest=image.image_digest,
        image_version=image.version,
        security_counter=image.security_counter,
        key=context.keys.image.info,
        tool=Tool(name="imgtool", version=imgtool_version()),
        dependencies=list(image.dependencies),
        data=[
            DataImage(
                name=entry.name,
                number=entry.image,
                image=data_name(name, entry.name),
                artifact=build.firmware("application").data[entry.name].path,
                payload_digest=signed.payload_digest,
                image_digest=signed.image_digest,
                image_version=signed.version,
                security_counter=signed.security_counter,
                region=entry.region,
                address=layout.address(entry.region),
            )
            for entry, signed in data.items()
        ],
        update=UpdateImage(image=update_name(name), image_digest=update.image_digest, image_version=update.version),
    )
    context.writer.attest(f"{name}/signing", IMAGE_SIGNING, predicate, files)


def _program(context: Context, board: ProjectBoard, build: BuildResult, out: Path, version: str) -> SignedImage:
    layout, settings = board.board, context.project.image
    return sign_image(
        context.bundle.path(build.firmware("application").artifact("bin").path),
        out,
        signer=context.keys.image.signer,
        public_key=context.keys.image.public,
        version=version,
        security_counter=settings.security_counter,
        header_size=layout.image.header_size,
        slot_size=layout.slot0.size,
        align=layout.image.align,
        dependencies=settings.dependencies,
    )


def _data(context: Context, board: ProjectBoard, build: BuildResult, folder: Path, entry: DataEntry) -> SignedImage:
    layout = board.board
    return sign_image(
        context.bundle.path(build.firmware("application").data[entry.name].path),
        folder / f"{entry.name}.signed.bin",
        signer=context.keys.image.signer,
        public_key=context.keys.image.public,
        version=entry.version,
        security_counter=entry.security_counter,
        header_size=layout.image.header_size,
        slot_size=layout.regions[entry.region].size // entry.copies,
        align=layout.image.align,
        bootable=False,
    )


def _placement(board: Board, region: str) -> Placement:
    return Placement(board.address(region), board.regions[region].size)
