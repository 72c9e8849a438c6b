"""What the report says of coverage: figures, what is below the minimum, what was never executed, and for which requirement."""

from __future__ import annotations

from dataclasses import replace

from devicepipe.documents.coverage import coverage
from devicepipe.documents.model import Block, Bullets, Cell, Paragraph, Table, Tone
from devicepipe.documents.record import ReleaseRecord
from tests.documents.release_records import BOARDS, green, merged_coverage
from tests.documents.release_records import coverage as measured


def tables(record: ReleaseRecord) -> list[Table]:
    return [block for block in coverage(record, "11") if isinstance(block, Table)]


def texts(cells: tuple[Cell, ...]) -> list[str]:
    return [cell.text for cell in cells]


def prose(blocks: tuple[Block, ...]) -> str:
    return " ".join(run.text for block in blocks if isinstance(block, Paragraph) for run in block.runs)


def test_figures_of_each_board() -> None:
    boards, *_ = tables(green())
    assert texts(boards.rows[0]) == ["microbit", "24", "66.6 %", "95.0 %", "66.6 %", "66.6 %"]
    assert boards.rows[0][3].detail == "95 of 100; 90 % wanted"
    assert boards.rows[0][2].detail == "2 of 3"
    assert {cell.tone for cell in boards.rows[0]} == {Tone.PLAIN}


def test_what_is_below_the_minimum_stands_out_and_a_board_without_coverage_is_said_to_have_none() -> None:
    record = replace(green(), coverages=(measured("microbit", lines=89),))
    boards, *_ = tables(record)
    assert boards.rows[0][3].tone is Tone.BAD
    assert texts(boards.rows[1]) == ["mps2_an385", *["not recorded"] * 5]


def test_files_by_component_and_their_sums() -> None:
    _, components, files, *_ = tables(green())
    assert texts(components.rows[1]) == [
        "src/safety", "1", "50", "90.0 %", "88.0 %", "2", "50.0 %", "50.0 %", "50.0 %", "50.0 %",
    ]  # fmt: skip
    assert texts(components.rows[2])[:5] == ["All", "2", "100", "95.0 %", "94.0 %"]
    assert texts(files.rows[0])[:6] == ["src", "main.c", "all", "50", "100.0 %", "100.0 %"]


def test_never_executed_with_its_reason() -> None:
    *_, never, _ = tables(green())
    (row,) = never.rows
    assert texts(row) == ["It cannot fail on an emulated board.", "Ada Verifier", "fail", "all"]
    assert row[2].detail == "src/safety/stop.c:30"


def test_never_executed_without_a_reason_is_bad_where_there_is_a_list() -> None:
    *_, never, _ = tables(replace(green(), merged_coverage=merged_coverage("")))
    assert (never.rows[0][0].text, never.rows[0][0].tone) == ("NO REASON", Tone.BAD)
    *_, never, _ = tables(replace(green(), merged_coverage=merged_coverage("", reasons=False)))
    assert (never.rows[0][0].text, never.rows[0][0].tone) == ("the product keeps no list of reasons", Tone.MUTED)


def test_reasons_that_do_not_hold_are_listed() -> None:
    blocks = coverage(replace(green(), merged_coverage=merged_coverage(stale=("stop was executed on microbit",))), "11")
    (bullets,) = [block for block in blocks if isinstance(block, Bullets)]
    assert [run.text for item in bullets.items for run in item] == ["stop was executed on microbit"]


def test_what_the_tests_of_a_requirement_executed() -> None:
    """`main` is executed for both, and told once."""
    *_, wanted = tables(green())
    assert [texts(row) for row in wanted.rows] == [
        ["SRS-001", "1 of 3", "none but those"],
        ["SRS-002", "2 of 3", "stop (1)"],
    ]
    assert "every requirement execute this function: main." in prose(coverage(green(), "11"))


def test_a_release_without_coverage_says_so() -> None:
    blocks = coverage(replace(green(), coverages=(), merged_coverage=None), "11")
    assert "was not recorded" in prose(blocks)
    assert len(blocks) == 1


def test_boards_are_named_where_not_all_of_them_record() -> None:
    merged = merged_coverage()
    one = merged.never_executed[0].model_copy(update={"boards": [BOARDS[1]]})
    *_, never, _ = tables(replace(green(), merged_coverage=merged.model_copy(update={"never_executed": [one]})))
    assert never.rows[0][3].text == "mps2_an385"
