"""The detailed sections: decisions, builds, tests, software items, static analysis, files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from devicepipe.documents import anchors
from devicepipe.documents.cells import NONE, NOT_APPLICABLE, time_text, verdict_cell, yes_no
from devicepipe.documents.model import Block, Cell, Column, Heading, KeyValues, Paragraph, Table, Tone
from devicepipe.documents.record import ReleaseRecord
from devicepipe.evidence.decisions import Decision, Decisions
from devicepipe.evidence.findings import SETTLED, StaticAnalysis
from devicepipe.evidence.predicates import BuildResult, Reproducibility, Tool
from devicepipe.evidence.results import Device, Identity, TestCase, TestRun, Verdict


def gate(record: ReleaseRecord) -> tuple[Block, ...]:
    """Every decision of the gate, with what was seen."""
    reasons = tuple((Cell(reason),) for reason in record.reasons)
    changes = tuple(
        (Cell(change.rule, strong=True), Cell(change.change), Cell(change.reason), Cell(change.place))
        for change in record.decisions.changes or ()
    )
    changed = (Column("Rule", 28), Column("Change", 20), Column("Reason", 36), Column("Where", 16))
    return (
        Paragraph.plain(f"Rule set: {record.decisions.rule_set}."),
        *([Table("Why it is not releasable", (Column("Reason", 1),), reasons)] if reasons else []),
        decision_table(map(decision_row, record.decisions.decisions)),
        *([_waivers(record.decisions)] if record.decisions.waivers else []),
        *([Table("What was changed about the rules", changed, changes)] if changes else []),
    )


def _waivers(decisions: Decisions) -> Table:
    """Every waiver of the product, those that do nothing included."""
    rows = []
    for use in decisions.waivers or ():
        applied = Cell("applied", use.message, tone=Tone.WARNING)
        outcome = applied if use.applied else Cell("does nothing", use.message, tone=Tone.BAD)
        name = use.file.rpartition("/")[2]
        waiver = use.waiver
        if waiver is None:
            rows.append((Cell(name, strong=True), NOT_APPLICABLE, NOT_APPLICABLE, NOT_APPLICABLE, outcome))
            continue
        scope = waiver.board or "the release"
        rows.append(
            (
                Cell(waiver.rule, f"{scope}; {name}", strong=True),
                Cell("; ".join(waiver.findings)),
                Cell(waiver.reason),
                Cell(f"{waiver.by}, {waiver.role}", f"{time_text(waiver.made_on)}, until {waiver.until}"),
                outcome,
            )
        )
    columns = (
        Column("Rule", 24),
        Column("What is waived", 24),
        Column("Reason", 20),
        Column("By whom, until", 16),
        Column("Outcome", 16),
    )
    return Table("Waivers", columns, tuple(rows))


def decision_table(rows: Iterable[tuple[Cell, ...]]) -> Table:
    """Decisions as rows."""
    columns = (
        Column("Rule", 28),
        Column("Clause", 16),
        Column("Board", 12),
        Column("Outcome", 11),
        Column("What was seen", 29),
        Column("Remedy", 22),
    )
    return Table("Decisions", columns, tuple(rows), group_columns=2, empty="The gate took no decision.")


def decision_row(decision: Decision) -> tuple[Cell, ...]:
    """A rule's decision: what it asks for, its outcome, what was seen, and what to do where it does not hold."""
    if decision.passed:
        outcome = Cell("✓ holds", tone=Tone.GOOD)
    elif decision.state == "waived":
        outcome = Cell("WAIVED", "it does not hold", tone=Tone.WARNING)
    elif decision.severity == "warning":
        outcome = Cell("WARNING", tone=Tone.WARNING)
    else:
        outcome = Cell("FAILS", tone=Tone.BAD)
    return (
        Cell(decision.title, f"{decision.rule}, severity {decision.severity}"),
        Cell(decision.clause),
        Cell(decision.board or "all"),
        outcome,
        Cell(decision.message),
        NOT_APPLICABLE if decision.passed else Cell(decision.remedy),
    )


def builds(record: ReleaseRecord, number: str) -> tuple[Block, ...]:
    """Outputs, compilers and reproducibility of each board's build."""
    blocks: list[Block] = []
    for index, board in enumerate(record.source.boards, start=1):
        blocks.append(Heading(2, board, f"{number}.{index}"))
        build, reproduced = record.build(board), record.reproduced(board)
        if build is None:
            blocks.append(Paragraph.plain("The evidence holds no build of this board."))
        else:
            blocks += [_artifacts(build), _tools("Compilers", build.compilers)]
        if reproduced is None:
            blocks.append(Paragraph.plain("The evidence holds no comparison of two builds of this board."))
        else:
            outcome = "✓ bit for bit the same" if reproduced.identical else "THEY DIFFER: see Deviations"
            blocks.append(
                KeyValues(
                    "Reproducibility",
                    (
                        ("Clean builds compared", Cell(str(reproduced.builds))),
                        ("Outcome", Cell(outcome, tone=Tone.GOOD if reproduced.identical else Tone.BAD)),
                        ("Compared", Cell(", ".join(reproduced.compared) or "nothing")),
                        ("Surroundings differed in", Cell(_varied(reproduced))),
                        ("They had in common", Cell(", ".join(reproduced.same or []) or "not told")),
                    ),
                )
            )
    return tuple(blocks)


