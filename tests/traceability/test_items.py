"""Items: what is read, and every defect that must be refused, by name."""

from __future__ import annotations

import contextlib
import hashlib
import sys
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from devicepipe.errors import UsageError
from devicepipe.evidence.items import fingerprint
from devicepipe.evidence.trace import Item
from devicepipe.traceability.items import read_folder
from devicepipe.traceability.markdown import RawItem, parse
from devicepipe.traceability.markdown_text import Written
from devicepipe.traceability.markdown_text import render as render_items

PREFIXES = {"HAZ": "hazard", "RC": "risk-control", "SRS": "requirement", "SOUP": "soup", "ANO": "anomaly"}
BOARDS = ["small", "large"]


PUMP = """# Pump

Prose for people; it is not read.

## HAZ-001 Over-infusion
- severity: catastrophic

More drug than was set reaches the patient.

## RC-001 Rate limit
- mitigates: HAZ-001

The controller refuses a rate above its limit.

## SRS-001 Basal rate range
- implements: RC-001
- source: PCA R5.1.0(2)
- boards: large

The pump accepts 1.0 to 10.0 ml/h.

```
## SRS-999 is only an example
```

### Rationale

The pump's mechanism is accurate there.
"""


def read(folder: Path, **files: str) -> tuple[Item, ...]:
    (folder / "requirements").mkdir(exist_ok=True)
    for name, text in files.items():
        (folder / "requirements" / f"{name}.md").write_text(text, encoding="utf-8")
    return read_folder(folder, "requirements", prefixes=PREFIXES, boards=BOARDS)


def test_an_item_is_read_with_all_its_attributes(tmp_path: Path) -> None:
    hazard, control, requirement = read(tmp_path, pump=PUMP)
    assert hazard.type == "hazard"
    assert hazard.fields == {"severity": "catastrophic"}
    assert hazard.boards == BOARDS
    assert control.links == {"mitigates": ["HAZ-001"]}
    assert requirement.title == "Basal rate range"
    assert requirement.text == "The pump accepts 1.0 to 10.0 ml/h.\n\n```\n## SRS-999 is only an example\n```"
    rationale = "The pump's mechanism is accurate there."
    assert requirement.fields == {"source": "PCA R5.1.0(2)", "boards": "large", "rationale": rationale}
    assert requirement.links == {"implements": ["RC-001"]}
    assert requirement.boards == ["large"]
    assert (requirement.file, requirement.line) == ("requirements/pump.md", 15)


def test_links_cross_files_and_order_is_that_of_the_file_names(tmp_path: Path) -> None:
    items = read(
        tmp_path,
        b="# B\n## HAZ-001 H\n\nText.\n",
        a="# A\n## RC-001 C\n- mitigates: HAZ-001, HAZ-002\n\nText.\n",
        c="# C\n## HAZ-002 H\n\nText.\n",
        README="No grammar applies here: ## SRS\n## nor here\n",
    )
    assert [item.id for item in items] == ["RC-001", "HAZ-001", "HAZ-002"]
    assert items[0].links == {"mitigates": ["HAZ-001", "HAZ-002"]}


@pytest.mark.parametrize("ending", ["MD", "markdown", "Markdown"])
def test_no_markdown_file_is_passed_over_for_how_its_name_ends(tmp_path: Path, ending: str) -> None:
    wanted = read(tmp_path, pump=PUMP)
    folder = tmp_path / "requirements"
    (folder / "pump.md").rename(folder / f"pump.{ending}")
    (folder / f"README.{ending}").write_text("## nor here\n")
    found = read_folder(tmp_path, "requirements", prefixes=PREFIXES, boards=BOARDS)
    assert [item.id for item in found] == [item.id for item in wanted]


def test_carriage_returns_byte_order_mark_and_a_blank_line_below_the_heading_change_nothing(tmp_path: Path) -> None:
    plain = read(tmp_path, pump=PUMP)
    other = "\ufeff" + PUMP.replace("- severity", "\n- severity").replace("\n", "\r\n")
    (tmp_path / "requirements" / "pump.md").write_bytes(other.encode())
    again = read_folder(tmp_path, "requirements", prefixes=PREFIXES, boards=BOARDS)
    assert [item.fingerprint for item in again] == [item.fingerprint for item in plain]


