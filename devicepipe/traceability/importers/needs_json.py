"""Sphinx-Needs `needs.json`: the current version's needs, or those of the version that the options name.

A need's fields that the file's own schema calls links, or that hold lists of ids, are links; the computed links back are not looked
at, being the same links from the other end. Where a need stands in its document (`docname`, `lineno`, sections) and how it is drawn
is no property of the item and is told once for the file.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from devicepipe.errors import UsageError
from devicepipe.project.toml_file import Table
from devicepipe.traceability.foreign_files import Lines, parse_json, read_text
from devicepipe.traceability.importers.importer import Foreign, Imported, Importer
from devicepipe.traceability.loss import Loss

_PLACES = frozenset(
    [
        "docname",
        "doctype",
        "lineno",
        "lineno_content",
        "section_name",
        "sections",
        "content_id",
        "content_node",
        "external_css",
        "external_url",
        "is_external",
        "is_import",
        "is_modified",
        "is_need",
        "is_part",
        "layout",
        "style",
        "hide",
        "hide_status",
        "hide_tags",
        "collapse",
        "arch",
        "type_color",
        "type_prefix",
        "type_style",
        "type_name",
        "id_prefix",
        "id_parent",
        "id_complete",
        "full_title",
        "max_amount",
        "max_content_lines",
        "max_title_length",
        "template",
        "pre_template",
        "post_template",
        "jinja_content",
        "modifications",
        "has_dead_links",
        "has_forbidden_dead_links",
        "tags_str",
        "constraints_passed",
        "constraints_results",
        "constraints_error",
        "parent_needs_computed",
        "id_parts",
        "target_id",
        "signature_name",
        "pre_content",
        "post_content",
    ]
)
_CORE = ("id", "type", "title", "content", "description")
_PARTS = "parts"


class NeedsImporter(Importer):
    """The file that Sphinx-Needs builds for other tools."""

    suffixes = ("needs.json",)
    plain_links = ("links",)

    class Config(Table):
        """`version`: the version in the file; left out, the one that it calls current."""

        version: str = ""

    def read(self, paths: Sequence[Path]) -> Imported:
        """Read files; a need is an item."""
        found = Imported()
        config = self.config if isinstance(self.config, self.Config) else self.Config()
        for path in self.files(paths):
            text = read_text(path)
            data = parse_json(text, path)
            version, where = _version(data, config.version, path)
            _take(version, where, text, path, found)
            found.files.append(path)
        return found


def _version(data: Any, wanted: str, path: Path) -> tuple[Mapping[str, Any], str]:
    versions = data.get("versions") if isinstance(data, dict) else None
    if not isinstance(versions, dict):
        raise UsageError("is no needs.json: it has no versions", file=path, line=1)
    name = wanted or str(data.get("current_version", ""))
    if name not in versions:
        known = ", ".join(f"'{one}'" for one in versions)
        raise UsageError(f"has no version '{name}'", file=path, line=1, remedy=f"its versions: {known}")
    version = versions[name]
    if not isinstance(version, dict) or not isinstance(version.get("needs"), dict):
        raise UsageError(f"its version '{name}' has no needs", file=path, line=1)
    return version, name


def _take(version: Mapping[str, Any], name: str, text: str, path: Path, found: Imported) -> None:
    needs: Mapping[str, Any] = version["needs"]
    schema = version.get("needs_schema")
    properties = schema.get("properties", {}) if isinstance(schema, dict) else {}
    kinds = {key: of.get("field_type", "") for key, of in properties.items() if isinstance(of, dict)}
    lines, at = Lines(text), max(text.find(f"{json.dumps(name)}:"), 0)
    places: set[str] = set()
    for key, need in needs.items():
        at = _place(text, key, at)
        if not isinstance(need, dict):
            raise UsageError("a need that is no object", file=path, line=lines.of(at), key=key)
        item = Foreign(
            str(need.get("id", key)),
            _words(need.get("type")),
            _words(need.get("title")),
            _words(need.get("content") or need.get("description")),
            path,
            lines.of(at),
        )
        for field, value in need.items():
            if field in _CORE or value is None or value is False or value in ("", [], {}):
                continue
            if field in _PLACES or kinds.get(field) == "backlinks" or (not kinds and field.endswith("_back")):
                places.add(field)
            elif field == _PARTS:
                found.losses.append(item.loss("the parts of a need: left out"))
            elif _is_link(field, value, kinds, needs):
                item.links[field] = [_whole(str(one), needs, item, field, found) for one in value]
            else:
                item.fields[field] = _words(value)
        found.items.append(item)
    if places:
        told = ", ".join(sorted(places))
        found.losses.append(
            Loss(path, 1, "", f"where needs stand, how they are drawn, and links back ({told}): left out")
        )
    amount = version.get("needs_amount")
    if isinstance(amount, int) and amount != len(needs):
        raise UsageError(f"says that it has {amount} needs, but has {len(needs)}", file=path, line=1)


def _place(text: str, key: str, start: int) -> int:
    """Where the object of a need begins: the first place after the last one with its name as a key."""
    for name in (json.dumps(key), json.dumps(key, ensure_ascii=False)):
        for after in (f"{name}: {{", f"{name}:{{"):
            at = text.find(after, start)
            if at >= 0:
                return at
    return start


def _whole(target: str, needs: Mapping[str, Any], item: Foreign, field: str, found: Imported) -> str:
    """A link's target; of a link to a part of a need, the need."""
    need = target.rpartition(".")[0]
    if target in needs or need not in needs:
        return target
    found.losses.append(item.loss(f"link '{field}' to a part of a need: leads to the need", field))
    return need


def _is_link(field: str, value: Any, kinds: Mapping[str, str], needs: Mapping[str, Any]) -> bool:
    if not isinstance(value, list):
        return False
    if field in kinds:
        return kinds[field] == "links"
    # Without a schema: a list of which some are needs (or parts of them, "ID.part").
    return field == "links" or any(str(one).split(".")[0] in needs for one in value)


def _words(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return ", ".join(map(_words, value))
    if isinstance(value, dict):
        return json.dumps(value, ensure_ascii=False, sort_keys=True)
    return str(value)
