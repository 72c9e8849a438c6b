"""The document set of a release: in the bundle, from the project's definitions, and telling of the release before."""

from __future__ import annotations

import re

from pypdf import PdfReader

from tests.product.conftest import Product

BUNDLE = "dist/infusion-pump-1.0.{}"
KEY = ("--key", ".devicepipe/keys/release.pub.pem")


def test_a_second_release_tells_what_changed_since_the_first(product: Product) -> None:
    product.make_small()
    product.commit("feat: small")
    assert product.run("release", "1.0.0").code == 0
    product.git("tag", "-a", "v1.0.0", "-m", "The first one")
    product.edit("requirements/small.md", "shall", "shall always")
    (product.root / "reports/branding.toml").write_text(
        'color = "#7a0019"\nfooter = "Confidential"\n', encoding="utf-8"
    )
    (product.root / "reports/release-notes.toml").write_text('number = "RN-{version}"\n', encoding="utf-8")
    product.commit("fix: SRS-001 says when")

    outcome = product.run("release", "1.0.1", "--earlier", BUNDLE.format(0))
    # Not releasable where nobody reviewed what the change touches; what the documents tell is the same.
    assert outcome.code in {0, 1}, outcome.out + outcome.err
    bundle = product.root / BUNDLE.format(1)
    assert product.run("verify", BUNDLE.format(1), *KEY).code == outcome.code
    told = product.run("report", BUNDLE.format(1))
    assert told.code == 0, told.out
    assert "DIFFERS" not in told.out
    history = (bundle / "documents/version-history.html").read_text(encoding="utf-8")
    for words in ("v1.0.0", "The first one", "fix: SRS-001 says when", "Items that changed"):
        assert words in history
    notes = PdfReader(bundle / "documents/release-notes.pdf")
    text = "\n".join(page.extract_text() for page in notes.pages)
    assert "RN-1.0.1" in text
    assert "Confidential" in text
    assert re.search(r"SRS-001: .* \(changed since 1\.0\.0\)", text)

    wrong = product.run("release", "1.0.2", "--earlier", "reports")
    assert wrong.code == 2
    assert "is no bundle of a release" in wrong.err
    (product.root / "reports/branding.toml").write_text("colour = 1\n", encoding="utf-8")
    product.commit("docs: a mistake")
    refused = product.run("release", "1.0.2")
    assert refused.code == 2
    assert "reports/branding.toml:1" in refused.err
    assert "colour" in refused.err
