"""From a definition and a release's record to a document: its sections in order, numbered, with texts, blocks and wording."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Literal, cast

from devicepipe.documents.blocks import BLOCKS
from devicepipe.documents.definition import Definition, DocumentSet, Section, TableUse, filled
from devicepipe.documents.furniture import running
from devicepipe.documents.model import (
    Block,
    Contents,
    Document,
    Heading,
    KeyValues,
    PageBreak,
    Table,
)
from devicepipe.documents.record import ReleaseRecord
from devicepipe.documents.scope import Scope
from devicepipe.documents.texts import to_blocks

_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def compose(
    definition: Definition, record: ReleaseRecord, documents: DocumentSet, made: Made | None = None
) -> Document:
    """The document of a definition.

    Args:
        definition: The definition, one of `documents`.
        record: The release.
        documents: The set that it belongs to.
        made: Blocks that were built before from the same record, to build each only once.

    Raises:
        UsageError: The definition names a column that a table has not got.
    """
    values = placeholders(record, documents)
    definition = replace(definition, number=filled(definition.number, values), title=filled(definition.title, values))
    scope = Scope(record, definition, documents, values)
    source, branding = record.source, documents.branding
    blocks = tuple(_Composer(scope, made if made is not None else Made()).blocks())
    return Document(
        identifier=definition.number,
        title=f"{definition.title}: {source.product} {source.version}",
        subject=f"{source.title}, commit {source.commit}, {record.status}",
        author=branding.name or source.manufacturer,
        created=source.started_on,
        paper=record.paper,
        running=running(record, definition, branding),
        blocks=blocks,
        name=definition.name,
        accent=branding.color,
    )


def placeholders(record: ReleaseRecord, documents: DocumentSet) -> dict[str, str]:
    """What the placeholders of numbers and titles stand for."""
    source = record.source
    return {
        "product": source.product,
        "version": source.version,
        "title": source.title,
        "manufacturer": documents.branding.name or source.manufacturer,
        "commit": source.commit,
    }


@dataclass(slots=True)
class Made:
    """Blocks of one record that do not depend on the document they stand in, by name."""

    blocks: dict[str, tuple[Block, ...]] = field(default_factory=dict)

    def of(self, name: str, scope: Scope) -> tuple[Block, ...]:
        """The block of that name."""
        block = BLOCKS[name]
        if block.own:
            return block.build(scope)
        if name not in self.blocks:
            self.blocks[name] = block.build(scope)
        return self.blocks[name]


def _groups(sections: tuple[Section, ...]) -> Iterator[list[Section]]:
    """Each section of level 1 with those of level 2 below it."""
    group: list[Section] = []
    for section in sections:
        if section.level == 1 and group:
            yield group
            group = []
        group.append(section)
    if group:
        yield group


def _has_rows(block: Block) -> bool:
    return isinstance(block, Table) and bool(block.rows)


class _Composer:
    def __init__(self, scope: Scope, made: Made) -> None:
        self._scope = scope
        self._made = made
        self._numbers = [0, 0, 0]
        self._letter = False
        self._appendices = 0
        self._heading = ""
        self._used: set[str] = set()
        self._offered: set[str] = set()

    def blocks(self) -> Iterator[Block]:
        definition, landscape = self._scope.definition, False
        for name in definition.front:
            yield from self._worded(self._made.of(name, self._scope))
        if definition.contents:
            yield Contents()
        for group in _groups(definition.sections):
            built = [(section, list(self._section(section))) for section in group]
            # A page is turned for a table only if the table has rows.
            wide = any(section.landscape and any(map(_has_rows, blocks)) for section, blocks in built)
            for section, blocks in built:
                wanted = section.landscape and wide
                if wanted != landscape or section.new_page:
                    yield PageBreak(landscape=wanted)
                    landscape = wanted
                yield from blocks
        for caption in definition.tables:
            if caption not in self._used and self._offered:
                raise definition.mistake(
                    f"there is no table '{caption}'",
                    ("tables", caption),
                    f"tables of this document: {', '.join(sorted(self._offered))}",
                )

    def _section(self, section: Section) -> Iterator[Block]:
        yield self._numbered(section.level, section.title, appendix=section.appendix)
        yield from to_blocks(self._scope.record.texts.get(section.text, "") if section.text else "")
        for name in section.blocks:
            for block in self._worded(self._made.of(name, self._scope)):
                if isinstance(block, Heading):
                    level = min(3, block.level + section.level - 1)
                    yield self._numbered(level, block.text)
                else:
                    yield block

    def _numbered(self, level: int, text: str, *, appendix: bool = False) -> Heading:
        if level == 1:
            self._letter = appendix
            self._appendices += appendix
            self._numbers[0] += not appendix
        else:
            self._numbers[level - 1] += 1
        self._numbers[level:] = [0] * (3 - level)
        first = _LETTERS[(self._appendices - 1) % len(_LETTERS)] if self._letter else str(self._numbers[0])
        self._heading = text
        numbers = [first, *map(str, self._numbers[1:level])]
        return Heading(cast("Literal[1, 2, 3]", level), text, ".".join(numbers))

    def _worded(self, blocks: Iterable[Block]) -> Iterator[Block]:
        for block in blocks:
            if isinstance(block, Table):
                yield self._table(block)
            elif isinstance(block, KeyValues):
                yield self._facts(block)
            else:
                yield block

    def _table(self, table: Table) -> Table:
        self._offered.add(table.caption)
        use = self._scope.definition.tables.get(table.caption)
        if use is not None:
            self._used.add(table.caption)
            table = self._shown(table, use)
        return replace(table, captioned=False) if table.caption == self._heading else table

    def _shown(self, table: Table, use: TableUse) -> Table:
        wanted = list(self._places(table, use)) if use.columns else list(range(len(table.columns)))
        titles = [column.title for column in table.columns]
        for title in use.titles:
            if title not in titles:
                raise self._no_column(table, ("tables", table.caption, "titles", title), title)
        columns = tuple(
            replace(table.columns[place], title=use.titles.get(titles[place], titles[place])) for place in wanted
        )
        # Groups stay groups only as long as they are still the first columns.
        groups = 0
        while groups < table.group_columns and groups < len(wanted) and wanted[groups] == groups:
            groups += 1
        return replace(
            table,
            caption=use.caption or table.caption,
            columns=columns,
            rows=tuple(tuple(row[place] for place in wanted) for row in table.rows),
            group_columns=groups,
            row_header=wanted.index(table.row_header) if table.row_header in wanted else 0,
        )

    def _places(self, table: Table, use: TableUse) -> Iterator[int]:
        """The places of the wanted columns; `{boards}` stands for those of all boards."""
        boards = self._scope.record.source.boards
        titles = [column.title for column in table.columns]
        for index, title in enumerate(use.columns):
            if title == "{boards}":
                yield from (place for place, name in enumerate(titles) if name in boards)
            elif title in titles:
                yield titles.index(title)
            else:
                raise self._no_column(table, ("tables", table.caption, "columns", index), title)

    def _no_column(self, table: Table, where: tuple[str | int, ...], title: str) -> Any:
        known = ", ".join(column.title for column in table.columns)
        return self._scope.definition.mistake(
            f"the table '{table.caption}' has no column '{title}'", where, f"its columns: {known}"
        )

    def _facts(self, facts: KeyValues) -> KeyValues:
        self._offered.add(facts.caption)
        use = self._scope.definition.tables.get(facts.caption)
        if use is None:
            return facts
        self._used.add(facts.caption)
        names = dict(facts.rows)
        for title in (*use.columns, *use.titles):
            if title not in names:
                raise self._scope.definition.mistake(
                    f"'{facts.caption}' has no line '{title}'",
                    ("tables", facts.caption),
                    f"its lines: {', '.join(names)}",
                )
        shown = tuple((name, names[name]) for name in use.columns) if use.columns else facts.rows
        return replace(
            facts,
            caption=use.caption or facts.caption,
            rows=tuple((use.titles.get(name, name), cell) for name, cell in shown),
        )
