"""The gate: whole evidence passes, and each defect is caught by its rule and named in the message."""

from __future__ import annotations

import dataclasses

import pytest

from devicepipe.evidence.findings import Check
from devicepipe.evidence.foreign_results import ForeignCase
from devicepipe.evidence.predicates import (
    BuildResult,
    Difference,
)
from devicepipe.evidence.results import Quarantine, Verdict
from devicepipe.evidence.trace import MatrixRow, Traceability, TraceFinding
from devicepipe.policy.evidence import GateInput, board_data, release_data
from devicepipe.policy.gate import decide
from devicepipe.policy.rules import RuleSet, load_rule_set
from tests.policy.samples import (
    AFFECTED,
    ASSESSED,
    COMMIT,
    CONTROL,
    ERROR,
    EXPLOITED,
    FOUND,
    GOOD,
    OLD,
    OTHER,
    PARTS,
    RATED,
    UNPREPARED,
    UNTESTED,
    VARIED,
    WARNING,
    assessment,
    attempt,
    board,
    build,
    campaigning,
    campaigns,
    case,
    changed,
    checked,
    coverage,
    failed,
    foreign,
    identity,
    item,
    linked,
    memory,
    merged,
    other,
    run,
    sbom,
    secrets,
    source,
    traced,
    with_board,
    with_finding,
    with_items,
    with_markers,
    with_row,
)


@pytest.fixture(scope="module")
def rules() -> RuleSet:
    return load_rule_set("release")


def test_whole_evidence_is_releasable_and_every_decision_tells_what_was_seen(rules: RuleSet) -> None:
    decisions = decide(GOOD, rules)
    assert failed(decisions) == {}
    assert decisions.releasable
    assert decisions.reasons == []
    assert all(one.message and one.clause and not one.remedy for one in decisions.decisions)
    by_scope = {scope: sum(rule.text.scope == scope for rule in rules.rules) for scope in ("release", "board")}
    assert len(decisions.decisions) == by_scope["release"] + 2 * by_scope["board"]