def _varied(reproduced: Reproducibility) -> str:
    return "; ".join(f"{one.what} ({one.first} / {one.second})" for one in reproduced.varied or []) or "not told"


def _artifacts(build: BuildResult) -> Table:
    rows = tuple(
        (
            Cell(firmware.role, f"environment {firmware.environment}", strong=True),
            Cell(artifact.role),
            Cell(artifact.path),
            Cell(f"{artifact.size:,}"),
            Cell(artifact.sha256),
        )
        for firmware in build.firmwares
        for artifact in firmware.artifacts
    )
    columns = (
        Column("Software", 17),
        Column("Output", 9),
        Column("File", 34),
        Column("Bytes", 10, "right"),
        Column("SHA-256", 31),
    )
    return Table("Outputs", columns, rows, group_columns=1, row_header=2)


def _tools(caption: str, tools: list[Tool]) -> Table:
    rows = tuple((Cell(tool.name, strong=True), Cell(tool.version), Cell(tool.sha256 or NONE)) for tool in tools)
    return Table(caption, (Column("Tool", 22), Column("Version", 20), Column("SHA-256 of the program", 58)), rows)


def tests(record: ReleaseRecord, number: str) -> tuple[Block, ...]:
    """Procedures and results of each board (IEC 62304, 5.7.5)."""
    blocks: list[Block] = []
    for index, board in enumerate(record.source.boards, start=1):
        run = record.run(board)
        blocks.append(Heading(2, board, f"{number}.{index}"))
        if run is None:
            blocks.append(Paragraph.plain("The evidence holds no test run of this board: nothing was tested on it."))
        else:
            blocks += [session(run), _cases(run)]
    return tuple(blocks)


def session(run: TestRun) -> KeyValues:
    """A board's session: device, image under test, the device's own words, tools, tester, time and logs."""
    device = run.device
    kind = "real hardware"
    if device.emulated:
        kind = f"emulated by {device.emulator.name} {device.emulator.version}" if device.emulator else "emulated"
    identity = Cell("✓ both equal the image under test", tone=Tone.GOOD)
    if run.identity_errors:
        identity = Cell("DIFFERS", "\n".join(run.identity_errors), tone=Tone.BAD)
    return KeyValues(
        "Test configuration",
        (
            ("Device", Cell(device.id, f"{kind}, driver {device.driver}")),
            (
                "Serial number",
                Cell(device.serial or NONE, f"stated: {device.stated_serial}" if device.stated_serial else ""),
            ),
            *_unit(device),
            ("Image under test", Cell(run.image_digest, f"payload {run.payload_digest}")),
            ("Device's identity, before", _identity(run.identity_before)),
            ("Device's identity, after", _identity(run.identity_after)),
            ("Identity check", identity),
            ("Tools", Cell(", ".join(f"{tool.name} {tool.version}" for tool in run.tools) or NONE)),
            ("Tester", Cell(run.tester)),
            ("Time", Cell(f"{time_text(run.started_on)} to {time_text(run.finished_on)}")),
            ("Serial log", _file(run.serial_log, run.serial_log_sha256)),
            *((f"Log of {', '.join(log.links)}", _file(log.log, log.log_sha256)) for log in run.uart_logs),
        ),
    )


def _file(name: str, sha256: str) -> Cell:
    return Cell(name, sha256, links=((name, name),))


def _unit(device: Device) -> Iterator[tuple[str, Cell]]:
    """What a real device is driven by, who had it, and what the inventory says of it."""
    if device.out_of_service:
        yield "Out of service", Cell(device.out_of_service, tone=Tone.BAD)
    if device.bench or device.tags or device.fixture_revision:
        fixture = f"fixture revision {device.fixture_revision}" if device.fixture_revision else ""
        yield "Bench", Cell(device.bench or NONE, "; ".join(filter(None, [fixture, ", ".join(device.tags)])))
    if device.calibration_due:
        yield "Calibrated until", Cell(device.calibration_due)
    if device.healthy_on:
        yield "Last health check", Cell(f"passed, {time_text(device.healthy_on)}")
    if device.emulated:
        return
    drivers = [f"{use.role}: {use.name}{f' ({use.says})' if use.says else ''}" for use in device.drivers]
    yield "Drivers", Cell("\n".join(drivers) or NONE)
    yield "Lease", Cell(f"token {device.lease_token}" if device.lease_token else NONE, device.lease_holder)
    when = (
        "before every test" if device.reflash == "every-test" else "at the start, and where a test may have changed it"
    )
    yield "Flash written", Cell(f"{device.flash_writes or 0} times", when)


