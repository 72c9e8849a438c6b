"""Evidence of a release as a gate gets it: whole, and changed in one way."""

from __future__ import annotations

import dataclasses
from typing import Any

from devicepipe.evidence.campaigns import CampaignFailure, CampaignGroup, CampaignResult, Campaigns, Unprepared
from devicepipe.evidence.components import Component
from devicepipe.evidence.coverage import (
    CoverageResult,
    FileShares,
    FunctionShare,
    MergedCoverage,
    MergedFile,
    MergedShare,
    Minimum,
    NeverExecuted,
    Share,
)
from devicepipe.evidence.decisions import Decisions
from devicepipe.evidence.findings import Check, Finding, StaticAnalysis
from devicepipe.evidence.foreign_results import ForeignCase, ForeignResults, ForeignSet
from devicepipe.evidence.items import fingerprint_of
from devicepipe.evidence.memory import Memory, ProgramMemory, StackUse
from devicepipe.evidence.predicates import (
    BuildResult,
    CampaignWish,
    ImageSigning,
    KeyInfo,
    MemoryUse,
    Reproducibility,
    ResultsWish,
    SourceInfo,
    Tool,
    Variation,
    VulnerabilityWish,
)
from devicepipe.evidence.results import Attempt, Device, Identity, Verdict
from devicepipe.evidence.results import TestCase as Case
from devicepipe.evidence.results import TestRun as Run
from devicepipe.evidence.risk import RiskMatrix
from devicepipe.evidence.secrets import SecretFinding, Secrets
from devicepipe.evidence.trace import CodeMarker, Item, MatrixRow, Traceability, TraceFinding
from devicepipe.evidence.vulnerabilities import Assessment, ComponentVerdict, Exploited, Match
from devicepipe.evidence.words import CONTROL_CATEGORIES
from devicepipe.policy.evidence import BoardEvidence, GateInput
from devicepipe.policy.supply import SbomEvidence
from devicepipe.traceability.reviews import review_of

COMMIT = "c" * 40
PAYLOAD = "1" * 64
IMAGE = "2" * 64
OTHER = "9" * 64
WHEN = "2026-01-01T00:00:00Z"
KEY = KeyInfo(keyid="3" * 64, scheme="ed25519", development=True)
BOARDS = ("small", "large")
SNAPSHOT = {
    "sha256": "5" * 64, "date": WHEN[:10], "newestRecord": WHEN, "format": "osv+kev", "records": 7, "description": "sample",
}  # fmt: skip


def source(boards: tuple[str, ...] = BOARDS) -> SourceInfo:
    return SourceInfo(
        product="pump",
        title="Pump",
        manufacturer="Nobody",
        safety_class="C",
        version="1.0.0",
        commit=COMMIT,
        commit_time=WHEN,
        dirty=False,
        boards=list(boards),
        coverage=list(boards),
        started_on=WHEN,
        tester="nobody",
        tools=[],
        image_key=KEY,
        release_key=KEY,
        vulnerabilities=VulnerabilityWish(snapshot="5" * 64, date=WHEN[:10], max_age=30, no_data="refuse"),
    )


def case(name: str = "hil/test_a.py::test_a", verdict: str = "passed", verifies: tuple[str, ...] = ("SRS-1",)) -> Case:
    return Case(
        id=name,
        verdict=Verdict(verdict),
        reason="" if verdict == "passed" else f"because it {verdict}",
        verifies=list(verifies),
        procedure_file="hil/test_a.py",
        procedure_line=3,
        procedure_sha256="0" * 64,
        expected="It works.",
        duration_seconds=0.1,
        log_start=0,
        log_end=1,
    )


def attempt(verdict: str) -> Attempt:
    return Attempt(
        verdict=Verdict(verdict), reason=f"because it {verdict}", duration_seconds=0.1, log_start=0, log_end=0
    )


def identity(board: str) -> Identity:
    return Identity(board=board, version="1.0.0+0", commit=COMMIT, digest=IMAGE)


def run(board: str, *cases: Case) -> Run:
    return Run(
        board=board,
        device=Device(id=f"{board}-0", board=board, serial="emulated", driver="qemu", emulated=True),
        image_digest=IMAGE,
        payload_digest=PAYLOAD,
        identity_before=identity(board),
        identity_after=identity(board),
        identity_errors=[],
        tools=[],
        tester="nobody",
        started_on=WHEN,
        finished_on=WHEN,
        serial_log="raw/serial.log",
        serial_log_sha256="3" * 64,
        cases=list(cases) or [case()],
    )