DEFECTS: dict[str, tuple[GateInput, str, str, str]] = {
    # defect: (evidence, rule, board, part of the message)
    "requirement-without-a-passing-test": (
        dataclasses.replace(GOOD, traceability=traced("passed", "not_run", findings=(UNTESTED,))),
        "requirements-verified", "", "SRS-1 on large: not-run: t",
    ),
    "requirement-without-a-finding-that-says-so": (
        dataclasses.replace(GOOD, traceability=traced("passed", "failed")),
        "requirements-verified", "", "SRS-1 on large: no passing test",
    ),
    "requirement-that-is-in-no-row": (
        dataclasses.replace(GOOD, traceability=traced(items=(item("SRS-1"), item("SRS-2")))),
        "requirements-verified", "", "SRS-2 on small: no passing test; SRS-2 on large",
    ),
    "user-need-that-nothing-meets": (
        with_items(other("UN-1", "user-need")), "needs-met", "", "UN-1 UN-1: no requirement satisfies it",
    ),
    "requirement-without-a-design": (
        with_items(linked("DSG-1", "design", realises=["SRS-9"])), "design-complete", "", "SRS-1: no design item realises it",
    ),
    "design-without-a-requirement": (
        with_items(linked("DSG-1", "design", realises=["SRS-1"]), other("DSG-2", "design")),
        "design-complete", "", "DSG-2: it realises no requirement",
    ),
    "design-that-no-source-names": (
        with_markers("SRS-1", linked("DSG-1", "design", realises=["SRS-1"])), "design-implemented", "", "DSG-1: no source names it",
    ),
    "source-that-names-no-item": (with_markers("SRS-404"), "code-known-items", "", "SRS-404 in src/a.c:3"),
    "hazard-without-a-control": (with_row(hazard="HAZ-9"), "hazards-controlled", "", "HAZ-9 has no risk control"),
    "control-without-a-requirement": (
        with_row(hazard="HAZ-9", risk_control="RC-9"), "hazards-controlled", "", "RC-9, which mitigates HAZ-9, has no requirement",
    ),
    "hazard-without-its-residual-probability": (
        with_items(other("HAZ-1", "hazard", **RATED | {"probability_after": ""})),
        "hazards-rated", "", "HAZ-1 has no probability-after",
    ),
    "hazard-made-worse": (
        with_finding(TraceFinding(kind="unreduced-hazard", item="HAZ-1", message="worse")),
        "hazards-rated", "", "HAZ-1: worse",
    ),
    "control-that-no-requirement-implements": (
        with_items(other("RC-1", "risk-control", **CONTROL)), "controls-implemented", "", "RC-1: no requirement implements it",
    ),
    "control-that-nothing-shows-to-work": (
        with_items(other("RC-1", "risk-control", **CONTROL)), "controls-effective", "", "RC-1: nothing shows that it is effective",
    ),
    "control-that-is-silent-about-new-hazards": (
        with_items(other("RC-1", "risk-control")), "control-hazards-assessed", "", "RC-1: it does not say",
    ),
    "residual-risk-that-nobody-takes": (
        with_items(other("HAZ-1", "hazard", **RATED | {"probability_after": "frequent"})),
        "residual-risk-acceptable", "", "HAZ-1: its residual risk (critical and frequent) is unacceptable",
    ),
    "residual-risk-without-a-justification": (
        with_items(other("HAZ-1", "hazard", **RATED | {"probability_after": "remote"})),
        "residual-risk-acceptable", "", "HAZ-1: its residual risk (critical and remote) needs a benefit-risk justification",
    ),
    "item-that-nobody-reviewed": (
        dataclasses.replace(GOOD, traceability=traced().model_copy(update={"reviews": []})),
        "items-reviewed", "", "SRS-1: nobody has reviewed it",
    ),
    "library-that-nobody-reviewed": (
        with_finding(TraceFinding(kind="unlisted-soup", item="zlib", message="no item")),
        "soup-listed", "", "zlib: no item",
    ),
    "anomaly-that-nobody-assessed": (
        with_items(other("ANO-1", "anomaly", **ASSESSED | {"rationale": ""})),
        "anomalies-assessed", "", "ANO-1 has no rationale",
    ),
    "no-requirements": (
        dataclasses.replace(GOOD, traceability=traced(items=())), "requirements-verified", "", "there are no requirements",
    ),
    "failed-test": (with_board(tests=run("small", case(verdict="failed"), case("t2"))),
        "no-failed-verdicts", "small", "failed: hil/test_a.py::test_a: because it failed"),
    "broken-test": (with_board(tests=run("small", case(verdict="error"), case("t2"))),
        "no-failed-verdicts", "small", "error: hil/test_a.py::test_a"),
    "test-that-never-ran": (with_board(tests=run("small", case(verdict="not_run"), case("t2"))),
        "no-missing-verdicts", "small", "not run: hil/test_a.py::test_a: because it not_run"),
    "too-little-executed": (with_board(coverage=coverage("small", lines=89)), "coverage-minimum", "small",
        "89 of 100 lines were executed, 90 % are wanted"),
    "coverage-is-gone": (with_board(coverage=None), "coverage-minimum", "small", "cannot be decided"),
    "never-executed": (dataclasses.replace(GOOD, coverage=merged("")), "never-executed-explained", "",
        "without a reason: src/a.c:fail on small"),
    "executed-after-all": (dataclasses.replace(GOOD, coverage=merged(stale=("src/a.c:f was executed on large",))),
        "never-executed-explained", "", "a reason that does not hold: src/a.c:f was executed"),
    "merged-coverage-is-gone": (dataclasses.replace(GOOD, coverage=None), "all-boards-complete", "", "no merged coverage"),
    "no-tests": (changed("tests", cases=[]), "no-missing-verdicts", "small", "no test was collected"),
    "test-of-an-unknown-item": (with_board(tests=run("small", case(), case("t2", verifies=("SRS-1", "SRS-9")))),
        "tests-known-items", "", "SRS-9 in hil/test_a.py:3"),
    "builds-that-differ": (
        changed("reproducibility", identical=False, differences=[Difference(artifact="app.bin", offset=812, symbol="now")]),
        "builds-reproducible", "small", "app.bin from byte 812 (now)",
    ),
    "differences-called-identical": (
        changed("reproducibility", differences=[Difference(artifact="app.bin", offset=812)]),
        "builds-reproducible", "small", "app.bin from byte 812",
    ),
    "builds-in-one-folder": (
        changed("reproducibility", varied=VARIED[1:]), "builds-in-other-surroundings", "small", "folder was the same in both",
    ),
    "one-build": (changed("reproducibility", builds=1), "builds-reproducible", "small", "only one build"),
    "nothing-compared": (changed("reproducibility", compared=[]), "builds-reproducible", "small", "no file was compared"),
    "image-that-does-not-verify": (
        with_board(image=Check(name="image", passed=False, message="signed by another key")),
        "images-verified", "small", "signed by another key",
    ),
    "another-payload-tested": (changed("tests", payload_digest=OTHER),
        "payload-tested-is-payload-signed", "small", f"payload tested: {OTHER}",
    ),
    "another-image-tested": (changed("tests", image_digest=OTHER),
        "payload-tested-is-payload-signed", "small", f"image tested: {OTHER}",
    ),
    "another-payload-built": (with_board(build=build(OTHER)),
        "payload-tested-is-payload-signed", "small", f"payload built: {OTHER}",
    ),
    "no-application-built": (
        with_board(build=BuildResult(board="small", firmwares=[], compilers=[])),
        "payload-tested-is-payload-signed", "small", "no evidence of 'payloadDigest'",
    ),
    "another-image-on-the-device": (
        changed("tests", identity_before=identity("small").model_copy(update={"digest": OTHER})),
        "identity-confirmed", "small", f"the device said board small, commit {COMMIT}, digest {OTHER}",
    ),
    "firmware-of-another-commit": (
        changed("tests", identity_after=identity("small").model_copy(update={"commit": "d" * 40})),
        "identity-confirmed", "small", "d" * 40,
    ),
    "another-board": (changed("tests", identity_after=identity("large")), "identity-confirmed", "small", "board large"),
    "identity-errors": (changed("tests", identity_errors=["the version differs"]),
        "identity-confirmed", "small", "the version differs",
    ),
    "silent-device": (changed("tests", identity_after=None), "identity-confirmed", "small", "no evidence of 'after'"),
    "analysis-error": (changed("analysis", findings=[ERROR, WARNING]), "analysis-clean", "small", "a.c:7: out of bounds"),
    "stack-that-can-overflow": (
        with_board(memory=memory("small", worst=2049)), "stack-bounded", "small", "application: 2049 bytes",
    ),
    "stack-of-no-known-size": (with_board(memory=memory("small", reserved=0)), "stack-bounded", "small", "0 are reserved"),
    "call-through-a-pointer": (
        with_board(memory=memory("small", unbounded=["f calls"])), "stack-bounded", "small", "application: f calls",
    ),
    "bootloader-not-measured": (
        with_board(memory=memory("small").model_copy(update={"programs": memory("small").programs[:1]})),
        "stack-bounded", "small", "not both programs were measured",
    ),
    "recursion": (with_board(memory=memory("small", recursion=["a → a"])), "no-recursion", "small", "application: a → a"),
    "slot-almost-full": (with_board(memory=memory("small", used=1701)), "slot-spare", "small", "14 % of the slot are free"),
    "promise-broken": (campaigning(campaigns("small", "swap:17")), "campaigns-held", "small", "powercut swap:17: a mixture starts"),
    "campaign-not-run": (
        campaigning(campaigns("small", wrong_seed=True)), "campaigns-held", "small", "no powercut campaign of 2 points",
    ),
    "campaign-unprepared": (
        campaigning(campaigns("small").model_copy(update={"results": [], "unprepared": [UNPREPARED]})),
        "campaigns-held", "small", "powercut: no update starts",
    ),
    "no-campaigns": (campaigning(None), "campaigns-held", "small", "cannot be decided"),
    "no-memory": (with_board(memory=None), "stack-bounded", "small", "cannot be decided"),
    "misra-without-a-deviation": (
        changed("analysis", deviations=[], findings=[WARNING.model_copy(update={"rule": "misra-c2012-7.1"})]),
        "misra-deviations", "small", "misra-c2012-7.1 in a.c:7",
    ),
    "tool-that-did-not-run": (
        changed("analysis", wanted=["cppcheck", "gcc"], absent={"gcc": "armcc is no GCC"}),
        "analysis-tools-complete", "small", "gcc: armcc is no GCC",
    ),
    "no-tool-wanted": (changed("analysis", wanted=[]), "analysis-tools-complete", "small", "no tool is asked for"),
    "finding-that-nobody-decided": (
        changed("analysis", dispositions=[], findings=[WARNING]), "findings-disposed", "small", "cppcheck arrayIndex in a.c:7",
    ),
    "finding-that-nobody-reviewed": (
        changed("analysis", dispositions=[], findings=[WARNING.model_copy(update={"disposition": "unreviewed"})]),
        "findings-disposed", "small", "a.c:7",
    ),
    "foreign-test-failed": (
        foreign(ForeignCase(id="unit: t", name="t", verdict=Verdict.FAILED, reason="1 is 2", names=[], file="x", line=1)),
        "foreign-results-passed", "", "unit: t failed: 1 is 2",
    ),
    "foreign-results-of-another-commit": (foreign(current=False), "foreign-results-passed", "", "unit: it says so"),
    "secret": (dataclasses.replace(GOOD, secrets=secrets(FOUND)), "no-secrets", "", "own-key in keys/x.pem:2"),
    "search-that-was-off": (dataclasses.replace(GOOD, secrets=secrets(proven_on={})), "no-secrets", "", "missed what was planted"),
    "nothing-searched": (
        dataclasses.replace(GOOD, secrets=secrets(source_files=0, bundle_files=0)), "no-secrets", "", "no file was searched",
    ),
    "unproven-tool": (changed("analysis", proven_on={}), "analysis-clean", "small", "cppcheck did not find"),
    "tool-proven-on-nothing": (changed("analysis", proven_on={"cppcheck": ""}), "analysis-clean", "small", "cppcheck did not find"),
    "no-tool": (changed("analysis", tools=[]), "analysis-clean", "small", "no tool ran"),
    "no-elf-checks": (changed("analysis", checks=[]), "analysis-clean", "small", "nothing was checked"),
    "failed-elf-check": (
        changed("analysis", checks=[Check(name="no-wx", passed=False, message="segment 1 is both")]),
        "analysis-clean", "small", "no-wx: segment 1 is both",
    ),
    "dirty-source": (
        dataclasses.replace(GOOD, source=source().model_copy(update={"dirty": True})), "clean-source", "", COMMIT,
    ),
    "board-without-any-evidence": (
        dataclasses.replace(GOOD, boards=GOOD.boards[:1]), "all-boards-complete", "", "large: no evidence at all",
    ),
    "no-boards": (dataclasses.replace(GOOD, boards=()), "no-failed-verdicts", "", "cannot be decided: there is no board"),
    "no-source": (dataclasses.replace(GOOD, source=None), "clean-source", "", "no evidence of 'source'"),
    "no-trace": (dataclasses.replace(GOOD, traceability=None), "requirements-verified", "", "cannot be decided"),
    "no-build": (with_board(build=None), "payload-tested-is-payload-signed", "small", "cannot be decided"),
    "no-second-build": (with_board(reproducibility=None), "builds-reproducible", "small", "cannot be decided"),
    "no-image": (with_board(signing=None), "payload-tested-is-payload-signed", "small", "cannot be decided"),
    "image-never-verified": (with_board(image=None), "images-verified", "small", "cannot be decided"),
    "failure-that-passed-on-retry": (
        with_board(tests=run("small", case().model_copy(update={"earlier_attempts": [attempt("error"), attempt("failed")]}))),
        "no-failure-retried", "small", "hil/test_a.py::test_a: attempt 2 of 3 ended in failed: because it failed",
    ),
    "no-test-run": (with_board(tests=None), "no-failed-verdicts", "small", "cannot be decided"),
    "no-test-run-to-look-for-unknown-items": (with_board(tests=None), "tests-known-items", "", "cannot be decided"),
    "no-analysis": (with_board(analysis=None), "analysis-clean", "small", "cannot be decided"),
    # More of bills of materials: test_supply.py.
    "component-without-a-licence": (with_board(sbom=sbom(licence="")), "sbom-strict", "small", "crypto has no licence"),
    "undeclared-library": (with_board(sbom=sbom(undeclared="libm.a")), "libraries-declared", "small", "crypto (libm.a)"),
    "affected-component": (
        checked(assessment("affected", AFFECTED)), "no-affected-component", "", "crypto 1.0 by X-1 (1.0 is in the range)",
    ),
    "exploited-component-that-a-statement-clears": (
        checked(assessment("not_affected", EXPLOITED)), "no-exploited-component", "",
        "crypto 1.0 by X-1, exploited since 2025-11-01 (a VEX statement says not affected: never called)",
    ),
    "component-without-data": (checked(assessment("no_data")), "no-data-decided", "", "crypto: no record names it"),
    "snapshot-too-old": (
        checked(assessment(maxAge=30, snapshot=OLD)), "snapshot-fresh", "", "31 days old, 30 days are allowed: 7 records of 2025",
    ),
    "support-ended": (with_board(sbom=sbom(end_of_support="2020-01-01")), "support-stated", "small", "ended on 2020-01-01"),
}  # fmt: skip


