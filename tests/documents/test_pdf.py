"""The PDFs: byte-reproducible, complete, paged, embedded, and clear about what may not be released."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pypdf
import pytest
from reportlab import rl_config

from devicepipe.documents.layout import lay_out
from devicepipe.documents.model import (
    Bullets,
    Cell,
    Column,
    Contents,
    Document,
    Emphasis,
    Heading,
    KeyValues,
    Notice,
    PageBreak,
    Paragraph,
    Run,
    Running,
    Table,
    Title,
    Tone,
)
from devicepipe.documents.pdf import render_pdf
from devicepipe.documents.record import ReleaseRecord
from devicepipe.documents.report import matrix_document, verification_report
from devicepipe.evidence.results import Verdict
from tests.documents import release_records as records

ROOT = Path(__file__).parents[2]


def report(record: ReleaseRecord) -> bytes:
    return render_pdf(verification_report(record))


def read(pdf: bytes) -> pypdf.PdfReader:
    return pypdf.PdfReader(io.BytesIO(pdf))


@cache
def texts(pdf: bytes) -> list[str]:
    return [page.extract_text() for page in read(pdf).pages]


def squeezed(pdf: bytes) -> str:
    """All text without white space: what wraps is found as well."""
    return re.sub(r"\s+", "", "".join(texts(pdf)))


def document(*blocks: Any, banner: str = "", paper: Any = "A4") -> Document:
    return Document(
        identifier="DOC-1",
        title="A document",
        subject="for a test",
        author="devicepipe",
        created="2026-03-01T12:00:05Z",
        paper=paper,
        running=Running("left", "right", "footer", banner),
        blocks=blocks,
    )


# --- the same bytes


def test_rendering_twice_and_after_another_document_gives_the_same_bytes() -> None:
    record = records.green(4)
    first = report(record)
    render_pdf(document(Paragraph.plain("Ελληνικά, кириллица → ≥ ✓ first: other glyphs in another order")))
    assert report(record) == first


SCRIPT = """
import hashlib
from tests.documents import release_records as records
from devicepipe.documents.release import render_documents
for name, data in render_documents(records.untested(records.dirty(records.green(4)))).items():
    print(name, hashlib.sha256(data).hexdigest())
