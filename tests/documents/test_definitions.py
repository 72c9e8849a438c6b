"""Document definitions: what a project changes without code, and what is said about a mistake in one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from devicepipe.documents.blocks import BLOCKS
from devicepipe.documents.html_page import render_html
from devicepipe.documents.model import Document, Heading, Table
from devicepipe.documents.record import ReleaseRecord, empty_record
from devicepipe.documents.release import compose_documents, shipped_set
from devicepipe.documents.sources import load_sources
from devicepipe.errors import UsageError
from tests.documents import release_records as records

NAMES = (
    "software-verification-report",
    "software-test-report",
    "traceability-matrix",
    "software-requirements-specification",
    "risk-control-verification",
    "soup-and-vulnerability-report",
    "static-analysis-report",
    "build-and-configuration-record",
    "version-history",
    "unresolved-anomalies",
    "cybersecurity-test-report",
    "release-notes",
    "submission-index",
)


def made(folder: Path, record: ReleaseRecord | None = None) -> dict[str, Document]:
    sources = load_sources(folder)
    given = replace(record or records.green(4), documents=sources.documents(), texts=sources.texts, logo=sources.logo())
    return {document.name: document for document in compose_documents(given)}


def write(folder: Path, name: str, text: str) -> None:
    (folder / name).write_text(text, encoding="utf-8")


def titles(document: Document) -> list[str]:
    return [block.label for block in document.blocks if isinstance(block, Heading) and block.level == 1]


def tables(document: Document) -> dict[str, Table]:
    return {block.caption: block for block in document.blocks if isinstance(block, Table)}


def test_the_set_has_the_documents_that_a_submission_needs() -> None:
    assert tuple(definition.name for definition in shipped_set().documents) == NAMES


@pytest.mark.parametrize("record", [records.green(4), records.bare()], ids=["green", "bare"])
def test_every_document_of_the_set_is_made_of_any_record(record: ReleaseRecord) -> None:
    documents = compose_documents(record)
    assert len(documents) == len(NAMES)
    for document in documents:
        assert titles(document), document.name
        assert "NOT APPROVED" in render_html(document).decode()


def test_every_block_is_in_a_document_or_known_to_be_for_projects() -> None:
    used = {name for one in shipped_set().documents for section in one.sections for name in section.blocks}
    used |= {name for one in shipped_set().documents for name in one.front}
    assert BLOCKS.keys() - used == set()


def test_number_title_order_and_wording_change_without_code(tmp_path: Path) -> None:
    write(
        tmp_path,
        "traceability-matrix.toml",
        """
number = "DOC-0042"
title = "Rückverfolgbarkeit {version}"
revision = "C"
status = "draft"
order = ["matrix", "overview"]
omit = ["findings", "untested", "reviews"]

[sections.matrix]
title = "Matrix"

[sections.overview]
blocks = []

