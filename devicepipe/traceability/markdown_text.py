"""Items as our own Markdown: what `markdown.py` reads back as the same items.

Text that would read as something else (a heading, a field, a code block that never ends) is written so that Markdown shows the
same and our grammar takes it for text, with a backslash; each such place is told, because the text is then another one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from devicepipe.traceability.loss import Loss
from devicepipe.traceability.markdown import DEEP_ITEM, LAME_FIELD

_HEADING = re.compile(r"#{1,3}([ \t]|$)|#{2,3}[^#\s]| {1,3}#{1,3}([ \t]|$)")
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})(.*)")
_FIELD = re.compile(r"[a-z][a-z0-9-]*")


@dataclass(frozen=True, slots=True)
class Written:
    """An item to write: what stands in its heading, its lines of fields (links first) and below; and where it comes from."""

    id: str
    title: str
    text: str
    fields: Mapping[str, str]
    file: Path = field(default=Path())
    line: int = 0


def render(topic: str, items: Iterable[Written]) -> tuple[str, list[Loss]]:
    """A file of items below one topic, and where a text had to be changed."""
    losses: list[Loss] = []
    parts = [f"# {topic}\n"]
    for item in items:
        short = {key: value for key, value in item.fields.items() if _is_short(value)}
        long = {key: value for key, value in item.fields.items() if key not in short}
        lines = [f"## {item.id} {item.title}", *(f"- {key}: {value}" for key, value in short.items()), ""]
        text = _safe(item, item.text, losses)
        if not short and (text.startswith("- ") or LAME_FIELD.match(text)):
            indent = len(text) - len(text.lstrip())
            text = f"{text[:indent]}\\{text[indent:]}"
            losses.append(_told(item, "a list that would read as fields: written with a backslash"))
        lines += [text, ""]
        for key, value in long.items():
            lines += [f"### {key}", "", _safe(item, value, losses), ""]
        parts.append("\n".join(lines))
    return "\n".join(parts), losses


def _is_short(value: str) -> bool:
    return "\n" not in value and value == value.strip() and bool(value)


def _safe(item: Written, text: str, losses: list[Loss]) -> str:
    lines = text.split("\n")
    if not any(line.lstrip(" ").startswith(("#", "```", "~~~")) for line in lines):
        return text
    inside = _in_fences(lines)
    made: list[str] = []
    for number, line in enumerate(lines):
        if not inside[number] and (_HEADING.match(line) or DEEP_ITEM.match(line)):
            indent = len(line) - len(line.lstrip(" "))
            made.append(f"{line[:indent]}\\{line[indent:]}")
            losses.append(_told(item, "a heading inside a text: written with a backslash"))
        elif not inside[number] and _FENCE.match(line):
            indent = len(line) - len(line.lstrip(" "))
            made.append(f"{line[:indent]}\\{line[indent:]}")
            losses.append(_told(item, "a code block that never ends: written with a backslash"))
        else:
            made.append(line)
    return "\n".join(made)


def _in_fences(lines: Sequence[str]) -> list[bool]:
    """Of each line, whether it is part of a code block that ends."""
    inside = [False] * len(lines)
    number = 0
    while number < len(lines):
        opened = _FENCE.match(lines[number])
        if opened is None:
            number += 1
            continue
        for end in range(number + 1, len(lines)):
            closed = _FENCE.match(lines[end])
            if closed and closed[1].startswith(opened[1]) and not closed[2].strip():
                inside[number : end + 1] = [True] * (end + 1 - number)
                number = end
                break
        number += 1
    return inside


def _told(item: Written, what: str) -> Loss:
    return Loss(item.file, item.line, item.id, what)
