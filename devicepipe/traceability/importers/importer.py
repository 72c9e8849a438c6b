"""What an importer is: it reads another tool's files and tells, in that tool's own words, what items stand in them.

What becomes of those words here (types, links, fields, ids) is not an importer's business: `mapping.py` decides it alike for all.
What always holds: every item has the file and line that it stands in, and whatever is no item, or of an item cannot be told in
fields and links, is a `Loss`. A mistake in a file is a UsageError with file and line, never a traceback.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from devicepipe.project.toml_file import Table
from devicepipe.traceability.loss import Loss


@dataclass(slots=True)
class Foreign:
    """An item in its own tool's words.

    Attributes:
        id: Its id there.
        type: Its type there; "" where the tool has none.
        title: Its title; "" without one.
        text: Its statement; "" without one.
        file: The file that it stands in.
        line: Its 1-based line there.
        fields: Its other attributes, by the tool's names.
        links: Kind of link, by the tool's name → the ids that it leads to.
        lines: The lines of fields, links and `text`, where they are known.
    """

    id: str
    type: str
    title: str
    text: str
    file: Path
    line: int
    fields: dict[str, str] = field(default_factory=dict)
    links: dict[str, list[str]] = field(default_factory=dict)
    lines: dict[str, int] = field(default_factory=dict)

    def loss(self, what: str, key: str = "") -> Loss:
        """A loss of this item, at one of its keys or at its first line."""
        return Loss(self.file, self.lines.get(key, self.line), self.id, what)


@dataclass(slots=True)
class Imported:
    """What stands in another tool's files: the items, what else there is, and the files that were read."""

    items: list[Foreign] = field(default_factory=list)
    losses: list[Loss] = field(default_factory=list)
    files: list[Path] = field(default_factory=list)


class Importer(ABC):
    """Base of importers.

    Attributes:
        suffixes: The names of its files end so; where a path is a folder, those below it are read.
        prose: The tool's types that are no items unless a mapping says so (headings, texts between items), in lower case.
        our_words: Whether its fields are called as ours, being ours.
        plain_links: The tool's kinds of link that only say "has to do with": the types that one joins decide what it is here.
    """

    suffixes: ClassVar[tuple[str, ...]] = ()
    our_words: ClassVar[bool] = False
    prose: ClassVar[tuple[str, ...]] = ()
    plain_links: ClassVar[tuple[str, ...]] = ()

    class Config(Table):
        """The settings, which stand in `options` of [[traceability.source]]; this importer has none."""

    def __init__(self, config: Table | None = None) -> None:
        self.config = config if config is not None else self.Config()

    @abstractmethod
    def read(self, paths: Sequence[Path]) -> Imported:
        """Read files.

        Args:
            paths: The files and folders.

        Raises:
            UsageError: One cannot be read, or is not of this format; with file and, where it can be known, line.
        """

    def files(self, paths: Sequence[Path]) -> list[Path]:
        """The files of this format among the paths and below them, each once, in a stable order.

        Raises:
            UsageError: A path does not exist, or there are none.
        """
        from devicepipe.errors import UsageError

        found: list[Path] = []
        for path in paths:
            if path.is_dir():
                inside = sorted(
                    one
                    for one in path.rglob("*")
                    if one.name.lower().endswith(self.suffixes) and one.is_file() and not _hidden(one, path)
                )
                if not inside:
                    raise UsageError(f"no file of this format ({', '.join(self.suffixes)})", file=path)
                found += inside
            elif path.is_file():
                found.append(path)
            else:
                raise UsageError("no such file or folder", file=path)
        return list(dict.fromkeys(found))


def _hidden(path: Path, below: Path) -> bool:
    return any(part.startswith(".") for part in path.relative_to(below).parts)
