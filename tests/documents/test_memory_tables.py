"""What the report says of memories: good figures plainly, bad ones so that they stand out."""

from __future__ import annotations

from dataclasses import replace

from devicepipe.documents.memory import memory, memory_table
from devicepipe.documents.model import Bullets, Cell, Table, Tone
from tests.documents.release_records import green
from tests.documents.release_records import memory as measured


def cells(**spoil: object) -> tuple[Cell, ...]:
    record = replace(green(), memories=(measured("microbit", **spoil), measured("mps2_an385")))  # type: ignore[arg-type]
    return memory_table(record).rows[0]


def test_good_figures() -> None:
    *_, stack, slot = cells()
    assert (stack.text, stack.detail, stack.tone) == ("2,964 of 4,096", "72.4 %", Tone.PLAIN)
    assert (slot.text, slot.detail, slot.tone) == ("60,000 of 98,304", "39.0 % free, 15 % wanted", Tone.PLAIN)


def test_bad_figures_stand_out() -> None:
    assert cells(worst=4097)[4].tone is Tone.BAD
    assert cells(used=83559)[5].tone is Tone.BAD
    assert cells(used=83558)[5].tone is Tone.PLAIN
    stack = cells(unbounded=("f calls through a pointer",))[4]
    assert (stack.tone, stack.detail) == (Tone.BAD, "NO BOUND: see Memory and stack")


def test_why_there_is_no_bound_is_listed_and_missing_figures_are_said_to_be_missing() -> None:
    record = replace(green(), memories=(measured("microbit", unbounded=("f calls through a pointer",)),))
    blocks = memory(record, "8")
    bullets = [block for block in blocks if isinstance(block, Bullets)]
    assert [[run.text for item in one.items for run in item] for one in bullets] == [["f calls through a pointer"]] * 2
    table = next(block for block in blocks if isinstance(block, Table))
    assert [cell.text for cell in table.rows[2]] == ["mps2_an385", *["NO EVIDENCE"] * 5]


def test_chains_mark_what_the_compiler_did_not_say() -> None:
    levels = [block for block in memory(green(), "8") if isinstance(block, Table)][1]
    assert levels.rows[0][4].text == "reset_handler 8 → main 24 → __aeabi_lmul 28*"
    assert levels.rows[2][1].detail == "not added: it begins on an empty stack"