@pytest.mark.parametrize("defect", DEFECTS)
def test_a_defect_stops_the_release_and_is_named(rules: RuleSet, defect: str) -> None:
    evidence, rule, board_name, part = DEFECTS[defect]
    decisions = decide(evidence, rules)
    message = failed(decisions)[rule, board_name]
    assert part in message
    assert not decisions.releasable
    assert any(reason.startswith(rule) and message in reason for reason in decisions.reasons)


@pytest.mark.parametrize(
    "rule", [rule.text.id for rule in load_rule_set("release").rules if rule.text.severity == "error"]
)
def test_every_rule_catches_a_defect(rule: str) -> None:
    assert rule in {caught for _, caught, _, _ in DEFECTS.values()}


@pytest.mark.parametrize("part", [*PARTS])
def test_missing_evidence_is_told_as_such(rules: RuleSet, part: str) -> None:
    message = failed(decide(with_board(**{part: None}), rules))["all-boards-complete", ""]
    assert "small: no " in message


def test_campaigns_that_held_are_told_with_their_points_and_missing_ones_are_missing_evidence(rules: RuleSet) -> None:
    decisions = decide(campaigning(campaigns("small")), rules)
    assert decisions.releasable
    told = {one.message for one in decisions.decisions if one.rule == "campaigns-held"}
    assert told == {"powercut at 2 points: every promise was kept"}
    message = failed(decide(campaigning(None), rules))["all-boards-complete", ""]
    assert message.endswith("small: no campaign")


