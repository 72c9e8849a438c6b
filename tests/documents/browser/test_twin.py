"""What a person does with an HTML document: read it without a script, search, filter, sort, by keyboard alone, and print it."""

from __future__ import annotations

import io
import re

import pypdf
import pytest
from playwright.sync_api import Locator, Page, expect

from devicepipe.documents.html_page import render_html
from devicepipe.documents.model import Bars, Cell, Column, Document, Heading, KeyValues, Running, Table, Tone
from devicepipe.documents.report import matrix_document, verification_report
from tests.documents import release_records as records
from tests.documents.browser.conftest import Opener

DIRTY = records.untested(records.dirty(records.green(60)))
ROWS = len(DIRTY.traceability.matrix)


def document(*blocks: object, banner: str = "") -> Document:
    running = Running("left", "right", "footer", banner)
    return Document("DOC-1", "A document", "s", "a", "2026-03-01T12:00:05Z", "A4", running, blocks)  # type: ignore[arg-type]


def small(rows: int = 12) -> Document:
    """Groups with a second text, a verdict and a number a row."""
    words = ("alpha", "beta", "gamma")
    table = Table(
        "Results",
        (Column("Group", 2), Column("Test", 4), Column("Verdict", 1), Column("Bytes", 1, "right")),
        tuple(
            (
                Cell(f"G-{n // 4}", f"group {words[n // 4 % 3]}", strong=True),
                Cell(f"test_{n}"),
                Cell("FAILED", tone=Tone.BAD) if n == 5 else Cell("✓ passed", tone=Tone.GOOD),
                Cell(f"{(n * 7919) % 10007:,}"),
            )
            for n in range(rows)
        ),
        group_columns=1,
        row_header=1,
    )
    return document(Heading(1, "Summary of group alpha", "1"), Heading(1, "Others", "2"), table)


def region(page: Page, name: str) -> Locator:
    return page.locator(".wide").filter(has=page.locator("caption", has_text=re.compile(f"^{re.escape(name)}$")))


def shown(page: Page, column: int = 1) -> list[str]:
    """The cells of a column in the rows of the last table that can be seen."""
    rows = page.locator(".wide").last.locator("tbody tr:visible")
    return [text.split("\n")[0] for text in rows.locator(f":nth-child({column + 1})").all_inner_texts() if text]


def search(page: Page, text: str) -> None:
    page.get_by_role("searchbox", name="Search").fill(text)


def status(page: Page) -> Locator:
    return page.get_by_role("status")


def test_without_a_script_all_of_it_is_there_and_nothing_that_does_nothing(opened: Opener) -> None:
    page = opened(verification_report(DIRTY), java_script_enabled=False)
    assert region(page, "Traceability matrix").locator("tbody tr:visible").count() == ROWS
    assert page.locator("button, input, select").count() == 0
    entry = page.locator("nav a").first
    assert page.locator(str(entry.get_attribute("href"))).count() == 1


def test_search_finds_rows_of_all_tables_and_headings(opened: Opener) -> None:
    page = opened(small())
    search(page, "ALPHA")
    # The second text of a group counts for each of its rows, though it is printed once.
    expect(status(page)).to_have_text("4 rows, 1 heading found")
    assert shown(page) == ["test_0", "test_1", "test_2", "test_3"]
    search(page, "alpha test_2")
    expect(status(page)).to_have_text("1 row, 0 headings found")
    assert page.locator("tbody tr:visible").inner_text().startswith("G-0\ngroup alpha")
    search(page, "nothing like it")
    expect(status(page)).to_have_text("0 rows, 0 headings found")
    expect(region(page, "Results").get_by_text("0 of 12 rows of “Results”")).to_be_visible()
    search(page, "")
    expect(page.locator("tbody tr:visible")).to_have_count(12)


def test_search_finds_facts_and_figures_and_hides_none_of_them(opened: Opener) -> None:
    facts = KeyValues("Identity", (("Commit", Cell("7f3c9a", "the tree differed")), ("Version", Cell("0.1.0"))))
    figure = Bars("Cuts", ("kept", "lost"), (("swap", (9, 1)), ("revert", (5, 0))), "points")
    page = opened(document(facts, figure))
    search(page, "tree 7F3C")
    expect(status(page)).to_have_text("1 row, 0 headings found")
    page.get_by_role("searchbox", name="Search").press("Enter")
    expect(status(page)).to_have_text("1 of 1: Commit")
    search(page, "lost 1")
    expect(status(page)).to_have_text("1 row, 0 headings found")
    expect(page.locator("tr:visible")).to_have_count(4)