[tables."Traceability matrix"]
caption = "Alle Anforderungen"
columns = ["Requirement", "{boards}", "Test"]
titles = { Requirement = "Anforderung" }
""",
    )
    document = made(tmp_path)["traceability-matrix"]
    assert document.identifier == "DOC-0042"
    assert document.title.startswith("Rückverfolgbarkeit 0.1.0")
    assert titles(document) == ["1  Matrix", "2  Overview"]
    table = tables(document)["Alle Anforderungen"]
    assert [column.title for column in table.columns] == ["Anforderung", *records.BOARDS, "Test"]
    assert table.rows[0][0].text.startswith("SRS-")
    assert "DOC-0042, revision C" in document.running.right


def test_a_new_document_needs_nothing_but_its_definition_and_texts(tmp_path: Path) -> None:
    write(tmp_path, "hello.md", "Our **own** words.")
    write(
        tmp_path,
        "own-summary.toml",
        'number = "X-1"\ntitle = "Own"\n[sections.a]\ntitle = "A"\ntext = "hello.md"\nblocks = ["results"]\n',
    )
    document = made(tmp_path)["own-summary"]
    assert "Our <strong>own</strong> words." in render_html(document).decode()
    assert "Test results" in tables(document)


def test_a_document_can_be_left_out(tmp_path: Path) -> None:
    write(tmp_path, "release-notes.toml", "enabled = false\n")
    assert "release-notes" not in made(tmp_path)


def test_branding_is_on_every_document(tmp_path: Path) -> None:
    write(
        tmp_path,
        "logo.svg",
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 4 2"><rect width="4" height="2"/></svg>',
    )
    write(
        tmp_path,
        "branding.toml",
        'name = "Ärzte & Söhne"\ncolor = "#7a0019"\nlogo = "logo.svg"\nfooter = "confidential"\n'
        '[[approval]]\nrole = "QA"\nmeaning = "approved"\n',
    )
    for document in made(tmp_path).values():
        assert document.author == "Ärzte & Söhne"
        assert document.accent == 0x7A0019
        assert document.running.footer.endswith("confidential")
        assert [row[0].text for row in tables(document)["Approval"].rows] == ["QA"]


MISTAKES = {
    "unknown key": ("release-notes.toml", "nubmer = 'x'\n", 1, "nubmer", "unknown key"),
    "not TOML": ("release-notes.toml", "number = 'x'\ntitle = \n", 2, "", "not valid TOML"),
    "no such block": (
        "release-notes.toml",
        '[sections.news]\nblocks = [\n  "news",\n  "nwes",\n]\n',
        2,
        "sections.news.blocks.1",
        "no block 'nwes'",
    ),
    "no such text": ("release-notes.toml", "\n[sections.news]\ntext = 'nwes.md'\n", 3, "sections.news.text", "no text"),
    "no such section": ("release-notes.toml", "order = ['nwes']\n", 1, "order.0", "no section 'nwes'"),
    "a section forgotten": (
        "release-notes.toml",
        "order = ['news', 'about']\nomit = ['anomalies']\n",
        1,
        "order",
        "stand: deliverables",
    ),
    "no such section left out": ("release-notes.toml", "omit = ['nwes']\n", 1, "omit", "no section 'nwes'"),
    "in order and left out": (
        "release-notes.toml",
        "order = ['news', 'about', 'deliverables', 'anomalies']\nomit = ['about']\n",
        1,
        "order.1",
        "`omit` leaves out",
    ),
    "twice in order": ("release-notes.toml", "order = ['news', 'news']\n", 1, "order", "twice"),
    "no such column": (
        "traceability-matrix.toml",
        "[tables.\"Traceability matrix\"]\ncolumns = ['Requirment']\n",
        2,
        "tables.Traceability matrix.columns.0",
        "no column 'Requirment'",
    ),
    "no such table": (
        "traceability-matrix.toml",
        "[tables.Matrix]\ncaption = 'x'\n",
        1,
        "tables.Matrix",
        "no table 'Matrix'",
    ),
    "bad placeholder": ("release-notes.toml", "title = 'For {whom}'\n", 1, "title", "'{whom}' stands for nothing"),
    "title missing": ("own.toml", "number = 'X'\n", None, "title", "missing key"),
    "section without title": (
        "own.toml",
        "number = 'X'\ntitle = 'Y'\n[sections.a]\nblocks = []\n",
        3,
        "sections.a.title",
        "missing key",
    ),
    "number taken": (
        "own.toml",
        "number = 'SRN-{product}-{version}'\ntitle = 'Y'\n",
        1,
        "number",
        "has this number as well",
    ),
    "approved by its definition": ("branding.toml", "status = 'Approved'\n", 1, "status", "is said by signatures"),
    "pale colour": ("branding.toml", "color = '#ffff00'\n", 1, "color", "cannot be read on white"),
    "bad colour": ("branding.toml", "color = 'blue'\n", 1, "color", "expected a colour"),
    "no such logo": ("branding.toml", "logo = 'logo.svg'\n", 1, "logo", "no file 'logo.svg'"),
    "element of no guidance": (
        "submission-index.toml",
        "[provided]\n'FDA premarket VI.X' = 'y'\n",
        2,
        "provided",
        "no guidance",
    ),
    "bad level": ("submission-index.toml", "level = 'high'\n", 1, "level", "expected 'basic' or 'enhanced'"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_names_file_line_key_and_remedy(name: str, tmp_path: Path) -> None:
    file, text, line, key, message = MISTAKES[name]
    write(tmp_path, file, text)
    with pytest.raises(UsageError) as caught:
        made(tmp_path, empty_record(shipped_set(), list(records.BOARDS)))
    error = caught.value
    assert error.file == tmp_path / file
    assert error.line == line
    assert (error.key or "").startswith(key)
    assert message in error.message
    assert error.remedy


def test_a_logo_that_no_document_uses_is_refused(tmp_path: Path) -> None:
    write(tmp_path, "logo.svg", "<svg/>")
    with pytest.raises(UsageError, match="used by no document"):
        load_sources(tmp_path)


def test_documents_lead_to_each_other_and_every_requirement_to_its_tests_and_logs() -> None:
    documents = {document.name: document for document in compose_documents(records.green(4))}
    page = render_html(documents["traceability-matrix"]).decode()
    assert 'href="software-requirements-specification.html#item-SRS-001"' in page
    assert 'href="software-test-report.html#result-microbit-hil/test_rate.py' in page
    report = render_html(documents["software-test-report"]).decode()
    assert 'href="../evidence/test/microbit/serial.log"' in report
    specification = render_html(documents["software-requirements-specification"]).decode()
    assert 'id="item-SRS-001"' in specification
    assert 'href="software-test-report.html#test-hil/test_rate.py::test_case_000"' in specification
