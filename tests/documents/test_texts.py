"""The texts that people edit: defaults, overriding, mistakes, and what their few marks mean."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devicepipe.documents.model import Bullets, Emphasis, Paragraph, Run
from devicepipe.documents.release import shipped_set
from devicepipe.documents.sources import load_sources
from devicepipe.documents.texts import default_texts, to_blocks
from devicepipe.errors import UsageError


def test_every_text_has_a_default_and_none_is_forgotten() -> None:
    folder = files("devicepipe.documents") / "texts"
    used = {section.text for definition in shipped_set().documents for section in definition.sections} - {""}
    assert sorted(path.name for path in folder.iterdir()) == sorted(default_texts()) == sorted(used)
    assert all(to_blocks(text) for text in default_texts().values())


def test_projects_text_overrides_by_name_and_leaves_the_others(tmp_path: Path) -> None:
    (tmp_path / "scope.md").write_text("\ufeffOur scope.\r\n", encoding="utf-8", newline="")
    (tmp_path / "README.md").write_text("how to edit these", encoding="utf-8")
    texts = load_sources(tmp_path).texts
    assert texts["scope.md"] == "Our scope.\n"
    assert texts["method.md"] == default_texts()["method.md"]
    assert load_sources(None).texts == default_texts()


def test_misspelt_text_is_refused_with_the_known_names(tmp_path: Path) -> None:
    (tmp_path / "scpoe.md").write_text("x", encoding="utf-8")
    with pytest.raises(UsageError, match=r"scpoe\.md.*no text of any document") as caught:
        load_sources(tmp_path)
    assert "scope.md" in caught.value.remedy


def test_text_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    (tmp_path / "scope.md").write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match="not UTF-8"):
        load_sources(tmp_path)


def test_the_projects_own_texts_are_sound() -> None:
    assert load_sources(Path(__file__).parents[2] / "reports").texts


def test_marks_become_blocks() -> None:
    text = (
        "<!-- note\nto the editor -->\nOne **strong** and *it* 2*3*4.\nSame line.\n\n- first\n  goes on\n- **second**\n"
    )
    assert to_blocks(text) == (
        Paragraph(
            (
                Run("One "),
                Run("strong", Emphasis.STRONG),
                Run(" and "),
                Run("it", Emphasis.ITALIC),
                Run(" 2"),
                Run("3", Emphasis.ITALIC),
                Run("4. Same line."),
            )
        ),
        Bullets(((Run("first goes on"),), (Run("second", Emphasis.STRONG),))),
    )


def test_unclosed_marks_are_text() -> None:
    assert to_blocks("a ** b * c <b>") == (Paragraph((Run("a ** b * c <b>"),)),)


@given(st.text())
def test_any_text_can_be_read(text: str) -> None:
    to_blocks(text)


def test_a_text_in_a_folder_of_its_own_is_refused(tmp_path: Path) -> None:
    (tmp_path / "texts").mkdir()
    load_sources(tmp_path)
    (tmp_path / "texts" / "scope.md").write_text("Scope.\n")
    with pytest.raises(UsageError, match="are not read"):
        load_sources(tmp_path)