"""


def test_another_process_folder_locale_zone_and_hash_seed_give_the_same_bytes(tmp_path: Path) -> None:
    def digests(**environment: str) -> str:
        folder = tmp_path / environment["PYTHONHASHSEED"]
        folder.mkdir()
        command = [sys.executable, "-c", SCRIPT]
        env = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
        return subprocess.run(command, env=env, cwd=folder, check=True, capture_output=True, text=True).stdout

    plain = digests(PYTHONHASHSEED="1", TZ="UTC", LC_ALL="C")
    other = digests(
        PYTHONHASHSEED="4711",
        TZ="Pacific/Kiritimati",
        LC_ALL="de_DE.UTF-8",
        SOURCE_DATE_EPOCH="1",
        RL_invariant="0",
        RL_ttfAsciiReadable="0",
        RL_pageCompression="1",
        RL_pdfComments="1",
        RL_canvas_basefontname="Times-Roman",
        RL_documentLang="fr",
    )
    assert plain == other
    assert plain.count("\n") >= 6


def test_reportlab_settings_are_as_before_and_do_not_reach_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = report(records.green(4))
    monkeypatch.setattr(rl_config, "invariant", 0)
    monkeypatch.setattr(rl_config, "pdfComments", 1)
    assert report(records.green(4)) == expected
    assert (rl_config.invariant, rl_config.pdfComments) == (0, 1)


def test_different_documents_have_different_ids() -> None:
    one, two = read(report(records.green(4))), read(report(records.dirty(records.green(4))))
    assert one.trailer["/ID"] != two.trailer["/ID"]


def test_time_in_the_metadata_is_the_evidences_not_the_clocks() -> None:
    info = read(report(records.green(4))).metadata
    assert info is not None
    assert str(info["/CreationDate"]).startswith("D:20260301120005")
    assert info.title == "Software Verification Report: infusion-pump 0.1.0"
    assert info.author == "devicepipe reference product"
    assert records.COMMIT in str(info.subject)


# --- the file


def test_only_embedded_source_sans_and_no_trap_of_reportlab() -> None:
    pdf = report(records.green(4))
    reader = read(pdf)
    assert b"Helvetica" not in pdf
    assert b"/Trans" not in pdf
    assert b"/JavaScript" not in pdf
    fonts = reader.pages[0]["/Resources"]["/Font"]  # type: ignore[index]
    for font in fonts.values():
        described = font.get_object()
        assert re.fullmatch(r"/[A-Z]{6}\+SourceSansPro-(Regular|Semibold|It)", described["/BaseFont"])
        assert "/FontFile2" in described["/FontDescriptor"]
    assert reader.trailer["/Root"]["/Lang"] == "en"  # type: ignore[index]


def test_page_n_of_m_on_every_page() -> None:
    pages = texts(report(records.green(20)))
    for number, text in enumerate(pages, start=1):
        assert f"Page {number} of {len(pages)}" in text


def test_header_names_product_version_document_and_commit_on_every_page() -> None:
    for text in texts(report(records.green(4))):
        assert "infusion-pump 0.1.0" in text
        assert "SVR-infusion-pump-0.1.0" in text
        assert records.COMMIT[:12] in text


def test_outline_and_contents_lead_to_the_pages_of_the_headings() -> None:
    reader = read(report(records.green(4)))

    def flat(entries: Any) -> list[Any]:
        return [leaf for entry in entries for leaf in (flat(entry) if isinstance(entry, list) else [entry])]

    entries = flat(reader.outline)
    titles = [str(entry.title) for entry in entries]
    for wanted in (
        "6  Traceability",
        "7.3  Requirements without a passed test",
        "9.2  mps2_an385",
        "A  Files of the bundle",
    ):
        assert wanted in titles
    contents = "\n".join(page.extract_text() for page in reader.pages[:3])
    for entry in entries:
        page = reader.get_destination_page_number(entry)
        assert page is not None
        number, _, name = str(entry.title).partition("  ")
        text = re.sub(r"\s+", " ", reader.pages[page].extract_text())
        assert f"{number} {name}" in text or f"{number}{name}" in text
        found = re.search(rf"{re.escape(number)}\s*{re.escape(name)}\s*(\d+)", contents)
        assert found is not None
        assert int(found[1]) == page + 1
    links = [annotation for page in reader.pages[:3] for annotation in page.get("/Annots", [])]
    assert len(links) == len(entries)


def test_matrix_and_test_pages_are_landscape_and_paper_size_is_as_asked() -> None:
    sizes = {tuple(map(round, map(float, page.mediabox[2:]))) for page in read(report(records.green(4))).pages}
    assert sizes == {(595, 842), (842, 595)}
    letter = report(replace(records.green(4), paper="Letter"))
    assert {tuple(map(round, map(float, page.mediabox[2:]))) for page in read(letter).pages} == {(612, 792), (792, 612)}


# --- what must be in it


def test_every_one_of_500_requirements_is_in_the_text_of_the_matrix() -> None:
    record = records.green(500)
    text = squeezed(render_pdf(matrix_document(record)))
    for item in record.traceability.items:
        assert item.id in text


def test_every_requirement_test_and_digest_is_in_the_text() -> None:
    record = records.green(12)
    text = squeezed(report(record))
    for item in record.traceability.items:
        assert item.id in text
    for case in record.runs[0].cases:
        assert case.id in text
        assert case.procedure_sha256 in text
    for signed in record.signing:
        assert signed.image_digest in text
        assert signed.payload_digest in text
    for entry in record.files:
        assert entry.path in text
        assert entry.sha256 in text


def test_not_releasable_stands_on_every_page_and_releasable_on_none() -> None:
    for text in texts(report(records.untested(records.green(4)))):
        assert "NOT RELEASABLE" in text
    for text in texts(report(records.green(4))):
        assert "NOT RELEASABLE" not in text
    assert "✓ RELEASABLE" in texts(report(records.green(4)))[0]


def test_dirty_tree_says_so_on_every_page_whatever_the_gate_says() -> None:
    record = records.dirty(records.green(4))
    assert record.decisions.releasable
    for text in texts(report(record)):
        assert "NOT RELEASABLE: built from a modified source tree" in text


def test_development_keys_are_named_and_production_keys_are_not() -> None:
    for text in texts(report(records.green(4))):
        assert "signed with development keys" in text
    assert "Signed with development keys" in texts(report(records.green(4)))[0]
    assert "DEVELOPMENT" in "".join(texts(report(records.green(4))))
    assert "evelopment keys" not in "".join(texts(report(records.green(development=False))))


@pytest.mark.parametrize(
    ("verdict", "word"), [(Verdict.FAILED, "FAILED"), (Verdict.ERROR, "ERROR"), (Verdict.NOT_RUN, "NOT RUN")]
)
def test_a_verdict_that_is_not_passed_appears_with_its_reason(verdict: Verdict, word: str) -> None:
    pdf = report(records.with_verdict(records.green(4), verdict, "expected 'OK', saw nothing for 5 s"))
    text = " ".join("".join(texts(pdf)).split())
    assert word in text
    assert "expected 'OK', saw nothing for 5 s" in text
    assert word not in "".join(texts(report(records.green(4))))


def test_passed_cases_of_a_device_with_another_identity_do_not_count() -> None:
    record = records.green(4)
    errors = ["after: the device says commit " + "0" * 40]
    wrong = record.runs[0].model_copy(update={"identity_errors": errors})
    text = " ".join("".join(texts(report(replace(record, runs=(wrong, record.runs[1]))))).split())
    assert "DIFFERS" in text
    assert "does not count: identity differs" in text
    assert errors[0] in text


def test_a_failed_rule_is_never_releasable_whatever_the_gate_says() -> None:
    record = records.with_verdict(records.green(4), Verdict.FAILED, "x")
    lying = replace(record, decisions=record.decisions.model_copy(update={"releasable": True, "reasons": []}))
    assert all("NOT RELEASABLE" in text for text in texts(report(lying)))


def test_without_any_evidence_it_says_so_and_does_not_fall_over() -> None:
    text = " ".join("".join(texts(report(records.bare()))).split())
    assert "The gate did not decide for release and gave no reason." in text
    assert "NO EVIDENCE" in text
    assert "The evidence holds no test run." in text
    assert "The gate took no decision." in text


# --- strings that would like to break it


NASTY = {
    "markup": "<b>&amp;</b> & <font color='white'>hidden</font>",
    "right-to-left override": "accept\u202egnp.exe",
    "zero width": "SRS\u200b-001",
    "controls": "bell\x07 escape\x1b[31m nul\x00 tab\tend",
    "lone surrogate": "half \ud83d pair",
    "cjk and emoji": "注射 泵 \U0001f489",
    "hebrew": "\u05de\u05e9\u05d0\u05d1\u05d4",
    "pdf syntax": ") Tj ET (\\ %%EOF endstream",
    "long id": "hil/test_" + "a" * 300,
    "long text": "sentence with words " * 500,
    "long word": "x" * 10_000,
    "digest": records.sha("digest"),
    "lines": "\n".join(f"line {n}" for n in range(400)),
    "empty": "",
    "blank": "   \n  \n ",
}


@pytest.mark.parametrize("name", NASTY)
def test_nasty_text_is_shown_in_every_kind_of_block(name: str) -> None:
    text = NASTY[name]
    table = Table(
        text[:200], (Column(text[:200], 1), Column("b", 1, "right")), ((Cell(text, text, Tone.BAD), Cell(text)),), 1
    )
    pdf = render_pdf(
        document(
            Title(text[:200], text[:200], text[:200]),
            Contents(),
            Heading(1, text[:200], "1"),
            Paragraph((Run(text), Run(text, Emphasis.STRONG), Run(text, Emphasis.ITALIC))),
            Bullets(((Run(text),),)),
            KeyValues("facts", ((text[:200], Cell(text)),)),
            Notice(Tone.WARNING, text[:200], (text, text)),
            PageBreak(landscape=True),
            table,
            banner=text,
        )
    )
    pages = read(pdf).pages
    assert len(pages) >= 2
    assert f"Page {len(pages)} of {len(pages)}" in pages[-1].extract_text()


def test_characters_that_the_font_lacks_or_that_hide_are_shown_as_codes() -> None:
    text = squeezed(render_pdf(document(Paragraph.plain("a\u202eb \u05de c\x00d \U0001f489 e\u200bf"))))
    for code in ("a[U+202E]b", "[U+05DE]", "c[U+0000]d", "[U+1F489]", "e[U+200B]f"):
        assert code in text


def test_names_in_chinese_japanese_and_korean_are_printed_and_embedded_as_a_subset() -> None:
    names = "王小明 山田太郎 ヤマダ 김민수 泵、输液≤ 5 µl"
    plain = render_pdf(document(Paragraph.plain("Ada")))
    pdf = render_pdf(document(Paragraph((Run(names), Run(names, Emphasis.STRONG), Run(names, Emphasis.ITALIC)))))
    text = squeezed(pdf)
    assert text.count("王小明山田太郎ヤマダ김민수泵、输液≤5µl") == 3
    assert "U+" not in text
    assert b"WenQuanYiMicroHei" in pdf
    assert len(pdf) - len(plain) < 120_000
    assert b"WenQuanYi" not in plain
    table = Table("泵", (Column("名", 1), Column("b", 9)), ((Cell("输液泵控制器" * 20), Cell("x")),))
    assert squeezed(render_pdf(document(table))).count("输液泵控制器") == 20


def test_greek_and_cyrillic_in_italics_fall_back_to_the_upright_face() -> None:
    text = squeezed(render_pdf(document(Paragraph((Run("λ µ ж é", Emphasis.ITALIC),)))))
    assert "λ" in text
    assert "ж" in text
    assert "U+" not in text


def test_nothing_is_drawn_outside_the_margins() -> None:
    table = Table(
        "",
        (Column("a", 1), Column("b", 3), Column("c", 1)),
        tuple((Cell(v), Cell(v, v), Cell(v[:50])) for v in NASTY.values()),
    )
    reader = read(render_pdf(document(table, Notice(Tone.BAD, "title " * 60, tuple(NASTY.values())))))
    for page in reader.pages:
        seen: list[tuple[float, float]] = []
        page.extract_text(visitor_text=lambda _t, _c, tm, _f, _s, seen=seen: seen.append((tm[4], tm[5])))  # type: ignore[misc]
        assert all(0 <= x < 548 and (y == 0 or 20 < y < 815) for x, y in seen)


# --- tables


def test_heading_row_is_repeated_and_group_is_named_again_on_the_next_page() -> None:
    rows = tuple((Cell("GROUP-A", "its title"), Cell(f"row {n}")) for n in range(150))
    pages = texts(render_pdf(document(Table("caption", (Column("Group", 1), Column("Row", 1)), rows, group_columns=1))))
    assert len(pages) > 2
    for text in pages:
        assert text.count("GROUP-A") == 1
        assert "Group" in text
    for n in range(150):
        assert f"row {n}" in "\n".join(pages)


def test_group_cell_that_is_taller_than_its_rows_does_not_run_into_what_follows() -> None:
    rows = (
        (Cell("tall", "one\ntwo\nthree\nfour\nfive"), Cell("r1")),
        (Cell("tall", "one\ntwo\nthree\nfour\nfive"), Cell("r2")),
        (Cell("next"), Cell("r3")),
    )
    layout = lay_out(document(Table("", (Column("g", 1), Column("r", 1)), rows, group_columns=1)))
    places = {text: baseline for _, baseline, _, _, _, text in layout.pages[0].texts}
    assert places["r1"] < places["r2"] < places["five"] < places["r3"] == places["next"]


def test_a_row_with_too_few_cells_is_refused() -> None:
    with pytest.raises(ValueError, match="has 1 cells, expected 2"):
        Table("", (Column("a", 1), Column("b", 1)), ((Cell("x"),),))


def test_ten_thousand_rows_are_laid_out_in_full() -> None:
    record = records.green(5000)
    layout = lay_out(matrix_document(record))
    shown = [text for page in layout.pages for *_, text in page.texts]
    assert len(record.traceability.matrix) == 10_000
    assert shown.count("✓ passed") == 20_000
    assert len({text for text in shown if text.startswith("SRS-")}) == 5000


def test_many_boards_keep_the_matrix_readable() -> None:
    boards = tuple(f"board_{n}" for n in range(8))
    record = records.green(4)
    matrix = [
        row.model_copy(update={"verdicts": dict.fromkeys(boards, "passed")}) for row in record.traceability.matrix
    ]
    trace = record.traceability.model_copy(update={"matrix": matrix})
    text = squeezed(report(replace(record, source=records.source(boards=boards), traceability=trace)))
    assert all(board in text for board in boards)
