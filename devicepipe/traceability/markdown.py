"""The Markdown grammar of items, read line by line.

A file of items renders on any forge and reads like this:

    # Topic                          prose below it is for people; it is not read
    ## SRS-001 Basal rate range      one item: id and title
    - implements: RC-001, RC-002     fields, up to the first blank line
    - boards: microbit

    The statement, any Markdown.

    ### Rationale                    a long field, named by its heading: `rationale`
    Why it is so.

What always holds: nothing that looks like an item, a field or a heading is read as mere text. A heading that is indented, lacks
its space, lacks its id, has an item's id but another level, or stands in a code block that never ends raises instead, because
an item lost in the text of another one would be a requirement that nobody tests. Two things follow that are worth knowing:
every `##` heading below a topic must be an item, and HTML comments are not known, so an item inside one is read.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from devicepipe.errors import UsageError

_HEADING = re.compile(r"(#{1,3})[ \t]+(.*)")
_LAME_HEADING = re.compile(r"#{2,3}[^#\s]|#{1,3}$| {1,3}#{1,3}([ \t]|$)")
_ITEM = re.compile(r"((?P<prefix>[A-Za-z][A-Za-z0-9]*(?:-[A-Za-z][A-Za-z0-9]*)*)-\d[0-9A-Za-z.]*)\s+(?P<title>\S.*)")
_FIELD = re.compile(r"- ([a-z][a-z0-9-]*):\s+(\S.*)")
_KEY = re.compile(r"[a-z][a-z0-9-]*")
LAME_FIELD = re.compile(r"[ \t]*[-*+][ \t]*[A-Za-z][A-Za-z0-9-]*[ \t]*:[ \t]+\S")
DEEP_ITEM = re.compile(rf" {{0,3}}#{{4,6}}[ \t]+{_ITEM.pattern}")
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})(.*)")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029]")


@dataclass(slots=True)
class RawItem:
    """An item as written: nothing is looked up yet. `lines` holds the 1-based line of each field.

    `type` is set where the item is another tool's and its type is not told by the prefix of its id.
    """

    id: str
    prefix: str
    title: str
    file: Path
    line: int
    text: str = ""
    fields: dict[str, str] = field(default_factory=dict)
    lines: dict[str, int] = field(default_factory=dict)
    type: str = ""

    def error(self, key: str, message: str, *, remedy: str) -> UsageError:
        """A UsageError at one of the item's fields, or at its heading."""
        return UsageError(message, file=self.file, line=self.lines.get(key, self.line), key=key, remedy=remedy)


def read_text(path: Path) -> str:
    """The text of a file of items, as `text_of` gives it. Raises UsageError where it cannot be read or is none."""
    return text_of(read_bytes(path), path)


def read_bytes(path: Path) -> bytes:
    """The bytes of a file. Raises UsageError where it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"cannot be read: {error.strerror}", file=path) from error


def text_of(data: bytes, path: Path) -> str:
    r"""A file's text with "\\n" line ends; a byte order mark is dropped.

    Raises:
        UsageError: It is not UTF-8, or holds control characters; names the line.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(
            f"is not UTF-8: byte {data[error.start]:#04x}",
            file=path,
            line=data.count(b"\n", 0, error.start) + 1,
            remedy="save the file as UTF-8",
        ) from error
    text = text.replace("\r\n", "\n")
    plain = text.replace("\n", "").replace("\t", "").isprintable()  # quick, and nearly always enough
    if not plain and (found := _CONTROL.search(text)):
        raise UsageError(
            f"control character U+{ord(found[0]):04X}",
            file=path,
            line=text.count("\n", 0, found.start()) + 1,
            remedy="remove it: reports cannot print it",
        )
    return text


def parse(text: str, path: Path, problems: list[UsageError] | None = None) -> list[RawItem]:
    """The items of one file, in order.

    Args:
        text: The file's text, as `read_text` gives it.
        path: The file, for errors and for `RawItem.file`.
        problems: Where to put what breaks the grammar: reading goes on behind it, and what cannot be read is left out.

    Raises:
        UsageError: The text breaks the grammar, and there is no list of problems; names file, line, key and remedy.
    """
    reader = _Reader(path)
    lines = text.split("\n")
    if problems is None:
        for number, line in enumerate(lines, start=1):
            reader.take(number, line)
        return reader.end()
    lost = False  # behind a heading that could not be read, up to the next one
    for number, line in enumerate(lines, start=1):
        if lost and not line.startswith(("# ", "## ")):
            continue
        try:
            reader.take(number, line)
            lost = False
        except UsageError as error:
            problems.append(error)
            lost = line.lstrip().startswith("#")
    try:
        return reader.end()
    except UsageError as error:
        problems.append(error)
        return reader.items


