"""The summary for each board, and what is not as it should be."""

from __future__ import annotations

from devicepipe.documents.cells import MISSING, NONE, count_cell, memory_cell, verdict_cell, yes_no
from devicepipe.documents.memory import stack_cell
from devicepipe.documents.model import Cell, Column, Table, Tone
from devicepipe.documents.record import ReleaseRecord, requirements, untested
from devicepipe.evidence.results import Verdict


def results(record: ReleaseRecord) -> Table:
    """Verdicts and verified requirements, one row for each board."""
    gaps = untested(record)
    wanted = requirements(record)
    rows = []
    for board in record.source.boards:
        run = record.run(board)
        total = sum(1 for item in wanted if board in item.boards)
        missing = sum(1 for gap in gaps if gap.board == board)
        verified = Cell(f"{total - missing:,} of {total:,}", tone=Tone.BAD if missing else Tone.PLAIN)
        name = Cell(board, strong=True)
        if run is None:
            rows.append((name, MISSING, *[MISSING] * 5, MISSING, verified))
            continue
        counts = run.counts()
        device = "emulated" if run.device.emulated else "hardware"
        rows.append(
            (
                name,
                Cell(run.device.id, device),
                yes_no(not run.identity_errors, yes="✓ agrees", no="DIFFERS"),
                count_cell(len(run.cases), bad=None if run.cases else Tone.BAD),
                Cell(f"{counts[Verdict.PASSED]:,}", "do not count", tone=Tone.WARNING)
                if run.identity_errors and counts[Verdict.PASSED]
                else count_cell(counts[Verdict.PASSED]),
                count_cell(counts[Verdict.FAILED], bad=Tone.BAD),
                count_cell(counts[Verdict.ERROR], bad=Tone.BAD),
                count_cell(counts[Verdict.NOT_RUN], bad=Tone.WARNING),
                verified,
            )
        )
    columns = (
        Column("Board", 15),
        Column("Device", 16),
        Column("Identity", 11),
        Column("Cases", 8, "right"),
        Column("Passed", 8, "right"),
        Column("Failed", 8, "right"),
        Column("Error", 8, "right"),
        Column("Not run", 9, "right"),
        Column("Requirements verified", 17, "right"),
    )
    return Table("Test results", columns, tuple(rows))


def software(record: ReleaseRecord) -> Table:
    """Memory, reproducibility and image digest of each board's programs."""
    rows: list[tuple[Cell, ...]] = []
    for board in record.source.boards:
        build, reproduced, signed = record.build(board), record.reproduced(board), record.signed(board)
        identical = MISSING if reproduced is None else yes_no(reproduced.identical)
        name = Cell(board, strong=True)
        if build is None:
            rows.append((name, MISSING, MISSING, MISSING, MISSING, identical, MISSING))
            continue
        for firmware in build.firmwares:
            digest = Cell(NONE)
            if firmware.role == "application":
                digest = Cell(signed.image_digest) if signed else MISSING
            rows.append(
                (
                    name,
                    Cell(firmware.role),
                    memory_cell(firmware.flash),
                    memory_cell(firmware.ram),
                    _stack(record, board, firmware.role),
                    identical,
                    digest,
                )
            )
    columns = (
        Column("Board", 12),
        Column("Software", 11),
        Column("Flash, bytes", 16),
        Column("RAM, bytes", 15),
        Column("Stack, worst case", 14.5),
        Column("Reproducible", 13),
        Column("Image digest", 27),
    )
    return Table("Software", columns, tuple(rows), group_columns=1, row_header=1)


def _stack(record: ReleaseRecord, board: str, role: str) -> Cell:
    measured = record.memory(board)
    stacks = [program.stack for program in measured.programs if program.role == role] if measured else []
    return stack_cell(stacks[0]) if stacks else MISSING


