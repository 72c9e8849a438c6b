"""Markers in sources: what they name, at which function, and that none is passed over."""

from __future__ import annotations

from pathlib import Path

import pytest

from devicepipe.errors import UsageError
from devicepipe.evidence.trace import CodeMarker
from devicepipe.traceability.code_markers import markers_in, source_files

SOURCE = r"""/* Delivery.
 * @realises DSG-001
 */
#include "delivery.h"

// @realises DSG-002, SRS-003
static bool flow_start(int rate) {
    const char *text = "/* @realises DSG-404 */";
    if (rate) { /* @realises SRS-004 */ }
    return true;
}

/** The alarms.
 *  @realises DSG-005
 */
__attribute__((noinline)) void alarm_raise(void (*then)(int), int code)
{
    puts("}");  // no @realisesX, nor mail@realises
}

/* @realises DSG-006 */
static const int limits[] = { 1, 2 };

/* @realises DSG-007 */
int flow_stop(void);

#define X(a) { a }
int after(void)
{
    char brace = '{';
    /* @realises DSG-008 */
    return 0;
}
/* @realises DSG-009 */
"""


def marked(text: str) -> list[tuple[int, str, list[str]]]:
    return [(one.line, one.function, one.items) for one in markers_in(text, Path("/r/src/a.c"), Path("/r"))]


def test_markers_of_files_functions_tables_and_declarations() -> None:
    assert marked(SOURCE) == [
        (2, "", ["DSG-001"]),
        (6, "flow_start", ["DSG-002", "SRS-003"]),
        (9, "flow_start", ["SRS-004"]),
        (14, "alarm_raise", ["DSG-005"]),
        (21, "", ["DSG-006"]),
        (24, "flow_stop", ["DSG-007"]),
        (31, "after", ["DSG-008"]),
        (34, "", ["DSG-009"]),
    ]
    assert markers_in(SOURCE, Path("/r/src/a.c"), Path("/r"))[0].evidence() == CodeMarker(
        file="src/a.c", line=2, items=["DSG-001"]
    )


@pytest.mark.parametrize(
    "text",
    [
        "/* @realises */",
        "/* @realises the rate limit */",
        "// @realises DSG-001 the limit",
        "// @realises DSG-001,",
        "// @realises DSG001",
        "/* @realises DSG-001; DSG-002 */",
    ],
)
def test_a_marker_without_ids_is_refused_with_its_place(text: str) -> None:
    with pytest.raises(UsageError, match="expected the ids") as caught:
        markers_in(f"\n{text}\nint f(void) {{ }}\n", Path("/r/a.c"), Path("/r"))
    assert (caught.value.line, caught.value.file) == (2, Path("/r/a.c"))
    problems: list[UsageError] = []
    assert markers_in(f"{text}\n// @realises DSG-002\nint f(void) {{ }}\n", Path("/r/a.c"), Path("/r"), problems)
    assert [one.line for one in problems] == [1]


def test_hidden_folders_and_other_files_are_not_searched(tmp_path: Path) -> None:
    for name in ("src/a.c", "src/sub/b.hpp", ".pio/c.c", "src/notes.txt", "src/d.S"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    found = source_files([tmp_path, tmp_path / "src"])
    assert [path.relative_to(tmp_path).as_posix() for path in found] == ["src/a.c", "src/d.S", "src/sub/b.hpp"]


@pytest.mark.parametrize("wrong", ["@realizes", "@realise", "@realize", "@realised"])
def test_a_mistyped_marker_is_refused_with_its_place(wrong: str) -> None:
    with pytest.raises(UsageError, match="is no marker") as caught:
        markers_in(f"int a;\n/* {wrong} DSG-001 */\nint f(void) {{ return 0; }}\n", Path("x.c"), Path())
    assert (caught.value.line, caught.value.remedy) == (2, "write @realises")
