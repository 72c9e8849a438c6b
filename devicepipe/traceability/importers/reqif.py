"""ReqIF 1.x (.reqif, .reqifz), read from the XML itself: so every item has its line, and nothing acts on what the file asks for.

A spec object is an item. Its id, title and text are the attributes that the options name; those of the ReqIF implementation guide
are known. Spec relations are links, by the long names of their types. XHTML becomes plain text; what it shows besides text is told.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import Field

from devicepipe.errors import UsageError
from devicepipe.evidence.safe_xml import child, children, local_name, parse_xml
from devicepipe.project.toml_file import Table
from devicepipe.traceability.foreign_files import open_archive, read_bytes, read_member
from devicepipe.traceability.importers.importer import Foreign, Imported, Importer
from devicepipe.traceability.loss import Loss

_BLOCKS = frozenset(
    [
        "p",
        "div",
        "br",
        "li",
        "tr",
        "h1",
        "h2",
        "h3",
        "h4",
        "h5",
        "h6",
        "ul",
        "ol",
        "table",
        "pre",
        "blockquote",
        "dt",
        "dd",
        "dl",
        "thead",
        "tbody",
    ]
)
_UNSEEN = frozenset(("object", "img", "embed", "video", "audio"))


class ReqifImporter(Importer):
    """What requirement managers exchange: DOORS, Polarion, Codebeamer, StrictDoc and others."""

    suffixes = (".reqif", ".reqifz")
    prose = ("heading", "section", "text")
    plain_links = ("Parent", "", "link")

    class Config(Table):
        """The long names of the attributes that hold an item's id, title and text, best first."""

        id: tuple[str, ...] = Field(default=("ReqIF.ForeignID", "UID", "ID"), strict=False)
        title: tuple[str, ...] = Field(default=("ReqIF.Name", "TITLE", "Title", "ReqIF.ChapterName"), strict=False)
        text: tuple[str, ...] = Field(default=("ReqIF.Text", "STATEMENT", "Text", "ReqIF.Description"), strict=False)

    def read(self, paths: Sequence[Path]) -> Imported:
        """Read files; a spec object is an item."""
        found = Imported()
        config = self.config if isinstance(self.config, self.Config) else self.Config()
        for path in self.files(paths):
            for data in _documents(path, found):
                _Document(path, parse_xml(data, path), config, found).read()
            found.files.append(path)
        return found


def _documents(path: Path, found: Imported) -> Iterator[bytes]:
    if path.suffix.lower() != ".reqifz":
        yield read_bytes(path)
        return
    with open_archive(path) as archive:
        names = [name for name in archive.namelist() if not name.endswith("/")]
        documents = [name for name in names if name.lower().endswith(".reqif")]
        if not documents:
            raise UsageError("holds no .reqif file", file=path)
        for name in sorted(set(names) - set(documents)):
            found.losses.append(Loss(path, 0, "", f"attached file '{name}': left out"))
        for name in documents:
            yield read_member(archive, name, path)


@dataclass(slots=True)
class _Types:
    """What the definitions say: long names of types, attributes and values of enumerations by their identifiers."""

    types: dict[str, str] = field(default_factory=dict)
    attributes: dict[str, str] = field(default_factory=dict)
    values: dict[str, str] = field(default_factory=dict)


