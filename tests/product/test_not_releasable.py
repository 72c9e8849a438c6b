"""What must turn a release NOT RELEASABLE does, by name, in the gate, in the report and in the exit code."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from pypdf import PdfReader

from tests.product.conftest import Outcome, Product

UNTESTED = """
## SRS-999 Untested

- implements: RC-001
- verification: test
- boards: all

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


COVERAGE = """[coverage]
release = true
minimum = { lines = 99 }
never-executed = "firmware/never.toml"
"""
REASONS = """[[never-executed]]
functions = ["pump_init"]
reason = "It is of no use."
reviewer = "A Tester"
date = 2026-11-28
"""


def release(product: Product) -> tuple[Outcome, str, str]:
    """Commit, release, and give the outcome, the report's text and the CSV matrix."""
    product.commit("fix: nothing")
    outcome = product.run("release", "1.0.0", "--json")
    bundle = product.root / "dist/infusion-pump-1.0.0"
    assert bundle.is_dir(), outcome.err + outcome.out
    report = bundle / "documents/software-verification-report.pdf"
    text = "\n".join(page.extract_text() for page in PdfReader(report).pages)
    return outcome, text, (bundle / "documents/traceability-matrix.csv").read_text(encoding="utf-8")


def failed_rules(outcome: Outcome) -> set[str]:
    return {decision["rule"] for decision in outcome.json()["decisions"] if not decision["passed"]}


@pytest.fixture
def small(product: Product) -> Product:
    """Refusals are the same for a product of one board and one requirement, and come much sooner."""
    product.make_small()
    return product


def add_test(product: Product, source: str, name: str = "defect") -> None:
    (product.root / f"hil/test_{name}.py").write_text(source, encoding="utf-8")


def spoil_sources(product: Product) -> None:
    """The key of the images in hexadecimal, and a program that holds the time of its build."""
    assert product.run("keys").code == 0
    pem = (product.root / ".devicepipe/keys/image.key.pem").read_bytes()
    key = load_pem_private_key(pem, password=None)
    assert isinstance(key, Ed25519PrivateKey)
    (product.root / "hil/notes.txt").write_text(f"the key\n{key.private_bytes_raw().hex()}\n", encoding="ascii")
    with (product.root / "firmware/src/core/text.c").open("a", encoding="utf-8") as file:
        file.write("\nconst char *text_built(void);\nconst char *text_built(void)\n{\n    return __TIME__;\n}\n")


def assert_refused(product: Product, outcome: Outcome, report: str, *named: str) -> None:
    assert outcome.code == 1
    assert outcome.json()["releasable"] is False
    assert "NOT RELEASABLE" in report
    for name in named:
        assert name in report
    verified = product.run("verify", "dist/infusion-pump-1.0.0", "--key", ".devicepipe/keys/release.pub.pem")
    assert verified.code == 1, "an intact bundle of a failed release is not fine to ship"
    assert "NOT RELEASABLE" in verified.out


def test_untested_requirement_test_of_an_unknown_one_and_too_little_executed(small: Product) -> None:
    """Of coverage: next to nothing was executed, one function that the product says never is was, and others have no reason."""
    small.coverage(COVERAGE)
    (small.root / "firmware/never.toml").write_text(REASONS, encoding="utf-8")
    file = small.root / "requirements/small.md"
    file.write_text(file.read_text(encoding="utf-8") + UNTESTED, encoding="utf-8")
    add_test(small, UNKNOWN)
    outcome, report, matrix = release(small)
    assert_refused(small, outcome, report, "SRS-999", "SRS-998")
    coverage = {"coverage-minimum", "never-executed-explained"}
    items = {"requirements-verified", "tests-known-items", "controls-implemented", "items-reviewed"}
    assert failed_rules(outcome) == {*items, *coverage}
    assert "SRS-999" in matrix
    (told,) = (one["message"] for one in outcome.json()["decisions"] if one["rule"] == "never-executed-explained")
    assert told.startswith(
        "a reason that does not hold: src/application/control/pump.c:pump_init was executed on microbit"
    )
    assert "without a reason: " in told
    bundle = small.root / "dist/infusion-pump-1.0.0"
    for folder in ("microbit", "coverage"):
        text = (bundle / f"evidence/{folder}/coverage.info").read_text(encoding="utf-8")
        assert "SF:src/application/main.c\n" in text
        assert (bundle / f"evidence/{folder}/coverage.xml").read_bytes().startswith(b"<?xml")
    assert (bundle / "evidence/coverage/never.toml").read_text(encoding="utf-8") == REASONS


def test_failing_test_and_test_that_never_ran(small: Product) -> None:
    """And with them a private key in the sources, and a finding of the compiler that nobody decided about."""
    add_test(small, FAILING, "failing")
    add_test(small, NEVER_RUN, "waiting")
    spoil_sources(small)
    outcome, report, matrix = release(small)
    assert failed_rules(outcome) >= {"no-secrets", "findings-disposed"}
    assert "own-key in hil/notes.txt:2" in "".join(outcome.json()["reasons"])
    assert "-Wdate-time" in report
    for tool in ("gcc-analyzer", "gcc", "cppcheck", "misra"):
        assert tool in report
    merge = small.run("analyse", "--new", "--json")
    assert merge.code == 1
    assert [one["rule"] for one in merge.json()["findings"] if one["tool"] == "gcc"] == ["-Wdate-time"]
    assert merge.json()["troubles"] == []
    assert_refused(small, outcome, report, "test_failing", "failed", "the bench has no scale")
    assert failed_rules(outcome) >= {"no-failed-verdicts", "no-missing-verdicts"}
    assert "failed" in matrix, matrix
    assert "not_run" in matrix, matrix


def test_firmware_of_another_commit(small: Product) -> None:
    """The device says another commit than the one that was built: caught by the identity check."""
    spoil_commit(small)
    outcome, report, _ = release(small)
    assert_refused(small, outcome, report, "0123456789abcdef0123456789abcdef01234567")
    assert "identity-confirmed" in failed_rules(outcome)


SPOILS_THE_SOURCES = """
from pathlib import Path

file = Path(__file__).parents[3] / "source/requirements/small.md"
file.write_text(file.read_text().replace("shall", "should"))
"""


def test_test_that_rewrites_the_requirements(small: Product) -> None:
    add_test(small, SPOILS_THE_SOURCES)
    small.commit("test: a trick")
    outcome = small.run("release", "1.0.0", "--json")
    assert outcome.code == 4
    assert outcome.json()["link"] == "requirements/small.md"
    assert not (small.root / "dist").exists()


def spoil_commit(product: Product) -> None:
    file: Path = product.root / "firmware/platforms/build_config.py"
    text = file.read_text(encoding="utf-8")
    asked = '_identity(environment, "DEVICEPIPE_COMMIT", "0" * 40, _DIGITS + "abcdef", 40, 40)'
    assert asked in text
    file.write_text(text.replace(asked, '"0123456789abcdef0123456789abcdef01234567"'), encoding="utf-8")
