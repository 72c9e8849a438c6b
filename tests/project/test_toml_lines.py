"""Line numbers of keys, checked against files that know where they put them."""

from __future__ import annotations

import tomllib

from hypothesis import given
from hypothesis import strategies as st

from devicepipe.project.toml_lines import line_of

names = st.from_regex(r"[a-z][a-z0-9-]{0,8}", fullmatch=True)
tables = st.dictionaries(names, st.dictionaries(names, st.integers(0, 99), max_size=4), max_size=5)


@given(tables=tables, blanks=st.integers(0, 3), spaces=st.sampled_from(["", " ", "\t"]))
def test_every_key_is_found_where_it_was_written(tables: dict[str, dict[str, int]], blanks: int, spaces: str) -> None:
    lines: list[str] = []
    expected: dict[tuple[str, ...], int] = {}
    for table, values in tables.items():
        lines += ["# [comment]"] * blanks
        lines.append(f"[{table}]{spaces}")
        expected[(table,)] = len(lines)
        for key, value in values.items():
            lines.append(f"{spaces}{key}{spaces}= {value} # x = 1")
            expected[(table, key)] = len(lines)
    text = "\n".join(lines)
    assert tomllib.loads(text) == tables
    assert {where: line_of(text, where) for where in expected} == expected


def test_array_of_tables_counts_its_entries() -> None:
    text = "[[board]]\nname = 1\n[[board]]\nname = 2\n"
    assert line_of(text, ("board", 1, "name")) == 4
    assert line_of(text, ("board", 1, "missing")) == 3


def test_a_key_of_no_table_has_no_line() -> None:
    assert line_of("a = 1\n", ("b", "c")) is None


def test_tables_below_an_array_of_tables_belong_to_its_last_entry() -> None:
    text = '[[rule]]\n[[rule.example]]\n[[rule.example]]\n[[rule]]\n[rule.files]\n"a/b" = 1\n[[rule.example]]\nx = 1\n'
    assert line_of(text, ("rule", 0, "example", 1)) == 3
    assert line_of(text, ("rule", 1, "files", "a/b")) == 6
    assert line_of(text, ("rule", 1, "example", 0, "x")) == 8
