"""Analyse: what can be said of a board's sources and programs without running them, and its bill of materials."""

from __future__ import annotations

from devicepipe.evidence.predicates import Provenance
from devicepipe.project.config import ProjectBoard
from devicepipe.stages.context import Context
from devicepipe.stages.sbom import bill_of_materials
from devicepipe.stages.static_analysis import analyse_statically


def analyse(context: Context, board: ProjectBoard) -> None:
    """Run static analysis over the board's firmwares where they were built, check the linked programs, and list their parts.

    Raises:
        BenchError: An analyser failed, or did not report its must-fail sample.
        UsageError: The file of deviations or the baseline is wrong.
        ProductError: A link map cannot be read.
    """
    build = context.bundle.predicate(Provenance, board.name).devicepipe
    analyse_statically(context, board)
    bill_of_materials(context, board, build)
