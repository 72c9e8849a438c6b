"""LOBSTER's common interchange format (`*.lobster`, JSON): requirements, and activities as tests.

Its items have a tag ("req name@version"), a location and references; text and kind where the tool before it gave them. Code
(`lobster-imp-trace`) is no item here: code says itself, with markers, what it is for.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from devicepipe.errors import UsageError
from devicepipe.traceability.foreign_files import Lines, parse_json, read_text
from devicepipe.traceability.importers.importer import Foreign, Imported, Importer

_SCHEMAS = ("lobster-req-trace", "lobster-act-trace", "lobster-imp-trace")
_KNOWN = (
    "tag",
    "location",
    "name",
    "messages",
    "just_up",
    "just_down",
    "just_global",
    "refs",
    "framework",
    "kind",
    "text",
    "status",
)


class LobsterImporter(Importer):
    """Files of `lobster-req-trace` and `lobster-act-trace`."""

    suffixes = (".lobster",)
    plain_links = ("refs",)

    def read(self, paths: Sequence[Path]) -> Imported:
        """Read files; a tag is an item."""
        found = Imported()
        for path in self.files(paths):
            text = read_text(path)
            data = parse_json(text, path)
            if (
                not isinstance(data, dict)
                or data.get("schema") not in _SCHEMAS
                or not isinstance(data.get("data"), list)
            ):
                raise UsageError("is no LOBSTER interchange file", file=path, line=1)
            lines, at = Lines(text), 0
            for one in data["data"]:
                tag = one.get("tag") if isinstance(one, dict) else None
                if not isinstance(tag, str) or " " not in tag:
                    raise UsageError("an entry without a tag", file=path, line=lines.of(at))
                at = max(text.find(json.dumps(tag), at), at)
                item = _item(tag, one, str(data["schema"]), path, lines.of(at))
                if data["schema"] == "lobster-imp-trace":
                    found.losses.append(item.loss("code, which is no item: left out"))
                    continue
                for key, value in one.items():
                    if key not in _KNOWN and value:
                        found.losses.append(item.loss(f"'{key}': left out"))
                    elif key in ("just_up", "just_down", "just_global") and value:
                        item.fields[f"justification{key.removeprefix('just')}"] = "; ".join(map(str, value))
                found.items.append(item)
            found.files.append(path)
        return found


def _item(tag: str, one: Mapping[str, Any], schema: str, path: Path, line: int) -> Foreign:
    name, _, version = tag.split(" ", 1)[1].partition("@")
    kind = str(one.get("kind") or "")
    if schema == "lobster-act-trace":
        kind = "test"
    title = str(one.get("name") or "")
    item = Foreign(name, kind, "" if title == name else title, str(one.get("text") or ""), path, line)
    if version:
        item.fields["version"] = version
    if one.get("status"):
        item.fields["status"] = str(one["status"])
    references = one.get("refs")
    if isinstance(references, list) and references:
        item.links["refs"] = [str(ref).split(" ", 1)[-1].partition("@")[0] for ref in references]
    return item
