"""Development runs: build, analyse, sign and test the working tree as it is, board by board, without making a release.

The stages are those of a release, and so is the evidence; but objects of the last build are used again where their sources have not
changed, boards and tests can be picked, and the unsealed bundle in `.devicepipe/dev` is never a release.
"""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from devicepipe.build.source import read_commit
from devicepipe.evidence.bundle import Bundle, BundleWriter
from devicepipe.evidence.results import TestResult
from devicepipe.evidence.trace import TraceFinding
from devicepipe.pipeline.graph import Progress, Step, quietly, run
from devicepipe.pipeline.workspace import workspace
from devicepipe.project.config import Project
from devicepipe.project.quarantine import load_quarantine
from devicepipe.stages.build import build
from devicepipe.stages.context import Context, default_tester, open_keys
from devicepipe.stages.coverage import measure_coverage
from devicepipe.stages.declarations import read_declarations
from devicepipe.stages.sign import sign
from devicepipe.stages.source import attest_source, lay_down_libraries
from devicepipe.stages.static_analysis import analyse_statically
from devicepipe.stages.test import run_tests
from devicepipe.traceability.items import read_items
from devicepipe.traceability.markers import UNKNOWN_ITEM
from devicepipe.traceability.matrix import ORPHAN_TEST, trace

VERSION = "0.0.0"
"""The version of what was never released."""

Goal = Literal["build", "analyse", "sign", "test"]


@dataclass(frozen=True)
class Development:
    """What a development run made.

    Attributes:
        bundle: The unsealed bundle.
        boards: The boards it is about.
        findings: Tests that name no item, or one that does not exist: what would stop a release later.
    """

    bundle: Bundle
    boards: tuple[str, ...]
    findings: tuple[TraceFinding, ...] = ()


def develop(
    project: Project,
    goal: Goal,
    *,
    boards: Sequence[str],
    pytest_arguments: tuple[str, ...] = (),
    coverage: bool = False,
    devices: Mapping[str, str] | None = None,
    progress: Progress,
    cancel: threading.Event,
) -> Development:
    """Run the stages up to `goal` on the working tree.

    Args:
        project: The product.
        goal: The last stage.
        boards: Names of the boards; empty for all.
        pytest_arguments: Which tests, e.g. ("-k", "occlusion").
        coverage: Whether to tell what they execute (`stages.coverage`).
        devices: Board → the id of the device that its tests run on, where one is wanted.
        progress: Where to report.
        cancel: Set to stop the run.

    Raises:
        UsageError, ProductError, BenchError: As the stages do.
    """
    chosen = tuple(project.board(name) for name in dict.fromkeys(boards)) or project.boards
    items = read_items(project) if goal == "test" else ()
    if goal == "test":
        load_quarantine(project)  # so that a mistake in it is told before anything is built
    if goal == "analyse":
        read_declarations(project)
    commit = read_commit(project.root)
    keys = open_keys(project)
    final = project.state / "dev"
    with workspace(project.state / "work") as work:
        context = Context(
            project=project,
            home=project.root,
            work=work,
            version=VERSION,
            writer=BundleWriter(work / "bundle", keys.release.signer, keys.release.public),
            keys=keys,
            tester=default_tester(),
            cancel=cancel,
            in_place=True,
            devices=dict(devices or {}),
        )
        attest_source(context, commit, [], dirty=bool(commit.dirty))
        lay_down_libraries(project, context.cache)
        steps: list[Step] = []
        before = ""
        for board in chosen:
            name = board.name
            steps.append(Step(f"build {name}", quietly(build, context, board, commit)))
            if goal == "analyse":
                # One after the other: cppcheck leaves its dumps beside the sources, and boards share them here.
                needs = (f"build {name}", *((f"analyse {before}",) if before else ()))
                steps.append(Step(f"analyse {name}", quietly(analyse_statically, context, board), needs))
                before = name
            if goal in ("sign", "test"):
                steps.append(Step(f"sign {name}", quietly(sign, context, board), (f"build {name}",)))
            if goal == "test":
                tests = partial(run_tests, context, board, pytest_arguments=pytest_arguments, coverage=coverage)
                steps.append(Step(f"test {name}", tests, (f"sign {name}",), kind="wait"))
            if goal == "test" and coverage:
                steps.append(Step(f"coverage {name}", quietly(measure_coverage, context, board), (f"test {name}",)))
        run(steps, progress, cancel, os.cpu_count() or 1)
        _replace(work / "bundle", final)
    bundle, names = Bundle(final), tuple(board.name for board in chosen)
    if goal != "test":
        return Development(bundle, names)
    runs = [bundle.predicate(TestResult, name).devicepipe for name in names]
    found = trace(items, runs, names).findings
    return Development(bundle, names, tuple(one for one in found if one.kind in (UNKNOWN_ITEM, ORPHAN_TEST)))


def _replace(made: Path, final: Path) -> None:
    if final.exists():
        shutil.rmtree(final)
    made.rename(final)
