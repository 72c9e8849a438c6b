"""Doorstop documents: a folder with `.doorstop.yml`, and an item a file, as YAML or as Markdown with YAML before it.

The prefix of the document is the type of its items (`types = { REQ = "requirement" }` in a mapping), its parents are their links.
What is not active is no item in Doorstop either. Headings and texts, which Doorstop calls not normative, are told as losses unless
the options say otherwise. Stamps of reviews and links are Doorstop's digests of its own attributes: they mean nothing here, so they
are told, and `devicepipe trace review` begins anew.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from devicepipe.errors import UsageError
from devicepipe.project.toml_file import Table
from devicepipe.traceability.foreign_files import parse_yaml, read_text
from devicepipe.traceability.importers.importer import Foreign, Imported, Importer

_CONFIG = ".doorstop.yml"
_OWN = (
    "active",
    "derived",
    "normative",
    "level",
    "header",
    "text",
    "links",
    "reviewed",
    "ref",
    "references",
    "item-type",
)
_TOP = re.compile(r"([A-Za-z_][\w -]*):")


class DoorstopImporter(Importer):
    """A tree of Doorstop documents, or some of its folders."""

    suffixes = (".yml", ".md")
    plain_links = ("links",)

    class Config(Table):
        """`not-normative`: what becomes of headings and texts: told, or items as well."""

        not_normative: Literal["told", "items"] = "told"

    def read(self, paths: Sequence[Path]) -> Imported:
        """Read the documents in these folders and below them."""
        found = Imported()
        config = self.config if isinstance(self.config, self.Config) else self.Config()
        documents: list[Path] = []
        for path in paths:
            if not path.is_dir():
                raise UsageError("is no folder of Doorstop documents", file=path)
            documents += sorted(path.rglob(_CONFIG))
        if not documents:
            raise UsageError(f"there is no {_CONFIG} in it or below", file=paths[0] if paths else None)
        for document in dict.fromkeys(documents):
            self._document(document, config, found)
        return found

    def _document(self, document: Path, config: Config, found: Imported) -> None:
        settings = _settings(document)
        prefix, separator = str(settings.get("prefix", "")), str(settings.get("sep", ""))
        if not prefix:
            raise UsageError("names no prefix", file=document, line=1, key="settings.prefix")
        form = settings.get("itemformat", "yaml")
        if form not in ("yaml", "markdown"):
            raise UsageError(f"unknown itemformat '{form}'", file=document, line=1, key="settings.itemformat")
        suffix = ".yml" if form == "yaml" else ".md"
        name = re.compile(
            re.escape(prefix) + re.escape(separator) + r"(\d+|[-_.\w]+)" + re.escape(suffix), re.IGNORECASE
        )
        inner = [other.parent for other in document.parent.rglob(_CONFIG) if other != document]
        first = len(found.items)
        levels: dict[str, tuple[tuple[int, ...], str]] = {}
        for path in sorted(document.parent.rglob(f"*{suffix}")):
            if not name.fullmatch(path.name) or any(path.is_relative_to(folder) for folder in inner):
                continue
            text = read_text(path)
            data = _markdown(text, path) if form == "markdown" else parse_yaml(text, path)
            if data is None:
                data = {}
            if not isinstance(data, dict) or not all(isinstance(key, str) for key in data):
                raise UsageError("is no Doorstop item: it is no table of names", file=path, line=1)
            self._item(path, text, prefix, data, config, found)
            levels[path.stem] = (_level(data.get("level")), path.stem)
        # In Doorstop's own order; the level says nothing else of an item.
        found.items[first:] = sorted(found.items[first:], key=lambda item: levels[item.id])

    def _item(
        self, path: Path, text: str, prefix: str, data: Mapping[str, Any], config: Config, found: Imported
    ) -> None:
        lines: dict[str, int] = {}
        for number, line in enumerate(text.split("\n"), start=1):
            if top := _TOP.match(line):
                lines.setdefault(top[1], number)
        normative = data.get("normative", True) is not False
        kind = _words(data.get("item-type")) or prefix
        item = Foreign(path.stem, kind, _words(data.get("header")), _words(data.get("text")), path, 1, {}, {}, lines)
        if data.get("active", True) is False:
            found.losses.append(item.loss("item that is not active: left out", "active"))
            return
        found.files.append(path)
        if not normative and config.not_normative == "told":
            found.losses.append(item.loss("heading or text that is not normative: left out", "normative"))
            return
        _take_links(item, data, found)
        _take_fields(item, data)
        found.items.append(item)


def _take_links(item: Foreign, data: Mapping[str, Any], found: Imported) -> None:
    targets = list(_links(data.get("links"), item.file, item.lines.get("links", 1)))
    if targets:
        item.links["links"] = [target for target, _ in targets]
    if any(stamp for _, stamp in targets):
        found.losses.append(item.loss("the stamps of its links: left out", "links"))
    if data.get("reviewed"):
        found.losses.append(item.loss("the stamp of its review: left out", "reviewed"))


def _take_fields(item: Foreign, data: Mapping[str, Any]) -> None:
    if data.get("derived") is True:
        item.fields["derived"] = "true"
    if data.get("normative", True) is False:
        item.fields["normative"] = "false"
    if references := _references(data):
        item.fields["references"] = references
    for key, value in data.items():
        if key not in _OWN and (words := _words(value)):
            item.fields[key] = words


def _level(value: Any) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", str(value)))


def _settings(document: Path) -> Mapping[str, Any]:
    data = parse_yaml(read_text(document), document)
    settings = data.get("settings") if isinstance(data, dict) else None
    if not isinstance(settings, dict):
        raise UsageError("is no Doorstop document: it has no settings", file=document, line=1)
    return settings


def _markdown(text: str, path: Path) -> Any:
    """An item as Markdown: YAML between two lines "---", then its text; a first heading is its header."""
    lines = text.split("\n")
    if lines[0].strip() != "---":
        return {"text": text}
    try:
        end = next(number for number in range(1, len(lines)) if lines[number].strip() == "---")
    except StopIteration:
        raise UsageError("the front matter that begins here never ends", file=path, line=1) from None
    data = parse_yaml("\n".join(lines[1:end]), path, first_line=2)
    body = "\n".join(lines[end + 1 :]).strip("\n")
    if not isinstance(data, dict):
        return data
    if not data.get("header") and (heading := re.match(r"#+ +(.*?)(?:\n+|$)", body)):
        data["header"] = heading[1]
        body = body[heading.end() :]
    return {**data, "text": body}


def _links(value: Any, path: Path, line: int) -> list[tuple[str, str]]:
    if value is None:
        return []
    if not isinstance(value, list):
        raise UsageError("its links are no list", file=path, line=line, key="links")
    found: list[tuple[str, str]] = []
    for one in value:
        if isinstance(one, dict) and len(one) == 1:
            ((target, stamp),) = one.items()
            found.append((str(target), str(stamp or "")))
        elif isinstance(one, str | int):
            found.append((str(one), ""))
        else:
            raise UsageError("one of its links is no id", file=path, line=line, key="links")
    return found


def _references(data: Mapping[str, Any]) -> str:
    found = [_words(data.get("ref"))]
    value = data.get("references")
    for one in value if isinstance(value, list) else []:
        if isinstance(one, dict):
            keyword = f" ({one['keyword']})" if one.get("keyword") else ""
            found.append(f"{one.get('path', '')}{keyword}")
        else:
            found.append(_words(one))
    return ", ".join(filter(None, found))


def _words(value: Any) -> str:
    """A value as a text, the same for the same file."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dt.date):
        return value.isoformat()
    if isinstance(value, list):
        return ", ".join(map(_words, value))
    if isinstance(value, dict):
        return ", ".join(f"{_words(key)}: {_words(one)}" for key, one in value.items())
    return str(value).strip("\n")
