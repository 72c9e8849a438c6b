"""Our own Markdown, one file: for moving items, and for reading those of a bundle or a live source."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from devicepipe.evidence.trace import Item
from devicepipe.evidence.words import EVIDENCE_DIGEST
from devicepipe.project.toml_file import Table
from devicepipe.traceability.exporters.exporter import Exported, Exporter
from devicepipe.traceability.markdown_text import Written, render


class MarkdownExporter(Exporter):
    """One file of all items."""

    lossless = True

    class Config(Table):
        """`topic`: the file's heading."""

        topic: str = "Items"

    def write(self, items: Sequence[Item]) -> Exported:
        """One Markdown file."""
        topic = self.config.topic if isinstance(self.config, self.Config) else ""
        text, losses = render(
            topic,
            (
                Written(
                    item.id,
                    item.title,
                    item.text,
                    {kind: ", ".join(ids) for kind, ids in item.links.items()}
                    | {key: value for key, value in item.fields.items() if key != EVIDENCE_DIGEST},
                    Path(item.file),
                    item.line,
                )
                for item in items
            ),
        )
        return Exported({"": text.encode()}, losses)