def test_warnings_do_not_stop_the_release_but_are_shown(rules: RuleSet) -> None:
    inspected = item("SRS-2", verification="inspection", evidence="r.txt", evidence_sha256="5" * 64)
    decisions = decide(dataclasses.replace(GOOD, traceability=traced(items=(item("SRS-1"), inspected))), rules)
    assert decisions.releasable
    assert set(failed(decisions)) == {("verified-by-test", "")}
    assert "SRS-2" in failed(decisions)["verified-by-test", ""]


def test_retries_after_bench_errors_and_quarantine_are_shown(rules: RuleSet) -> None:
    held = Quarantine(reason="flaky", owner="A. Tester", expires="2999-12-31", file="hil/quarantine.toml", line=4)
    again = case().model_copy(update={"earlier_attempts": [attempt("error")], "quarantine": held})
    decisions = decide(with_board(tests=run("small", again)), rules)
    shown = failed(decisions)
    assert decisions.releasable
    assert set(shown) == {("no-error-retried", "small"), ("no-quarantine", "small")}
    assert "attempt 1 of 2 ended in error: because it error" in shown["no-error-retried", "small"]
    assert "passed: flaky (until 2999-12-31, A. Tester; hil/quarantine.toml:4)" in shown["no-quarantine", "small"]


