"""From a bundle with a board's build and images to the session that tests them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from devicepipe.bench.spec import SessionSpec
from devicepipe.evidence.bundle import Bundle
from devicepipe.evidence.layout import IMAGE_KEY
from devicepipe.evidence.predicates import ImageSigning, Provenance, SourceInfo
from devicepipe.evidence.results import Identity
from devicepipe.project.config import Project, ProjectBoard
from devicepipe.project.inventory import load_inventory
from devicepipe.project.quarantine import load_quarantine


def session_of(bundle: Bundle, project: Project, board: ProjectBoard, root: Path, **further: Any) -> SessionSpec:
    """The session of a board's device tests.

    Args:
        bundle: Holds what was built and signed.
        project: The product.
        board: The board.
        root: The folder that the tests are run in: the product's, or a copy of it.
        further: What else the session is to know, by the names of its attributes.

    Raises:
        IntegrityError: The bundle does not hold what it must.
        UsageError: The list of tests in quarantine is wrong.
    """
    source = bundle.predicate(SourceInfo)
    signing = bundle.predicate(ImageSigning, board.name)
    build = bundle.predicate(Provenance, board.name).devicepipe
    return SessionSpec(
        board=board.board,
        factory=bundle.path(signing.factory_image),
        signed_image=bundle.path(signing.image),
        public_key=bundle.path(IMAGE_KEY),
        expected=Identity(
            board=board.name, version=signing.image_version, commit=source.commit, digest=signing.image_digest
        ),
        payload_digest=signing.payload_digest,
        tests=root / project.tests.path,
        elf=bundle.path(build.firmware("application").artifact("elf").path),
        bootloader_elf=bundle.path(build.firmware("bootloader").artifact("elf").path),
        update=bundle.path(signing.update.image) if signing.update else None,
        timeout=project.tests.timeout,
        retries=project.tests.retries,
        quarantine=tuple(entry for entry in load_quarantine(project) if board.name in entry.boards),
        tags=tuple(sorted({tag for device in load_inventory(project).devices.values() for tag in device.tags})),
        project=root,
        **further,
    )
