"""LOBSTER's common interchange format: what `lobster-report` reads, with a policy that names these files.

A file for items that are none of tests, and one for tests (as activities) where there are any. The version of a tag is the item's
fingerprint, so a report tells where something changed since. Fields have no place in it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from devicepipe.evidence.trace import Item
from devicepipe.traceability.exporters.exporter import Exported, Exporter, fields_of, told

_TEST = "test"


class LobsterExporter(Exporter):
    """A folder with `items.lobster`, and `tests.lobster` where items are tests."""

    folder = True

    def write(self, items: Sequence[Item]) -> Exported:
        """Those files."""
        made = Exported()
        kinds = {item.id: item.type for item in items}
        for item in items:
            if fields := fields_of(item):
                made.losses.append(told(item, f"fields ({', '.join(sorted(fields))}): left out"))
            if len(item.links) > 1:
                made.losses.append(told(item, "which of its links is of which kind: left out"))
        tests = [_entry(item, kinds) for item in items if item.type == _TEST]
        others = [_entry(item, kinds) | {"name": item.title} for item in items if item.type != _TEST]
        made.files["items.lobster"] = _file(others, "lobster-req-trace", 4)
        if tests:
            made.files["tests.lobster"] = _file(tests, "lobster-act-trace", 3)
        return made


def _entry(item: Item, kinds: dict[str, str]) -> dict[str, Any]:
    references = dict.fromkeys(target for targets in item.links.values() for target in targets)
    return {
        "tag": f"{_namespace(item.type)} {item.id}@{item.fingerprint[:16]}",
        "location": {"kind": "file", "file": item.file, "line": item.line or None, "column": None},
        "name": item.id,
        "messages": [],
        "just_up": [],
        "just_down": [],
        "just_global": [],
        "refs": [f"{_namespace(kinds.get(target, 'requirement'))} {target}" for target in references],
        "framework": "devicepipe",
        "kind": item.type,
        "text": item.text,
        "status": item.fields.get("status"),
    }


def _namespace(kind: str) -> str:
    return "act" if kind == _TEST else "req"


def _file(entries: list[dict[str, Any]], schema: str, version: int) -> bytes:
    document = {"data": entries, "generator": "devicepipe", "schema": schema, "version": version}
    return f"{json.dumps(document, indent=2, ensure_ascii=False)}\n".encode()
