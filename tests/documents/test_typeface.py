"""Line breaking: nothing lost, nothing too wide, breaks where a reader expects them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devicepipe.documents.typeface import Face, drawable, measure, wrap, wrap_runs
from devicepipe.documents.visible import visible
from tests.documents import release_records as records

ANY = st.text(max_size=200)
WIDTHS = st.floats(min_value=30, max_value=500)


@given(ANY, WIDTHS, st.sampled_from([Face.REGULAR, Face.STRONG, Face.ITALIC]))
def test_lines_fit_and_nothing_but_white_space_is_lost(text: str, width: float, face: Face) -> None:
    lines = wrap(text, face, 8, width)
    assert all(measure(line, face, 8) <= width + 1e-6 for line in lines)
    assert "".join("".join(lines).split()) == "".join(drawable(text, face).split())


@given(st.lists(st.tuples(st.sampled_from([Face.REGULAR, Face.STRONG, Face.ITALIC]), ANY), max_size=5), WIDTHS)
def test_running_text_fits_and_nothing_is_lost(runs: list[tuple[Face, str]], width: float) -> None:
    lines = wrap_runs(runs, 9.5, width)
    assert all(sum(measure(text, face, 9.5) for face, text in line) <= width + 1e-6 for line in lines)


def test_words_of_different_faces_keep_their_spaces() -> None:
    line = wrap_runs([(Face.REGULAR, "Only "), (Face.ITALIC, "passed"), (Face.REGULAR, ", never skipped")], 9, 400)[0]
    assert "".join(text for _, text in line) == "Only passed, never skipped"


@pytest.mark.parametrize(("width", "part"), [(300, 64), (150, 32), (80, 16), (40, 8)])
def test_digest_breaks_into_equal_parts(width: float, part: int) -> None:
    digest = records.sha("x")
    assert wrap(digest, Face.REGULAR, 8, width) == [digest[at : at + part] for at in range(0, 64, part)]


def test_id_is_moved_as_a_whole_and_a_path_breaks_after_punctuation() -> None:
    assert wrap("verifies SRS-001, SRS-002", Face.REGULAR, 8, 45) == ["verifies", "SRS-001,", "SRS-002"]
    assert wrap("hil/test_pump.py::test_occlusion", Face.REGULAR, 8, 70) == ["hil/test_pump.py::", "test_occlusion"]


@given(ANY)
def test_visible_text_hides_nothing_and_is_stable(text: str) -> None:
    shown = visible(text)
    assert visible(shown) == shown
    assert not set(shown) & set("\x00\x07\x1b\x7f\u200b\u200f\u202a\u202e\u2066\u2069\ufeff\ud800\u00ad\r\t")