VARIED = [
    Variation(what=what, first="one", second="another")
    for what in ("folder", "home folder", "user name", "time", "time zone", "locale", "umask")
]


def build(payload: str = PAYLOAD) -> BuildResult:
    use = {"used": 1, "limit": 2}
    binary = {"role": "bin", "path": "app.bin", "sha256": payload, "size": 1}
    application = {"role": "application", "environment": "e", "artifacts": [binary], "flash": use, "ram": use}
    return BuildResult.model_validate({"board": "b", "firmwares": [application], "compilers": []})


def board(name: str, *cases: Case) -> BoardEvidence:
    cppcheck = Tool(name="cppcheck", version="2.20")
    return BoardEvidence(
        board=name,
        build=build(),
        reproducibility=Reproducibility(
            board=name, builds=2, compared=["app.bin"], identical=True, differences=[], varied=VARIED
        ),
        signing=ImageSigning(
            board=name,
            image="images/app.bin",
            factory_image="images/factory.hex",
            payload_digest=PAYLOAD,
            image_digest=IMAGE,
            image_version="1.0.0+0",
            security_counter=0,
            key=KEY,
            tool=Tool(name="imgtool", version="2.5.0"),
        ),
        image=Check(name="image", passed=True, message="signed by key 3333"),
        tests=run(name, *cases),
        analysis=StaticAnalysis(
            board=name,
            tools=[cppcheck],
            proven_on={"cppcheck": "out_of_bounds.c"},
            findings=[],
            checks=[Check(name="no-wx", passed=True, message="no segment is writable and executable")],
            wanted=["cppcheck"],
        ),
        memory=memory(name),
        coverage=coverage(name),
        sbom=sbom(),
    )


def sbom(problem: str = "", **changes: object) -> SbomEvidence:
    """One component about which all is said; `changes` spoil it."""
    fields: dict[str, Any] = {
        "name": "crypto",
        "version": "1.0",
        "supplier": "Somebody",
        "licence": "MIT",
        "purl": "pkg:github/somebody/crypto@1.0",
        "sha256": "0" * 64,
        "support": "by its author",
        "support_level": "actively-maintained",
        "end_of_support": "not announced",
    }
    return SbomEvidence((Component(**(fields | changes)),), problem)


def coverage(name: str, lines: int = 90) -> CoverageResult:
    shares = {"instructions": Share(executed=1, all=1), "functions": Share(executed=1, all=1)}
    shares |= {"lines": Share(executed=lines, all=100), "outcomes": Share(executed=0, all=0)}
    run = FunctionShare(file="src/a.c", line=1, function="run", instructions=Share(executed=1, all=1), hits=1)
    return CoverageResult(
        board=name,
        image_digest=IMAGE,
        tests=1,
        minimum=Minimum(instructions=100, lines=90, functions=100, outcomes=100),
        total=FileShares(file="", **shares),
        files=[FileShares(file="src/a.c", **shares)],
        functions=[run],
        requirements={},
        foreign=0,
        tool=Tool(name="objdump", version="2.40"),
    )


def merged(reason: str = "It cannot fail.", *, reasons: bool = True, stale: tuple[str, ...] = ()) -> MergedCoverage:
    share = MergedShare(any=1, every=1, all=2)
    total = MergedFile(
        file="",
        boards=list(BOARDS),
        lines=share,
        functions=share,
        instructions=Share(executed=1, all=1),
        outcomes=Share(executed=1, all=1),
    )
    never = NeverExecuted(file="src/a.c", line=9, function="fail", boards=["small"], reason=reason)
    return MergedCoverage(
        boards=list(BOARDS), total=total, files=[], never_executed=[never], reasons=reasons, stale=list(stale)
    )


def memory(name: str, *, used: int = 1000, **stack: object) -> Memory:
    use = MemoryUse(used=1, limit=2)
    good = {"worst": 900, "reserved": 2048, "levels": [], "functions": 3, "recursion": [], "unbounded": []}
    programs = [
        ProgramMemory(role="application", flash=use, ram=use, stack=StackUse.model_validate(good | stack)),
        ProgramMemory(role="bootloader", flash=use, ram=use, stack=StackUse.model_validate(good)),
    ]
    slot = MemoryUse(used=used, limit=2000)
    return Memory(board=name, programs=programs, slot=slot, slot_spare=15, tool=Tool(name="objdump", version="2.40"))