def test_moving_an_item_keeps_its_fingerprint(tmp_path: Path) -> None:
    before = read(tmp_path, pump=PUMP)
    (tmp_path / "requirements" / "pump.md").unlink()
    after = read(tmp_path, delivery=PUMP.replace("# Pump\n", "# Pump\n\nMoved.\n"))
    assert [item.line for item in after] != [item.line for item in before]
    assert [item.fingerprint for item in after] == [item.fingerprint for item in before]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("Basal rate range", "Basal rate"),
        ("1.0 to 10.0 ml/h", "1.0 to 20.0 ml/h"),
        ("PCA R5.1.0(2)", "PCA R5.1.0(3)"),
        ("- source: PCA R5.1.0(2)\n", ""),
        ("- boards: large\n", ""),
        ("- implements: RC-001\n", ""),
        ("accurate there", "quiet there"),
        ("SRS-001", "SRS-002"),
    ],
)
def test_changing_any_attribute_changes_the_fingerprint(tmp_path: Path, old: str, new: str) -> None:
    before = read(tmp_path, pump=PUMP)[2]
    assert old in PUMP
    after = read(tmp_path, pump=PUMP.replace(old, new))[2]
    assert after.fingerprint != before.fingerprint


def test_the_record_of_an_inspection_is_fingerprinted(tmp_path: Path) -> None:
    (tmp_path / "records").mkdir()
    record = tmp_path / "records" / "review.txt"
    record.write_text("reviewed", encoding="utf-8")
    text = "# T\n## SRS-001 S\n- verification: inspection\n- evidence: records/review.txt\n\nText.\n"
    (before,) = read(tmp_path, topic=text)
    assert before.fields["evidence-sha256"] == hashlib.sha256(b"reviewed").hexdigest()
    record.write_text("reviewed again", encoding="utf-8")
    (after,) = read(tmp_path, topic=text)
    assert after.fingerprint != before.fingerprint


