"""Importing items once: another tool's files become Markdown that the product keeps from then on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from devicepipe.errors import UsageError
from devicepipe.project.config import CONFIG_NAME, Project
from devicepipe.traceability.drafts import DraftReader
from devicepipe.traceability.items import read_items, scales_of
from devicepipe.traceability.loss import Loss
from devicepipe.traceability.mapping import FOREIGN_ID, House, map_items
from devicepipe.traceability.markdown_text import Written, render
from devicepipe.traceability.registry import make_importer
from devicepipe.traceability.schema import project_schema
from devicepipe.traceability.sources import read_mapping


@dataclass(frozen=True, slots=True)
class ImportedText:
    """What an import comes to.

    Attributes:
        text: The Markdown.
        types: How many items of each type there are.
        ids: The ids that had to change: those of the tool → ours.
        prefixes: Prefixes of ids that devicepipe.toml does not name yet, with their types.
        problems: What `devicepipe trace check` will find in it, in sentences.
        losses: What could not be carried.
    """

    text: str
    types: dict[str, int]
    ids: dict[str, str]
    prefixes: dict[str, str]
    problems: list[str]
    losses: list[Loss]


def import_as_markdown(
    project: Project,
    form: str,
    paths: Sequence[Path],
    options: Mapping[str, Any],
    *,
    mapping_file: Path | None,
    topic: str,
) -> ImportedText:
    """The Markdown of other tools' files.

    Args:
        project: Where the items come to; links may lead to its items, whose ids are taken.
        form: The importer's name.
        paths: The files and folders.
        options: Settings of the importer.
        mapping_file: The mapping; that of devicepipe.toml if None.
        topic: The heading of the Markdown.

    Raises:
        UsageError: A file, a setting or the mapping is wrong.
    """
    importer = make_importer(form, options)
    mapping = project.traceability.mapping if mapping_file is None else read_mapping(mapping_file)
    schema = project_schema(project)
    there = read_items(project, schema=schema, problems=[])
    try:
        mapped = map_items(
            importer.read(paths),
            mapping,
            House(schema, {item.id: item.type for item in there}),
            importer=importer,
            keep_ids=False,
        )
    except UsageError as error:
        if error.file is not None:
            raise
        told = mapping_file or project.root / CONFIG_NAME
        key = f"traceability.{error.key}" if mapping_file is None else error.key
        raise UsageError(error.message, file=told, key=key, remedy=error.remedy) from error
    text, changed = render(
        topic, (Written(raw.id, raw.title, raw.text, raw.fields, raw.file, raw.line) for raw in mapped.items)
    )
    problems: list[UsageError] = []
    reader = DraftReader(
        Path("/"), schema, schema.prefixes, [board.name for board in project.boards], scales_of(project), problems
    )
    reader.take(
        [replace(raw, file=raw.file.resolve()) for raw in mapped.items]
    )  # what links lead to was looked at when they were mapped
    return ImportedText(
        text=text,
        types=dict(sorted(Counter(raw.type for raw in mapped.items).items())),
        ids={raw.fields[FOREIGN_ID]: raw.id for raw in mapped.items if FOREIGN_ID in raw.fields},
        prefixes=mapped.prefixes,
        problems=[str(problem).partition("\n")[0] for problem in problems],
        losses=[*mapped.losses, *changed],
    )
