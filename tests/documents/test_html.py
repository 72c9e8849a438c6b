"""The HTML: well formed, self-contained, accessible, complete."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from urllib.parse import unquote

import pytest

from devicepipe.documents.html_page import render_html
from devicepipe.documents.model import Cell, Column, Document, Running, Table
from devicepipe.documents.record import ReleaseRecord
from devicepipe.documents.report import matrix_document, verification_report
from tests.documents import release_records as records

VOID = {"meta", "col", "br", "wbr", "link", "img", "input", "hr"}


class Page(HTMLParser):
    """Checks nesting while it reads; keeps tags, ids, links and text."""

    def __init__(self, data: bytes) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(data.decode("utf-8"))
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        assert len(dict(attrs)) == len(attrs), "an attribute stands twice"
        if tag not in VOID:
            if tag in {"p", "h1", "h2", "h3", "table", "ul", "ol", "div"}:
                assert "p" not in self.open, "block inside a paragraph"
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not {"style", "script"} & set(self.open):
            self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


ALL = {
    "green": records.green(),
    "dirty": records.dirty(records.green()),
    "untested": records.untested(records.green()),
    "bare": records.bare(),
}


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("build", [verification_report, matrix_document], ids=["report", "matrix"])
def test_is_well_formed_self_contained_and_accessible(name: str, build: object) -> None:
    assert callable(build)
    data = render_html(build(ALL[name]))
    page = Page(data)
    assert page.all("html")[0]["lang"] == "en"
    assert len(page.all("h1")) == len(page.all("main")) == len(page.all("title")) == 1
    assert not [tag for tag, _ in page.tags if tag in {"link", "img", "iframe", "object", "form", "base"}]
    assert page.all("script") == [{}], "one script, inline"
    assert not re.search(rb"url\(|@import|src=|javascript:|https?://", data)
    assert not [attributes for _, attributes in page.tags if "style" in attributes]
    assert not [name for _, attributes in page.tags for name in attributes if name.startswith("on")]
    for attributes in page.all("th"):
        assert attributes.get("scope") in {"col", "row"}
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    for attributes in page.all("a"):
        address = str(attributes["href"])
        assert address.startswith("../evidence/") or unquote(address.removeprefix("#")) in ids
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch(r"h\d", tag)]
    assert all(below - above <= 1 for above, below in pairwise(levels))


def test_every_table_with_a_name_has_a_caption() -> None:
    page = Page(render_html(matrix_document(records.green())))
    assert len(page.all("caption")) == len(page.all("table")) > 2


def test_every_id_and_verdict_of_the_matrix_is_on_every_line() -> None:
    record = records.green(500)
    data = render_html(matrix_document(record)).decode()
    body = data[data.index("Traceability matrix</caption>") :]
    lines = [re.findall(r"<t[hd][^>]*>([^<]*)", line) for line in body.split("<tr>")[2:]]
    assert len(lines) == len(record.traceability.matrix)
    for line, row in zip(lines, record.traceability.matrix, strict=True):
        assert line[:4] == [row.hazard, row.risk_control, row.requirement, row.test]
        assert line[4:6] == ["✓ passed", "✓ passed"]


@pytest.mark.parametrize("name", ["dirty", "untested", "bare"])
def test_not_releasable_is_said_on_screen_and_on_every_printed_page(name: str) -> None:
    data = render_html(matrix_document(ALL[name])).decode()
    assert '<p class="banner">NOT RELEASABLE' in data
    assert '@top-center { content: "NOT RELEASABLE' in data


def test_only_its_own_script_and_style_may_run() -> None:
    """The policy names both by their digests, as a browser computes them."""
    data = render_html(matrix_document(ALL["dirty"])).decode()
    found = re.search('Policy" content="([^"]*)"', data)
    assert found
    policy = {name: value for name, _, value in (part.strip().partition(" ") for part in found[1].split(";"))}
    for tag, directive in (("script", "script-src"), ("style", "style-src")):
        text = data[data.index(f"<{tag}>") + len(tag) + 2 : data.index(f"</{tag}>")]
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert policy[directive] == f"'sha256-{digest}'"
    assert policy["default-src"] == policy["base-uri"] == policy["form-action"] == "'none'"


def test_green_has_no_banner() -> None:
    assert "NOT RELEASABLE" not in render_html(matrix_document(ALL["green"])).decode()


def nasty(record: ReleaseRecord, text: str) -> ReleaseRecord:
    items = [item.model_copy(update={"title": text}) for item in record.traceability.items]
    source = record.source.model_copy(update={"title": text, "manufacturer": text, "tester": text})
    return replace(record, source=source, traceability=record.traceability.model_copy(update={"items": items}))


@pytest.mark.parametrize(
    "text",
    [
        "</style><script>alert(1)</script>",
        "\"><img src=x onerror=alert(1)> & &amp; '",
        "]]> --> <!-- <b>",
        "\u202egnp.exe \x00 \ud800 \u200b",
        '"; } body { display: none',
    ],
)
def test_text_is_never_markup(text: str) -> None:
    page = Page(render_html(verification_report(nasty(records.dirty(records.green()), text))))
    assert [tag for tag, _ in page.tags if tag in {"script", "img", "b"}] == ["script"], "the page's own"
    assert not re.search("[\u202e\x00\ud800\u200b]", page.text)


def test_running_texts_cannot_leave_the_style_sheet() -> None:
    running = Running('"; } * { display: none } /*', "</style><script>", "\\", 'a"b')
    document = Document("D", "t", "s", "a", "2026-03-01T12:00:05Z", "A4", running, ())
    data = render_html(document).decode()
    style = data[data.index("<style>") : data.index("</style>")]
    assert '"; } *' not in style
    assert "<script" not in style
    Page(data.encode())


def test_repeated_group_cells_stay_for_screen_readers() -> None:
    rows = ((Cell("G", "detail"), Cell("1")), (Cell("G", "detail"), Cell("2")))
    table = Table("t", (Column("g", 1), Column("n", 1)), rows, group_columns=1)
    data = render_html(
        Document("D", "t", "s", "a", "2026-03-01T12:00:05Z", "A4", Running("", "", ""), (table,))
    ).decode()
    data = data[: data.index("<script>")]
    assert data.count(">G<") == 2
    assert data.count("detail</span>") == 1