HAZARD = "# T\n## HAZ-001 H\n\nText.\n"
REFUSED: dict[str, tuple[str, int, str | None, str]] = {
    # defect: (text, line, key, part of message or remedy)
    "duplicate-id": (HAZARD + "## HAZ-001 Again\n\nText.\n", 5, "HAZ-001", "requirements/topic.md:2"),
    "unknown-prefix": ("# T\n## SWR-001 S\n\nText.\n", 2, "SWR-001", "known prefixes: HAZ, RC, SRS"),
    "unknown-link-target": (HAZARD + "## RC-001 C\n- mitigates: HAZ-002\n\nText.\n", 6, "mitigates", "did you mean HAZ-001?"),
    "wrong-link-kind": (HAZARD + "## SRS-001 S\n- mitigates: HAZ-001\n\nText.\n", 6, "mitigates", "of a requirement: implements"),
    "wrong-link-target-type": (HAZARD + "## SRS-001 S\n- implements: HAZ-001\n\nText.\n", 6, "implements", "HAZ-001 is a hazard"),
    "link-named-twice": (HAZARD + "## RC-001 C\n- mitigates: HAZ-001, HAZ-001\n\nText.\n", 6, "mitigates", "stands twice"),
    "link-list-with-a-hole": (HAZARD + "## RC-001 C\n- mitigates: HAZ-001,\n\nText.\n", 6, "mitigates", "an empty name"),
    "mistyped-key": ("# T\n## SRS-001 S\n- implement: RC-001\n\nText.\n", 3, "implement", "did you mean 'implements'?"),
    "mistyped-boards": ("# T\n## SRS-001 S\n- board: small\n\nText.\n", 3, "board", "did you mean 'boards'?"),
    "mistyped-subsection": ("# T\n## SRS-001 S\n\nText.\n\n### Verificaton\n\nX.\n", 6, "verificaton", "did you mean"),
    "link-as-subsection": ("# T\n## SRS-001 S\n\nText.\n\n### Implements\n\nRC-001\n", 6, "implements", "no item RC-001"),
    "capital-key": ("# T\n## SRS-001 S\n- Boards: small\n\nText.\n", 3, "SRS-001", "keys are lower case"),
    "key-without-value": ("# T\n## SRS-001 S\n- boards:\n\nText.\n", 3, "SRS-001", "expected '- key: value'"),
    "key-twice": ("# T\n## SRS-001 S\n- source: a\n- source: b\n\nText.\n", 4, "source", "stands in line 3"),
    "field-and-subsection": ("# T\n## SRS-001 S\n- source: a\n\nText.\n\n### Source\n\nb\n", 7, "source", "stands in line 3"),
    "text-right-below-fields": ("# T\n## SRS-001 S\n- source: a\nText.\n", 4, "SRS-001", "put a blank line"),
    "unknown-board": ("# T\n## SRS-001 S\n- boards: small, tiny\n\nText.\n", 3, "boards", "known boards: small, large"),
    "board-on-a-hazard": ("# T\n## HAZ-001 H\n- boards: small\n\nText.\n", 3, "boards", "only requirements and tests name boards"),
    "unknown-verification": ("# T\n## SRS-001 S\n- verification: trust\n\nText.\n", 3, "verification", "analysis, inspection"),
    "verification-on-a-control": ("# T\n## RC-001 C\n- verification: test\n\nText.\n", 3, "verification", "only requirements"),
    "evidence-for-a-test": ("# T\n## SRS-001 S\n- evidence: x.txt\n\nText.\n", 3, "evidence", "analysis or inspection"),
    "evidence-missing": ("# T\n## SRS-001 S\n- verification: analysis\n- evidence: x.txt\n\nText.\n", 4, "evidence", "be read"),
    "evidence-outside": ("# T\n## SRS-001 S\n- verification: analysis\n- evidence: ../x\n\nText.\n", 4, "evidence", "outside"),
    "evidence-digest-by-hand": ("# T\n## SRS-001 S\n- evidence-sha256: 00\n\nText.\n", 3, "evidence-sha256", "by devicepipe"),
    "empty-statement": ("# T\n## SRS-001 S\n- source: a\n\n\n## SRS-002 S\n\nText.\n", 2, "SRS-001", "empty statement"),
    "statement-only-in-subsection": ("# T\n## SRS-001 S\n\n### Rationale\n\nText.\n", 2, "SRS-001", "empty statement"),
    "empty-subsection": ("# T\n## SRS-001 S\n\nText.\n\n### Rationale\n", 6, "rationale", "empty '### rationale'"),
    "subsection-that-cannot-be-a-key": ("# T\n## SRS-001 S\n\nText.\n\n### Why?\n\nSo.\n", 6, None, "cannot name a field"),
    "item-before-any-topic": ("## SRS-001 S\n\nText.\n", 1, None, "start the file with a '# Topic' heading"),
    "field-outside-an-item": ("# T\n- implements: RC-001\n\n## SRS-001 S\n\nText.\n", 2, "implements", "outside an item"),
    "heading-without-id": ("# T\n## Basal rate\n\nText.\n", 2, None, "expected '## ID Title'"),
    "heading-without-title": ("# T\n## SRS-001\n\nText.\n", 2, None, "expected '## ID Title'"),
    "heading-without-space": ("# T\n## SRS-001 S\n\nText.\n\n##SRS-002 S\n\nText.\n", 6, None, "not a heading to every reader"),
    "indented-heading": ("# T\n## SRS-001 S\n\nText.\n\n ## SRS-002 S\n\nText.\n", 6, None, "not a heading to every reader"),
    "bare-hashes": ("# T\n## SRS-001 S\n\nText.\n\n##\n", 6, None, "not a heading to every reader"),
    "item-as-topic": ("# T\n## SRS-001 S\n\nText.\n\n# SRS-002 S\n\nText.\n", 6, None, "looks like an item"),
    "item-as-subsection": ("# T\n## SRS-001 S\n\nText.\n\n### SRS-002 S\n\nText.\n", 6, None, "start the line with '##'"),
    "item-as-deep-heading": ("# T\n## SRS-001 S\n\nText.\n\n#### SRS-002 S\n\nText.\n", 6, None, "start the line with '##'"),
    "field-with-an-asterisk": ("# T\n## SRS-001 S\n* boards: small\n\nText.\n", 3, "SRS-001", "expected '- key: value'"),
    "field-without-its-space": ("# T\n## SRS-001 S\n-boards: small\n\nText.\n", 3, "SRS-001", "expected '- key: value'"),
    "indented-field": ("# T\n## SRS-001 S\n  - boards: small\n\nText.\n", 3, "SRS-001", "expected '- key: value'"),
    "code-block-that-never-ends": ("# T\n## SRS-001 S\n\nText.\n\n```\n## SRS-002 S\n\nText.\n", 6, None, "never ends"),
    "control-character": ("# T\n## SRS-001 S\n\nText\x0c.\n", 4, None, "U+000C"),
    "line-separator": ("# T\n## SRS-001 S\n\nText\u2028## SRS-002.\n", 4, None, "U+2028"),
}  # fmt: skip


@pytest.mark.parametrize("defect", REFUSED)
def test_a_defect_is_refused_with_file_line_key_and_remedy(tmp_path: Path, defect: str) -> None:
    text, line, key, part = REFUSED[defect]
    with pytest.raises(UsageError) as caught:
        read(tmp_path, topic=text)
    error = caught.value
    assert error.file == tmp_path / "requirements" / "topic.md"
    assert error.line == line
    assert error.key == key
    assert part in str(error)
    assert error.remedy


def test_bad_encoding_is_refused_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "requirements").mkdir()
    (tmp_path / "requirements" / "topic.md").write_bytes("# T\n## SRS-001 Größe\n\nText.\n".encode("latin-1"))
    with pytest.raises(UsageError, match="is not UTF-8") as caught:
        read(tmp_path)
    assert caught.value.line == 2


def test_a_folder_without_items_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no items"):
        read(tmp_path, topic="# Topic\n\nOnly prose.\n")


# --- round trip -----------------------------------------------------------------------------------------------------