class _Reader:
    """The grammar's state: which item, which of its parts, and whether a code block is open."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.items: list[RawItem] = []
        self._item: RawItem | None = None
        self._topic = False
        self._head: RawItem | None = None  # the item whose fields are being read
        self._key = ""  # the long field being read, "" for the statement
        self._body: list[str] = []
        self._fence = ""
        self._fence_line = 0

    def take(self, number: int, line: str) -> None:
        """Read one line."""
        line = line.rstrip()
        start = line[:1]
        if self._head is not None and start == "-":  # also an empty line
            self._field(self._head, number, line)
        elif self._head is None and (not start or start not in "# -`~"):
            self._body.append(line)  # nothing but text can start like this
        elif self._fence:
            self._body.append(line)
            self._end_fence(line)
        elif start == "#" and (heading := _HEADING.match(line)):
            self._heading(number, len(heading[1]), heading[2])
        elif start in "# " and _LAME_HEADING.match(line):
            raise self._error(
                number,
                f"'{line.strip()}' is not a heading to every reader",
                remedy="start the line with '#' signs and put one space after them",
            )
        elif start in "# " and DEEP_ITEM.match(line):
            raise self._error(
                number,
                f"'{line.strip()}' looks like an item, but is none",
                remedy="start the line with '##': other headings have no id in front",
            )
        elif self._head is not None:
            self._field(self._head, number, line)
        elif self._item is None and (found := _FIELD.fullmatch(line)):
            raise self._error(
                number,
                "a field outside an item",
                key=found[1],
                remedy="put it below the '## ID Title' heading of its item",
            )
        else:
            self._body.append(line)
            if fence := _FENCE.match(line):
                self._fence, self._fence_line = fence[1], number

    def end(self) -> list[RawItem]:
        """Close the last item."""
        if self._fence:
            raise self._error(
                self._fence_line, "the code block opened here never ends", remedy=f"close it with {self._fence}"
            )
        self._close_item()
        return self.items

    def _end_fence(self, line: str) -> None:
        fence = _FENCE.match(line)
        if fence and fence[1].startswith(self._fence) and not fence[2].strip():
            self._fence = ""

    def _heading(self, number: int, level: int, title: str) -> None:
        if level != 2 and _ITEM.fullmatch(title):  # noqa: PLR2004
            raise self._error(
                number,
                f"'{'#' * level} {title}' looks like an item, but is none",
                remedy="start the line with '##': other headings have no id in front",
            )
        if level == 1:
            self._close_item()
            self._topic = True
        elif level == 2:  # noqa: PLR2004 - the number of '#' signs
            self._close_item()
            self._open_item(number, title)
        elif self._item is not None:
            self._open_long_field(number, title)

    def _open_item(self, number: int, heading: str) -> None:
        item = _ITEM.fullmatch(heading)
        if item is None:
            raise self._error(
                number,
                f"expected '## ID Title', found '## {heading}'",
                remedy="write e.g. '## SRS-001 Basal rate range'",
            )
        if not self._topic:
            raise self._error(
                number, f"{item[1]} stands before any topic", remedy="start the file with a '# Topic' heading"
            )
        self._item = RawItem(item[1], item["prefix"], item["title"], self._path, number)
        self._head = self._item
        self._key = ""

    def _field(self, item: RawItem, number: int, line: str) -> None:
        found = _FIELD.fullmatch(line)
        if found:
            self._add(item, number, found[1], found[2])
        elif not line:
            # A blank line between heading and fields, as some formatters put it, does not end the fields.
            self._head = None if item.fields else item
        elif item.fields or line.startswith("- ") or LAME_FIELD.match(line):
            raise self._error(
                number,
                f"expected '- key: value', found '{line}'",
                key=item.id,
                remedy="keys are lower case; put a blank line between fields and statement",
            )
        else:
            self._head = None
            self.take(number, line)

    def _add(self, item: RawItem, number: int, key: str, value: str) -> None:
        if key in item.fields:
            raise self._error(
                number, f"{item.id} has it twice", key=key, remedy=f"it stands in line {item.lines[key]} already"
            )
        item.fields[key] = value
        item.lines[key] = number

    def _open_long_field(self, number: int, title: str) -> None:
        self._close_body()
        item = self._item
        key = "-".join(title.lower().split())
        if item is None or not _KEY.fullmatch(key):
            raise self._error(
                number, f"'{title}' cannot name a field", remedy="use the letters a to z, digits and spaces"
            )
        self._add(item, number, key, "")
        self._head = None
        self._key = key

    def _close_body(self) -> None:
        item = self._item
        if item is not None:
            text = "\n".join(self._body).strip("\n")
            if not text:
                line = item.lines.get(self._key, item.line)
                what = f"'### {self._key}'" if self._key else "statement"
                raise self._error(line, f"{item.id} has an empty {what}", key=self._key or item.id, remedy="write it")
            if self._key:
                item.fields[self._key] = text
            else:
                item.text = text
        self._body = []

    def _close_item(self) -> None:
        self._close_body()
        if self._item is not None:
            self.items.append(self._item)
        self._item = None
        self._head = None
        self._key = ""

    def _error(self, line: int, message: str, *, key: str | None = None, remedy: str = "") -> UsageError:
        return UsageError(message, file=self._path, line=line, key=key, remedy=remedy)
