"""A release that a failed test stops goes out with a signed waiver, and says so everywhere; an altered one is of no use."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyotp
from pypdf import PdfReader

from tests.product.conftest import Product
from tests.product.test_not_releasable import FAILING, add_test

BUNDLE = "dist/infusion-pump-1.0.{}"
KEY = ("--key", ".devicepipe/keys/release.pub.pem")
WHY = ("--reason", "The display is replaced in 1.1.", "--until", "2999-01-31", "--as", "quinn")
WORD = "seven blue elephants"


def test_a_waived_failure_is_released_and_shown_as_waived(product: Product) -> None:
    product.make_small()
    product.edit("devicepipe.toml", "[policy]\n", '[policy]\nwaivers-by = "account"\n')
    person = ("quinn", "--name", "Quinn Quality", "--email", "quinn@example.com", "--role", "qa", "--json")
    added = product.run("account", "add", *person, secrets=(WORD,))
    totp = pyotp.parse_uri(added.json()["authenticator"])
    assert isinstance(totp, pyotp.TOTP)
    add_test(product, FAILING)
    product.commit("test: a defect")
    assert product.run("release", "1.0.0").code == 1
    found = ("--board", "microbit", "--bundle", BUNDLE.format(0), "--by-item")
    assert "366 are the most" in product.run("waive", "no-failed-verdicts", *found, *WHY).err
    until = (datetime.now(UTC).date() + timedelta(days=30)).isoformat()
    why = [until if word == "2999-01-31" else word for word in WHY]
    made = product.run("waive", "no-failed-verdicts", *found, *why, "--json", secrets=(WORD, totp.now()))
    assert made.code == 0, made.err + made.out
    assert made.json()["waiver"]["findings"] == ["failed: hil/test_defect.py::test_defect*"]
    useless = product.root / "policy/waivers/altered.dsse.json"
    useless.write_bytes(Path(made.json()["file"]).read_bytes().replace(b'"sig":"', b'"sig":"AAAA'))
    product.commit("chore: waive it")

    outcome = product.run("release", "1.0.1", "--json")
    assert outcome.code == 0, outcome.err + outcome.out
    told = outcome.json()
    assert told["releasable"] is True
    (waived,) = told["waived"]
    assert (
        waived == f"no-failed-verdicts on microbit, waived until {until} by Quinn Quality (quality, account quinn): "
        "The display is replaced in 1.1."
    )
    assert {use["file"].rpartition("/")[2]: use["applied"] for use in told["waivers"]} == {
        "altered.dsse.json": False,
        f"no-failed-verdicts.microbit.{until}.dsse.json": True,
    }
    beside = {path.suffix for path in (product.root / BUNDLE.format(1) / "evidence/policy/waivers").rglob("*.*")}
    assert beside == {".json", ".tlog-proof"}
    (decision,) = [one for one in told["decisions"] if one["rule"] == "no-failed-verdicts"]
    assert decision["passed"] is False

    verified = product.run("verify", BUNDLE.format(1), *KEY)
    assert verified.code == 0, verified.err
    assert "RELEASABLE, WITH WAIVERS" in verified.out
    assert waived in verified.out
    report = product.root / BUNDLE.format(1) / "documents/software-verification-report.pdf"
    text = " ".join("\n".join(page.extract_text() for page in PdfReader(report).pages).split())
    assert "RELEASABLE, WITH WAIVERS" in text
    assert "WAIVED" in text
    assert "The display is replaced in 1.1." in text
    assert product.run("report", BUNDLE.format(1)).code == 0

    explained = product.run("gate", "explain", "no-failed-verdicts", BUNDLE.format(1))
    assert explained.code == 0
    assert "! waived on microbit" in explained.out
    assert "board.tests.passed = 1" in explained.out
    assert product.run("gate", "explain", "no-failed-verdicts", BUNDLE.format(0)).code == 1