_CHARACTERS = st.sampled_from("abXY09 \t-:,.#`~*_|<>[]()'\"\\/=ÄßΩ±µ≥“”中🩺")
_WORD = st.sampled_from(["a", "source", "note2", "rationale", "x9y"])
_KEY = st.lists(_WORD, min_size=1, max_size=2).map("-".join)
_ONE_LINE = st.text(_CHARACTERS, max_size=12).map(lambda text: f"a{text}".rstrip())
# Lines of a text: what begins like a heading or a fence is refused or means something, and a text begins and ends with words.
_LINE = _ONE_LINE | st.just("") | _ONE_LINE.map("- {}: ".format).map(str.rstrip) | _ONE_LINE.map("    # {}".format)
_TEXT = st.tuples(_ONE_LINE, st.lists(_LINE, max_size=4), _ONE_LINE).map(lambda t: "\n".join([t[0], *t[1], t[2]]))


@st.composite
def raw_items(draw: st.DrawFn) -> list[RawItem]:
    items = []
    for number in range(draw(st.integers(1, 4))):
        short = draw(st.dictionaries(_KEY, _ONE_LINE, max_size=4))
        long = draw(st.dictionaries(_KEY.filter(lambda key: key not in short), _TEXT, max_size=2))  # noqa: B023
        item = RawItem(f"SRS-{number:03}", "SRS", draw(_ONE_LINE), Path("x.md"), 0, draw(_TEXT), {**short, **long})
        item.lines = dict.fromkeys(short, 0)
        items.append(item)
    return items


def render(items: list[RawItem]) -> str:
    """The items as Markdown: short fields are those that `lines` names."""
    parts = ["# Topic\n"]
    for item in items:
        short = "".join(f"- {key}: {item.fields[key]}\n" for key in item.lines)
        long = "".join(
            f"\n### {key.replace('-', ' ').title()}\n\n{value}\n"
            for key, value in item.fields.items()
            if key not in item.lines
        )
        parts.append(f"\n## {item.id} {item.title}\n{short}\n{item.text}\n{long}")
    return "".join(parts)


@given(raw_items())
def test_what_is_rendered_is_read_back(items: list[RawItem]) -> None:
    read_back = parse(render(items), Path("x.md"))
    assert [(item.id, item.title, item.text, item.fields) for item in read_back] == [
        (item.id, item.title, item.text, item.fields) for item in items
    ]


@pytest.mark.parametrize("text", ["* boards: small", "-boards: small", "  - boards: small", "A.\n\n#### SRS-002 Title"])
def test_a_text_from_elsewhere_that_looks_like_ours_is_written_as_text(text: str) -> None:
    markdown, losses = render_items("T", [Written("SRS-001", "S", text, {})])
    assert [item.id for item in parse(markdown, Path("x.md"))] == ["SRS-001"]
    assert len(losses) == 1


@given(st.text(_CHARACTERS | st.just("\n"), max_size=200))
def test_any_text_is_read_or_refused_with_its_place(text: str) -> None:
    refused: UsageError | None = None
    items: list[RawItem] = []
    try:
        items = parse(text, Path("x.md"))
    except UsageError as error:
        refused = error
    assert refused is None or refused.line is not None
    assert all(item.text for item in items)


_PARTS = [
    "# T",
    "## SRS-001 S",
    "## SRS-2 S",
    "- a: b",
    "- c: d",
    "",
    "Text.",
    "### R",
    "    ## SRS-003 S",
    "a ## SRS-004 S",
]


@given(st.lists(st.sampled_from(_PARTS), max_size=20))
def test_no_item_is_lost_in_the_text_of_another_one(lines: list[str]) -> None:
    items: list[RawItem] | None = None
    with contextlib.suppress(UsageError):
        items = parse("\n".join(lines), Path("x.md"))
    headings = [number for number, line in enumerate(lines, start=1) if line.startswith("## ")]
    assert items is None or [item.line for item in items] == headings


@given(
    text=st.text(_CHARACTERS | st.just("\n"), max_size=30),
    fields=st.dictionaries(_KEY, st.text(_CHARACTERS, max_size=10), max_size=4),
    links=st.dictionaries(_KEY, st.lists(_WORD, max_size=3), max_size=2),
)
def test_the_fingerprint_is_taken_over_canonical_json(
    text: str, fields: dict[str, str], links: dict[str, list[str]]
) -> None:
    content: dict[str, Any] = {"id": "SRS-1", "type": "requirement", "title": text, "text": text}
    content |= {"fields": fields, "links": links, "boards": BOARDS}
    expected = hashlib.sha256(rfc8785.dumps(content)).hexdigest()
    content["boards"] = tuple(BOARDS)
    assert fingerprint(**content) == expected
    # The same where pydantic is not there (yet).
    with mock.patch.dict("sys.modules"):
        del sys.modules["pydantic_core"]
        assert fingerprint(**content) == expected
