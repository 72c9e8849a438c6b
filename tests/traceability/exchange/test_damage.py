"""Damaged and hostile files of other tools end in an error with the file's name, never in a traceback, and never act."""

from __future__ import annotations

import io
import tempfile
import zipfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from devicepipe.errors import UsageError
from devicepipe.traceability import foreign_files
from devicepipe.traceability.foreign_files import open_archive, parse_json, parse_yaml
from devicepipe.traceability.registry import make_exporter
from tests.traceability.exchange.made_items import item, read_back

NAMES = {
    "csv": "items.csv",
    "lobster": "items.lobster",
    "markdown": "items.md",
    "mlx-traceability": "items.rst",
    "needs-json": "needs.json",
    "reqif": "items.reqif",
    "strictdoc": "items.sdoc",
    "xlsx": "items.xlsx",
}
ITEMS = [
    item(
        "HAZ-001", "Too much", "More is delivered\n\n- than\n- wanted.", {"severity": "high", "rationale": "Why\nnot."}
    ),
    item("RC-001", "Limit", "The device limits.", links={"mitigates": ["HAZ-001"]}, line=7),
    item("SRS-001", "Rate", "At most 5 ml/h.", {"source": 'a "b" <c>'}, {"implements": ["RC-001"]}, line=9),
]


def good(name: str) -> bytes:
    files = make_exporter(name, {}).write(ITEMS).files
    return files.get("") or files["items.lobster"]


def attempt(name: str, data: bytes) -> UsageError | None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / NAMES[name]
        path.write_bytes(data)
        error: UsageError | None = None
        try:
            read_back(name, path)
        except UsageError as caught:
            error = caught
        assert error is None or error.file in (None, path)
        return error


@pytest.mark.parametrize("name", NAMES)
@given(data=st.data())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_a_file_that_is_cut_flipped_or_spliced(name: str, data: st.DataObject) -> None:
    whole = good(name)
    start = data.draw(st.integers(0, len(whole)))
    end = data.draw(st.integers(start, len(whole)))
    put = data.draw(st.binary(max_size=12) | st.sampled_from((b"", b"\n", b"[", b">>>", b"<", b"::", b"\x00", b"\xff")))
    attempt(name, whole[:start] + put + whole[end:])


@given(st.text(max_size=200), st.sampled_from(("item.yml", ".doorstop.yml")))
@settings(max_examples=80, deadline=None)
def test_a_damaged_doorstop_file(text: str, which: str) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / ".doorstop.yml").write_text("settings:\n  prefix: SRS\n  sep: '-'\n")
        (folder / "SRS-001.yml").write_text("text: |\n  A text.\n")
        path = folder / (which if which.startswith(".") else "SRS-001.yml")
        path.write_text(text, encoding="utf-8")
        told: Path | None = path
        try:
            read_back("doorstop", folder)
        except UsageError as error:
            told = error.file
        assert told in (path, folder / "SRS-001.yml", folder)


LAUGHS = b"""<?xml version="1.0"?>
<!DOCTYPE lolz [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;"><!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;">]>
<REQ-IF>&c;</REQ-IF>"""
OUTSIDE = b"""<?xml version="1.0"?>
<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><REQ-IF>&a;</REQ-IF>"""


@pytest.mark.parametrize("text", [LAUGHS, OUTSIDE], ids=["billion laughs", "external reference"])
def test_xml_with_a_document_type_is_refused(text: bytes) -> None:
    error = attempt("reqif", text)
    assert error is not None
    assert "document type" in error.message
    assert error.line == 2


def test_a_workbook_with_a_document_type_inside_is_refused() -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(good("xlsx"))) as old, zipfile.ZipFile(out, "w") as new:
        for member in old.infolist():
            content = old.read(member)
            new.writestr(member, LAUGHS if member.filename == "xl/workbook.xml" else content)
    error = attempt("xlsx", out.getvalue())
    assert error is not None
    assert "document type" in error.message


@pytest.mark.parametrize("form", ["xlsx", "reqif"])
def test_a_zip_bomb_is_refused(tmp_path: Path, form: str) -> None:
    path = tmp_path / ("bomb.xlsx" if form == "xlsx" else "bomb.reqifz")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/worksheets/sheet1.xml", b"\0" * (64 * 2**20))
        archive.writestr("a.reqif", b"x")
    with pytest.raises(UsageError, match="absurd size: refused"):
        read_back(form, path)


def test_archives_have_bounds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "many.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(5):
            archive.writestr(str(number), b"0123456789")
    monkeypatch.setattr(foreign_files, "MAXIMUM_MEMBERS", 4)
    with pytest.raises(UsageError, match="more than 4 members"):
        open_archive(path)
    monkeypatch.setattr(foreign_files, "MAXIMUM_MEMBERS", 5)
    monkeypatch.setattr(foreign_files, "MAXIMUM_UNPACKED", 49)
    with pytest.raises(UsageError, match="unpacks to more than"):
        open_archive(path)
    path.write_bytes(b"PK no")
    with pytest.raises(UsageError, match="is no ZIP archive"):
        open_archive(path)


YAML = {
    "a tag that makes objects": ("a: !!python/object/apply:os.system [exit]", 1, "tag"),
    "a tag of any kind": ("a: 1\nb: !secret x", 2, "tag"),
    "an alias": ("a: &x [1]\nb: *x", 1, "alias"),
    "a wrong indentation": ("a:\n  - b\n c: d", 3, "is not valid YAML"),
    "two documents": ("a: 1\n---\nb: 2", 2, "is not valid YAML"),
    "a date that is none": ("a: 2026-99-99", 1, "is not valid YAML"),
    "too deep": ("[" * 20_000 + "\n", 2, "is nested too deeply|is not valid YAML"),
}


@pytest.mark.parametrize(("text", "line", "message"), YAML.values(), ids=YAML.keys())
def test_yaml_that_is_refused(text: str, line: int, message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        parse_yaml(text, Path("x.yml"))
    assert caught.value.file == Path("x.yml")
    assert caught.value.line == line


JSON = {
    "a key twice": ('{"a": 1,\n"b": {"c": 1, "c": 2}}', 2, "'c' stands twice"),
    "no number": ('{"a": NaN}', 1, "NaN is no JSON number"),
    "cut off": ('{"a":\n', 2, "is not valid JSON"),
    "too deep": ("[" * 100_000, 1, "nested too deeply"),
    "a number of too many digits": ("9" * 10_000, 1, "is not valid JSON"),
}


@pytest.mark.parametrize(("text", "line", "message"), JSON.values(), ids=JSON.keys())
def test_json_that_is_refused(text: str, line: int, message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        parse_json(text, Path("x.json"))
    assert (caught.value.file, caught.value.line) == (Path("x.json"), line)
