"""Items: read from Markdown files and checked against the schema and against each other.

What always holds of the items `read_items` returns: ids are unique, every link points to an existing item of a type its kind
asks for, boards are boards of the product, every item has a statement and the fields and links that its type needs, and the order
is that of the sorted file names and then of the files. Otherwise it raised a UsageError with file, line, key and remedy.

Their fingerprints are those of devicepipe/evidence/items.py.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path

from devicepipe.errors import UsageError
from devicepipe.evidence.facts import sha256_of
from devicepipe.evidence.items import fingerprint
from devicepipe.evidence.predicates import EVIDENCE_DIGEST, Item
from devicepipe.project.config import Project
from devicepipe.traceability.drafts import Draft, DraftReader
from devicepipe.traceability.fields import EVIDENCE, Scales
from devicepipe.traceability.loss import Loss
from devicepipe.traceability.markdown import RawItem, read_text
from devicepipe.traceability.schema import Schema, project_schema, shipped_schema
from devicepipe.traceability.sources import read_sources


def read_items(
    project: Project,
    *,
    schema: Schema | None = None,
    problems: list[UsageError] | None = None,
    losses: list[Loss] | None = None,
) -> tuple[Item, ...]:
    """The items of a project: those of its Markdown files, then those of its live sources in the order of devicepipe.toml.

    Args:
        project: The project.
        schema: Its schema, where it is read already.
        problems: Where to put mistakes: reading then goes on behind each, and what is returned is only what could be read.
        losses: Gets what the live sources hold that items cannot carry.

    Raises:
        UsageError: See `read_folder`, `read_sources` and `project_schema`.
    """
    schema = schema or project_schema(project)
    live = read_sources(project, schema, problems)
    if losses is not None:
        losses += live.losses
    return read_folder(
        project.root,
        project.traceability.path,
        prefixes=schema.prefixes,
        boards=[board.name for board in project.boards],
        scales=scales_of(project),
        schema=schema,
        problems=problems,
        live=live.items,
    )


def scales_of(project: Project) -> Scales:
    """The words that rate a project's hazards."""
    return Scales(project.traceability.severities, project.traceability.probabilities)


def item_files(folder: Path) -> list[Path]:
    """The Markdown files below a folder that hold items, sorted: all but those named README.md."""
    return [path for path in sorted(folder.rglob("*.md")) if path.name.lower() != "readme.md"]


def read_folder(
    root: Path,
    folder: str,
    *,
    prefixes: Mapping[str, str],
    boards: Sequence[str],
    scales: Scales | None = None,
    schema: Schema | None = None,
    problems: list[UsageError] | None = None,
    live: Sequence[RawItem] = (),
) -> tuple[Item, ...]:
    """The items of all Markdown files below a folder; files named README.md are prose and not read.

    Args:
        root: The project's root; `Item.file` is relative to it, and so are the paths of `evidence` fields.
        folder: The folder of the items, relative to `root`.
        prefixes: Id prefix to item type (one of the schema's).
        boards: The product's boards: the ones an item without a `boards` field applies to.
        scales: The words that rate hazards; any are taken if None.
        schema: The types and links; the shipped ones if None.
        problems: See `read_items`.
        live: Items from elsewhere, which stand after those of the folder and are checked with them.

    Raises:
        UsageError: The items break the grammar (see `markdown`) or one of the promises of this module; names file, line and key.
    """
    schema = schema or shipped_schema()
    reader = DraftReader(schema, prefixes, boards, scales or Scales(), problems)
    drafts = [(draft, path) for path in item_files(root / folder) for draft in reader.read(read_text(path), path)]
    drafts += [(draft, raw.file) for raw in live for draft in reader.take([raw])]
    return joined(drafts, root, folder, schema, problems)


