"""reST with `item` directives, as mlx.traceability reads it. Its conf.py has to name our kinds of link and our fields."""

from __future__ import annotations

import re
from collections.abc import Sequence

from devicepipe.evidence.trace import Item
from devicepipe.project.toml_file import Table
from devicepipe.traceability.exporters.exporter import Exported, Exporter, fields_of, told
from devicepipe.traceability.loss import Loss

_DIRECTIVE = re.compile(r"^( *)(\.\. (?:item|checklist-item|item-link|item-relink|attribute-link)::)", re.MULTILINE)


class MlxExporter(Exporter):
    """One reST file."""

    lossless = True

    class Config(Table):
        """`title`: the document's."""

        title: str = "Items"

    def write(self, items: Sequence[Item]) -> Exported:
        """One .rst file."""
        made = Exported()
        title = self.config.title if isinstance(self.config, self.Config) else ""
        parts = [f"{title}\n{'=' * max(len(title), 4)}\n"]
        parts += [_directive(item, made.losses) for item in items]
        made.files[""] = "\n".join(parts).encode()
        return made


def _directive(item: Item, losses: list[Loss]) -> str:
    lines = [f".. item:: {item.id} {item.title}", f"   :type: {item.type}"]
    lines += [f"   :{kind}: {' '.join(targets)}" for kind, targets in item.links.items()]
    for key, value in fields_of(item).items():
        one_line = " ".join(value.split())
        if one_line != value:
            losses.append(told(item, f"field '{key}' of several lines: written as one"))
        lines.append(f"   :{key}: {one_line}")
    text = item.text.expandtabs(8)
    if text != item.text:
        losses.append(told(item, "tabs: written as spaces"))
    if _DIRECTIVE.search(text):
        text = _DIRECTIVE.sub(r"\1\\\2", text)
        losses.append(told(item, "a directive inside a text: written with a backslash"))
    written = text.split("\n")
    if all(line.startswith(" ") for line in written if line):
        losses.append(told(item, "the indentation of a text that is all indented: left out"))
    lines += ["", *(f"   {line}" if line else "" for line in written), ""]
    return "\n".join(lines)
