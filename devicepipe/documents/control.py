"""Document control: the title, number, revision and status, and the approval block.

Nobody has approved a document that devicepipe renders: there are no electronic signatures of people yet. The block says so, and
leaves lines for signatures on paper.
"""

from __future__ import annotations

from devicepipe.documents.cells import time_text
from devicepipe.documents.model import Block, Cell, Column, KeyValues, Table, Title, Tone
from devicepipe.documents.scope import Scope

NOT_APPROVED = "NOT APPROVED"


def title(scope: Scope) -> tuple[Block, ...]:
    """The document's title, with whose it is and of what."""
    source = scope.record.source
    return (
        Title(
            scope.definition.title,
            above=scope.values["manufacturer"],
            below=f"{source.title}, {source.version}",
            logo=scope.record.logo,
        ),
    )


def control(scope: Scope) -> tuple[Block, ...]:
    """Number, revision, status, and of which release."""
    definition, source = scope.definition, scope.record.source
    commit = Cell(source.commit, "The tree differed from this commit when it was built.", tone=Tone.WARNING)
    return (
        KeyValues(
            "Document control",
            (
                ("Document number", Cell(definition.number, strong=True)),
                ("Revision", Cell(definition.revision)),
                ("Status", Cell(definition.status, NOT_APPROVED.capitalize())),
                ("Product", Cell(source.product, source.title)),
                ("Version", Cell(source.version, strong=True)),
                ("Commit", commit if source.dirty else Cell(source.commit)),
                ("Manufacturer", Cell(scope.values["manufacturer"])),
                ("Content", Cell(f"the evidence of the release that was started on {time_text(source.started_on)}")),
            ),
        ),
    )


def approval(scope: Scope) -> tuple[Block, ...]:
    """A line for each role that signs: none has."""
    rows = tuple(
        (Cell(one.role, one.meaning, strong=True), Cell(NOT_APPROVED, tone=Tone.WARNING), Cell("\n\n"), Cell(), Cell())
        for one in scope.definition.approval
    )
    columns = (
        Column("Role, meaning of the signature", 30),
        Column("Status", 17),
        Column("Printed name", 20),
        Column("Signature", 20),
        Column("Date and time, UTC", 17),
    )
    return (Table("Approval", columns, rows, empty="The definition of this document asks for no signature."),)
