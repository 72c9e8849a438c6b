"""What stands in the records of a synthetic bundle: bills of materials, results, coverage, campaigns, vulnerabilities."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

from devicepipe.evidence import campaigns as f
from devicepipe.evidence import coverage as c
from devicepipe.evidence import decisions as d
from devicepipe.evidence import foreign_results as n
from devicepipe.evidence import predicates as p
from devicepipe.evidence import vulnerabilities as v

COMMIT = "1f" * 20
ARCHIVE = "c0" * 32
COMPILER = p.Tool(name="gcc", version="12.2.1", sha256="cc" * 32)
TIME = "2026-03-01T08:00:00Z"

UNIT = p.ResultsWish(name="unit", format="junit", properties=["verifies"])
JUNIT_FILE = "evidence/results/unit/unit.xml"
JUNIT = f"""<testsuite name="core" tests="2" timestamp="{TIME}">
<properties><property name="commit" value="{COMMIT}"/></properties>
<testcase classname="core" name="adds" time="0.5">
<properties><property name="verifies" value="SRS-001"/></properties></testcase>
<testcase classname="core" name="waits"/>
</testsuite>
""".encode()


def foreign_results(sha256: str) -> n.ForeignResults:
    """What JUNIT says."""
    cases, commits, started = n.cases_of(UNIT, {JUNIT_FILE: JUNIT}, None)
    current, why = n.currency_of(UNIT, commits, COMMIT)
    file = p.Subject(name=JUNIT_FILE, digest=p.Digest(sha256=sha256))
    one = n.ForeignSet(
        name="unit",
        format="junit",
        files=[file],
        commits=commits,
        current=current,
        why=why,
        started_on=started,
        cases=cases,
    )
    return n.ForeignResults(tester="tester", sets=[one])


RULES = b"""
name = "basic"
title = "Basic"

[[rule]]
id = "complete"
severity = "error"
scope = "release"
expression = "release.complete == true"

[[rule]]
id = "tests-pass"
severity = "error"
scope = "board"
waivable-by = ["quality"]
expression = "board.passed == true"
"""


def decisions(boards: Sequence[str]) -> list[d.Decision]:
    """That all of RULES hold."""
    held = d.Decision(rule="complete", title="t", clause="c", severity="error", passed=True, message="m", remedy="")
    return [held, *(held.model_copy(update={"rule": "tests-pass", "board": board}) for board in boards)]


def share(executed: int, of: int) -> c.Share:
    return c.Share(executed=executed, all=of)


def sbom(board: str, sha256: str) -> dict[str, Any]:
    archive = {"type": "source-distribution", "url": "pkg:pypi/crypto@1.0", "hashes": [hash_of(ARCHIVE)]}
    return bom(
        {"type": "firmware", "name": "pump", "bom-ref": f"pump#{board}", "hashes": [hash_of(sha256)]},
        {
            "type": "library",
            "name": "crypto",
            "version": "1.0",
            "supplier": {"name": "Somebody"},
            "purl": "pkg:github/somebody/crypto@1.0",
            "externalReferences": [archive],
        },
    )


def build_sbom() -> dict[str, Any]:
    tool = {"type": "application", "name": COMPILER.name, "version": COMPILER.version}
    return bom({"type": "application", "name": "pump-build"}, tool | {"hashes": [hash_of(COMPILER.sha256 or "")]})


def bom(root: dict[str, Any], *components: dict[str, Any]) -> dict[str, Any]:
    metadata = {"component": root}
    return {"bomFormat": "CycloneDX", "specVersion": "1.6", "metadata": metadata, "components": list(components)}


def hash_of(sha256: str) -> dict[str, str]:
    return {"alg": "SHA-256", "content": sha256}


RECORD = '{"id": "X-1"}'
VEX_FILE = f"{v.VEX_FOLDER}crypto.json"
VEX = {
    "statements": [
        {
            "vulnerability": {"name": "X-1"},
            "products": [{"@id": "pkg:generic/pump", "subcomponents": [{"@id": "pkg:github/somebody/crypto"}]}],
            "status": "not_affected",
            "justification": "vulnerable_code_not_present",
        }
    ]
}


def assessment(boards: Sequence[str]) -> v.Assessment:
    """One component, affected by one record but for a VEX statement."""
    match = v.Match(
        id="X-1",
        status="not_affected",
        by="vex",
        reason="It is not there.",
        record_sha256=hashlib.sha256(RECORD.encode()).hexdigest(),
        justification="vulnerable_code_not_present",
        statement="crypto.json#1",
    )
    component = v.ComponentVerdict(
        name="crypto",
        version="1.0",
        purl="pkg:github/somebody/crypto@1.0",
        cpe="",
        boards=list(boards),
        verdict="not_affected",
        matches=[match],
    )
    return v.Assessment(
        snapshot=v.Snapshot(
            sha256="5a" * 32, date="2026-03-01", newest_record=TIME, format="osv+kev", records=2, description="sample"
        ),
        max_age=30,
        no_data="refuse",
        components=[component],
        vex=[v.VexDocument(file=VEX_FILE, id="urn:x", author="somebody", statements=1)],
        unused=[],
    )


def coverage(signing: p.ImageSigning) -> c.CoverageResult:
    """Of two functions: `run` was executed, `fail` was not."""
    figures = {"instructions": share(8, 10), "lines": share(4, 5), "functions": share(1, 2), "outcomes": share(1, 2)}
    functions = [
        c.FunctionShare(file="src/a.c", line=1, function="run", instructions=share(8, 8), hits=2),
        c.FunctionShare(file="src/a.c", line=9, function="fail", instructions=share(0, 2), hits=0),
    ]
    return c.CoverageResult(
        board=signing.board,
        image_digest=signing.image_digest,
        tests=2,
        minimum=c.Minimum(instructions=80, lines=80, functions=50, outcomes=50),
        total=c.FileShares(file="", **figures),
        files=[c.FileShares(file="src/a.c", **figures)],
        functions=functions,
        requirements={"SRS-001": [0]},
        foreign=0,
        tool=p.Tool(name="objdump", version="2.40"),
    )


def merged_coverage(boards: Sequence[str]) -> c.MergedCoverage:
    count = len(boards)
    file = c.MergedFile(
        file="src/a.c",
        boards=list(boards),
        lines=c.MergedShare(any=4, every=4, all=5),
        functions=c.MergedShare(any=1, every=1, all=2),
        instructions=share(8 * count, 10 * count),
        outcomes=share(count, 2 * count),
    )
    never = c.NeverExecuted(file="src/a.c", line=9, function="fail", boards=list(boards), reason="It cannot fail.")
    return c.MergedCoverage(
        boards=list(boards),
        total=file.model_copy(update={"file": ""}),
        files=[file],
        never_executed=[never],
        reasons=True,
        stale=[],
    )


def campaigns(signing: p.ImageSigning) -> f.Campaigns:
    result = f.CampaignResult(
        kind="powercut",
        board=signing.board,
        image_digest=signing.image_digest,
        groups=[f.CampaignGroup(name="swap", size=2, points=3, outcomes={"old": 2, "new": 1})],
        points=3,
        points_possible=5,
        seed=7,
        inside=1,
        deep=1,
        boots=2,
        failures=[],
        processes=1,
        record_seconds=1.0,
        seconds=2.0,
    )
    return f.Campaigns(
        board=signing.board, image_digest=signing.image_digest, results=[result], unprepared=[], tools=[]
    )
