"""Production: all boards of an approved release under the production key, from the released commit to one folder beside the bundle.

What always holds: the folder `<bundle>.production/` appears complete, verified and synced, by one rename, or not at all; whoever is
killed runs it again. What is there and verifies is not made again. Each use of the production key is in the log before what it
signed can be found.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from devicepipe.durable import alone, sync, sync_tree
from devicepipe.evidence.facts import utc_now
from devicepipe.evidence.key_uses import use_of_key
from devicepipe.evidence.layout import IMAGE_KEY
from devicepipe.evidence.ledger.entry import Entry
from devicepipe.evidence.production import VerifiedProduction, production_folder, verify_production
from devicepipe.evidence.verify import VerifiedBundle
from devicepipe.pipeline.graph import Progress, Step, quietly, run
from devicepipe.pipeline.workspace import workspace
from devicepipe.project.config import Project
from devicepipe.signing.keys import PublicKey
from devicepipe.stages import ledger
from devicepipe.stages.context import open_keys
from devicepipe.stages.production import (
    Shipping,
    attest_production,
    build_bootloader,
    check_devices,
    check_ships,
    open_production_key,
    released_source,
    sign_production_images,
    start_device,
)


def make_production(
    project: Project, bundle: VerifiedBundle, *, progress: Progress, cancel: threading.Event
) -> tuple[VerifiedProduction, bool]:
    """Make what ships of a release, if it is not there yet; returns it, and whether it was made now.

    Args:
        project: The product, whose repository has the released commit.
        bundle: The release: approved.
        progress: Where to report.
        cancel: Set to stop the run.

    Raises:
        UsageError: It is not approved; the production key cannot be used, or is another one than the released.
        ProductError: A payload holds the key of the bench, or what ships does not start on a device.
        IntegrityError: The bootloader differs in more than its key; or what is there already does not verify.
        BenchError: A compiler, emulator, signer or imgtool cannot be used.
        KeyboardInterrupt: The user stopped it.
    """
    check_ships(project, bundle)
    final = production_folder(bundle.folder)
    with alone(final):
        if final.exists():
            return verify_production(bundle, final), False
        key, release_key = open_production_key(project, bundle), open_keys(project).release
        with workspace(project.state / "work") as work, _new_folder(final) as folder:
            shipping = Shipping(
                project=released_source(project, bundle, work / "source"),
                bundle=bundle,
                bench_key=PublicKey.from_pem(bundle.read(IMAGE_KEY)),
                key=key,
                work=work,
                folder=folder,
                cancel=cancel,
            )
            check_devices(shipping.project)
            run(_steps(shipping), progress, cancel, os.cpu_count() or 1)
            made = attest_production(shipping, release_key)
            sync_tree(folder)
            ledger.append(project, _uses(made))
            folder.rename(final)
            sync(final.parent)
        return verify_production(bundle, final), True


def _steps(shipping: Shipping) -> list[Step]:
    steps: list[Step] = []
    for board in shipping.project.boards:
        name = board.name
        steps += [
            Step(f"build {name}", quietly(build_bootloader, shipping, board)),
            Step(f"sign {name}", quietly(sign_production_images, shipping, board), (f"build {name}",)),
            Step(f"start {name}", quietly(start_device, shipping, board), (f"sign {name}",), kind="wait"),
        ]
    return steps


def _uses(made: VerifiedProduction) -> list[Entry]:
    """What the log says of the production key: each image that it signed."""
    release = f"{made.production.product} {made.production.version}"
    return [
        use_of_key(
            made.production_key.keyid,
            "production image",
            f"{release} {image.image}",
            made.sha256(image.image),
            at=utc_now(),
            release=release,
        )
        for board in made.production.boards
        for image in board.images
    ]


@contextmanager
def _new_folder(final: Path) -> Iterator[Path]:
    """A new folder beside the final one, on its file system; those that killed runs left are removed, the lock being held."""
    prefix = f".{final.name}-"
    for left in final.parent.glob(f"{prefix}*"):
        shutil.rmtree(left, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix=prefix, dir=final.parent))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)  # it has its final name, or is nothing