class _Document:
    def __init__(self, path: Path, root: Any, config: ReqifImporter.Config, found: Imported) -> None:
        self._path = path
        self._root = root
        self._config = config
        self._found = found
        self._types = _Types()
        self._ids: dict[str, Foreign] = {}

    def read(self) -> None:
        if local_name(self._root) != "REQ-IF":
            raise UsageError(f"is no ReqIF: its root is <{local_name(self._root)}>", file=self._path, line=1)
        content = child(child(self._root, "CORE-CONTENT"), "REQ-IF-CONTENT")
        if content is None:
            raise UsageError("has no REQ-IF-CONTENT", file=self._path, line=1)
        self._definitions(content)
        for one in children(child(content, "SPEC-OBJECTS")):
            self._object(one)
        for one in children(child(content, "SPEC-RELATIONS")):
            self._relation(one)
        for name, what in (
            ("SPECIFICATIONS", "the outline of a specification (the order and nesting of its objects)"),
            ("SPEC-RELATION-GROUPS", "a group of relations"),
        ):
            for one in children(child(content, name)):
                self._lost(one, "", f"{what}: left out")
        for one in children(child(self._root, "TOOL-EXTENSIONS")):
            self._lost(one, "", "an extension of the tool that wrote the file: left out")

    def _definitions(self, content: Any) -> None:
        for one in children(child(content, "DATATYPES")):
            for value in children(child(one, "SPECIFIED-VALUES")):
                own = self._identifier(value)
                properties = child(child(value, "PROPERTIES"), "EMBEDDED-VALUE")
                key = properties.get("KEY", "") if properties is not None else ""
                self._types.values[own] = value.get("LONG-NAME") or key or own
        for one in children(child(content, "SPEC-TYPES")):
            self._types.types[self._identifier(one)] = one.get("LONG-NAME", "")
            for attribute in children(child(one, "SPEC-ATTRIBUTES")):
                own = self._identifier(attribute)
                self._types.attributes[own] = attribute.get("LONG-NAME") or own

    def _object(self, one: Any) -> None:
        own = self._identifier(one)
        kind = self._types.types.get(_reference(child(one, "TYPE")), "")
        item = Foreign(own, kind, "", "", self._path, one.sourceline or 1)
        values: dict[str, str] = {}
        for value in children(child(one, "VALUES")):
            reference = _reference(child(value, "DEFINITION"))
            name = self._types.attributes.get(reference, reference)  # some tools define nothing
            if not name:
                raise self._error(value, "a value of no attribute")
            item.lines[name] = value.sourceline or item.line
            if text := self._value(value, item, name):
                values[name] = text
        for role, names in (("id", self._config.id), ("title", self._config.title), ("text", self._config.text)):
            for name in names:
                if name in values:
                    setattr(item, role, values.pop(name))
                    break
        item.id = item.id.strip()
        item.fields = values
        if own in self._ids:
            raise self._error(one, f"the identifier '{own}' stands twice")
        self._ids[own] = item
        self._found.items.append(item)

    def _value(self, value: Any, item: Foreign, name: str) -> str:
        kind = local_name(value)
        if kind == "ATTRIBUTE-VALUE-ENUMERATION":
            chosen = [(one.text or "").strip() for one in children(child(value, "VALUES"))]
            return ", ".join(self._types.values.get(one, one) for one in chosen)
        if kind == "ATTRIBUTE-VALUE-XHTML":
            shown, unseen = plain_text(child(value, "THE-VALUE"))
            for what in unseen:
                self._found.losses.append(item.loss(f"<{what}> in a text: left out", name))
            return shown
        text: str = value.get("THE-VALUE", "")
        return text

    def _relation(self, one: Any) -> None:
        kind = self._types.types.get(_reference(child(one, "TYPE")), "")
        ends = [_reference(child(one, end)) for end in ("SOURCE", "TARGET")]
        if not all(ends):
            self._lost(one, "", "a relation without a source or a target: left out")
            return
        if ends[0] not in self._ids or ends[1] not in self._ids:
            self._lost(one, "", "a relation with an object that is not in the file: left out")
            return
        source, target = (self._ids[end] for end in ends)
        source.links.setdefault(kind, []).append(target.id)
        source.lines.setdefault(kind, one.sourceline or source.line)
        if children(child(one, "VALUES")):
            self._lost(one, source.id, "attributes of a relation: left out")

    def _identifier(self, element: Any) -> str:
        own: str = element.get("IDENTIFIER", "")
        if not own:
            raise self._error(element, f"<{local_name(element)}> has no IDENTIFIER")
        return own

    def _lost(self, element: Any, item: str, what: str) -> None:
        self._found.losses.append(Loss(self._path, element.sourceline or 0, item, what))

    def _error(self, element: Any, message: str) -> UsageError:
        return UsageError(message, file=self._path, line=element.sourceline or 1)


def _reference(element: Any) -> str:
    """The identifier that a `…-REF` inside names."""
    return next(((one.text or "").strip() for one in children(element)), "")


def plain_text(element: Any) -> tuple[str, list[str]]:
    """XHTML as text, and the names of what it shows that is none. Blocks begin lines, entries of lists have "- " before them."""
    parts: list[str] = []
    unseen: list[str] = []
    if element is not None:
        _collect(element, parts, unseen, pre=False)
    text = "".join(parts)
    text = re.sub(r"[ \t]*\n", "\n", text)
    return re.sub(r"\n{3,}", "\n\n", text).strip(), unseen


def _collect(element: Any, parts: list[str], unseen: list[str], *, pre: bool) -> None:
    name = local_name(element).lower() if isinstance(element.tag, str) else ""
    if name in _UNSEEN:
        unseen.append(name)
    pre = pre or name == "pre"
    block = name in _BLOCKS
    if block and parts and not parts[-1].endswith("\n"):
        parts.append("\n")
    if name == "li":
        parts.append("- ")
    _add(element.text, parts, pre=pre)
    for one in element:
        _collect(one, parts, unseen, pre=pre)
        _add(one.tail, parts, pre=pre)
    if block and parts and (name in ("p", "br") or not parts[-1].endswith("\n")):
        parts.append("\n")
    elif name in ("td", "th"):
        parts.append(" ")


def _add(text: str | None, parts: list[str], *, pre: bool) -> None:
    if not text:
        return
    if pre:
        parts.append(text)
        return
    words = re.sub(r"\s+", " ", text)
    if not parts or parts[-1].endswith(("\n", " ")):
        words = words.lstrip(" ")
    if words:
        parts.append(words)
