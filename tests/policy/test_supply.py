"""The gate about the supply chain: each defect of a bill of materials is caught by its rule, by name, and by no other."""

from __future__ import annotations

import pytest

from devicepipe.policy.gate import decide
from devicepipe.policy.rules import RuleSet, load_rule_set
from devicepipe.policy.supply import SbomEvidence
from tests.policy.test_gate import failed, sbom, with_board


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
