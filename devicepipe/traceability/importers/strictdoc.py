"""StrictDoc documents (.sdoc), read line by line as StrictDoc's own strict grammar has them.

A node with a UID is an item of the type that its tag names; TITLE and STATEMENT are its title and text. Parent relations are links,
and Child relations the same links from the other end; a relation with a role goes by its role. Sections and nodes without a UID are
told as losses: nothing can point to them. File relations become the field `files`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from devicepipe.errors import UsageError
from devicepipe.traceability.foreign_files import read_text
from devicepipe.traceability.importers.importer import Foreign, Imported, Importer
from devicepipe.traceability.loss import Loss

_BLOCK = re.compile(r"(\[{1,2})(/?)([A-Z][A-Za-z0-9_]*)(\]{1,2})")
_FIELD = re.compile(r"([A-Z]+[A-Za-z0-9_-]*):(?: (.*))?")
_RELATION = re.compile(r"- TYPE: (\S+)")
_DETAIL = re.compile(r"  ([A-Z_]+): (.*)")
_SECTION = "SECTION"


@dataclass(slots=True)
class _Node:
    tag: str
    line: int
    fields: dict[str, str] = field(default_factory=dict)
    lines: dict[str, int] = field(default_factory=dict)
    relations: list[dict[str, str]] = field(default_factory=list)
    relation_lines: list[int] = field(default_factory=list)


class StrictdocImporter(Importer):
    """StrictDoc's own text format."""

    suffixes = (".sdoc",)
    prose = ("text", "section")
    plain_links = ("Parent",)

    def read(self, paths: Sequence[Path]) -> Imported:
        """Read documents. Those that a document includes are read where they lie among the paths."""
        found = Imported()
        children: list[tuple[str, str, str, Foreign]] = []
        for path in self.files(paths):
            for node in _Document(path, read_text(path), found.losses).nodes():
                _take(node, path, found, children)
            found.files.append(path)
        by_id = {item.id: item for item in found.items}
        for parent, child, role, of in children:
            if child in by_id:
                by_id[child].links.setdefault(role, []).append(parent)
                by_id[child].lines.setdefault(role, by_id[child].line)
            else:
                found.losses.append(of.loss(f"link 'Child' to an item that there is not ({child})"))
        return found


def _take(node: _Node, path: Path, found: Imported, children: list[tuple[str, str, str, Foreign]]) -> None:
    uid = node.fields.pop("UID", "")
    if not uid:
        what = "section" if node.tag == _SECTION else f"node [{node.tag}] without a UID"
        title = node.fields.get("TITLE", "")
        found.losses.append(Loss(path, node.line, title, f"{what}: left out"))
        return
    fields = {name: value for name, value in node.fields.items() if name not in ("TITLE", "STATEMENT")}
    item = Foreign(
        uid,
        node.tag,
        node.fields.get("TITLE", ""),
        node.fields.get("STATEMENT", ""),
        path,
        node.line,
        fields,
        lines=node.lines,
    )
    files: list[str] = []
    for relation, line in zip(node.relations, node.relation_lines, strict=True):
        kind, value = relation["TYPE"], relation.get("VALUE", relation.get("PATH", ""))
        role = relation.get("ROLE", "") or "Parent"
        if kind == "Parent":
            item.links.setdefault(role, []).append(value)
            item.lines.setdefault(role, line)
        elif kind == "Child":
            children.append((uid, value, role, item))
        elif kind == "File":
            files.append(value)
            kept = ("TYPE", "VALUE", "PATH", "FORMAT", "ROLE")
            for name in relation:
                if name not in kept:
                    found.losses.append(Loss(path, line, uid, f"{name} of a file relation: left out"))
        else:
            found.losses.append(Loss(path, line, uid, f"relation of type {kind}: left out"))
    if files:
        item.fields["files"] = ", ".join(files)
    found.items.append(item)


