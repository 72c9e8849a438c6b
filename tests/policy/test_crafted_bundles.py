"""The reference product's rules on bundles that are each broken in one way: exactly the rule of that name fails, and no other."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from devicepipe.evidence.bundle import Bundle
from devicepipe.evidence.components import END_OF_SUPPORT, SUPPORT, SUPPORT_LEVEL, UNDECLARED
from devicepipe.evidence.trace import Item
from devicepipe.evidence.verify import verify_bundle
from devicepipe.evidence.words import CONTROL_CATEGORIES
from devicepipe.policy.gate import decide
from devicepipe.policy.rules import RuleSet, load_policy
from devicepipe.project.config import load_project
from devicepipe.stages.gate import evidence_of
from devicepipe.traceability.reviews import review_of
from tests.evidence.synthetic_bundle import Made, Spoil, board_files, development_keys, make_bundle
from tests.policy.samples import ASSESSED, RATED, VARIED, failed, item, other, with_fingerprint

BOARDS = ("alpha", "beta")
IMAGE = "images/alpha/application.signed.bin"
FOREIGN = {IMAGE: board_files("alpha", "1.2.3", development_keys(1))["application.signed.bin"]}
HELD = {
    "reason": "flaky",
    "owner": "A. Tester",
    "issue": "",
    "expires": "2999-12-31",
    "file": "hil/quarantine.toml",
    "line": 1,
}

Change = Callable[[dict[str, Any]], object]


@pytest.fixture(scope="module")
def rules() -> RuleSet:
    return load_policy(load_project(Path(__file__).parents[2] / "devicepipe.toml"))


def whole_analysis(analysis: dict[str, Any]) -> None:
    analysis["tools"] = [{"name": "cppcheck", "version": "2.20"}]
    analysis["provenOn"] = {"cppcheck": "out_of_bounds.c"}
    analysis["checks"] = [{"name": "no-wx", "passed": True, "message": "none"}]
    analysis["deviations"] = []
    analysis["wanted"] = ["cppcheck"]
    analysis["dispositions"] = []


def whole_memory(memory: dict[str, Any]) -> None:
    memory["programs"].append(memory["programs"][0] | {"role": "bootloader"})


def whole_sbom(document: dict[str, Any]) -> None:
    (component,) = document["components"]
    component["licenses"] = [{"license": {"id": "MIT"}}]
    said = {SUPPORT: "by its author", SUPPORT_LEVEL: "actively-maintained", END_OF_SUPPORT: "2999-12-31"}
    component["properties"] = [{"name": name, "value": value} for name, value in said.items()]


def varied_builds(builds: dict[str, Any]) -> None:
    builds["varied"] = [one.to_json() for one in VARIED]


PASSED = dict.fromkeys(BOARDS, "passed")
WORKS = {"hazard": "HAZ-900", "riskControl": "RC-900", "requirement": "", "test": "hil/test_pump.py::test_2", "verdicts": PASSED,
         "effectiveness": True}  # fmt: skip
MATRIX = {
    "severities": ["serious", "critical"],
    "probabilities": ["improbable", "remote", "frequent"],
    "acceptability": {
        "serious": ["acceptable", "acceptable", "unacceptable"],
        "critical": ["acceptable", "benefit-risk", "unacceptable"],
    },
}


def secured(controls: str) -> Item:
    """A requirement that serves categories of security controls, and implements a risk control."""
    linked = {"links": {"implements": ["RC-900"]}}
    return with_fingerprint(
        **item("SRS-900", BOARDS, security_control=controls).model_dump(exclude={"fingerprint"}) | linked
    )


def whole_trace(trace: dict[str, Any]) -> None:
    """A requirement of its own, and a hazard whose control is implemented by a verified requirement and shown to work."""
    chain = [
        item("SRS-001", BOARDS),
        other("HAZ-900", "hazard", **RATED),
        other("RC-900", "risk-control", new_hazards="none; it only watches"),
        secured(", ".join(CONTROL_CATEGORIES)),
    ]
    trace["items"] = [one.to_json() for one in chain]
    above = {"hazard": "HAZ-900", "riskControl": "RC-900", "requirement": "SRS-900"}
    trace["matrix"] += [
        above | {"test": "hil/test_pump.py::test_1", "verdicts": dict(PASSED)},
        WORKS | {"verdicts": dict(PASSED)},
    ]
    trace["risk"] = MATRIX
    trace["reviews"] = "all"


def review_all(trace: dict[str, Any]) -> None:
    """Every item that is there is reviewed, unless something else was said of reviews."""
    if trace.get("reviews") == "all":
        items = {one["id"]: Item.from_json(one) for one in trace["items"]}
        when = "2026-02-01T08:00:00Z"
        trace["reviews"] = [
            review_of(one, items, by="A. Tester", on=when, note="x").to_json() for one in items.values()
        ]


def whole_tests(result: dict[str, Any]) -> None:
    one, two = result["devicepipe"]["cases"]
    one["verifies"] = ["SRS-001", "SRS-900"]
    two.update(verifies=["RC-900", "SRS-001"], effectiveness=["RC-900"])


WHOLE: dict[str, Change] = {"traceability": whole_trace}
for _board in BOARDS:
    WHOLE[f"{_board}/test"] = whole_tests
    WHOLE |= {f"{_board}/analysis": whole_analysis, f"{_board}/memory": whole_memory}
    WHOLE |= {f"{_board}/sbom": whole_sbom, f"{_board}/reproducibility": varied_builds}


def bundle(folder: Path, changes: dict[str, Change] | None = None, files: dict[str, bytes] | None = None) -> Made:
    """A bundle that all rules pass, but for the changes."""
    changes = changes or {}

    def both(name: str) -> Callable[[dict[str, Any]], None]:
        def change(predicate: dict[str, Any]) -> None:
            for one in (WHOLE.get(name), changes.get(name)):
                if one is not None:
                    one(predicate)
            if name == "traceability":
                review_all(predicate)

        return change

    edits = {name: both(name) for name in {*WHOLE, *changes}}
    measured = ("application.elf", "application.signed.bin", "bootloader.elf")
    subjects = {f"{board}/memory": [f"images/{board}/{name}" for name in measured] for board in BOARDS}
    return make_bundle(folder, boards=BOARDS, spoil=Spoil(edit=edits, files=files or {}, subjects=subjects))


def at(where: str, value: object) -> Callable[[dict[str, Any]], None]:
    """Set one value; `where` is a dotted path."""

    def change(predicate: dict[str, Any]) -> None:
        *parents, last = (int(part) if part.isdigit() else part for part in where.split("."))
        target: Any = predicate
        for part in parents:
            target = target[part]
        target[last] = value

    return change


def case(**values: object) -> Change:
    return lambda result: result["devicepipe"]["cases"][0].update(values)


def attempt(verdict: str) -> dict[str, object]:
    return {
        "verdict": verdict,
        "reason": "lost",
        "durationSeconds": 0.1,
        "logStart": 0,
        "logEnd": 0,
        "measurements": [],
    }


SECRET = {"tool": "devicepipe-secrets", "rule": "aws-key", "place": "source", "file": "a.c", "line": 3}


def foreign_case(**values: object) -> Change:
    return lambda results: results["sets"][0]["cases"][1].update(values)


def on_host(trace: dict[str, Any]) -> None:
    trace["items"].append(item("SRS-002", BOARDS, verification="host-test").to_json())
    row = {"hazard": "", "riskControl": "", "requirement": "SRS-002", "test": "unit: core.adds"}
    trace["matrix"].append(row | {"verdicts": {"host": "passed"}})


def add(key: str, value: object) -> Change:
    return lambda predicate: predicate[key].append(value)


def finding(rule: str, level: str) -> dict[str, object]:
    return {
        "tool": "cppcheck",
        "rule": rule,
        "level": level,
        "message": "m",
        "file": "a.c",
        "line": 7,
        "deviated": False,
    }


def trace_finding(kind: str, name: str) -> dict[str, object]:
    return {"kind": kind, "item": name, "board": "", "message": "m", "file": "", "line": 0}


def no_pass_on_beta(trace: dict[str, Any]) -> None:
    for row in trace["matrix"]:
        if row["requirement"] == "SRS-001":
            row["verdicts"]["beta"] = "failed"


def without_requirement(trace: dict[str, Any]) -> None:
    """A control that works, and that no requirement asks for."""
    control = other("RC-901", "risk-control", new_hazards="none; it only watches").to_json()
    trace["items"].append(control | {"boards": list(BOARDS)})
    trace["matrix"].append(WORKS | {"hazard": "", "riskControl": "RC-901"})


def rated(severity: str, probability: str) -> Change:
    def change(trace: dict[str, Any]) -> None:
        trace["items"][1]["fields"] |= {"severity-after": severity, "probability-after": probability}

    return change


def one_unreviewed(trace: dict[str, Any]) -> None:
    review_all(trace)
    trace["reviews"].pop()


def changed_since_review(trace: dict[str, Any]) -> None:
    review_all(trace)
    trace["items"][0]["fingerprint"] = "7" * 64


def broken_promise(campaigns: dict[str, Any]) -> None:
    (result,) = campaigns["results"]
    result["failures"] = [{"point": "swap:1", "message": "a mixture starts"}]
    result["groups"][0]["outcomes"] = {"old": 2}


DESIGN = with_fingerprint(
    **other("DSG-001", "design").model_dump(exclude={"fingerprint", "links"}),
    links={"realises": ["SRS-001", "SRS-900"]},
)


ALOOF = with_fingerprint(
    **other("DSG-002", "design").model_dump(exclude={"fingerprint", "links"}), links={"realises": ["SRS-009"]}
)


def design(*items: Item, code: str = "") -> Change:
    """Add items to a whole trace, and a marker in the sources that names an item."""

    def change(trace: dict[str, Any]) -> None:
        trace["items"] += [one.to_json() for one in items]
        for row in trace["matrix"]:
            if any(one.type == "design" for one in items):
                row["designs"] = [one.id for one in items if row["requirement"] in one.links.get("realises", ())]
            if any(one.type == "user-need" for one in items):
                row["userNeeds"] = []
        if code:  # in a file of the made bundle's sources, whatever it is
            trace["code"] = [{"file": "boards/alpha.json", "line": 3, "function": "f", "items": [code]}]

    return change


RECORD = item("SRS-002", BOARDS, verification="inspection", evidence="r.pdf", evidence_sha256="5" * 64).to_json()

CRAFTED: dict[str, tuple[str, dict[str, Change]]] = {
    # what is broken: (the one rule that fails, the change)
    "the tree was dirty": ("clean-source", {"source": at("dirty", value=True)}),
    "one build only": ("builds-reproducible", {"alpha/reproducibility": at("builds", 1)}),
    "builds that differ": ("builds-reproducible", {"alpha/reproducibility": at("identical", value=False)}),
    "builds in one folder": ("builds-in-other-surroundings", {"beta/reproducibility": lambda builds: builds["varied"].pop(0)}),
    "a component without a licence": ("sbom-strict", {"alpha/sbom": lambda sbom: sbom["components"][0].pop("licenses")}),
    "a bill of materials that is not valid": ("sbom-strict", {"alpha/sbom": at("metadata.colour", "red")}),
    "a library linked and not declared": (
        "libraries-declared", {"alpha/sbom": at("components.0.properties.0", {"name": UNDECLARED, "value": "libm.a"})}),
    "a component whose support has ended": ("support-stated", {"alpha/sbom": at("components.0.properties.2.value", "2020-01-01")}),
    "components that nobody checked": ("vulnerabilities-checked", {"source": lambda source: source.pop("vulnerabilities")}),
    "a component that is affected": (
        "no-affected-component", {"vulnerabilities": at("devicepipe.components.0.matches.0.status", "affected")}),
    "a component with a vulnerability that is exploited": ("no-exploited-component", {"vulnerabilities": at(
        "devicepipe.components.0.matches.0.exploited", {"since": "2026-02-01", "record": "KEV/X-1"})}),
    "a snapshot without the catalogue of exploited ones": (
        "exploited-list-there", {"vulnerabilities": at("devicepipe.snapshot.format", "osv")}),
    "a component without data": ("no-data-decided", {"vulnerabilities": lambda told: told["devicepipe"]["components"][0].update(
        verdict="no_data", matches=[])}),
    "a snapshot of long ago": ("snapshot-fresh", {"vulnerabilities": at("devicepipe.snapshot.date", "2026-01-01")}),
    "a VEX statement that concerns nothing": ("vex-current", {"vulnerabilities": at("devicepipe.unused", ["a.json#1: X-9"])}),
    "a category of security controls without a requirement": (
        "security-controls-tested", {"traceability": at("items.3", secured("logging").to_json())}),
    "an image of another key": ("images-verified", {}),
    "another payload was tested": ("payload-tested-is-payload-signed", {"alpha/test": at("devicepipe.payloadDigest", "9" * 64)}),
    "firmware of another commit": ("identity-confirmed", {"alpha/test": at("devicepipe.identityAfter.commit", "9" * 40)}),
    "a device of another board": ("identity-confirmed", {"alpha/test": at("devicepipe.identityBefore.board", "beta")}),
    "a failed test": ("no-failed-verdicts", {"alpha/test": case(verdict="failed", reason="no volume")}),
    "a broken test": ("no-failed-verdicts", {"beta/test": case(verdict="error", reason="the device is lost")}),
    "a test that never ran": ("no-missing-verdicts", {"alpha/test": case(verdict="not_run", reason="skipped")}),
    "a failure that passed on retry": ("no-failure-retried", {"alpha/test": case(earlierAttempts=[attempt("failed")])}),
    "an error that passed on retry": ("no-error-retried", {"alpha/test": case(earlierAttempts=[attempt("error")])}),
    "a test in quarantine": ("no-quarantine", {"alpha/test": case(quarantine=HELD)}),
    "a requirement that no test verifies": (
        "requirements-verified", {"traceability": add("items", item("SRS-002", BOARDS).to_json())}),
    "a requirement whose test did not pass": (
        "requirements-verified", {"traceability": no_pass_on_beta}),
    "a requirement verified by a record": ("verified-by-test", {"traceability": add("items", RECORD)}),
    "a requirement that does not say how": ("verification-stated", {"traceability": at("items.0.fields", {"boards": "all"})}),
    "a requirement verified on a host": ("verified-on-device", {"traceability": on_host}),
    "a failed test of another framework": ("foreign-results-passed", {"foreign-results": foreign_case(verdict="failed")}),
    "a skipped test of another framework": (
        "foreign-results-complete", {"foreign-results": foreign_case(verdict="not_run", reason="skipped")}),
    "a test of no known item": ("tests-known-items", {"alpha/test": case(verifies=["SRS-001", "SRS-999"])}),
    "a hazard without a control": ("hazards-controlled", {"traceability": add("matrix", {
        "hazard": "HAZ-001", "riskControl": "", "requirement": "", "test": "", "verdicts": {}})}),
    "a user need that nothing satisfies": ("needs-met", {"traceability": design(other("UN-001", "user-need"))}),
    "a requirement that no design item realises": ("design-complete", {"traceability": design(ALOOF)}),
    "a design item that realises nothing": ("design-complete", {"traceability": design(DESIGN, other("DSG-002", "design"))}),
    "a design item that no source names": ("design-implemented", {"traceability": design(DESIGN, code="SRS-001")}),
    "a source that names no known item": ("code-known-items", {"traceability": design(code="DSG-404")}),
    "a hazard that is not rated": (
        "hazards-rated", {"traceability": add("items", other("HAZ-001", "hazard", **RATED | {"severity": ""}).to_json())}),
    "a hazard that its control makes worse": (
        "hazards-rated", {"traceability": add("findings", trace_finding("unreduced-hazard", "HAZ-001"))}),
    "nothing says what is acceptable": ("risk-acceptability-stated", {"traceability": lambda trace: trace.pop("risk")}),
    "a control without a requirement": ("controls-implemented", {"traceability": without_requirement}),
    "a control that nothing shows to work": (
        "controls-effective", {"traceability": lambda trace: trace["matrix"][-1].pop("effectiveness")}),
    "a control that does not work on one board": (
        "controls-effective", {"traceability": lambda trace: trace["matrix"][-1]["verdicts"].update(beta="failed")}),
    "a control whose proof is stale": (
        "controls-effective", {"traceability": lambda trace: trace["matrix"][-1]["verdicts"].update(beta="stale")}),
    "a control that does not say what it brings": (
        "control-hazards-assessed", {"traceability": lambda trace: trace["items"][2]["fields"].clear()}),
    "an unacceptable residual risk": ("residual-risk-acceptable", {"traceability": rated("serious", "frequent")}),
    "a residual risk without its justification": ("residual-risk-acceptable", {"traceability": rated("critical", "remote")}),
    "a residual risk in no scale": ("residual-risk-acceptable", {"traceability": rated("bad", "remote")}),
    "no reviews": ("reviews-kept", {"traceability": lambda trace: trace.pop("reviews")}),
    "an item that nobody reviewed": ("items-reviewed", {"traceability": one_unreviewed}),
    "an item that changed since its review": ("items-reviewed", {"traceability": changed_since_review}),
    "a library that nobody reviewed": ("soup-listed", {"traceability": add("findings", trace_finding("unlisted-soup", "zlib"))}),
    "an anomaly without a cause": (
        "anomalies-assessed", {"traceability": add("items", other("ANO-001", "anomaly", **ASSESSED | {"cause": ""}).to_json())}),
    "a stack that overflows": ("stack-bounded", {"alpha/memory": at("programs.0.stack.worst", 3)}),
    "a stack without a bound": ("stack-bounded", {"beta/memory": at("programs.0.stack.unbounded", ["f calls a pointer"])}),
    "recursion": ("no-recursion", {"alpha/memory": at("programs.0.stack.recursion", ["f → f"])}),
    "a slot that is almost full": ("slot-spare", {"alpha/memory": at("slot.used", 0x7F00)}),
    "too little executed": ("coverage-minimum", {"alpha/coverage": at("minimum.lines", 90)}),
    "a function that nobody explained": (
        "never-executed-explained", {"merged-coverage": lambda merged: merged["neverExecuted"][0].update(reason="")}),
    "a MISRA finding without a deviation": (
        "misra-deviations", {"alpha/analysis": add("findings", finding("misra-c2012-7.1", "note"))}),
    "an error that analysis found": ("analysis-clean", {"alpha/analysis": add("findings", finding("arrayIndex", "error"))}),
    "a token in the sources": ("no-secrets", {"secrets": add("findings", SECRET)}),
    "a tool that did not run": ("analysis-tools-complete", {"alpha/analysis": add("wanted", "gcc")}),
    "a finding that nobody decided about": (
        "findings-disposed", {"alpha/analysis": add("findings", finding("nullPointer", "note"))}),
    "a tool that finds nothing anywhere": ("analysis-clean", {"alpha/analysis": at("provenOn", {})}),
    "a check of the ELF file that fails": ("analysis-clean", {"alpha/analysis": at("checks.0.passed", value=False)}),
    "a promise broken after a power cut": (
        "campaigns-held", {"alpha/campaigns": broken_promise}),
    "a board whose evidence is lost": ("all-boards-complete", {}),
}  # fmt: skip


def test_the_whole_bundle_verifies_and_passes_every_rule(tmp_path: Path, rules: RuleSet) -> None:
    made = bundle(tmp_path)
    verify_bundle(made.path, made.keys.release.public)
    decisions = decide(evidence_of(Bundle(made.path), made.keys.image.public), rules)
    assert failed(decisions) == {}
    assert decisions.releasable


@pytest.mark.parametrize("broken", CRAFTED)
def test_exactly_the_rule_of_what_is_broken_fails(tmp_path: Path, rules: RuleSet, broken: str) -> None:
    rule, changes = CRAFTED[broken]
    made = bundle(tmp_path, changes, FOREIGN if rule == "images-verified" else None)
    evidence = evidence_of(Bundle(made.path), made.keys.image.public)
    if rule == "all-boards-complete":  # no bundle can be read that lacks one: it is the gate's input that does
        evidence = dataclasses.replace(evidence, boards=evidence.boards[:1])
    decisions = decide(evidence, rules)
    assert {name for name, _ in failed(decisions)} == {rule}

    assert len(failed(decisions)) == 1, "on the board that is broken, and on no other"
    severity = rules.rule(rule).text.severity
    assert decisions.releasable == (severity == "warning")


def test_every_rule_of_the_reference_product_catches_a_crafted_bundle(rules: RuleSet) -> None:
    assert {rule for rule, _ in CRAFTED.values()} == {rule.text.id for rule in rules.rules}
