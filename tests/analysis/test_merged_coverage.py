"""Coverage over boards: what merged means, functions that were never executed with their reasons, and reasons that do not hold."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devicepipe.analysis.coverage import Coverage, FileCoverage, FunctionCoverage
from devicepipe.analysis.coverage_files import read_lcov, to_lcov
from devicepipe.analysis.merged_coverage import merged_files, merged_total
from devicepipe.analysis.never_executed import Entry, explain, load_reasons
from devicepipe.errors import IntegrityError, UsageError
from devicepipe.evidence.coverage import CoverageResult, FileShares, FunctionShare, MergedShare, Minimum, Share
from devicepipe.evidence.predicates import Tool

BOARDS = ("small", "large")


def result(board: str, lines: dict[int, int], **functions: int) -> CoverageResult:
    """A board with one file, whose functions were executed by so many tests."""
    listed = [
        FunctionShare(
            file="src/a.c",
            line=line,
            function=name,
            instructions=Share(executed=4 * (hits > 0), all=4),
            hits=hits,
        )
        for line, (name, hits) in enumerate(functions.items(), start=1)
    ]
    shares = {
        "instructions": Share(executed=4 * sum(map(bool, functions.values())), all=4 * len(functions)),
        "lines": Share(executed=sum(map(bool, lines.values())), all=len(lines)),
        "functions": Share(executed=sum(map(bool, functions.values())), all=len(functions)),
        "outcomes": Share(executed=1, all=2),
    }
    return CoverageResult(
        board=board,
        image_digest="0" * 64,
        tests=2,
        minimum=Minimum(instructions=0, lines=0, functions=0, outcomes=0),
        total=FileShares(file="", **shares),
        files=[FileShares(file="src/a.c", **shares)],
        functions=listed,
        requirements={},
        foreign=0,
        tool=Tool(name="objdump", version="2.40"),
    )


def test_any_and_every_board() -> None:
    """`both` ran on both boards, `one` on one of them, `none` on none; `own` is on one board only, and ran there."""
    lines: dict[str, dict[int, int]] = {"small": {1: 2, 2: 0, 3: 0}, "large": {1: 1, 2: 1, 3: 0, 4: 1}}
    results = [
        result("small", lines["small"], both=2, one=0, none=0),
        result("large", lines["large"], both=1, one=1, none=0, own=1),
    ]
    coverages = {board: {"src/a.c": FileCoverage(lines=lines[board])} for board in BOARDS}
    (file,) = merged_files(results, coverages)
    assert file.boards == [*BOARDS]
    assert file.lines == MergedShare(any=3, every=2, all=4)
    assert file.functions == MergedShare(any=3, every=2, all=4)
    assert file.instructions == Share(executed=16, all=28)
    assert file.outcomes == Share(executed=2, all=4)
    assert merged_total(results, [file, file]).functions == MergedShare(any=6, every=4, all=8)


FUNCTIONS = st.dictionaries(
    st.sampled_from(["f", "g", "h"]), st.builds(FunctionCoverage, st.integers(1, 9), st.integers(0, 9))
)
PAIRS = st.tuples(st.integers(0, 3), st.integers(0, 3))
FILES = st.builds(
    FileCoverage,
    st.dictionaries(st.integers(1, 9), st.integers(0, 9)),
    FUNCTIONS,
    st.dictionaries(st.integers(1, 9), st.lists(PAIRS, min_size=1, max_size=3)),
)


@given(st.dictionaries(st.sampled_from(["src/a.c", "src/b,c.c"]), FILES))
def test_a_tracefile_is_read_as_it_was_written(coverage: Coverage) -> None:
    assert read_lcov(to_lcov(coverage), "x") == coverage


@pytest.mark.parametrize(
    "line", ["DA:x,1", "DA:1", "FNDA:1,unknown", "BRDA:1,0,1,1", "BRDA:1,1,0,1", "BRDA:1,0,0", "FN:,f"]
)
def test_damaged_tracefile(line: str) -> None:
    with pytest.raises(IntegrityError, match="at line 2") as raised:
        read_lcov(f"SF:src/a.c\n{line}\n".encode(), "evidence/a/coverage.info")
    assert raised.value.link == "evidence/a/coverage.info"


# --- reasons ----------------------------------------------------------------------------------------------------------

ENTRY = """
[[never-executed]]
functions = ["fail"]
reason = "It   cannot\\nfail."
reviewer = "R"
date = 2026-11-28
"""


def entries(tmp_path: Path, text: str = ENTRY) -> tuple[Entry, ...]:
    file = tmp_path / "reasons.toml"
    file.write_text(text)
    return load_reasons(file, BOARDS)


def test_a_function_that_no_test_executed_has_its_reason(tmp_path: Path) -> None:
    results = [result(board, {}, run=1, fail=0) for board in BOARDS]
    explained = explain(results, entries(tmp_path))
    (never,) = explained.never
    assert (never.function, never.boards, never.reason, never.date) == (
        "fail",
        [*BOARDS],
        "It cannot fail.",
        "2026-11-28",
    )
    assert explained.stale == []


def test_a_reason_for_one_board_says_nothing_of_another(tmp_path: Path) -> None:
    results = [result(board, {}, run=1, fail=0) for board in BOARDS]
    explained = explain(results, entries(tmp_path, f'{ENTRY}boards = ["large"]\n'))
    assert [(one.boards, bool(one.reason)) for one in explained.never] == [(["large"], True), (["small"], False)]


def test_a_function_that_was_executed_after_all_is_told(tmp_path: Path) -> None:
    results = [result("small", {}, run=1, fail=0), result("large", {}, run=1, fail=3)]
    assert explain(results, entries(tmp_path)).stale == ["src/a.c:fail was executed on large"]
    assert explain(results, entries(tmp_path, f'{ENTRY}boards = ["small"]\n')).stale == []


def test_a_reason_for_what_timing_decides_holds_both_ways(tmp_path: Path) -> None:
    explained = explain(
        [result("small", {}, run=1, fail=0), result("large", {}, run=1, fail=3)],
        entries(tmp_path, f"{ENTRY}sometimes = true\n"),
    )
    assert explained.stale == []


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ("", "fail is in no program"),
        ('boards = ["small"]\n', "fail is in no program of small"),
    ],
)
def test_a_reason_for_what_is_not_there_is_told(tmp_path: Path, more: str, told: str) -> None:
    results = [result(board, {}, run=1) for board in BOARDS]
    assert explain(results, entries(tmp_path, ENTRY + more)).stale == [told]


def test_a_file_parts_functions_of_one_name(tmp_path: Path) -> None:
    results = [result("small", {}, fail=0)]
    assert explain(results, entries(tmp_path, f'{ENTRY}file = "src/b*"\n')).never[0].reason == ""
    assert explain(results, entries(tmp_path, f'{ENTRY}file = "src/*"\n')).never[0].reason


def test_a_board_that_is_not_recorded_makes_no_reason_stale(tmp_path: Path) -> None:
    explained = explain([result("small", {}, run=1)], entries(tmp_path, f'{ENTRY}boards = ["large"]\n'))
    assert explained.stale == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f'{ENTRY}boards = ["tiny"]\n', "there is no board 'tiny'"),
        (ENTRY.replace('"R"', '""'), "reviewer"),
        (ENTRY.replace("reason", "because"), "unknown key"),
        ("[[never-executed]]\nfunctions = []\n", "functions"),
    ],
)
def test_a_mistake_in_the_reasons_is_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message) as raised:
        entries(tmp_path, text)
    assert raised.value.line
