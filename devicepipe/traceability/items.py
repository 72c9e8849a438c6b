"""Items: read from Markdown files and checked against the schema and against each other.

What always holds of the items `read_items` returns: ids are unique, every link points to an existing item of a type its kind
asks for, boards are boards of the product, every item has a statement and the fields and links that its type needs, and the order
is that of the sorted file names and then of the files. Otherwise it raised a UsageError with file, line, key and remedy.

Their fingerprints are those of devicepipe/evidence/items.py.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from devicepipe.errors import UsageError
from devicepipe.evidence.facts import sha256_of
from devicepipe.evidence.items import fingerprint
from devicepipe.evidence.words import EVIDENCE_DIGEST
from devicepipe.traceability.cache import FileCache
from devicepipe.traceability.drafts import Draft, DraftReader
from devicepipe.traceability.fields import EVIDENCE, Scales
from devicepipe.traceability.markdown import RawItem, read_bytes, text_of
from devicepipe.traceability.schema import Schema, project_schema, shipped_schema

if TYPE_CHECKING:
    from devicepipe.evidence.trace import Item
    from devicepipe.project.config import Project
    from devicepipe.traceability.loss import Loss

CACHE = "cache/trace"
"""Where what was read is kept, below the project's folder for caches."""


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
    drafts = project_drafts(project, schema=schema, problems=problems, losses=losses)
    return tuple(draft.item() for draft in drafts)


def project_drafts(
    project: Project,
    *,
    schema: Schema | None = None,
    problems: list[UsageError] | None = None,
    losses: list[Loss] | None = None,
    cached: bool = False,
) -> list[Draft]:
    """What `read_items` reads, before it becomes evidence; `cached`: files that have not changed are not read anew (`cache`)."""
    schema = schema or project_schema(project)
    return read_drafts(
        project.root,
        project.traceability.path,
        schema=schema,
        prefixes=schema.prefixes,
        boards=[board.name for board in project.boards],
        scales=scales_of(project),
        problems=problems,
        live=live_items(project, schema, problems, losses),
        cache_folder=project.state / CACHE if cached else None,
    )


def live_items(
    project: Project, schema: Schema, problems: list[UsageError] | None, losses: list[Loss] | None
) -> Sequence[RawItem]:
    """The items of a project's live sources; see `read_items`."""
    if not project.traceability.source:
        return ()
    from devicepipe.traceability.sources import read_sources

    found = read_sources(project, schema, problems)
    if losses is not None:
        losses += found.losses
    return found.items


def scales_of(project: Project) -> Scales:
    """The words that rate a project's hazards."""
    return Scales(project.traceability.severities, project.traceability.probabilities)


def item_files(folder: Path) -> list[Path]:
    """The Markdown files below a folder (.md, .markdown, in letters of any case), sorted: all but those named README.md."""
    found = (path for path in sorted(folder.rglob("*")) if path.suffix.lower() in (".md", ".markdown"))
    return [path for path in found if path.stem.lower() != "readme"]