def item(name: str, boards: tuple[str, ...] = BOARDS, **fields: str) -> Item:
    return with_fingerprint(
        id=name,
        type="requirement",
        title=name,
        text="Text.",
        fields={
            "verification": "test",
            "boards": "all",
            **{key.replace("_", "-"): value for key, value in fields.items()},
        },
        links={},
        boards=list(boards),
        file="r.md",
        line=1,
    )


def with_fingerprint(**content: Any) -> Item:
    made = Item(fingerprint="0" * 64, **content)
    return made.model_copy(update={"fingerprint": fingerprint_of(made)})


def other(name: str, kind: str, **fields: str) -> Item:
    """An item that is no requirement."""
    fields = {key.replace("_", "-"): value for key, value in fields.items()}
    content = item(name).model_dump(exclude={"fingerprint"}) | {"type": kind, "fields": fields}
    return with_fingerprint(**content)


RATED = {
    "severity": "critical",
    "probability": "remote",
    "severity_after": "critical",
    "probability_after": "improbable",
}
ASSESSED = {"status": "open", "found_by": "review", "cause": "c", "impact": "none", "rationale": "r"}


SECURED = item("SRS-1", security_control=", ".join(CONTROL_CATEGORIES))


def traced(
    *verdicts: str,
    items: tuple[Item, ...] = (item("SRS-1", security_control=", ".join(CONTROL_CATEGORIES)),),
    findings: tuple[TraceFinding, ...] = (),
) -> Traceability:
    row = MatrixRow(requirement="SRS-1", test="t", verdicts=dict(zip(BOARDS, verdicts or ("passed",) * 2, strict=True)))
    reviews = [review_of(one, {}, by="A. Tester", on=WHEN, note="x") for one in items]
    return Traceability(items=list(items), matrix=[row], findings=list(findings), reviews=reviews, risk=MATRIX)


MATRIX = RiskMatrix(
    severities=["serious", "critical"],
    probabilities=["improbable", "remote", "frequent"],
    acceptability={
        "serious": ["acceptable", "acceptable", "unacceptable"],
        "critical": ["acceptable", "benefit-risk", "unacceptable"],
    },
)
CONTROL = {"new_hazards": "none; it only watches"}


def assessment(verdict: str = "fixed", *matches: Match, **changes: Any) -> Assessment:
    """One component, of which nothing is known unless there are matches."""
    component = {
        "name": "crypto",
        "version": "1.0",
        "purl": "pkg:github/somebody/crypto@1.0",
        "cpe": "",
        "boards": list(BOARDS),
    }
    fields = {
        "snapshot": SNAPSHOT,
        "maxAge": 30,
        "noData": "refuse",
        "components": [ComponentVerdict.model_validate(component | {"verdict": verdict, "matches": list(matches)})],
        "vex": [],
        "unused": [],
    }
    return Assessment.model_validate(fields | changes)


def secrets(*found: SecretFinding, **changes: object) -> Secrets:
    return Secrets(
        tools=[Tool(name="devicepipe-secrets", version="1")], proven_on={"devicepipe-secrets": "planted keys"}, absent={},
        source_files=3, bundle_files=4, images=[], keys=[], findings=list(found),
    ).model_copy(update=changes)  # fmt: skip


FOUND = SecretFinding(tool="devicepipe-secrets", rule="own-key", place="source", file="keys/x.pem", line=2)

GOOD = GateInput(source(), traced(), tuple(board(name) for name in BOARDS), merged(), assessment(), secrets())


def checked(told: Assessment, traceability: Traceability | None = None) -> GateInput:
    """Good evidence of a product that asks for a check of its components, which came to this."""
    asking = source().model_copy(update={"vulnerabilities": told.wish})
    return dataclasses.replace(
        GOOD, source=asking, vulnerabilities=told, traceability=traceability or GOOD.traceability
    )


