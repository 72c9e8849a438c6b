"""The search for private keys and tokens, as the report tells it."""

from __future__ import annotations

from devicepipe.documents.cells import NOT_APPLICABLE
from devicepipe.documents.model import Block, Cell, Column, KeyValues, Paragraph, Table, Tone
from devicepipe.evidence.secrets import Secrets


def secrets_found(secrets: Secrets | None) -> tuple[Block, ...]:
    """What was searched by which tools, for which keys, and what was found."""
    if secrets is None:
        return (Paragraph.plain("The evidence holds no search for secrets."),)
    tools = [
        (tool.name, Cell(f"version {tool.version}; found {secrets.proven_on[tool.name]}"))
        if tool.name in secrets.proven_on
        else (tool.name, Cell(f"version {tool.version}; NOT PROVEN: it missed what was planted", tone=Tone.BAD))
        for tool in secrets.tools
    ]
    tools += [(name, Cell(f"did not run: {reason}")) for name, reason in secrets.absent.items()]
    keys = [
        (
            f"Private key of the {key.role}",
            Cell(f"{'searched for' if key.searched else 'not searched for'}: {key.note}"),
        )
        for key in secrets.keys
    ]
    searched = f"{secrets.source_files:,} source files, {secrets.bundle_files:,} files of the bundle ({len(secrets.images)} images)"
    rows = tuple(
        (
            Cell(one.rule, one.tool, strong=True),
            Cell(one.place),
            Cell(f"{one.file}:{one.line}" if one.line else one.file),
            Cell("FOUND", tone=Tone.BAD) if one.allowed is None else Cell("allowed"),
            NOT_APPLICABLE if one.allowed is None else Cell(one.allowed),
        )
        for one in secrets.findings
    )
    columns = (Column("Rule", 20), Column("Place", 10), Column("File", 30), Column("Outcome", 10), Column("Why", 30))
    return (
        KeyValues("Search for private keys and tokens", (("Searched", Cell(searched)), *tools, *keys)),
        Table("Secrets", columns, rows, empty="No secret was found."),
    )