class _Document:
    """One document, line by line."""

    def __init__(self, path: Path, text: str, losses: list[Loss]) -> None:
        self._path = path
        self._lines = text.split("\n")
        self._at = 0
        self._losses = losses
        self._open: list[tuple[str, int]] = []

    def nodes(self) -> list[_Node]:
        if not self._lines or self._lines[0] != "[DOCUMENT]":
            raise self._error(0, "does not begin with [DOCUMENT]: it is no StrictDoc document")
        self._at = 1
        self._skip_block()
        found: list[_Node] = []
        while self._at < len(self._lines):
            line = self._lines[self._at]
            if not line.strip():
                self._at += 1
                continue
            block = _BLOCK.fullmatch(line)
            if block is None or len(block[1]) != len(block[4]):
                raise self._error(self._at, f"expected a block such as [REQUIREMENT], found '{line[:60]}'")
            found += self._block(block)
        if self._open:
            tag, number = self._open[-1]
            raise self._error(number, f"[[{tag}]] is never closed")
        return found

    def _block(self, block: re.Match[str]) -> list[_Node]:
        tag, start = block[3], self._at
        composite = len(block[1]) > 1
        self._at += 1
        if block[2]:
            if not self._open or self._open[-1][0] != tag:
                raise self._error(start, f"{block[0]} closes nothing")
            self._open.pop()
            return []
        if tag in ("GRAMMAR", "DOCUMENT"):
            if tag == "DOCUMENT":
                raise self._error(start, "a second [DOCUMENT]")
            self._skip_block()
            return []
        if tag in ("DOCUMENT_FROM_FILE", "FREETEXT"):
            self._losses.append(Loss(self._path, start + 1, "", f"[{tag}]: left out"))
            if tag == "FREETEXT":
                while self._at < len(self._lines) and self._lines[self._at] != "[/FREETEXT]":
                    self._at += 1
            self._at += 1
            return []
        if composite or tag == _SECTION:
            self._open.append((tag, start))
        return [self._node(tag, start)]

    def _skip_block(self) -> None:
        """Up to the next blank line before a block: of the document's own settings and grammar, nothing is an item's."""
        while self._at < len(self._lines):
            line = self._lines[self._at]
            if _BLOCK.fullmatch(line) and not self._lines[self._at - 1].strip():
                return
            self._at += 1

    def _node(self, tag: str, start: int) -> _Node:
        node = _Node(tag, start + 1)
        while self._at < len(self._lines) and self._lines[self._at].strip():
            number, line = self._at, self._lines[self._at]
            self._at += 1
            if line == "RELATIONS:":
                self._relations(node)
                break
            found = _FIELD.fullmatch(line)
            if found is None:
                raise self._error(number, f"expected 'FIELD: value' of [{tag}], found '{line[:60]}'")
            name, value = found[1], found[2] or ""
            if value == ">>>":
                value = self._multiline(number, name)
            elif not value.strip():
                raise self._error(number, f"{name} has no value")
            if name in node.fields:
                # StrictDoc allows COMMENT several times.
                node.fields[name] += f"\n\n{value}"
            else:
                node.fields[name] = value
                node.lines[name] = number + 1
        return node

    def _multiline(self, opened: int, name: str) -> str:
        start = self._at
        while self._at < len(self._lines) and not self._lines[self._at].startswith("<<<"):
            self._at += 1
        if self._at >= len(self._lines):
            raise self._error(opened, f"the text of {name} that begins here never ends", remedy="close it with <<<")
        if self._lines[self._at] != "<<<":
            raise self._error(self._at, "text after <<<")
        self._at += 1
        return "\n".join(self._lines[start : self._at - 1])

    def _relations(self, node: _Node) -> None:
        while self._at < len(self._lines) and self._lines[self._at].strip():
            number, line = self._at, self._lines[self._at]
            self._at += 1
            if found := _RELATION.fullmatch(line):
                node.relations.append({"TYPE": found[1]})
                node.relation_lines.append(number + 1)
            elif (found := _DETAIL.fullmatch(line)) and node.relations:
                node.relations[-1][found[1]] = found[2].strip()
            else:
                raise self._error(number, f"expected '- TYPE: …' or '  VALUE: …', found '{line[:60]}'")
        for relation, number in zip(node.relations, node.relation_lines, strict=True):
            if not relation.get("VALUE") and not relation.get("PATH"):
                raise self._error(number - 1, "a relation without a VALUE")

    def _error(self, number: int, message: str, *, remedy: str = "") -> UsageError:
        return UsageError(message, file=self._path, line=number + 1, remedy=remedy)
