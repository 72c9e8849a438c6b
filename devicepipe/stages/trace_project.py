"""What of a project the trace needs, as plain values: they can be kept, so that a check starts without the whole configuration.

What always holds: what is kept counts only for the same bytes of devicepipe.toml, of the board manifests and of the schema file
that it names, and only while every path that devicepipe.toml could name is what it was (a file, a folder, nothing). Otherwise the
configuration is read and checked as by every other command.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from devicepipe.project.place import CONFIG_NAME, find_project
from devicepipe.traceability.cache import FileCache
from devicepipe.traceability.fields import Scales
from devicepipe.traceability.matrix import TraceRules
from devicepipe.traceability.schema import Schema

if TYPE_CHECKING:
    from devicepipe.project.config import Project

STATE = ".devicepipe/cache/trace"


@dataclass(frozen=True, slots=True)
class TraceProject:
    """A project as the trace sees it.

    Attributes:
        root: Its folder.
        title: The product's.
        boards: The names of its boards.
        items: The folder of its items, relative to `root`.
        tests: The folder of its device tests.
        code: The folders of its sources that are named; none: the usual ones.
        firmware: The folder of its firmware.
        soup: Its lock file.
        has_sources: Whether items stand in other tools' files.
        reviews: Whether items must be reviewed.
        rules: What its items are held to.
    """

    root: Path
    title: str
    boards: tuple[str, ...]
    items: str
    tests: str
    code: tuple[str, ...]
    firmware: str
    soup: str | None
    has_sources: bool
    reviews: str
    rules: TraceRules

    @property
    def cache_folder(self) -> Path:
        """Where what was read is kept."""
        return self.root / STATE

    def whole(self) -> Project:
        """The project itself. Raises UsageError."""
        from devicepipe.project.config import load_project

        return load_project(self.root / CONFIG_NAME)


def open_trace_project(folder: Path, *, cached: bool) -> TraceProject:
    """The project that a folder lies in.

    Raises:
        UsageError: There is none, or its configuration or schema is wrong.
    """
    path = find_project(folder.resolve())
    entry = None
    if cached and (said := _said(path)) is not None:
        entry = FileCache(path.parent / STATE, "project").only(CONFIG_NAME, said)
        kept = entry.content()
        if kept is not None and (found := _of(path.parent, *kept)):
            return found
    made = trace_project(path.parent)
    rules = made.rules
    if (
        entry is not None and rules.acceptability is None
    ):  # what is acceptable is a model, and read with the configuration
        entry.keep(
            [
                [
                    made.title,
                    made.boards,
                    made.items,
                    made.tests,
                    made.code,
                    made.firmware,
                    made.soup,
                    made.has_sources,
                    made.reviews,
                ],
                [rules.schema.to_json(), rules.safety_class, rules.scales.severities, rules.scales.probabilities],
            ]
        )
    return made


def trace_project(root: Path) -> TraceProject:
    """The project in a folder, read anew. Raises UsageError as `open_trace_project` does."""
    from devicepipe.project.config import load_project

    project = load_project(root / CONFIG_NAME)
    settings = project.traceability
    return TraceProject(
        root=project.root,
        title=project.product.title,
        boards=tuple(board.name for board in project.boards),
        items=settings.path,
        tests=project.tests.path,
        code=settings.code,
        firmware=project.firmware.project,
        soup=project.firmware.soup,
        has_sources=bool(settings.source),
        reviews=settings.reviews,
        rules=TraceRules.of(project),
    )


def _of(root: Path, plain: list[Any], rules: list[Any]) -> TraceProject | None:
    """What was kept; None where a folder that may go without saying is not there any more."""
    title, boards, items, tests, code, firmware, soup, has_sources, reviews = plain
    if not all((root / folder).is_dir() for folder in (items, tests, firmware)):
        return None
    schema, safety_class, severities, probabilities = rules
    held = TraceRules(Schema.from_json(schema), safety_class, Scales(tuple(severities), tuple(probabilities)))
    return TraceProject(
        root, title, tuple(boards), items, tests, tuple(code), firmware, soup, has_sources, reviews, held
    )


def _said(path: Path) -> bytes | None:
    """All that a project's configuration is made of, as bytes; None where it cannot even be looked at."""
    try:
        text = path.read_bytes()
        config = tomllib.loads(text.decode())
        read = [board["manifest"] for board in config["board"]]
        read += [name] if (name := config.get("traceability", {}).get("schema")) else []
        parts = [text, *((path.parent / name).read_bytes() for name in read)]
        parts += [f"{value}\0{_sort(path.parent, value)}".encode() for value in _texts(config)]
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return None
    return b"".join(b"%d\0%b" % (len(part), part) for part in parts)


def _texts(value: Any) -> Iterator[str]:
    """Every text in a table: any of them may be a path."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for one in value.values() if isinstance(value, dict) else value:
            yield from _texts(one)


def _sort(root: Path, value: str) -> str:
    """What stands at a path below the root: a folder, a file, or nothing; and whether it leads out of it."""
    if "\0" in value or len(value) > 200:  # noqa: PLR2004 - no path that anybody writes
        return "no path"
    place = root / value
    inside = place.resolve().is_relative_to(root)
    return f"{'folder' if place.is_dir() else 'file' if place.is_file() else 'nothing'} {inside}"