def test_analysis_warnings_are_no_errors(rules: RuleSet) -> None:
    assert decide(changed("analysis", findings=[WARNING]), rules).releasable


def test_an_error_that_was_judged_false_is_none(rules: RuleSet) -> None:
    for disposition, releasable in (
        ("false-positive", True),
        ("accepted", True),
        ("to-fix", False),
        ("unreviewed", False),
    ):
        error = ERROR.model_copy(update={"disposition": disposition})
        assert decide(changed("analysis", findings=[error], dispositions=[]), rules).releasable == releasable


def test_rated_hazards_and_assessed_anomalies_pass(rules: RuleSet) -> None:
    items = (
        item("SRS-1"),
        other("HAZ-1", "hazard", **RATED),
        other("ANO-1", "anomaly", **ASSESSED),
        other("ANO-2", "anomaly", status="resolved"),
    )
    decisions = decide(dataclasses.replace(GOOD, traceability=traced(items=items)), rules)
    assert failed(decisions) == {}
    (told,) = (one.message for one in decisions.decisions if one.rule == "anomalies-assessed")
    assert told == "1 of 2 anomalies are open, each assessed"


def test_a_requirement_that_leaves_verification_to_the_default_is_a_warning(rules: RuleSet) -> None:
    silent = item("SRS-1").model_copy(update={"fields": {}})
    decisions = decide(dataclasses.replace(GOOD, traceability=traced(items=(silent,))), rules)
    assert decisions.releasable
    told = failed(decisions)["verification-stated", ""]
    assert told == "SRS-1 does not state verification; SRS-1 does not state boards"