def not_passed(record: ReleaseRecord) -> Table:
    """Test cases with another verdict than passed."""
    rows = tuple(
        (
            Cell(run.board, strong=True),
            Cell(case.id, f"verifies {', '.join(case.verifies)}" if case.verifies else "verifies no requirement"),
            verdict_cell(case.verdict.value),
            Cell(case.reason or "no reason given"),
        )
        for run in record.runs
        for case in run.cases
        if case.verdict is not Verdict.PASSED
    )
    columns = (Column("Board", 14), Column("Test case", 34), Column("Verdict", 12), Column("Reason", 40))
    return Table(
        "Tests that did not pass",
        columns,
        rows,
        group_columns=1,
        row_header=1,
        empty="None: every collected test case passed." if _ran(record) else "None.",
    )


def _ran(record: ReleaseRecord) -> bool:
    return all((run := record.run(board)) is not None and run.cases for board in record.source.boards)


def identity_errors(record: ReleaseRecord) -> Table:
    """Devices that said they were something else than what was tested."""
    rows = tuple((Cell(run.board, strong=True), Cell(error)) for run in record.runs for error in run.identity_errors)
    columns = (Column("Board", 14), Column("What the device said", 86))
    return Table("Identity of the device", columns, rows, group_columns=1)


def untested_requirements(record: ReleaseRecord) -> Table:
    """Requirements without a passed test or a record."""
    rows = tuple(
        (
            Cell(gap.item.id, gap.item.title, strong=True),
            Cell(gap.board),
            Cell(", ".join(verdict.replace("_", " ") for verdict in gap.seen))
            if gap.seen
            else Cell("no test", tone=Tone.WARNING),
            Cell(f"{gap.item.file}:{gap.item.line}"),
        )
        for gap in untested(record)
    )
    columns = (Column("Requirement", 44), Column("Board", 14), Column("Verdicts seen", 14), Column("Where", 28))
    return Table("Requirements without a passed test", columns, rows, group_columns=1)


def trace_findings(record: ReleaseRecord) -> Table:
    """What does not hold in the trace."""
    rows = tuple(
        (
            Cell(finding.kind, strong=True),
            Cell(finding.item),
            Cell(finding.board or "all"),
            Cell(finding.message),
            Cell(f"{finding.file}:{finding.line}" if finding.file else NONE),
        )
        for finding in record.traceability.findings
    )
    columns = (
        Column("Kind", 17),
        Column("Item", 14),
        Column("Board", 12),
        Column("What does not hold", 31),
        Column("Where", 26),
    )
    return Table("Findings in the trace", columns, rows)


def evidence_deviations(record: ReleaseRecord) -> Table:
    """Evidence that is missing or bad."""
    found: list[tuple[str, str]] = []
    for board in record.source.boards:
        parts: dict[str, object] = {
            "build": record.build(board),
            "comparison of two builds": record.reproduced(board),
            "signed image": record.signed(board),
            "static analysis": record.analysis(board),
            "measurement of the memories": record.memory(board),
            "test run": record.run(board),
        }
        if board in (record.source.coverage or []):
            parts["coverage"] = record.coverage(board)
        found += [(board, f"The evidence holds no {name}.") for name, value in parts.items() if value is None]
        reproduced = record.reproduced(board)
        if reproduced and not reproduced.identical:
            found += [(board, f"Builds differ: {difference.told()}.") for difference in reproduced.differences]
            if not reproduced.differences:
                found.append((board, "Builds differ."))
        signed, run = record.signed(board), record.run(board)
        if signed and run and signed.payload_digest != run.payload_digest:
            found.append(
                (board, f"Tested payload {run.payload_digest} is not the signed payload {signed.payload_digest}.")
            )
        analysis = record.analysis(board)
        if analysis:
            found += [
                (board, f"Check '{check.name}' does not hold: {check.message}")
                for check in analysis.checks
                if not check.passed
            ]
    rows = tuple((Cell(board, strong=True), Cell(text)) for board, text in found)
    return Table(
        "Builds, images and missing evidence", (Column("Board", 14), Column("What was seen", 86)), rows, group_columns=1
    )
