"""Sphinx-Needs `needs.json`, as `needimport` and other readers of it take it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from devicepipe.evidence.trace import Item
from devicepipe.project.toml_file import Table
from devicepipe.traceability.exporters.exporter import Exported, Exporter, fields_of

_VERSION = "1.0"


class NeedsExporter(Exporter):
    """One file with one version, and a schema that says which fields are links."""

    lossless = True

    class Config(Table):
        """`project`: the name in the file."""

        project: str = "devicepipe"

    def write(self, items: Sequence[Item]) -> Exported:
        """One needs.json."""
        project = self.config.project if isinstance(self.config, self.Config) else ""
        links = sorted({kind for item in items for kind in item.links})
        fields = sorted({key for item in items for key in fields_of(item)})
        properties: dict[str, Any] = {
            name: {"type": "string", "field_type": "core"} for name in ("id", "type", "title", "content", "docname")
        }
        properties |= {_name(key): {"type": "string", "field_type": "extra"} for key in fields}
        properties |= {
            _name(kind): {"type": "array", "items": {"type": "string"}, "field_type": "links"} for kind in links
        }
        needs = {item.id: _need(item) for item in items}
        document = {
            "current_version": _VERSION,
            "project": project,
            "versions": {
                _VERSION: {
                    "creator": {"program": "devicepipe", "version": _VERSION},
                    "needs": needs,
                    "needs_amount": len(needs),
                    "needs_schema": {
                        "$schema": "http://json-schema.org/draft-07/schema#",
                        "type": "object",
                        "properties": properties,
                    },
                }
            },
        }
        text = json.dumps(document, indent=2, ensure_ascii=False)
        return Exported({"": f"{text}\n".encode()})


def _need(item: Item) -> dict[str, Any]:
    return {
        "id": item.id,
        "type": item.type,
        "title": item.title,
        "content": item.text,
        "docname": item.file.removesuffix(".md"),
        **{_name(kind): list(targets) for kind, targets in item.links.items()},
        **{_name(key): value for key, value in fields_of(item).items()},
    }


def _name(key: str) -> str:
    """Sphinx-Needs takes names with "_"."""
    return key.replace("-", "_")