def _identity(identity: Identity | None) -> Cell:
    if identity is None:
        return Cell("NOT TAKEN", tone=Tone.BAD)
    return Cell(
        identity.digest,
        f"board {identity.board}, version {identity.version}, commit {identity.commit}, serial {identity.serial or NONE}",
    )


def _cases(run: TestRun) -> Table:
    columns = (
        Column("Test case", 26),
        Column("Expected result", 32),
        Column("Procedure", 22),
        Column("Verdict", 12),
        Column("Seconds", 8, "right"),
        Column("Log bytes", 12, "right"),
    )
    return Table(
        "Test cases", columns, tuple(_case(case, run) for case in run.cases), empty="No test case was collected."
    )


def case_verdict(case: TestCase, run: TestRun) -> Cell:
    """A case's verdict, and why it does not count where it does not."""
    verdict = verdict_cell(case.verdict.value)
    if case.verdict is not Verdict.PASSED:
        return replace(verdict, detail="see Deviations")
    if run.identity_errors:
        return replace(verdict, detail="does not count: identity differs", tone=Tone.WARNING)
    if case.quarantine is not None:
        return replace(verdict, detail="does not count: in quarantine", tone=Tone.WARNING)
    if case.passed_on_retry:
        return replace(verdict, detail=f"at attempt {len(case.earlier_attempts) + 1}", tone=Tone.WARNING)
    return verdict


def _case(case: TestCase, run: TestRun) -> tuple[Cell, ...]:
    verified = f"verifies {', '.join(case.verifies)}" if case.verifies else "verifies no requirement"
    return (
        Cell(
            case.id,
            verified,
            strong=True,
            links=anchors.to_items(case.verifies),
            anchor=anchors.result(run.board, case.id),
        ),
        Cell(
            case.expected or "not stated",
            tone=Tone.PLAIN if case.expected else Tone.WARNING,
            anchor=anchors.test_procedure(case.id),
        ),
        Cell(f"{case.procedure_file}:{case.procedure_line}", case.procedure_sha256),
        case_verdict(case, run),
        Cell(f"{case.duration_seconds:.2f}"),
        log_cell(case, run),
    )


def log_cell(case: TestCase, run: TestRun) -> Cell:
    """The part of the serial log that a case produced, by byte offsets; leads to the log."""
    if case.log_end <= case.log_start:
        return NOT_APPLICABLE
    text = f"{case.log_start:,} to {case.log_end:,}"
    return Cell(text, links=((text, run.serial_log),))


def software_items(record: ReleaseRecord) -> tuple[Block, ...]:
    """The SBOM's components."""
    rows = tuple(
        (
            Cell(item.name, item.kind if item.linked else f"{item.kind}, not linked in", strong=True),
            Cell(item.version or "not stated", tone=Tone.PLAIN if item.version else Tone.WARNING),
            Cell(item.supplier or "not stated", tone=Tone.PLAIN if item.supplier else Tone.WARNING),
            Cell(item.licences or "not stated"),
            Cell(item.support or "not stated"),
            Cell(item.purl or NONE, item.sha256),
        )
        for item in record.software_items
    )
    columns = (
        Column("Title", 18),
        Column("Version", 12),
        Column("Manufacturer", 18),
        Column("Licence", 14),
        Column("Support", 14),
        Column("Designator (package URL), SHA-256", 30),
    )
    return (
        Table(
            "Components of the software bill of materials",
            columns,
            rows,
            empty="The evidence holds no software bill of materials.",
        ),
    )


def static_analysis(record: ReleaseRecord, number: str) -> tuple[Block, ...]:
    """Findings, checks, and what proves that the tools look at all."""
    blocks: list[Block] = []
    for index, board in enumerate(record.source.boards, start=1):
        analysis = record.analysis(board)
        blocks.append(Heading(2, board, f"{number}.{index}"))
        if analysis is None:
            blocks.append(Paragraph.plain("The evidence holds no static analysis of this board."))
        else:
            blocks += [_proofs(analysis), _findings(analysis)]
            blocks += [*_deviations(analysis), *_dispositions(analysis), _checks(analysis)]
    return tuple(blocks)


