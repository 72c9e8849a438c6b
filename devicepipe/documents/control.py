"""Document control: the title, number, revision and status, and the approval block.

A bundle is sealed before anybody signs it: in its documents the block says so, and leaves lines for signatures on paper. In copies
that are made of a release that people signed (21 CFR 11.50), it shows every signature.
"""

from __future__ import annotations

from devicepipe.documents.cells import time_text
from devicepipe.documents.model import Block, Cell, Column, KeyValues, Table, Title, Tone
from devicepipe.documents.record import SignedBy, SignedLine
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
                ("Status", Cell(definition.status, status_told(scope).capitalize())),
                ("Product", Cell(source.product, source.title)),
                ("Version", Cell(source.version, strong=True)),
                ("Commit", commit if source.dirty else Cell(source.commit)),
                ("Manufacturer", Cell(scope.values["manufacturer"])),
                ("Content", Cell(f"the evidence of the release that was started on {time_text(source.started_on)}")),
            ),
        ),
    )


def status_told(scope: Scope) -> str:
    """What signatures of people make of a document, in words."""
    signed = scope.record.people
    return f"{signed.state} by electronic signatures" if signed else NOT_APPROVED.lower()


def approval(scope: Scope) -> tuple[Block, ...]:
    """Every signature that was given; where none was, a line for each role that signs on paper."""
    if scope.record.people is not None:
        return _signatures(scope.record.people)
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


def _signatures(signed: SignedBy) -> tuple[Block, ...]:
    """Printed name, date and time, and meaning of each signature (21 CFR 11.50), and by what it is bound to the release (11.70)."""
    rows = tuple(
        (
            Cell(one.role, one.meaning, strong=True),
            Cell(
                one.done.upper() if one.counts else one.done, "" if one.counts else "no longer counts", tone=_tone(one)
            ),
            Cell(one.name, f"account {one.account}"),
            Cell(one.file, f"SHA-256 {one.sha256}"),
            Cell(time_text(f"{one.on[:19]}Z")),
        )
        for one in signed.lines
    )
    columns = (
        Column("Role, meaning of the signature", 28),
        Column("Status", 17),
        Column("Printed name", 18),
        Column("Electronic signature", 27),
        Column("Date and time, UTC", 16),
    )
    bound = KeyValues(
        "What was signed",
        (
            ("Release statement", Cell(f"SHA-256 {signed.release}")),
            ("The release is", Cell(signed.state.upper(), strong=True)),
        ),
    )
    return (Table("Approval", columns, rows), bound)


def _tone(line: SignedLine) -> Tone:
    if not line.counts:
        return Tone.MUTED
    return Tone.BAD if line.done in ("rejected", "withdrawn") else Tone.GOOD
