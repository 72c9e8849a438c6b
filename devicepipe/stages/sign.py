"""Sign: the built application becomes a MCUboot image, and with the bootloader a factory image."""

from __future__ import annotations

from devicepipe.evidence.predicates import IMAGE_SIGNING, ImageSigning, Provenance, Tool
from devicepipe.project.board import Board
from devicepipe.project.config import ProjectBoard
from devicepipe.signing.factory import Placement, make_factory_image
from devicepipe.signing.image import imgtool_version, sign_image
from devicepipe.stages.context import Context


def image_name(board: str) -> str:
    """The signed image's name in the bundle."""
    return f"images/{board}/application.signed.bin"


def factory_name(board: str) -> str:
    """The factory image's name in the bundle."""
    return f"images/{board}/factory.hex"


def sign(context: Context, board: ProjectBoard) -> None:
    """Sign a board's application, verify the result, and merge it with the bootloader.

    Raises:
        ProductError: The image does not fit its slot.
        IntegrityError: Parts of the factory image overlap.
        UsageError: The version cannot be a MCUboot version, or the key cannot sign images.
        BenchError: The signer or imgtool failed.
    """
    build = context.bundle.predicate(Provenance, board.name).devicepipe
    binary = build.firmware("application").artifact("bin").path
    layout = board.board
    folder = context.work / "sign" / board.name
    folder.mkdir(parents=True)
    image = sign_image(
        context.bundle.path(binary),
        folder / "application.signed.bin",
        signer=context.keys.image.signer,
        public_key=context.keys.image.public,
        version=context.version,
        security_counter=context.project.image.security_counter,
        header_size=layout.image.header_size,
        slot_size=layout.slot0.size,
        align=layout.image.align,
    )
    factory = folder / "factory.hex"
    make_factory_image(
        context.bundle.path(build.firmware("bootloader").artifact("hex").path),
        _placement(layout, "bootloader"),
        image,
        _placement(layout, "slot0"),
        factory,
    )
    context.writer.add_file(image.path, image_name(board.name))
    context.writer.add_file(factory, factory_name(board.name))
    predicate = ImageSigning(
        board=board.name,
        image=image_name(board.name),
        factory_image=factory_name(board.name),
        payload_digest=image.payload_digest,
        image_digest=image.image_digest,
        image_version=image.version,
        security_counter=image.security_counter,
        key=context.keys.image.info,
        tool=Tool(name="imgtool", version=imgtool_version()),
    )
    context.writer.attest(
        f"{board.name}/signing", IMAGE_SIGNING, predicate, [predicate.image, factory_name(board.name)]
    )


def _placement(board: Board, region: str) -> Placement:
    return Placement(board.address(region), board.regions[region].size)
