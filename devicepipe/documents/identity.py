"""The title page: what is reported on, by whom it was made and tested, with what, and whether it may be released."""

from __future__ import annotations

from typing import Final

from devicepipe.documents.cells import MISSING, NONE, time_text
from devicepipe.documents.model import Block, Cell, Column, KeyValues, Notice, Table, Tone
from devicepipe.documents.record import ReleaseRecord
from devicepipe.evidence.predicates import KeyInfo, Tool

_SHOWN_REASONS: Final = 10
_SHOWN_LENGTH: Final = 240


def release_status(record: ReleaseRecord) -> tuple[Block, ...]:
    """Whether the release may be released, why not, and whether it is signed with development keys."""
    blocks: list[Block] = [_status(record)]
    if record.development_keys:
        blocks.append(
            Notice(
                Tone.WARNING,
                "Signed with development keys",
                ("The keys of this release are development keys. What they signed must not be put into the field.",),
            )
        )
    return tuple(blocks)


def _status(record: ReleaseRecord) -> Notice:
    decisions = record.decisions.decisions
    if record.releasable:
        held = sum(1 for decision in decisions if decision.passed)
        waived = record.decisions.waived
        warnings = len(decisions) - held - len(waived)
        told = f"{held} of {len(decisions)} decisions of rule set {record.decisions.rule_set} hold"
        told += f"; {warnings} with a warning" if warnings else ""
        weakened = len(record.decisions.weakened)
        told += f"; {weakened} made weaker than written, under Gate decisions" if weakened else ""
        if waived:
            told += f"; of those that do not, {len(waived)} waived"
            return Notice(Tone.WARNING, "RELEASABLE, WITH WAIVERS", (f"{told}.", *_shortened(tuple(waived))))
        return Notice(Tone.GOOD, "✓ RELEASABLE", (f"{told}.",))
    return Notice(Tone.BAD, "NOT RELEASABLE", _shortened(record.reasons))


def _shortened(sentences: tuple[str, ...]) -> tuple[str, ...]:
    """As many and as much of them as a title page holds."""
    shown = tuple(
        one if len(one) <= _SHOWN_LENGTH else f"{one[:_SHOWN_LENGTH]} … (in full under Gate decisions)"
        for one in sentences[:_SHOWN_REASONS]
    )
    if len(sentences) > len(shown):
        shown = (*shown, f"… and {len(sentences) - len(shown)} more, under Gate decisions.")
    return shown


def identity(record: ReleaseRecord) -> KeyValues:
    """Of which product, version and commit, tested by whom and when."""
    source = record.source
    commit = Cell(source.commit, "The tree differed from this commit when it was built.", tone=Tone.WARNING)
    finished = [run.finished_on for run in record.runs]
    return KeyValues(
        "Identity",
        (
            ("Product", Cell(source.product, source.title)),
            ("Version", Cell(source.version, strong=True)),
            ("Commit", commit if source.dirty else Cell(source.commit)),
            ("Commit time", Cell(time_text(source.commit_time))),
            ("Manufacturer", Cell(source.manufacturer)),
            ("Safety class", Cell(f"{source.safety_class} (IEC 62304, 4.3)")),
            ("Boards", Cell(", ".join(source.boards))),
            ("Tester", Cell(source.tester)),
            ("Release started", Cell(time_text(source.started_on))),
            ("Tests finished", Cell(time_text(max(finished)) if finished else "no test run in the evidence")),
        ),
    )


def images(record: ReleaseRecord) -> Table:
    """The signed images of every board, with their digests."""
    rows = []
    for board in record.source.boards:
        signed = record.signed(board)
        if signed is None:
            rows.append((Cell(board, strong=True), MISSING, MISSING, MISSING))
            continue
        version = f"version {signed.image_version}, security counter {signed.security_counter}"
        if signed.dependencies:
            version += f", needs {', '.join(signed.dependencies)}"
        name = Cell(board, strong=True)
        rows.append((name, Cell(signed.image, version), Cell(signed.image_digest), Cell(signed.payload_digest)))
        rows += [
            (
                name,
                Cell(
                    data.image,
                    f"data, image number {data.number}, version {data.image_version}, "
                    f"security counter {data.security_counter}, at {data.address:#010x} ({data.region})",
                ),
                Cell(data.image_digest),
                Cell(data.payload_digest),
            )
            for data in signed.data
        ]
        if signed.update:
            note = f"version {signed.update.image_version}: for tests of an update, not for the field"
            rows.append(
                (name, Cell(signed.update.image, note), Cell(signed.update.image_digest), Cell(signed.payload_digest))
            )
    columns = (
        Column("Board", 14),
        Column("Image", 25),
        Column("Image digest (SHA-256)", 30),
        Column("Payload digest (SHA-256)", 30),
    )
    return Table("Images", columns, tuple(rows), group_columns=1, row_header=1)


def keys(record: ReleaseRecord) -> Table:
    """The public keys, what each signs, and whether it is a development key."""
    uses: dict[KeyInfo, list[str]] = {}
    uses.setdefault(record.source.image_key, []).append("images")
    uses.setdefault(record.source.release_key, []).append("evidence and release")
    for signing in record.signing:
        if signing.key != record.source.image_key:
            uses.setdefault(signing.key, []).append(f"image of {signing.board}")
    rows = tuple(
        (
            Cell(", ".join(names), strong=True),
            Cell(key.scheme),
            Cell(key.keyid),
            Cell("DEVELOPMENT", tone=Tone.WARNING) if key.development else Cell("production"),
        )
        for key, names in uses.items()
    )
    columns = (
        Column("Signs", 17),
        Column("Scheme", 12),
        Column("Key id (SHA-256 of the public key)", 54),
        Column("Kind", 16),
    )
    return Table("Keys", columns, rows)


def tools(record: ReleaseRecord) -> Table:
    """Every tool that took part."""
    uses: dict[Tool, set[str]] = {}

    def note(used: list[Tool], use: str) -> None:
        for tool in used:
            uses.setdefault(tool, set()).add(use)

    note(record.source.tools, "release")
    for build in record.builds:
        note(build.compilers, "build")
    for analysis in record.analyses:
        note(analysis.tools, "analysis")
    for measured in record.memories:
        note([measured.tool], "analysis")
    for covered in record.coverages:
        note([covered.tool], "coverage")
    for signing in record.signing:
        note([signing.tool], "signing")
    for run in record.runs:
        note(run.tools, "test")
        if run.device.emulator:
            note([run.device.emulator], "test")
    rows = tuple(
        (
            Cell(tool.name, strong=True),
            Cell(tool.version),
            Cell(", ".join(sorted(uses[tool]))),
            Cell(tool.sha256 or NONE),
        )
        for tool in sorted(uses, key=lambda tool: (tool.name, tool.version, tool.sha256 or ""))
    )
    columns = (Column("Tool", 19), Column("Version", 14), Column("Used for", 13), Column("SHA-256 of the program", 54))
    return Table("Tools", columns, rows, empty="The evidence names no tools.")
