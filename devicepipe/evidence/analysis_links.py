"""The links of a static analysis: what it says of its tools and findings must agree in itself."""

from __future__ import annotations

from devicepipe.errors import IntegrityError
from devicepipe.evidence.bundle import Attestation
from devicepipe.evidence.checks import same
from devicepipe.evidence.findings import StaticAnalysis


def check_analysis(attestation: Attestation) -> None:
    """Check a board's static analysis.

    Raises:
        IntegrityError: It proves a tool that did not run, has findings of one, or names decisions that it does not show.
    """
    analysis, link = attestation.read(StaticAnalysis), attestation.path
    same("board", analysis.board, attestation.board, link, "its name")
    ran = {tool.name for tool in analysis.tools}
    if wrong := sorted(analysis.proven_on.keys() - ran):
        raise IntegrityError(f"says that {wrong[0]} was proven, which did not run", link=link)
    if wrong := sorted({one.tool for one in analysis.findings} - ran):
        raise IntegrityError(f"has findings of {wrong[0]}, which did not run", link=link)
    if wrong := sorted(ran & (analysis.absent or {}).keys()):
        raise IntegrityError(f"says that {wrong[0]} ran, and that it did not", link=link)
    decided = {entry.fingerprint: entry for entry in analysis.dispositions or []}
    for given in decided.values():
        if given.disposition != "unreviewed" and not given.justification:
            raise IntegrityError(
                f"gives no reason for '{given.disposition}' of {given.rule} in {given.file}", link=link
            )
    for one in analysis.findings:
        if one.disposition is None:
            continue
        entry = decided.get(one.fingerprint or "")
        if entry is None or entry.disposition != one.disposition or (entry.tool, entry.rule) != (one.tool, one.rule):
            raise IntegrityError(
                f"says '{one.disposition}' of {one.rule} in {one.file}:{one.line}, which no decision of it says",
                link=link,
            )