def test_enter_goes_from_place_to_place_and_round(opened: Opener) -> None:
    page = opened(small())
    search(page, "alpha")
    expect(status(page)).to_have_text("4 rows, 1 heading found")
    field = page.get_by_role("searchbox", name="Search")
    for told in ("1 of 5: 1  Summary of group alpha", "2 of 5: test_0", "3 of 5: test_1"):
        field.press("Enter")
        expect(status(page)).to_have_text(told)
    for _ in range(3):
        field.press("Shift+Enter")
    expect(status(page)).to_have_text("5 of 5: test_3")
    field.press("Enter")
    expect(status(page)).to_have_text("1 of 5: 1  Summary of group alpha")
    field.press("Escape")
    expect(field).to_have_value("")
    expect(page.locator("tbody tr:visible")).to_have_count(12)
    assert page.locator(".here").count() == 0


def test_whoever_ends_a_search_stays_where_it_led_to(opened: Opener) -> None:
    page = opened(small(900))
    search(page, "test_777")
    expect(status(page)).to_have_text("1 row, 0 headings found")
    field = page.get_by_role("searchbox", name="Search")
    field.press("Enter")
    field.press("Escape")
    expect(page.locator("tbody tr:not([hidden])")).to_have_count(900)
    expect(page.locator("tbody tr").nth(777)).to_be_in_viewport()


def test_filters_by_choice_and_by_words_combine_with_the_search(opened: Opener) -> None:
    page = opened(small())
    page.get_by_role("button", name="Filter columns").click()
    page.get_by_label("Filter by Verdict").select_option(label="FAILED (1)")
    assert shown(page) == ["test_5"]
    assert page.locator("tbody tr:visible").inner_text().startswith("G-1\ngroup beta"), "its group is told away from it"
    page.get_by_label("Filter by Verdict").select_option("")
    page.get_by_label("Filter by Test").fill("test_1")
    expect(status(page)).to_have_text("Results: 3 of 12 rows")
    search(page, "gamma")
    expect(status(page)).to_have_text("2 rows, 0 headings found")
    assert shown(page) == ["test_10", "test_11"]
    page.get_by_role("button", name="Show all rows").click()
    assert shown(page) == ["test_8", "test_9", "test_10", "test_11"]
    page.get_by_role("button", name="Reset").click()
    assert len(shown(page)) == 12


def test_sort_up_down_and_back_numbers_by_value(opened: Opener) -> None:
    page = opened(small())
    filed = shown(page, 3)
    values = sorted(int(text.replace(",", "")) for text in filed)
    head = page.get_by_role("columnheader", name="Bytes")
    button = head.get_by_role("button")
    button.click()
    expect(head).to_have_attribute("aria-sort", "ascending")
    assert [int(text.replace(",", "")) for text in shown(page, 3)] == values
    button.click()
    expect(head).to_have_attribute("aria-sort", "descending")
    assert [int(text.replace(",", "")) for text in shown(page, 3)] == values[::-1]
    button.click()
    assert head.get_attribute("aria-sort") is None
    assert shown(page, 3) == filed
    page.get_by_role("columnheader", name="Test").get_by_role("button").click()
    assert shown(page)[:3] == ["test_0", "test_1", "test_2"]
    assert shown(page)[-1] == "test_11"


