"""The texts of the documents that people edit: section introductions, scope, method.

A text is a small file: paragraphs parted by blank lines, "- " for list items, **strong** and *italic* words, `names` whose
backticks are not printed; lines that begin with "<!--" and end with "-->" are notes to the editor. The package has a default for
each; a project's folder overrides by file name.
"""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files

from devicepipe.documents.model import Block, Bullets, Emphasis, Paragraph, Run

_INLINE = re.compile(r"`(?P<code>[^`\n]+)`|\*\*(?P<strong>[^*\n]+)\*\*|\*(?P<italic>[^*\s](?:[^*\n]*[^*\s])?)\*")
_NOTE = re.compile(r"<!--.*?-->", re.DOTALL)


@cache
def _shipped() -> dict[str, str]:
    folder = files("devicepipe.documents") / "texts"
    names = sorted(entry.name for entry in folder.iterdir() if entry.name.endswith(".md"))
    return {name: (folder / name).read_text(encoding="utf-8") for name in names}


def default_texts() -> dict[str, str]:
    """The package's texts by file name."""
    return dict(_shipped())


def to_blocks(text: str) -> tuple[Block, ...]:
    """A text as blocks."""
    blocks: list[Block] = []
    for part in re.split(r"\n\s*\n", _NOTE.sub("", text.replace("\r\n", "\n"))):
        lines = [line.strip() for line in part.splitlines() if line.strip()]
        prose: list[str] = []
        items: list[str] = []
        for line in lines:
            if line.startswith("- "):
                items.append(line[2:])
            elif items:
                items[-1] += " " + line
            else:
                prose.append(line)
        if prose:
            blocks.append(Paragraph(_runs(" ".join(prose))))
        if items:
            blocks.append(Bullets(tuple(_runs(item) for item in items)))
    return tuple(blocks)


def _runs(text: str) -> tuple[Run, ...]:
    runs: list[Run] = []
    at = 0
    for match in _INLINE.finditer(text):
        if match.start() > at:
            runs.append(Run(text[at : match.start()]))
        if match["code"]:
            runs.append(Run(match["code"]))
        elif match["strong"]:
            runs.append(Run(match["strong"], Emphasis.STRONG))
        else:
            runs.append(Run(match["italic"], Emphasis.ITALIC))
        at = match.end()
    if at < len(text):
        runs.append(Run(text[at:]))
    return tuple(runs)
