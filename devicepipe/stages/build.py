"""Build: a board's firmwares from a copy of the commit, with provenance; and once more elsewhere, compared bit for bit."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

from devicepipe.build.platformio import Build, BuildInputs, BuildSystemFailedError, build_board
from devicepipe.build.provenance import make_provenance
from devicepipe.build.reproducibility import compare
from devicepipe.build.soup import load_lock
from devicepipe.build.source import Commit
from devicepipe.build.surroundings import Surroundings, age, elsewhere
from devicepipe.evidence.layout import IMAGE_KEY, PYTHON_ENVIRONMENT
from devicepipe.evidence.predicates import PROVENANCE, REPRODUCIBILITY
from devicepipe.project.config import ProjectBoard
from devicepipe.stages.context import Context
from devicepipe.stages.source import check_source

_FIRST = "build"
# Of another length than the first, so that a path which leaks into the output moves what follows it.
_SECOND = "second-build-elsewhere"


def build(context: Context, board: ProjectBoard, commit: Commit) -> None:
    """Build a board, add its outputs to the bundle and attest their provenance.

    Raises:
        ProductError: It does not compile, link or fit.
        UsageError: The PlatformIO project or its environments are wrong.
        BenchError: A compiler or platform is missing.
    """
    project, writer = context.project, context.writer
    made = _build(context, board, commit, Surroundings(_FIRST))
    context.builds[board.name] = made
    artifacts = [artifact.path for firmware in made.result.firmwares for artifact in firmware.artifacts]
    for name in artifacts:
        writer.add_file(made.output / name, name)
    writer.add_file(made.log, f"evidence/{board.name}/build.log")
    soup = project.firmware.soup
    provenance = make_provenance(
        made,
        inputs=_inputs(context, commit),
        manifest=project.root / board.entry.manifest,
        manifest_name=board.entry.manifest,
        soup=load_lock(project.root / soup) if soup is not None else None,
        invocation_id=f"{project.product.name} {context.version} {board.name}",
        dirty=bool(commit.dirty),
        environment=writer.subject(PYTHON_ENVIRONMENT),
    )
    writer.attest(f"{board.name}/build", PROVENANCE, provenance, artifacts)


def rebuild(context: Context, board: ProjectBoard, commit: Commit) -> None:
    """Build a board again in other surroundings and attest whether the outputs are the same. Raises as `build`."""
    around = elsewhere(_SECOND, context.work / _SECOND / board.name)
    try:
        second = _build(context, board, commit, around)
    except BuildSystemFailedError:
        # SCons's threads have failed with a RecursionError; then the evidence says that both builds ran one compiler at a time.
        second = _build(context, board, commit, replace(around, folder=f"{_SECOND}-again", jobs=1))
    result = compare(context.builds[board.name], second)
    context.writer.add_file(second.log, f"evidence/{board.name}/second-build.log")
    context.writer.attest(f"{board.name}/reproducibility", REPRODUCIBILITY, result, result.compared)


def _build(context: Context, board: ProjectBoard, commit: Commit, around: Surroundings) -> Build:
    """Build in a copy of the commit of its own, or in place."""
    folder = context.work / around.folder / board.name
    if context.in_place:
        source = context.project.root
    else:
        check_source(context)
        source = folder / "source"
        shutil.copytree(context.project.root, source, symlinks=True)
        if around.aged:
            age(source)
    return build_board(
        project=source / context.project.firmware.project,
        board=board.board,
        environments={"application": board.entry.application, "bootloader": board.entry.bootloader},
        inputs=_inputs(context, commit),
        output=folder / "out",
        log=folder / "build.log",
        cancel=context.cancel,
        surroundings=around,
        build_root=source,
        data={entry.name: entry.artifact for entry in context.project.data},
    )


def _inputs(context: Context, commit: Commit) -> BuildInputs:
    key = context.keys.image.public
    return BuildInputs(
        version=context.version,
        commit=commit.id,
        source_date_epoch=commit.epoch,
        image_key=Path(context.bundle.path(IMAGE_KEY)),
        image_key_sha256=key.keyid,
        key_kind="development" if key.development else "production",
    )
