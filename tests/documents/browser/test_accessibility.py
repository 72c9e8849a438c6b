"""axe-core finds nothing in any HTML document of a release: light and dark, without a script, with all filters open.

A page with known defects proves that axe is on.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

from devicepipe.documents.release import render_documents
from tests.documents import release_records as records
from tests.documents.browser.conftest import Opener

RULES: dict[str, Any] = {
    "runOnly": {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]},
    "resultTypes": ["violations"],
}
RECORD = records.untested(records.dirty(records.green(8)))


@cache
def pages() -> dict[str, bytes]:
    return {name: data for name, data in render_documents(RECORD).items() if name.endswith(".html")}


def violations(page: Page, rules: dict[str, Any] = RULES) -> list[str]:
    found = Axe().run(page, options=rules).response["violations"]
    return [f"{one['id']}: {node['html'][:200]} {node['failureSummary']}" for one in found for node in one["nodes"]]


@pytest.mark.parametrize("name", pages())
def test_a_document_has_no_violation(opened: Opener, name: str) -> None:
    page = opened(pages()[name])
    assert violations(page) == []
    page.emulate_media(color_scheme="dark")
    assert violations(page, {"runOnly": ["color-contrast"]}) == []


@pytest.mark.parametrize("name", ["software-verification-report.html", "traceability-matrix.html"])
def test_nor_has_it_in_use(opened: Opener, name: str) -> None:
    page = opened(pages()[name], viewport={"width": 390, "height": 800})
    for button in page.get_by_role("button", name="Filter columns").all():
        button.click()
    page.get_by_text("Help", exact=True).click()
    for head in page.locator(".sort").all()[:3]:
        head.click()
    search = page.get_by_role("searchbox", name="Search", exact=True)
    search.fill("SRS-003")
    search.press("Enter")
    assert violations(page) == []


def test_axe_is_on(opened: Opener) -> None:
    """Must fail: a picture without words, a field without a name, grey on grey, no language."""
    page = opened(
        b"<!DOCTYPE html><html><head><title>t</title></head><body><main><h1>Defects</h1>"
        b"<img src='data:image/gif;base64,R0lGODlhAQABAAAAACw='>"
        b"<input><p style='color: #aaa; background: #999'>grey on grey</p></main></body></html>"
    )
    opened.requests.clear()
    found = violations(page)
    assert {line.split(":")[0] for line in found} >= {"image-alt", "label", "color-contrast", "html-has-lang"}
