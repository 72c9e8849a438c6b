"""Campaigns: faults are injected into devices with the images of a bundle; in a release, what became of them is attested.

What always holds: the files of a session are copies of its own: a build that replaces the bundle meanwhile changes no verdict. A
campaign that a release asks for has a result about all of its points, or the reason why the device never came to the first one.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

from devicepipe.bench.campaigns.kinds import Plan
from devicepipe.bench.campaigns.run import run_campaign
from devicepipe.bench.emulator import emulator_tool
from devicepipe.bench.spec import SessionSpec
from devicepipe.errors import ProductError, UsageError
from devicepipe.evidence.bundle import Bundle
from devicepipe.evidence.campaigns import CAMPAIGNS, CampaignResult, Campaigns, Unprepared
from devicepipe.evidence.layout import IMAGE_KEY, kind_of_model
from devicepipe.evidence.predicates import ImageSigning, Provenance, SourceInfo
from devicepipe.evidence.results import Identity
from devicepipe.project.config import Project, ProjectBoard
from devicepipe.stages.context import Context
from devicepipe.stages.test import own_copy, pathless


def run_campaigns(context: Context, board: ProjectBoard, tell: Callable[[str], None]) -> None:
    """Run the campaigns that devicepipe.toml asks for on a board's device, one after the other, and attest them.

    Args:
        context: The run.
        board: The board.
        tell: Gets how far they have come.

    Raises:
        BenchError: The bench failed; nothing is said of the product.
        UsageError: The product's module, or more points than there are.
    """
    project, bundle = context.project, context.bundle
    root = own_copy(context, board, "campaign")
    module = root / project.campaign_module().relative_to(project.root)
    signing = bundle.predicate(ImageSigning, board.name)
    results: list[CampaignResult] = []
    unprepared: list[Unprepared] = []
    for kind, wish in project.campaigns.runs.items():
        spec = campaign_spec(project, bundle, board, context.work / "campaign" / board.name / kind)
        # One process: the boards of a release take turns on the cores.
        plan = Plan(points=wish.points, seed=wish.seed, processes=1)
        try:
            results.append(run_campaign(kind, spec, module, plan, partial(_tell, tell, kind), context.cancel))
        except UsageError as error:
            raise _in_project(error, root, project.root) from error
        except ProductError as error:
            unprepared.append(Unprepared(kind=kind, message=error.message))
    campaigns = Campaigns(
        board=board.name,
        image_digest=signing.image_digest,
        results=results,
        unprepared=unprepared,
        tools=[emulator_tool(board.board)],
    )
    text = pathless(context, root, campaigns.model_dump_json().encode())
    images = [signing.image, *([signing.update.image] if signing.update else [])]
    context.writer.attest(f"{board.name}/campaigns", CAMPAIGNS, Campaigns.model_validate_json(text), images)


def _in_project(error: UsageError, copy: Path, root: Path) -> UsageError:
    """A mistake in the session's copy of the product, at the product's own file."""
    file = error.file
    if file is not None and file.is_relative_to(copy):
        file = root / file.relative_to(copy)
    return UsageError(error.message, file=file, line=error.line, key=error.key, remedy=error.remedy)


def _tell(tell: Callable[[str], None], kind: str, text: str) -> None:
    tell(f"{kind}: {text}")


def campaign_spec(project: Project, bundle: Bundle, board: ProjectBoard, output: Path) -> SessionSpec:
    """A device session of a board with the images of a bundle, released or of a development run.

    Args:
        project: The product.
        bundle: Where the images are.
        board: One of its boards.
        output: For logs and the copies; made when missing.

    Raises:
        UsageError: The bundle has no image of that board.
        IntegrityError: The bundle does not hold what it must.
    """
    if not bundle.exists(kind_of_model(ImageSigning).path_for(board.name)):
        raise UsageError(
            f"the bundle '{bundle.folder}' has no signed image of board '{board.name}'",
            remedy=f"devicepipe sign --board {board.name} makes one in .devicepipe/dev; or name a board or a bundle that has it",
        )
    source, signing = bundle.predicate(SourceInfo), bundle.predicate(ImageSigning, board.name)
    build = bundle.predicate(Provenance, board.name).devicepipe
    folder = output / "images"
    folder.mkdir(parents=True, exist_ok=True)

    def own(name: str) -> Path:
        return Path(shutil.copy(bundle.path(name), folder / name.replace("/", "-")))

    return SessionSpec(
        board=board.board,
        factory=own(signing.factory_image),
        signed_image=own(signing.image),
        public_key=own(IMAGE_KEY),
        expected=Identity(
            board=board.name, version=signing.image_version, commit=source.commit, digest=signing.image_digest
        ),
        payload_digest=signing.payload_digest,
        tests=project.root / project.tests.path,
        elf=own(build.firmware("application").artifact("elf").path),
        bootloader_elf=own(build.firmware("bootloader").artifact("elf").path),
        update=own(signing.update.image) if signing.update else None,
        output=output,
        serial_log="serial.log",
        tester="campaign",
    )
