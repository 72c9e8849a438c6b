"""Items: hazards, risk controls, requirements, SOUP and anomalies, read from Markdown files and checked against each other.

What always holds of the items `read_items` returns: ids are unique, every link points to an existing item of a type its kind
asks for, boards are boards of the product, every item has a statement, SOUP items and anomalies have the fields they need
(`fields.py`), and the order is that of the sorted file names and then of the files. Otherwise it raised a UsageError with file,
line, key and remedy.

Their fingerprints are those of devicepipe/evidence/items.py.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path

from devicepipe.errors import UsageError
from devicepipe.evidence.facts import sha256_of
from devicepipe.evidence.items import fingerprint
from devicepipe.evidence.predicates import ANOMALY, EVIDENCE_DIGEST, HAZARD, REQUIREMENT, SOUP, Item
from devicepipe.project.config import CONFIG_NAME, Project
from devicepipe.traceability.fields import Scales, article, check_needed, check_value, intended
from devicepipe.traceability.markdown import RawItem, parse, read_text

RISK_CONTROL = "risk-control"
ITEM_TYPES = (HAZARD, RISK_CONTROL, REQUIREMENT, SOUP, ANOMALY)

LINKS = {
    "mitigates": (RISK_CONTROL, (HAZARD,)),
    "implements": (REQUIREMENT, (RISK_CONTROL,)),
    "requirements": (SOUP, (REQUIREMENT,)),
    "affects": (ANOMALY, (HAZARD, RISK_CONTROL, REQUIREMENT, SOUP)),
}
"""Each kind of link: the type that carries it and the types it points to."""

ALL_BOARDS = "all"
"""The value of `boards` that says in so many words what leaving it out means."""


def read_items(project: Project) -> tuple[Item, ...]:
    """The items of a project.

    Raises:
        UsageError: See `read_folder`; also where devicepipe.toml gives a prefix an unknown item type.
    """
    for prefix, kind in project.traceability.prefixes.items():
        if kind not in ITEM_TYPES:
            raise UsageError(
                f"unknown item type '{kind}'",
                file=project.root / CONFIG_NAME,
                key=f"traceability.prefixes.{prefix}",
                remedy=f"known types: {', '.join(ITEM_TYPES)}",
            )
    return read_folder(
        project.root,
        project.traceability.path,
        prefixes=project.traceability.prefixes,
        boards=[board.name for board in project.boards],
        scales=Scales(project.traceability.severities, project.traceability.probabilities),
    )


def read_folder(
    root: Path, folder: str, *, prefixes: Mapping[str, str], boards: Sequence[str], scales: Scales | None = None
) -> tuple[Item, ...]:
    """The items of all Markdown files below a folder; files named README.md are prose and not read.

    Args:
        root: The project's root; `Item.file` is relative to it, and so are the paths of `evidence` fields.
        folder: The folder of the items, relative to `root`.
        prefixes: Id prefix to item type (one of ITEM_TYPES).
        boards: The product's boards: the ones an item without a `boards` field applies to.
        scales: The words that rate hazards; any are taken if None.

    Raises:
        UsageError: The items break the grammar (see `markdown`) or one of the promises of this module; names file, line and key.
    """
    raw = [
        item
        for path in sorted((root / folder).rglob("*.md"))
        if path.name.lower() != "readme.md"
        for item in parse(read_text(path), path)
    ]
    if not raw:
        raise UsageError("no items in any Markdown file", file=root / folder, remedy="write one: '## SRS-001 Title'")
    types: dict[str, str] = {}
    first: dict[str, RawItem] = {}
    for item in raw:
        if item.id in first:
            other = first[item.id]
            raise item.error(
                item.id,
                "the id is taken",
                remedy=f"it stands in {other.file.relative_to(root)}:{other.line} already: give one of them a new number",
            )
        if item.prefix not in prefixes:
            raise item.error(
                item.id,
                f"unknown id prefix '{item.prefix}'",
                remedy=f"known prefixes: {', '.join(prefixes)} (traceability.prefixes in {CONFIG_NAME})",
            )
        first[item.id] = item
        types[item.id] = prefixes[item.prefix]
    names = {path: path.relative_to(root).as_posix() for path in {item.file for item in raw}}
    reader = _Reader(root, types, boards, scales or Scales())
    return tuple(reader.item(item, names[item.file]) for item in raw)


class _Reader:
    """What an item is checked against: the other items' types, the boards, the scales."""

    def __init__(self, root: Path, types: Mapping[str, str], boards: Sequence[str], scales: Scales) -> None:
        self._root = root
        self._types = types
        self._boards = boards
        self._scales = scales

    def item(self, raw: RawItem, name: str) -> Item:
        kind = self._types[raw.id]
        fields: dict[str, str] = {}
        links: dict[str, list[str]] = {}
        applies = list(self._boards)
        for key, value in raw.fields.items():
            if key in LINKS:
                links[key] = self._link(raw, key, value)
            elif key == "boards":
                applies = self._applies(raw, kind, value)
                fields[key] = value
            else:
                self._check_field(raw, key, value, kind)
                fields[key] = value
        check_needed(raw, kind, {*fields, *links})
        if "evidence" in fields:
            fields[EVIDENCE_DIGEST] = _evidence_digest(raw, self._root)
        return Item(
            id=raw.id,
            type=kind,
            title=raw.title,
            text=raw.text,
            fields=fields,
            links=links,
            boards=applies,
            file=name,
            line=raw.line,
            fingerprint=fingerprint(
                id=raw.id, type=kind, title=raw.title, text=raw.text, fields=fields, links=links, boards=applies
            ),
        )

    def _link(self, raw: RawItem, key: str, value: str) -> list[str]:
        source, wanted = LINKS[key]
        types, kind = self._types, self._types[raw.id]
        if kind != source:
            own = ", ".join(name for name, (carrier, _) in LINKS.items() if carrier == kind) or "none"
            raise raw.error(
                key, f"{article(kind)} {kind} has no link '{key}'", remedy=f"links of {article(kind)} {kind}: {own}"
            )
        targets = _names(raw, key, value)
        for name in targets:
            if name not in types:
                close = difflib.get_close_matches(name, types, n=1)
                raise raw.error(
                    key,
                    f"there is no item {name}",
                    remedy=f"did you mean {close[0]}?" if close else f"write {name}, or link an existing {wanted[0]}",
                )
            if types[name] not in wanted:
                whereto = ", ".join(wanted)
                raise raw.error(
                    key,
                    f"{name} is {article(types[name])} {types[name]}",
                    remedy=f"'{key}' leads from {article(source)} {source} to: {whereto}",
                )
        return targets

    def _applies(self, raw: RawItem, kind: str, value: str) -> list[str]:
        if kind != REQUIREMENT:
            raise raw.error(
                "boards", f"{article(kind)} {kind} concerns the whole product", remedy="only requirements name boards"
            )
        if value == ALL_BOARDS:
            return list(self._boards)
        names = _names(raw, "boards", value)
        for name in names:
            if name not in self._boards:
                raise raw.error(
                    "boards", f"unknown board '{name}'", remedy=f"known boards: {', '.join(self._boards)}, or all"
                )
        return [board for board in self._boards if board in names]

    def _check_field(self, raw: RawItem, key: str, value: str, kind: str) -> None:
        if key == EVIDENCE_DIGEST:
            raise raw.error(key, "is written by devicepipe", remedy="remove the line")
        meant = intended(key, kind, tuple(LINKS))
        if meant is not None:
            raise raw.error(key, "looks like a mistyped key", remedy=f"did you mean '{meant}'?")
        if key in ("verification", "evidence") and kind != REQUIREMENT:
            raise raw.error(key, f"{article(kind)} {kind} has no '{key}'", remedy="only requirements have it")
        if key == "evidence" and raw.fields.get("verification", "test") == "test":
            raise raw.error(
                key,
                "is for a requirement verified by analysis or inspection",
                remedy="add '- verification: analysis', or remove the line: a test's evidence is found by its id",
            )
        check_value(raw, key, value, kind, self._scales)


def _names(raw: RawItem, key: str, value: str) -> list[str]:
    names = [name.strip() for name in value.split(",")]
    if not all(names):
        raise raw.error(key, f"an empty name in '{value}'", remedy="part the names by single commas")
    if len(set(names)) != len(names):
        raise raw.error(key, f"a name stands twice in '{value}'", remedy="name each once")
    return names


def _evidence_digest(raw: RawItem, root: Path) -> str:
    value = raw.fields["evidence"]
    path = (root / value).resolve()
    if not path.is_relative_to(root.resolve()):
        raise raw.error("evidence", f"'{value}' lies outside the project", remedy="commit the record with the product")
    try:
        return sha256_of(path)
    except OSError as error:
        raise raw.error(
            "evidence",
            f"'{value}' cannot be read: {error.strerror}",
            remedy="name the record of the verification, relative to the project's root",
        ) from error
