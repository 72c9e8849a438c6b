"""Realistic release records for the documents' tests: made of the real predicates, green unless a test says otherwise."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any

from devicepipe.documents.record import FileDigest, ReleaseRecord, SoftwareItem
from devicepipe.documents.texts import default_texts
from devicepipe.evidence import coverage as c
from devicepipe.evidence.campaigns import CampaignFailure, CampaignGroup, CampaignResult, Campaigns
from devicepipe.evidence.decisions import Decision, Decisions
from devicepipe.evidence.findings import Check, Finding, StaticAnalysis
from devicepipe.evidence.memory import Memory, ProgramMemory, StackFrame, StackLevel, StackUse
from devicepipe.evidence.predicates import (
    Artifact,
    BuildResult,
    CampaignWish,
    FirmwareBuild,
    ImageSigning,
    KeyInfo,
    MemoryUse,
    Reproducibility,
    SourceInfo,
    Tool,
)
from devicepipe.evidence.results import Device, Identity, TestCase, TestRun, Verdict
from devicepipe.evidence.trace import Item, MatrixRow, Traceability, TraceFinding

BOARDS = ("microbit", "mps2_an385")
COMMIT = "7f3c9a1be0d24c55a8e6f1029b3d7c4e5a6f8091"
TITLES = (
    "Basal rate between 1 and 10 ml/h",
    "Basal rate within ±0.5 ml/h of the set rate",
    "Keep-vein-open rate of 1 ml/h unless halted",
    "Over-infusion of more than 10 % raises an alarm",
    "No bolus inside the lockout time",
    "Occlusion at ≥ 517 mmHg stops the motor at once",
    "A reset never repeats a delivered loading dose",
    "Alarm names its cause",
    "Silence ends after at most 2 min",
    "Power-on self-test within 70 s",
    "Rate limit is enforced at the console",
    "Stop is always accepted",
)


def sha(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def key(name: str, *, development: bool) -> KeyInfo:
    return KeyInfo(keyid=sha(name), scheme="ed25519", development=development)


def source(*, dirty: bool = False, development: bool = True, boards: tuple[str, ...] = BOARDS) -> SourceInfo:
    return SourceInfo(
        product="infusion-pump",
        title="Syringe infusion pump controller (demonstration, not a medical device)",
        manufacturer="devicepipe reference product",
        safety_class="C",
        version="0.1.0",
        commit=COMMIT,
        commit_time="2026-03-01T09:12:44Z",
        dirty=dirty,
        boards=list(boards),
        started_on="2026-03-01T12:00:05Z",
        tester="Ada Verifier <ada@example.org>",
        tools=[
            Tool(name="devicepipe", version="0.1.0"),
            Tool(name="platformio", version="6.2.0"),
            Tool(name="python", version="3.11.2"),
        ],
        image_key=key("image", development=development),
        release_key=key("release", development=development),
        campaigns=[CampaignWish(kind="powercut", points=40, seed=1), CampaignWish(kind="bitflip", points=45, seed=1)],
    )


def build(board: str) -> BuildResult:
    def firmware(role: str, used: int) -> FirmwareBuild:
        environment = board if role == "application" else f"{board}_boot"
        artifacts = [
            Artifact(
                role=kind,
                path=f"evidence/build/{board}/{environment}.{kind}",
                sha256=sha(f"{environment}.{kind}"),
                size=used + 17,
            )
            for kind in ("elf", "bin", "hex", "map")
        ]
        return FirmwareBuild(
            role="application" if role == "application" else "bootloader",
            environment=environment,
            artifacts=artifacts,
            flash=MemoryUse(used=used, limit=98304),
            ram=MemoryUse(used=used // 9, limit=16384),
        )

    compiler = Tool(name="arm-none-eabi-gcc", version="12.2.1", sha256=sha("gcc"))
    return BuildResult(
        board=board, firmwares=[firmware("application", 21348), firmware("bootloader", 15820)], compilers=[compiler]
    )


def signing(board: str, *, development: bool = True) -> ImageSigning:
    return ImageSigning(
        board=board,
        image=f"images/{board}.signed.bin",
        factory_image=f"images/{board}.factory.hex",
        payload_digest=sha(f"payload {board}"),
        image_digest=sha(f"image {board}"),
        image_version="0.1.0+0",
        security_counter=1,
        key=key("image", development=development),
        tool=Tool(name="imgtool", version="2.5.0"),
    )


def case(
    index: int, requirements: list[str], board: str, verdict: Verdict = Verdict.PASSED, reason: str = ""
) -> TestCase:
    name = f"hil/test_{('rate', 'occlusion', 'selftest', 'boot')[index % 4]}.py::test_case_{index:03d}"
    return TestCase(
        id=name,
        verdict=verdict,
        reason=reason,
        verifies=requirements,
        procedure_file=name.partition("::")[0],
        procedure_line=12 + 9 * index,
        procedure_sha256=sha(name),
        expected="The pump refuses a rate above the limit with 'ERR start rate-limit', stays idle and delivers nothing.",
        started_on="2026-03-01T12:01:00Z",
        duration_seconds=0.21 + index / 100,
        log_start=1000 * index,
        log_end=1000 * index + 640,
    )


def run(board: str, cases: list[TestCase], *, identity_errors: list[str] | None = None) -> TestRun:
    identity = Identity(
        board=board,
        version="0.1.0+0",
        commit=COMMIT,
        digest=sha(f"image {board}"),
        serial="emulated",
        key="development",
    )
    qemu = Tool(name="qemu-system-arm", version="7.2.22", sha256=sha("qemu"))
    return TestRun(
        board=board,
        device=Device(id=f"{board}-1", board=board, serial="emulated", driver="qemu", emulated=True, emulator=qemu),
        image_digest=sha(f"image {board}"),
        payload_digest=sha(f"payload {board}"),
        identity_before=identity,
        identity_after=identity,
        identity_errors=identity_errors or [],
        tools=[Tool(name="pytest", version="9.0.1"), Tool(name="pytest-embedded", version="2.9.3")],
        tester="Ada Verifier <ada@example.org>",
        started_on="2026-03-01T12:00:58Z",
        finished_on="2026-03-01T12:01:31Z",
        serial_log=f"evidence/test/{board}/serial.log",
        serial_log_sha256=sha(f"log {board}"),
        cases=cases,
    )


def item(identifier: str, kind: str, title: str, links: dict[str, list[str]] | None = None) -> Item:
    return Item(
        id=identifier,
        type=kind,
        title=title,
        text=f"{title}, always.",
        fields={},
        links=links or {},
        boards=list(BOARDS),
        file=f"requirements/{kind}.md",
        line=int("".join(filter(str.isdigit, identifier)) or 1),
        fingerprint=sha(identifier),
    )


def analysis(board: str) -> StaticAnalysis:
    return StaticAnalysis(
        board=board,
        tools=[Tool(name="cppcheck", version="2.18.0"), Tool(name="gcc", version="12.2.1")],
        proven_on={"cppcheck": "samples/null_dereference.c", "gcc": "samples/unused_result.c"},
        findings=[
            Finding(
                tool="cppcheck",
                rule="unusedFunction",
                level="note",
                message="The function 'pump_trace' is never used.",
                file="src/pump.c",
                line=88,
            ),
            Finding(
                tool="gcc",
                rule="-Wconversion",
                level="warning",
                message="conversion from 'int' to 'uint8_t' may change value",
                file="src/rate.c",
                line=41,
            ),
        ],
        checks=[
            Check(name="no-writable-executable-segment", passed=True, message="no segment is writable and executable"),
            Check(name="stack-protector", passed=True, message="__stack_chk_fail is linked"),
        ],
    )


def memory(board: str, *, worst: int = 2964, unbounded: tuple[str, ...] = (), used: int = 60000) -> Memory:
    def program(role: str) -> ProgramMemory:
        frames = [("reset_handler", 8, "compiler"), ("main", 24, "compiler"), ("__aeabi_lmul", 28, "disassembly")]
        path = [StackFrame.model_validate({"function": f, "bytes": b, "source": s}) for f, b, s in frames]
        levels = [
            StackLevel(name="main program", frame=0, bytes=worst - 84, path=path),
            StackLevel(name="interrupts of priority 0", frame=36, bytes=48, path=path[:1]),
            StackLevel(name="fault_handler, on a fresh stack", frame=0, bytes=368, fresh=True, path=path[:2]),
        ]
        stack = StackUse(
            worst=worst, reserved=4096, levels=levels, functions=373, recursion=[], unbounded=list(unbounded)
        )
        use = MemoryUse(used=21000, limit=32768)
        return ProgramMemory.model_validate({"role": role, "flash": use, "ram": use, "stack": stack})

    return Memory(
        board=board,
        programs=[program("application"), program("bootloader")],
        slot=MemoryUse(used=used, limit=98304),
        slot_spare=15,
        tool=Tool(name="arm-none-eabi-objdump", version="2.40", sha256=sha("objdump")),
    )


def coverage(board: str, *, lines: int = 95, verified: tuple[str, ...] = ("SRS-001", "SRS-002")) -> c.CoverageResult:
    """Of three functions of two files: `main` for every requirement, `stop` for the last of them, `fail` for none."""

    def shares(file: str, lines: int, functions: int, of: int) -> c.FileShares:
        executed = c.Share(executed=functions, all=of)
        return c.FileShares(
            file=file,
            instructions=executed,
            lines=c.Share(executed=lines, all=50),
            functions=executed,
            outcomes=executed,
        )

    def function(file: str, line: int, name: str, hits: int) -> c.FunctionShare:
        own = c.Share(executed=int(hits > 0), all=1)
        return c.FunctionShare(file=file, line=line, function=name, instructions=own, hits=hits)

    files = [shares("src/main.c", 50, 1, 1), shares("src/safety/stop.c", lines - 50, 1, 2)]
    whole = c.Share(executed=2, all=3)
    total = c.FileShares(
        file="", instructions=whole, lines=c.Share(executed=lines, all=100), functions=whole, outcomes=whole
    )
    return c.CoverageResult(
        board=board,
        image_digest=sha(f"image {board}"),
        tests=24,
        minimum=c.Minimum(instructions=0, lines=90, functions=60, outcomes=50),
        total=total,
        files=files,
        functions=[
            function("src/main.c", 12, "main", 24),
            function("src/safety/stop.c", 7, "stop", 3),
            function("src/safety/stop.c", 30, "fail", 0),
        ],
        requirements={name: [0] for name in verified[:-1]} | {verified[-1]: [0, 1]},
        foreign=0,
        tool=Tool(name="arm-none-eabi-objdump", version="2.40", sha256=sha("objdump")),
    )


def merged_coverage(
    reason: str = "It cannot fail on an emulated board.", *, reasons: bool = True, stale: tuple[str, ...] = ()
) -> c.MergedCoverage:
    def file(name: str, lines: c.MergedShare, functions: c.MergedShare, *own: int) -> c.MergedFile:
        executed = c.Share(executed=own[0], all=own[1])
        return c.MergedFile(
            file=name, boards=list(BOARDS), lines=lines, functions=functions, instructions=executed, outcomes=executed
        )

    share = c.MergedShare
    never = c.NeverExecuted(
        file="src/safety/stop.c",
        line=30,
        function="fail",
        boards=list(BOARDS),
        reason=reason,
        reviewer="Ada Verifier" if reason else "",
        date="2026-02-27" if reason else "",
    )
    return c.MergedCoverage(
        boards=list(BOARDS),
        total=file("", share(any=95, every=94, all=100), share(any=2, every=2, all=3), 4, 6),
        files=[
            file("src/main.c", share(any=50, every=50, all=50), share(any=1, every=1, all=1), 2, 2),
            file("src/safety/stop.c", share(any=45, every=44, all=50), share(any=1, every=1, all=2), 2, 4),
        ],
        never_executed=[never],
        reasons=reasons,
        stale=list(stale),
    )


def campaigns(board: str, *failures: CampaignFailure) -> Campaigns:
    """Forty power cuts, of which those in `failures` (points "swap:…") broke a promise, and 45 flips."""
    fields: dict[str, Any] = {
        "board": board, "image_digest": sha("image"), "seed": 1, "inside": 1, "deep": 2, "boots": 71,
        "processes": 1, "record_seconds": 2.5, "seconds": 11.0,
    }  # fmt: skip
    cuts = [
        CampaignGroup(name="swap", size=800, points=24, outcomes={"old": 3, "trial, then old": 21 - len(failures)}),
        CampaignGroup(name="confirm", size=7, points=0, outcomes={}),
        CampaignGroup(name="revert", size=700, points=16, outcomes={"old": 16}),
    ]
    flips = [
        CampaignGroup(name="header", size=4096, points=15, outcomes={"refused": 15}),
        CampaignGroup(name="recovered", size=9000, points=15, outcomes={"new image": 15}),
        CampaignGroup(name="settings-both", size=320, points=15, outcomes={"as if there were none": 7, "kept": 8}),
    ]
    return Campaigns(
        board=board,
        image_digest=sha("image"),
        results=[
            CampaignResult(
                kind="powercut", groups=cuts, points=40, points_possible=2969, failures=list(failures), **fields
            ),
            CampaignResult(kind="bitflip", groups=flips, points=45, failures=[], **fields),
        ],
        unprepared=[],
        tools=[Tool(name="qemu-system-arm", version="7.2.22", sha256=sha("qemu"))],
    )


def decisions(*reasons: str, failing: Decision | None = None) -> Decisions:
    rules = [
        ("requirements-tested", "Every requirement has a passed test on each of its boards", "IEC 62304 5.7.4"),
        ("no-failures", "No test failed and none broke down", "IEC 62304 5.7.2"),
        ("reproducible", "Builds are reproducible bit for bit", "IEC 62304 5.8.5"),
        ("images-verify", "Signed images verify with their public key", "IEC 62304 5.8.8"),
        ("tested-is-signed", "The tested payload is the signed payload", "IEC 62304 5.7.5"),
    ]
    held = [
        Decision(
            rule=rule,
            title=title,
            clause=clause,
            severity="error",
            passed=True,
            message="holds",
            remedy="none needed",
            board=board,
        )
        for rule, title, clause in rules
        for board in BOARDS
    ]
    return Decisions(
        rule_set="release-1",
        releasable=not reasons,
        reasons=list(reasons),
        decisions=[*held, *([failing] if failing else [])],
    )


def components() -> tuple[SoftwareItem, ...]:
    return (
        SoftwareItem(
            "monocypher",
            "4.0.3",
            "library",
            "Loup Vaillant",
            "BSD-2-Clause OR CC0-1.0",
            "pkg:pypi/pymonocypher@4.0.3.4",
            sha("mono"),
        ),
        SoftwareItem(
            "cmsis-core",
            "5.4.0",
            "library",
            "Arm Limited",
            "Apache-2.0",
            "pkg:npm/%40xpack-3rd-party/arm-cmsis-core@5.4.0-6",
            sha("cmsis"),
        ),
    )


def green(requirements: int = 12, *, development: bool = True) -> ReleaseRecord:
    """A release where all is well: every requirement tested twice and passed on both boards."""
    hazards = max(3, requirements // 12)
    items = [
        item(
            f"HAZ-{n + 1:03d}",
            "hazard",
            ("Over-infusion", "Under-infusion or no delivery", "Air or blockage in the line is not noticed")[n % 3],
        )
        for n in range(hazards)
    ]
    controls = [
        item(
            f"RC-{n + 1:03d}",
            "risk-control",
            ("Limit the rate in software and reject settings above it", "Alarm within 10 s", "Stop the motor")[n % 3],
        )
        for n in range(hazards * 2)
    ]
    wanted = [item(f"SRS-{n + 1:03d}", "requirement", TITLES[n % len(TITLES)]) for n in range(requirements)]
    matrix: list[MatrixRow] = []
    cases: list[list[str]] = []
    for n, requirement in sorted(
        enumerate(wanted), key=lambda pair: (pair[0] % hazards, pair[0] % (hazards * 2), pair[0])
    ):
        for repeat in range(2):
            index = len(cases)
            cases.append([requirement.id])
            matrix.append(
                MatrixRow(
                    hazard=items[n % hazards].id,
                    risk_control=controls[n % (hazards * 2)].id,
                    requirement=requirement.id,
                    test=case(index, [], "").id,
                    verdicts=dict.fromkeys(BOARDS, "passed"),
                )
            )
            assert repeat < 2
    return ReleaseRecord(
        source=source(development=development),
        traceability=Traceability(items=[*items, *controls, *wanted], matrix=matrix, findings=[]),
        decisions=decisions(),
        builds=tuple(build(board) for board in BOARDS),
        reproducibility=tuple(
            Reproducibility(
                board=board,
                builds=2,
                compared=[f"{board}.elf", f"{board}.bin", f"{board}.hex"],
                identical=True,
                differences=[],
            )
            for board in BOARDS
        ),
        signing=tuple(signing(board, development=development) for board in BOARDS),
        runs=tuple(run(board, [case(n, verified, board) for n, verified in enumerate(cases)]) for board in BOARDS),
        analyses=tuple(analysis(board) for board in BOARDS),
        memories=tuple(memory(board) for board in BOARDS),
        coverages=tuple(coverage(board) for board in BOARDS),
        merged_coverage=merged_coverage(),
        campaigns=tuple(campaigns(board) for board in BOARDS),
        software_items=components(),
        files=tuple(
            FileDigest(f"evidence/build/{board}/{name}", sha(board + name))
            for board in BOARDS
            for name in ("provenance.intoto.jsonl", "firmware.elf", "firmware.map")
        ),
        texts=default_texts(),
    )


def with_verdict(record: ReleaseRecord, verdict: Verdict, reason: str, *, index: int = 0) -> ReleaseRecord:
    """The first board's case of that index gets another verdict, in the run and in the matrix, and the gate refuses."""
    first = record.runs[0]
    test = first.cases[index]
    changed = test.model_copy(update={"verdict": verdict, "reason": reason})
    cases = [*first.cases[:index], changed, *first.cases[index + 1 :]]
    matrix = [
        row.model_copy(update={"verdicts": row.verdicts | {first.board: verdict.value}}) if row.test == test.id else row
        for row in record.traceability.matrix
    ]
    failing = Decision(
        rule="no-failures",
        title="No test failed and none broke down",
        clause="IEC 62304 5.7.2",
        severity="error",
        passed=False,
        message=f"{first.board}: {test.id} is {verdict.value}",
        remedy="Repair the product or the bench and run the release again.",
        board=first.board,
    )
    return replace(
        record,
        runs=(first.model_copy(update={"cases": cases}), *record.runs[1:]),
        traceability=record.traceability.model_copy(update={"matrix": matrix}),
        decisions=decisions(f"{first.board}: {test.id} is {verdict.value}: {reason}", failing=failing),
    )