def test_everything_by_keyboard_with_the_focus_always_in_sight(opened: Opener) -> None:
    page = opened(small())
    page.keyboard.press("Tab")
    focused = page.locator(":focus")
    expect(focused).to_have_text("Skip to the content")
    assert focused.bounding_box()["x"] >= 0  # type: ignore[index]
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()
    page.keyboard.press("Control+/")
    expect(page.get_by_role("searchbox", name="Search")).to_be_focused()
    page.keyboard.type("beta")
    expect(status(page)).to_have_text("4 rows, 0 headings found")
    page.keyboard.press("Control+Enter")
    expect(page.locator("tbody tr:visible").first).to_be_focused()
    page.keyboard.press("Control+/")
    page.keyboard.press("Escape")

    def tab() -> str:
        page.keyboard.press("Tab")
        name, outline = page.evaluate(
            "() => [document.activeElement.ariaLabel || document.activeElement.textContent,"
            " getComputedStyle(document.activeElement).outlineStyle]"
        )
        assert outline != "none", name
        return str(name)

    assert [tab() for _ in range(4)] == ["Previous", "Next", "Reset", "Help"]
    page.keyboard.press("Enter")
    expect(page.get_by_text("to the search field")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_text("to the search field")).to_be_hidden()
    assert [tab() for _ in range(5)] == ["Filter columns", "Group", "Test", "Verdict", "Bytes"]
    page.keyboard.press("Space")
    expect(page.get_by_role("columnheader", name="Bytes")).to_have_attribute("aria-sort", "ascending")
    for _ in range(4):
        page.keyboard.press("Shift+Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_label("Filter by Group")).to_be_focused()
    assert tab() == "Filter by Test"
    page.keyboard.type("test_7")
    assert shown(page) == ["test_7"]
    page.keyboard.press("Escape")
    expect(page.locator("tbody tr:visible")).to_have_count(12)


def test_a_link_to_a_row_that_is_filtered_away_shows_it(opened: Opener) -> None:
    page = opened(small())
    search(page, "gamma")
    expect(page.locator("tbody tr:visible")).to_have_count(4)
    page.locator("tbody tr").first.evaluate("row => { row.id = 'there'; location.hash = '#there'; }")
    expect(page.locator("tbody tr:visible")).to_have_count(12)
    expect(page.get_by_role("searchbox", name="Search")).to_have_value("")


def printed(page: Page) -> list[str]:
    return [sheet.extract_text() for sheet in pypdf.PdfReader(io.BytesIO(page.pdf(prefer_css_page_size=True))).pages]


def test_paper_has_every_row_in_order_and_the_banner_and_the_heads_on_each_page(opened: Opener) -> None:
    page = opened(matrix_document(DIRTY))
    matrix = region(page, "Traceability matrix")
    search(page, "SRS-003")
    expect(matrix.locator("tbody tr:visible")).to_have_count(2)
    matrix.get_by_role("button", name="Filter columns").click()
    matrix.get_by_role("columnheader", name="Test").get_by_role("button").click()
    matrix.get_by_role("columnheader", name="Test").get_by_role("button").click()
    sheets = printed(page)
    tests = [row.test for row in DIRTY.traceability.matrix if row.test]
    text = re.sub(r"\s+", "", "".join(sheets))
    places = [text.find(re.sub(r"\s+", "", test)) for test in tests]
    assert -1 not in places
    assert places == sorted(places), "in the order of the document"
    assert len(sheets) >= 3
    for number, sheet in enumerate(sheets, start=1):
        assert "NOT RELEASABLE" in sheet
        assert f"Page {number} of {len(sheets)}" in sheet
        if "::test_case" in sheet:
            assert "Risk control" in sheet
    assert "Filter columns" not in "".join(sheets)
    # On the screen it is as it was left.
    expect(matrix.locator("tbody tr:visible")).to_have_count(2)


def test_paper_is_the_same_whatever_was_filtered(opened: Opener) -> None:
    page = opened(small())
    before = printed(page)
    search(page, "alpha")
    expect(page.locator("tbody tr:visible")).to_have_count(4)
    page.get_by_role("columnheader", name="Bytes").get_by_role("button").click()
    assert printed(page) == before


def test_what_gets_in_as_markup_is_not_run(opened: Opener) -> None:
    """The page's own policy: the second lock behind the escaping."""
    page = opened(small())
    page.evaluate(
        "() => { const s = document.createElement('script'); s.textContent = 'window.ran = 1'; document.body.append(s);"
        " const p = document.createElement('p'); p.setAttribute('style', 'color: red'); document.body.append(p); }"
    )
    assert page.evaluate(
        "() => [window.ran ?? 0, getComputedStyle(document.querySelector('body > p:last-child')).color]"
    ) == [
        0,
        "rgb(27, 36, 48)",
    ]
    assert len(opened.complaints) == 2
    assert all("Content Security Policy" in complaint for complaint in opened.complaints)
    opened.complaints.clear()


@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_is_wider_than_the_window(opened: Opener, width: int) -> None:
    page = opened(verification_report(DIRTY), viewport={"width": width, "height": 800})
    assert page.evaluate("() => document.documentElement.scrollWidth <= window.innerWidth")


def test_ten_thousand_rows_are_filtered_sorted_and_shown_again(opened: Opener) -> None:
    record = records.green(5000)
    page = opened(render_html(matrix_document(record)))
    table = region(page, "Traceability matrix")
    table.get_by_role("button", name="Filter columns").click()
    table.get_by_label("Filter by Requirement").fill("SRS-4321")
    expect(status(page)).to_have_text("Traceability matrix: 2 of 10000 rows")
    expect(table.locator("tbody tr:not([hidden])")).to_have_count(2)
    table.get_by_role("columnheader", name="Requirement").get_by_role("button").click()
    table.get_by_role("button", name="Show all rows").click()
    expect(table.locator("table")).to_have_attribute("aria-busy", "false")
    assert table.locator("tbody tr:not([hidden])").count() == 10_000
    first = [table.locator("tbody tr").nth(at).locator("th").inner_text().split("\n")[0] for at in range(3)]
    assert first == ["SRS-001", "SRS-001", "SRS-002"]