def joined(
    drafts: Sequence[tuple[Draft, Path]], root: Path, folder: str, schema: Schema, problems: list[UsageError] | None
) -> tuple[Item, ...]:
    """The drafts of all files as items, checked against each other. Raises UsageError as `read_folder` does."""
    join = _Join(root, schema, problems)
    if not drafts and not problems:
        join.tell(
            UsageError("no items in any Markdown file", file=root / folder, remedy="write one: '## SRS-001 Title'")
        )
    first = join.unique(drafts)
    types = {name: draft.type for name, (draft, _) in first.items()}
    return tuple(join.item(draft, path, types) for draft, path in first.values())


class _Join:
    """What of an item needs the other files: is the id unique, do its links hold, what is the digest of its record."""

    def __init__(self, root: Path, schema: Schema, problems: list[UsageError] | None) -> None:
        self._root = root
        self._schema = schema
        self._problems = problems
        self._names: dict[Path, str] = {}

    def tell(self, problem: UsageError) -> None:
        if self._problems is None:
            raise problem
        self._problems.append(problem)

    def unique(self, drafts: Sequence[tuple[Draft, Path]]) -> dict[str, tuple[Draft, Path]]:
        """The drafts by id; of two with one id the first."""
        first: dict[str, tuple[Draft, Path]] = {}
        for draft, path in drafts:
            if draft.id in first:
                other, where = first[draft.id]
                remedy = (
                    f"it stands in {where.relative_to(self._root)}:{other.line} already: give one of them a new number"
                )
                self.tell(draft.error(path, draft.id, "the id is taken", remedy))
            else:
                first[draft.id] = draft, path
        return first

    def item(self, draft: Draft, path: Path, types: Mapping[str, str]) -> Item:
        for kind, targets in draft.links.items():
            allowed = self._schema.links[kind].targets
            for target in targets:
                if types.get(target) not in allowed:
                    self.tell(_wrong_target(draft, path, kind, target, types, self._schema))
        try:
            _add_evidence(draft, path, self._root)
        except UsageError as error:
            self.tell(error)
        if path not in self._names:
            self._names[path] = path.relative_to(self._root).as_posix()
        return Item(
            id=draft.id,
            type=draft.type,
            title=draft.title,
            text=draft.text,
            fields=draft.fields,
            links=draft.links,
            boards=draft.boards,
            file=self._names[path],
            line=draft.line,
            fingerprint=draft.fingerprint or "0" * 64,
        )


def _wrong_target(
    draft: Draft, path: Path, kind: str, target: str, types: Mapping[str, str], schema: Schema
) -> UsageError:
    link = schema.links[kind]
    if target not in types:
        close = difflib.get_close_matches(target, types, n=1)
        wanted = schema.types[link.targets[0]].title
        remedy = f"did you mean {close[0]}?" if close else f"write {target}, or link an existing {wanted}"
        return draft.error(path, kind, f"there is no item {target}", remedy)
    source = schema.types[draft.type]
    return draft.error(
        path, kind, f"{target} is {schema.types[types[target]].called}",
        f"'{kind}' leads from {source.called} to: {schema.titles(link.targets, ', ')}",
    )  # fmt: skip


def _add_evidence(draft: Draft, path: Path, root: Path) -> None:
    """Put the digest of the record that an item names into it, and its fingerprint over that."""
    if EVIDENCE not in draft.lines:
        return
    value = draft.fields[EVIDENCE]
    record = (root / value).resolve()
    if not record.is_relative_to(root.resolve()):
        raise draft.error(path, EVIDENCE, f"'{value}' lies outside the project", "commit the record with the product")
    try:
        digest = sha256_of(record)
    except OSError as error:
        raise draft.error(
            path,
            EVIDENCE,
            f"'{value}' cannot be read: {error.strerror}",
            "name the record of the verification, relative to the project's root",
        ) from error
    draft.fields = {**draft.fields, EVIDENCE_DIGEST: digest}
    draft.fingerprint = fingerprint(
        id=draft.id,
        type=draft.type,
        title=draft.title,
        text=draft.text,
        fields=draft.fields,
        links=draft.links,
        boards=draft.boards,
    )
