"""A release whose requirements stay in Doorstop, and whose unit tests are another framework's: both are evidence, and checked."""

from __future__ import annotations

import json
from typing import Any

from tests.product.conftest import Product

BUNDLE = "dist/infusion-pump-1.0.0"
KEY = ("--key", ".devicepipe/keys/release.pub.pem")
ITEM = """active: true
derived: false
header: |
  Sums
level: 1.0
links: []
normative: true
ref: ''
reviewed: 6dLq0u5MkZr=
text: |
  The firmware shall add doses without losing one.
verification: host-test
boards: all
"""
DOCUMENT = "settings:\n  digits: 3\n  prefix: UNIT\n  sep: '-'\n"
RUNNER = '''"""Stands for another framework: it says what it tested, in JUnit XML."""
import pathlib

assert pathlib.Path("firmware").is_dir(), "it runs in the released sources"
pathlib.Path("build").mkdir()
pathlib.Path("build/unit.xml").write_text("""<testsuite name="dose" tests="2">
<testcase classname="dose" name="adds"><properties><property name="verifies" value="UNIT-001"/></properties></testcase>
<testcase classname="dose" name="waits"/>
</testsuite>""")
'''
TABLES = """
[[traceability.source]]
format = "doorstop"
path = "unit"

[[traceability.results]]
name = "unit"
path = "build/unit.xml"
command = ["python3", "unit/run.py"]
"""


def predicate(product: Product, name: str) -> Any:
    import base64

    envelope = json.loads((product.root / f"{BUNDLE}/attestations/{name}.dsse.json").read_text())
    return json.loads(base64.b64decode(envelope["payload"]))["predicate"]


def test_items_of_doorstop_and_results_of_another_framework_are_evidence(product: Product) -> None:
    product.make_small()
    folder = product.root / "unit"
    folder.mkdir()
    (folder / ".doorstop.yml").write_text(DOCUMENT)
    (folder / "UNIT-001.yml").write_text(ITEM)
    (folder / "run.py").write_text(RUNNER)
    product.edit(
        "devicepipe.toml", ', "fda-premarket-enhanced", "fda-cybersecurity"]', "]"
    )  # what so small a product lacks
    config = product.root / "devicepipe.toml"
    mapping = '\n[traceability.mapping.types]\nUNIT = "requirement"\n'
    config.write_text(config.read_text() + TABLES + mapping)

    reviewed = product.run("trace", "review", "UNIT-001", "--by", "A. Tester", "--note", "Sums are the same on a host.")
    assert reviewed.code == 0, reviewed.out + reviewed.err
    checked = product.run("trace", "check", "--json")
    assert checked.code == 0, checked.out + checked.err
    told = [one for one in checked.json()["findings"] if one["kind"] == "not-carried"]
    assert [(one["file"], one["line"], one["severity"]) for one in told] == [("unit/UNIT-001.yml", 9, "warning")]

    product.commit("feat: requirements in Doorstop, unit tests in another framework")
    outcome = product.run("release", "1.0.0", "--json")
    assert outcome.code == 0, outcome.err + outcome.out

    trace = predicate(product, "traceability")
    (item,) = [one for one in trace["items"] if one["id"] == "UNIT-001"]
    assert (item["type"], item["file"], item["line"]) == ("requirement", "unit/UNIT-001.yml", 1)
    assert (product.root / f"{BUNDLE}/evidence/unit/UNIT-001.yml").read_text() == ITEM
    (row,) = [one for one in trace["matrix"] if one["test"] == "unit: dose.adds"]
    assert (row["requirement"], row["verdicts"]) == ("UNIT-001", {"microbit": "", "host": "passed"})
    assert "verified-on-host" in {one["kind"] for one in trace["findings"]}
    (results,) = predicate(product, "foreign-results")["sets"]
    assert (results["current"], results["exitCode"], len(results["cases"])) == (True, 0, 2)
    verified = product.run("verify", BUNDLE, *KEY)
    assert verified.code == 0, verified.err
    assert "UNIT-001" in (product.root / f"{BUNDLE}/documents/traceability-matrix.csv").read_text()
    assert product.run("report", BUNDLE).code == 0

    junit = product.root / f"{BUNDLE}/evidence/results/unit/build/unit.xml"
    junit.write_text(junit.read_text().replace("waits", "fails"))
    assert product.run("verify", BUNDLE, *KEY).code == 4