def foreign(*cases: ForeignCase, current: bool = True) -> GateInput:
    """Good evidence of a product with results of another framework."""
    passed = ForeignCase(id="unit: a", name="a", verdict=Verdict.PASSED, names=[], file="x", line=1)
    one = ForeignSet(name="unit", format="junit", files=[], current=current, why="it says so", cases=[passed, *cases])
    asking = source().model_copy(update={"results": [ResultsWish(name="unit", format="junit", properties=[])]})
    return dataclasses.replace(GOOD, source=asking, foreign=ForeignResults(tester="t", sets=[one]))


def with_board(**parts: object) -> GateInput:
    """Good evidence, but for parts of the first board."""
    small, large = GOOD.boards
    return dataclasses.replace(GOOD, boards=(dataclasses.replace(small, **parts), large))  # type: ignore[arg-type]


def changed(part: str, **values: object) -> GateInput:
    """Good evidence, but for fields of one part of the first board."""
    return with_board(**{part: getattr(GOOD.boards[0], part).model_copy(update=values)})


def campaigns(name: str, *broken: str, wrong_seed: bool = False) -> Campaigns:
    result = CampaignResult(
        kind="powercut",
        board=name,
        image_digest=IMAGE,
        groups=[
            CampaignGroup(name="swap", size=9, points=2, outcomes={"old": 2 - len(broken)} if len(broken) < 2 else {})
        ],
        points=2,
        points_possible=19,
        seed=8 if wrong_seed else 7,
        inside=1,
        deep=0,
        boots=2,
        failures=[CampaignFailure(point=point, message="a mixture starts") for point in broken],
        processes=1,
        record_seconds=1.0,
        seconds=2.0,
    )
    return Campaigns(board=name, image_digest=IMAGE, results=[result], unprepared=[], tools=[])


UNPREPARED = Unprepared(kind="powercut", message="no update starts")


def campaigning(first: Campaigns | None) -> GateInput:
    """Good evidence of a product that asks for a campaign, but for that of the first board."""
    wishes = [CampaignWish(kind="powercut", points=2, seed=7)]
    small, large = GOOD.boards
    boards = (dataclasses.replace(small, campaigns=first), dataclasses.replace(large, campaigns=campaigns("large")))
    return dataclasses.replace(GOOD, source=source().model_copy(update={"campaigns": wishes}), boards=boards)


def failed(decisions: Decisions) -> dict[tuple[str, str], str]:
    return {(one.rule, one.board): one.message for one in decisions.decisions if not one.passed}


def with_row(**row: str) -> GateInput:
    """GOOD with one more row in its matrix."""
    trace = traced()
    matrix = [*trace.matrix, MatrixRow.model_validate({**row, "verdicts": {}})]
    return dataclasses.replace(GOOD, traceability=trace.model_copy(update={"matrix": matrix}))


def with_items(*items: Item) -> GateInput:
    """GOOD with further items."""
    return dataclasses.replace(GOOD, traceability=traced(items=(item("SRS-1"), *items)))


def with_finding(finding: TraceFinding) -> GateInput:
    return dataclasses.replace(GOOD, traceability=traced(findings=(finding,)))


PARTS = ("build", "reproducibility", "signing", "image", "tests", "analysis", "memory", "coverage", "sbom")
UNTESTED = TraceFinding(kind="untested-requirement", item="SRS-1", board="large", message="not-run: t")
ERROR = Finding(tool="cppcheck", rule="arrayIndex", level="error", message="out of bounds", file="a.c", line=7)
WARNING = ERROR.model_copy(update={"level": "warning"})

AFFECTED = Match(id="X-1", status="affected", by="version", reason="1.0 is in the range", record_sha256="0" * 64)
EXPLOITED = AFFECTED.model_copy(
    update={
        "status": "not_affected",
        "by": "vex",
        "reason": "never called",
        "exploited": Exploited(since="2025-11-01", record="KEV/X-1"),
    }
)
OLD = SNAPSHOT | {"date": "2025-12-01"}


def linked(name: str, kind: str, **links: list[str]) -> Item:
    """An item that is no requirement, with links."""
    return with_fingerprint(**other(name, kind).model_dump(exclude={"fingerprint", "links"}), links=links)


def with_markers(named: str, *items: Item) -> GateInput:
    """Good evidence with further items, and a source that names an item."""
    marker = CodeMarker(file="src/a.c", line=3, items=[named])
    whole = traced(items=(item("SRS-1"), *items)).model_copy(update={"code": [marker]})
    return dataclasses.replace(GOOD, traceability=whole)