def test_misra_findings_are_judged_only_where_the_product_writes_deviations(rules: RuleSet) -> None:
    found = WARNING.model_copy(update={"rule": "misra-c2012-7.1"})
    assert failed(decide(changed("analysis", findings=[found]), rules)) == {}
    deviated = found.model_copy(update={"deviated": True})
    assert failed(decide(changed("analysis", deviations=[], findings=[deviated]), rules)) == {}
    assert failed(decide(changed("analysis", deviations=[], findings=[WARNING]), rules)) == {}, "not MISRA"


def test_coverage_is_judged_only_where_it_is_recorded(rules: RuleSet) -> None:
    plain = source().model_copy(update={"coverage": None})
    boards = tuple(dataclasses.replace(one, coverage=None) for one in GOOD.boards)
    decisions = decide(GateInput(plain, traced(), boards, vulnerabilities=assessment(), secrets=secrets()), rules)
    assert failed(decisions) == {}
    assert "coverage is not recorded" in {one.message for one in decisions.decisions if one.rule == "coverage-minimum"}


def test_what_is_never_executed_is_judged_only_where_the_product_keeps_a_list(rules: RuleSet) -> None:
    assert failed(decide(dataclasses.replace(GOOD, coverage=merged("", reasons=False)), rules)) == {}


def test_messages_are_bounded_and_say_how_many_more_there_are(rules: RuleSet) -> None:
    items = tuple(item(f"SRS-{number}") for number in range(3000))
    long = case("t2", "failed", ("SRS-1",)).model_copy(update={"reason": "line\n" * 5000})
    evidence = dataclasses.replace(with_board(tests=run("small", case(), long)), traceability=traced(items=items))
    messages = failed(decide(evidence, rules))
    assert all(len(message) < 800 for message in messages.values())
    assert messages["requirements-verified", ""].endswith(" more")
    assert "\n" not in messages["no-failed-verdicts", "small"]


@pytest.fixture(scope="module")
def large_release() -> GateInput:
    names = ("a", "b", "c", "d")
    items = [item(f"SRS-{number}", names) for number in range(2000)]
    rows = [MatrixRow(requirement=one.id, test=f"t{one.id}", verdicts=dict.fromkeys(names, "passed")) for one in items]
    cases = [case(f"t{number}", verifies=(f"SRS-{number}",)) for number in range(2000)]
    evidence = Traceability(items=items, matrix=rows, findings=[])
    return GateInput(
        source(names), evidence, tuple(board(name, *cases) for name in names), merged(), assessment(), secrets()
    )


def test_what_cel_reads_does_not_grow_with_the_verified_requirements(rules: RuleSet, large_release: GateInput) -> None:
    """CEL ends an evaluation after 10,000 steps; how long judging takes is for benchmarks/bench_gate.py to say."""
    assert decide(large_release, rules).releasable
    assert len(repr(release_data(large_release))) < 2000
    assert all(len(repr(board_data(one, ["a"]))) < 2000 for one in large_release.boards)


def test_two_thousand_unverified_requirements_are_judged_not_given_up(rules: RuleSet, large_release: GateInput) -> None:
    assert large_release.traceability is not None
    nothing = dataclasses.replace(
        large_release, traceability=large_release.traceability.model_copy(update={"matrix": []})
    )
    assert failed(decide(nothing, rules))["requirements-verified", ""].startswith("SRS-0 on a: no passing test")