def _proofs(analysis: StaticAnalysis) -> Table:
    rows = tuple(
        (
            Cell(tool.name, strong=True),
            Cell(tool.version),
            Cell(analysis.proven_on[tool.name])
            if tool.name in analysis.proven_on
            else Cell("NOT PROVEN", tone=Tone.BAD),
        )
        for tool in analysis.tools
    ) + tuple(
        (
            Cell(name, strong=True),
            NOT_APPLICABLE,
            Cell(f"did not run: {reason}", tone=Tone.BAD if name in (analysis.wanted or []) else Tone.PLAIN),
        )
        for name, reason in (analysis.absent or {}).items()
    )
    return Table(
        "Tools and the sample whose defect each one reported",
        (Column("Tool", 22), Column("Version", 20), Column("Proven on", 58)),
        rows,
    )


def _findings(analysis: StaticAnalysis) -> Table:
    """One row per rule and message, with all its places: a rule that is broken a hundred times is one thing to judge."""
    tones = {"error": Tone.BAD, "warning": Tone.WARNING}
    places: dict[tuple[str, str, str, str], dict[str, list[int]]] = {}
    for finding in analysis.findings:
        settled = "deviated" if finding.deviated else finding.disposition if finding.disposition in SETTLED else ""
        level = f"note: {settled}" if settled else finding.level
        key = (level, finding.rule, finding.tool, finding.message)
        places.setdefault(key, {}).setdefault(finding.file, []).append(finding.line)
    rows = tuple(
        (
            Cell(level.upper(), tone=tones[level]) if level in tones else Cell(level.removeprefix("note: ")),
            Cell(rule, tool, strong=True),
            Cell(str(sum(map(len, files.values())))),
            Cell(message),
            Cell("; ".join(f"{file}: {', '.join(map(str, sorted(lines)))}" for file, lines in sorted(files.items()))),
        )
        for (level, rule, tool, message), files in sorted(places.items(), key=_worst_first)
    )
    columns = (
        Column("Level", 12),
        Column("Rule", 18),
        Column("Places", 8),
        Column("Finding", 24),
        Column("File: lines", 38),
    )
    return Table("Findings", columns, rows, row_header=1)


def _worst_first(entry: tuple[tuple[str, str, str, str], object]) -> tuple[int, tuple[str, str, str, str]]:
    key, _ = entry
    return ("error", "warning", "note").index(key[0].partition(":")[0]), key


def _deviations(analysis: StaticAnalysis) -> tuple[Block, ...]:
    if analysis.deviations is None:
        return (
            Paragraph.plain("The product names no file of deviations: its MISRA findings are told and not judged."),
        )
    rows = tuple(
        (
            Cell(entry.rule, strong=True),
            Cell(", ".join(entry.scope)),
            Cell(f"{entry.places:,}"),
            Cell(entry.justification),
            Cell(entry.reviewer, entry.date),
        )
        for entry in analysis.deviations
    )
    columns = (
        Column("Rule", 8),
        Column("Scope", 24),
        Column("Places", 8, "right"),
        Column("Justification", 44),
        Column("Reviewed by", 16),
    )
    return (Table("Deviations from MISRA C:2012", columns, rows),)


def _dispositions(analysis: StaticAnalysis) -> tuple[Block, ...]:
    if analysis.dispositions is None:
        return (
            Paragraph.plain(
                "The product names no baseline of findings: those that are no errors are told and not judged."
            ),
        )
    rows = tuple(
        (
            Cell(entry.rule, entry.tool, strong=True),
            Cell(entry.file),
            Cell(entry.disposition),
            Cell(entry.justification),
        )
        for entry in sorted(analysis.dispositions, key=lambda one: (one.tool, one.rule, one.file))
    )
    columns = (Column("Rule", 20), Column("File", 26), Column("Disposition", 14), Column("Why", 40))
    return (Table("Decisions about findings", columns, rows, empty="No finding of this board needed one."),)


def _checks(analysis: StaticAnalysis) -> Table:
    rows = tuple(
        (
            Cell(check.name, strong=True),
            yes_no(check.passed, yes="✓ holds", no="FAILS") if not check.not_applicable else NOT_APPLICABLE,
            Cell(check.message),
        )
        for check in analysis.checks
    )
    return Table(
        "Checks of the linked program", (Column("Check", 30), Column("Outcome", 12), Column("What was seen", 58)), rows
    )


def bundle_files(record: ReleaseRecord) -> tuple[Block, ...]:
    """File → SHA-256."""
    rows = tuple(
        (Cell(entry.path, links=((entry.path, entry.path),), anchor=anchors.file(entry.path)), Cell(entry.sha256))
        for entry in record.files
    )
    return (
        Table("Files and their digests", (Column("File", 45), Column("SHA-256", 55)), rows, empty="No file was given."),
    )
