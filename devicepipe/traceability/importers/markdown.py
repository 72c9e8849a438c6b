"""Our own Markdown, from another place: the grammar of `docs/reference/items.md`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from devicepipe.traceability.importers.importer import Foreign, Imported, Importer
from devicepipe.traceability.markdown import parse, read_text


class MarkdownImporter(Importer):
    """Items in files such as devicepipe's own; their types are told by the prefixes of their ids."""

    suffixes = (".md",)
    our_words = True

    def read(self, paths: Sequence[Path]) -> Imported:
        """Read files; those called README.md are prose."""
        found = Imported()
        for path in self.files(paths):
            if path.name.lower() == "readme.md" and path not in paths:
                continue
            found.files.append(path)
            for raw in parse(read_text(path), path):
                found.items.append(
                    Foreign(raw.id, "", raw.title, raw.text, path, raw.line, dict(raw.fields), {}, dict(raw.lines))
                )
        return found
