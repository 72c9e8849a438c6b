"""The gate about the supply chain: each defect of a bill of materials is caught by its rule, by name, and by no other."""

from __future__ import annotations

import dataclasses

import pytest

from devicepipe.policy.gate import decide
from devicepipe.policy.rules import RuleSet, load_rule_set
from devicepipe.policy.supply import SbomEvidence
from tests.policy.samples import GOOD, assessment, checked, failed, other, sbom, source, traced, with_board


@pytest.fixture(scope="module")
def rules() -> RuleSet:
    return load_rule_set("release")


SBOMS: dict[str, tuple[SbomEvidence, str, str]] = {
    "a library linked without being declared": (
        sbom(name="libm", undeclared="/opt/libm.a: 900 bytes of the application, and the lock file does not name it"),
        "libraries-declared",
        "libm (/opt/libm.a: 900 bytes",
    ),
    "a document that the schema refuses": (sbom("'colour' was unexpected"), "sbom-strict", "'colour' was unexpected"),
    "no licence": (sbom(licence=""), "sbom-strict", "crypto has no licence"),
    "no supplier": (sbom(supplier=""), "sbom-strict", "crypto has no supplier"),
    "neither package URL nor CPE": (sbom(purl="", cpe=""), "sbom-strict", "crypto has no package URL or CPE"),
    "no hash": (sbom(sha256=""), "sbom-strict", "crypto has no SHA-256"),
    "another version than declared": (sbom(mismatch="version 2 is declared"), "sbom-strict", "crypto: version 2"),
    "no level of support": (sbom(support_level=""), "support-stated", "its level of support is not stated"),
    "a level that nobody knows": (sbom(support_level="good"), "support-stated", "its level of support is not stated"),
    "no end of support": (sbom(end_of_support=""), "support-stated", "its end of support is not stated"),
    "support that ended the day before": (
        sbom(end_of_support="2025-12-31"),
        "support-stated",
        "its support ended on 2025-12-31",
    ),
    "abandoned without a word": (sbom(support_level="abandoned", support=""), "support-stated", "it is abandoned"),
    "no end announced and no word": (sbom(support=""), "support-stated", "nothing says who maintains it"),
}


@pytest.mark.parametrize("defect", SBOMS)
def test_a_defect_of_the_bill_of_materials_fails_its_rule_and_no_other(rules: RuleSet, defect: str) -> None:
    evidence, rule, words = SBOMS[defect]
    broken = failed(decide(with_board(sbom=evidence), rules))
    assert set(broken) == {(rule, "small")}
    assert words in broken[rule, "small"]


@pytest.mark.parametrize(
    "good",
    [
        sbom(end_of_support="2026-01-01"),
        sbom(purl="", cpe="cpe:2.3:a:somebody:crypto:1.0:*:*:*:*:*:*:*"),
        sbom(support_level="abandoned"),
        sbom(linked=False, undeclared="installed and not linked", licence="", support_level=""),
        SbomEvidence(()),
    ],
    ids=["last day of support", "a CPE alone", "abandoned, with a reason", "not linked", "no library at all"],
)
def test_what_is_stated_and_what_is_not_linked_passes(rules: RuleSet, good: SbomEvidence) -> None:
    assert failed(decide(with_board(sbom=good), rules)) == {}


def test_a_product_without_a_check_is_warned_and_not_stopped(rules: RuleSet) -> None:
    unasked = source().model_copy(update={"vulnerabilities": None})
    decisions = decide(dataclasses.replace(GOOD, source=unasked, vulnerabilities=None), rules)
    (warning,) = [one for one in decisions.decisions if one.rule == "vulnerabilities-checked"]
    assert (warning.severity, warning.passed) == ("warning", False)
    assert decisions.releasable
    assert failed(decide(checked(assessment()), rules)) == {}


def test_a_check_that_was_asked_for_and_is_missing_is_told_and_stops(rules: RuleSet) -> None:
    decisions = decide(dataclasses.replace(checked(assessment()), vulnerabilities=None), rules)
    assert "no check of the components' vulnerabilities" in failed(decisions)["all-boards-complete", ""]
    assert "cannot be decided" in failed(decisions)["no-affected-component", ""]


def test_a_reviewed_list_of_anomalies_stands_in_for_data_only_where_policy_says_so(rules: RuleSet) -> None:
    reviewed = other("SOUP-1", "soup", component="crypto", anomalies_reviewed="2025-12-30")
    by_purl = other("SOUP-2", "soup", purl="pkg:github/Somebody/Crypto@1.0", anomalies_reviewed="2025-12-30")
    of_another = other("SOUP-3", "soup", purl="pkg:github/somebody/crypto@2.0", anomalies_reviewed="2025-12-30")
    never = other("SOUP-4", "soup", component="crypto")
    to_come = other("SOUP-5", "soup", component="crypto", anomalies_reviewed="2999-01-01")

    def seen(policy: str, *items: object) -> tuple[bool, str]:
        trace = traced().model_copy(update={"items": [*traced().items, *items]})
        decisions = decide(checked(assessment("no_data", noData=policy), trace), rules)
        (decided,) = [one for one in decisions.decisions if one.rule == "no-data-decided"]
        return decided.passed, decided.message

    told = "no data, and accepted: crypto (SOUP-1: its list of anomalies was reviewed on 2025-12-30)"
    assert seen("reviewed", reviewed) == (True, told)
    assert seen("reviewed", by_purl)[0]
    assert not seen("reviewed", of_another)[0]
    assert not seen("reviewed", never)[0]
    assert not seen("reviewed", to_come)[0]
    assert not seen("refuse", reviewed)[0]
    assert seen("accept", reviewed) == (True, "no data, and accepted: crypto (by the product's policy)")


def test_a_statement_that_is_left_over_is_a_warning(rules: RuleSet) -> None:
    decisions = decide(checked(assessment(unused=["a.json#1: X-1 is fixed, but no record says so"])), rules)
    assert failed(decisions)["vex-current", ""] == "left over: a.json#1: X-1 is fixed, but no record says so"
    assert decisions.releasable