def untested(record: ReleaseRecord, identifier: str = "SRS-001") -> ReleaseRecord:
    """One requirement loses its tests."""
    kept = [row for row in record.traceability.matrix if row.requirement != identifier]
    gone = next(row for row in record.traceability.matrix if row.requirement == identifier)
    bare = gone.model_copy(update={"test": "", "verdicts": dict.fromkeys(BOARDS, "not_run")})
    findings = [
        TraceFinding(
            kind="untested-requirement",
            item=identifier,
            board=board,
            message=f"{identifier} has no test on {board}",
            file="requirements/requirement.md",
            line=1,
        )
        for board in BOARDS
    ]
    trace = record.traceability.model_copy(update={"matrix": [bare, *kept], "findings": findings})
    return replace(record, traceability=trace, decisions=decisions(f"{identifier} has no passed test"))


def dirty(record: ReleaseRecord) -> ReleaseRecord:
    """Built from a tree that differed from the commit."""
    return replace(record, source=record.source.model_copy(update={"dirty": True}))


def bare() -> ReleaseRecord:
    """Nothing but the source and a gate that refuses: all lists empty."""
    return ReleaseRecord(
        source=source(),
        traceability=Traceability(items=[], matrix=[], findings=[]),
        decisions=Decisions(rule_set="release-1", releasable=False, reasons=[], decisions=[]),
    )
