"""The texts of the documents that people edit: section introductions, scope, method.

A text is a small file: paragraphs parted by blank lines, "- " for list items, **strong** and *italic* words, `names` whose
backticks are not printed; lines that begin with "<!--" and end with "-->" are notes to the editor. The package has a default for
each; a project's folder overrides by file name.
"""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path
from typing import Final

from devicepipe.documents.model import Block, Bullets, Emphasis, Paragraph, Run
from devicepipe.errors import UsageError

TEXT_NAMES: Final = (
    "title-page.md",
    "scope.md",
    "method.md",
    "summary.md",
    "risks.md",
    "traceability.md",
    "deviations.md",
    "gate.md",
    "builds.md",
    "memory.md",
    "tests.md",
    "coverage.md",
    "measurements.md",
    "campaigns.md",
    "software-items.md",
    "static-analysis.md",
    "files.md",
)

_NOT_TEXTS: Final = {"README.md"}
_INLINE = re.compile(r"`(?P<code>[^`\n]+)`|\*\*(?P<strong>[^*\n]+)\*\*|\*(?P<italic>[^*\s](?:[^*\n]*[^*\s])?)\*")
_NOTE = re.compile(r"<!--.*?-->", re.DOTALL)


def default_texts() -> dict[str, str]:
    """The package's texts by file name."""
    folder = files("devicepipe.documents") / "texts"
    return {name: (folder / name).read_text(encoding="utf-8") for name in TEXT_NAMES}


def load_texts(folder: Path | None) -> dict[str, str]:
    """The texts of a project: the package's, overridden by the folder's files of the same name.

    Raises:
        UsageError: The folder holds a text of an unknown name (it would be silently without effect), or one that is not UTF-8.
    """
    texts = default_texts()
    if folder is None:
        return texts
    for path in sorted(folder.glob("*.md")):
        if path.name in _NOT_TEXTS:
            continue
        if path.name not in texts:
            raise UsageError(
                "is no text of any document",
                file=path,
                remedy=f"rename or remove it; known texts: {', '.join(TEXT_NAMES)}",
            )
        try:
            texts[path.name] = path.read_text(encoding="utf-8-sig").replace("\r\n", "\n")
        except UnicodeDecodeError as error:
            raise UsageError("is not UTF-8", file=path, remedy="save it as UTF-8") from error
    return texts


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