def read_folder(
    root: Path,
    folder: str,
    *,
    prefixes: Mapping[str, str],
    boards: Sequence[str],
    scales: Scales | None = None,
    schema: Schema | None = None,
    problems: list[UsageError] | None = None,
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

    Raises:
        UsageError: The items break the grammar (see `markdown`) or one of the promises of this module; names file, line and key.
    """
    schema = schema or shipped_schema()
    drafts = read_drafts(
        root, folder, schema=schema, prefixes=prefixes, boards=boards, scales=scales or Scales(), problems=problems
    )
    return tuple(draft.item() for draft in drafts)


def read_drafts(
    root: Path,
    folder: str,
    *,
    schema: Schema,
    prefixes: Mapping[str, str],
    boards: Sequence[str],
    scales: Scales,
    problems: list[UsageError] | None,
    live: Sequence[RawItem] = (),
    cache_folder: Path | None = None,
) -> list[Draft]:
    """What `read_folder` reads, before it becomes evidence; arguments as there.

    `live` are items from elsewhere, which stand behind those of the folder and are checked with them; `cache_folder` is where what
    was read is kept (`cache`): without one, every file is read.
    """
    reader = DraftReader(root, schema, prefixes, boards, scales, problems)
    cache = None
    if cache_folder is not None:
        depends_on = json.dumps([schema.digest, dict(prefixes), boards, scales.severities, scales.probabilities])
        cache = FileCache(cache_folder, "items", depends_on)
    drafts: list[Draft] = []
    for path in item_files(root / folder):
        try:
            data = read_bytes(path)
            entry = cache.entry(path.relative_to(root).as_posix(), data) if cache else None
            kept = entry.content() if entry else None
            if kept is not None:
                drafts += [Draft(*values) for values in kept]
                continue
            before = len(problems or ())
            made = reader.read(text_of(data, path), path)
        except UsageError as error:
            if problems is None:
                raise
            problems.append(error)
            continue
        drafts += made
        # What has mistakes is read anew each time, because they have to be told each time.
        if entry and len(problems or ()) == before:
            entry.keep([draft.values() for draft in made])
    if cache:
        cache.tidy()
    return joined([*drafts, *reader.take(live)], root, folder, schema, problems)


def joined(
    drafts: Sequence[Draft], root: Path, folder: str, schema: Schema, problems: list[UsageError] | None
) -> list[Draft]:
    """The drafts of all files, checked against each other, with the digests of their records. Raises as `read_folder` does."""

    def tell(problem: UsageError) -> None:
        if problems is None:
            raise problem
        problems.append(problem)

    if not drafts and not problems:
        tell(UsageError("no items in any Markdown file", file=root / folder, remedy="write one: '## SRS-001 Title'"))
    first: dict[str, Draft] = {}
    for draft in drafts:
        other = first.setdefault(draft.id, draft)
        if other is not draft:
            remedy = f"it stands in {other.file}:{other.line} already: give one of them a new number"
            tell(draft.error(root, draft.id, "the id is taken", remedy))
    types = {name: draft.type for name, draft in first.items()}
    for problem in (*_wrong_targets(first, types, root, schema), *_circular(first, root, schema)):
        tell(problem)
    for draft in first.values():
        try:
            _add_evidence(draft, root)
        except UsageError as error:
            tell(error)
    return list(first.values())


def _wrong_targets(
    drafts: Mapping[str, Draft], types: Mapping[str, str], root: Path, schema: Schema
) -> Iterator[UsageError]:
    """Links to what there is not, or to what their kind does not lead to."""
    targets_of = {kind: frozenset(link.targets) for kind, link in schema.links.items()}
    for draft in drafts.values():
        for kind, targets in draft.links.items():
            for target in [name for name in targets if types.get(name) not in targets_of[kind]]:
                yield _wrong_target(draft, root, kind, target, types, schema)


def _circular(drafts: Mapping[str, Draft], root: Path, schema: Schema) -> Iterator[UsageError]:
    """Links of one kind by which an item rests on itself in the end."""
    for kind, link in schema.links.items():
        if set(link.sources).isdisjoint(link.targets):
            continue  # they cannot
        for circle in _circles({name: draft.links.get(kind, ()) for name, draft in drafts.items()}):
            way = " → ".join([*circle, circle[0]])
            remedy = "an item cannot rest on itself: take one of these links out"
            yield drafts[circle[0]].error(root, kind, f"goes in a circle: {way}", remedy)


def _circles(links: Mapping[str, Sequence[str]]) -> list[list[str]]:
    """The circles that links of one kind go in, each once and from its first item in the order of `links` on."""
    found: list[list[str]] = []
    done: set[str] = set()
    for start in links:
        way: dict[str, Iterator[str]] = {}  # in the order in which it was gone, each with what is still to be looked at
        if start not in done:
            way[start] = iter(links[start])
        while way:
            here = next(reversed(way))
            ahead = next(way[here], None)
            if ahead is None:
                way.popitem()
                done.add(here)
            elif ahead in way:
                names = list(way)
                found.append(names[names.index(ahead) :])
            elif ahead in links and ahead not in done:
                way[ahead] = iter(links[ahead])
    return found


def _wrong_target(
    draft: Draft, root: Path, kind: str, target: str, types: Mapping[str, str], schema: Schema
) -> UsageError:
    link = schema.links[kind]
    if target not in types:
        close = difflib.get_close_matches(target, types, n=1)
        wanted = schema.types[link.targets[0]].title
        remedy = f"did you mean {close[0]}?" if close else f"write {target}, or link an existing {wanted}"
        return draft.error(root, kind, f"there is no item {target}", remedy)
    source = schema.types[draft.type]
    return draft.error(
        root, kind, f"{target} is {schema.types[types[target]].called}",
        f"'{kind}' leads from {source.called} to: {schema.titles(link.targets, ', ')}",
    )  # fmt: skip


def _add_evidence(draft: Draft, root: Path) -> None:
    """Put the digest of the record that an item names into it, and its fingerprint over that."""
    if EVIDENCE not in draft.lines:
        return
    value = draft.fields[EVIDENCE]
    record = (root / value).resolve()
    if not record.is_relative_to(root.resolve()):
        raise draft.error(root, EVIDENCE, f"'{value}' lies outside the project", "commit the record with the product")
    try:
        digest = sha256_of(record)
    except OSError as error:
        raise draft.error(
            root,
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
