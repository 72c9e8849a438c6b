"""What must turn a release NOT RELEASABLE does, by name, in the gate, in the report and in the exit code."""

from __future__ import annotations

from pathlib import Path

import pytest
from pypdf import PdfReader

from tests.product.conftest import Outcome, Product

UNTESTED = """
## SRS-999 Untested

- implements: RC-001
- verification: test

The pump shall do something that no test looks at.
"""

FAILING = '''
import pytest

@pytest.mark.verifies("SRS-001")
def test_defect(device):
    """The volume is negative."""
    assert "volume=-1" in device.command("status")
'''

UNKNOWN = '''
import pytest

@pytest.mark.verifies("SRS-998")
def test_defect(device):
    """It answers."""
    assert device.command("status").startswith("OK")
'''

NEVER_RUN = '''
import pytest

@pytest.mark.verifies("SRS-001")
@pytest.mark.skip(reason="the bench has no scale")
def test_defect(device):
    """It weighs."""
    assert device.command("weigh") == "OK"
'''


def release(product: Product) -> tuple[Outcome, str, str]:
    """Commit, release one board, and give the outcome, the report's text and the CSV matrix."""
    product.only_board("microbit")
    product.commit("fix: nothing")
    outcome = product.run("release", "1.0.0", "--json")
    bundle = product.root / "dist/infusion-pump-1.0.0"
    report = bundle / "documents/software-verification-report.pdf"
    text = "\n".join(page.extract_text() for page in PdfReader(report).pages)
    return outcome, text, (bundle / "documents/traceability-matrix.csv").read_text(encoding="utf-8")


def failed_rules(outcome: Outcome) -> set[str]:
    return {decision["rule"] for decision in outcome.json()["decisions"] if not decision["passed"]}


def add_test(product: Product, source: str) -> None:
    (product.root / "hil/test_defect.py").write_text(source, encoding="utf-8")


def assert_refused(product: Product, outcome: Outcome, report: str, *named: str) -> None:
    assert outcome.code == 1
    assert outcome.json()["releasable"] is False
    assert "NOT RELEASABLE" in report
    for name in named:
        assert name in report
    verified = product.run("verify", "dist/infusion-pump-1.0.0", "--key", ".devicepipe/keys/release.pub.pem")
    assert verified.code == 1, "an intact bundle of a failed release is not fine to ship"
    assert "NOT RELEASABLE" in verified.out


@pytest.mark.xdist_group("product-a")
def test_requirement_without_a_test(product: Product) -> None:
    file = product.root / "requirements/console.md"
    file.write_text(file.read_text(encoding="utf-8") + UNTESTED, encoding="utf-8")
    outcome, report, matrix = release(product)
    assert_refused(product, outcome, report, "SRS-999")
    assert failed_rules(outcome) == {"requirements-verified"}
    assert "SRS-999" in matrix


@pytest.mark.xdist_group("product-b")
def test_failing_test(product: Product) -> None:
    add_test(product, FAILING)
    outcome, report, matrix = release(product)
    assert_refused(product, outcome, report, "test_defect", "failed")
    assert "no-failed-verdicts" in failed_rules(outcome)
    assert "failed" in matrix


@pytest.mark.xdist_group("product-a")
def test_test_of_an_unknown_requirement(product: Product) -> None:
    add_test(product, UNKNOWN)
    outcome, report, _ = release(product)
    assert_refused(product, outcome, report, "SRS-998")
    assert failed_rules(outcome) == {"tests-known-items"}


@pytest.mark.xdist_group("product-b")
def test_test_that_never_ran(product: Product) -> None:
    add_test(product, NEVER_RUN)
    outcome, report, matrix = release(product)
    assert_refused(product, outcome, report, "the bench has no scale")
    assert failed_rules(outcome) >= {"no-missing-verdicts"}
    assert "not_run" in matrix


@pytest.mark.xdist_group("product-a")
def test_firmware_of_another_commit(product: Product) -> None:
    """The device says another commit than the one that was built: caught by the identity check."""
    spoil_commit(product)
    outcome, report, _ = release(product)
    assert_refused(product, outcome, report, "0123456789abcdef0123456789abcdef01234567")
    assert "identity-confirmed" in failed_rules(outcome)


SPOILS_THE_SOURCES = """
from pathlib import Path

file = Path(__file__).parents[3] / "source/requirements/console.md"
file.write_text(file.read_text().replace("shall", "should"))
"""


@pytest.mark.xdist_group("product-a")
def test_test_that_rewrites_the_requirements(product: Product) -> None:
    (product.root / "hil/test_defect.py").write_text(SPOILS_THE_SOURCES, encoding="utf-8")
    product.only_board("microbit")
    product.commit("test: a trick")
    outcome = product.run("release", "1.0.0", "--json")
    assert outcome.code == 4
    assert outcome.json()["link"] == "requirements/console.md"
    assert not (product.root / "dist").exists()


def spoil_commit(product: Product) -> None:
    main: Path = next((product.root / "firmware/platforms").glob("*/builder/main.py"))
    text = main.read_text(encoding="utf-8")
    assert '"DEVICEPIPE_COMMIT"' in text
    changed = 'os.environ["DEVICEPIPE_COMMIT"] = "0123456789abcdef0123456789abcdef01234567"\n'
    head, _, rest = text.partition("\nenv = ")
    assert rest
    main.write_text(f"{head}\nimport os\n{changed}env = {rest}", encoding="utf-8")
