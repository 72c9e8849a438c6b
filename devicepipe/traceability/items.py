"""Items: hazards, risk controls and requirements, read from Markdown files and checked against each other.

What always holds of the items `read_items` returns: ids are unique, every link points to an existing item of the type its kind
asks for, boards are boards of the product, every item has a statement, and the order is that of the sorted file names and then
of the files. Otherwise it raised a UsageError with file, line, key and remedy.

The fingerprint is the SHA-256 of the canonical JSON (RFC 8785) of all attributes of the item but the place where it stands: so
moving an item to another file changes nothing, and changing a field, a link or a board does.
"""

from __future__ import annotations

import difflib
import functools
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from pydantic_core import to_json

from devicepipe.errors import UsageError
from devicepipe.evidence.facts import sha256_of
from devicepipe.evidence.predicates import EVIDENCE_DIGEST, REQUIREMENT, Item
from devicepipe.project.config import CONFIG_NAME, Project
from devicepipe.traceability.markdown import RawItem, parse, read_text

HAZARD = "hazard"
RISK_CONTROL = "risk-control"
ITEM_TYPES = (HAZARD, RISK_CONTROL, REQUIREMENT)

LINKS = {"mitigates": (RISK_CONTROL, HAZARD), "implements": (REQUIREMENT, RISK_CONTROL)}
"""Each kind of link: the type that carries it and the type it points to."""

VERIFICATION = ("test", "analysis", "inspection")

_KNOWN_KEYS = (*LINKS, "boards", "verification", "evidence")


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
    )


def read_folder(root: Path, folder: str, *, prefixes: Mapping[str, str], boards: Sequence[str]) -> tuple[Item, ...]:
    """The items of all Markdown files below a folder; files named README.md are prose and not read.

    Args:
        root: The project's root; `Item.file` is relative to it, and so are the paths of `evidence` fields.
        folder: The folder of the items, relative to `root`.
        prefixes: Id prefix to item type (one of ITEM_TYPES).
        boards: The product's boards: the ones an item without a `boards` field applies to.

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
            raise _error(
                item,
                item.id,
                "the id is taken",
                remedy=f"it stands in {other.file.relative_to(root)}:{other.line} already: give one of them a new number",
            )
        if item.prefix not in prefixes:
            raise _error(
                item,
                item.id,
                f"unknown id prefix '{item.prefix}'",
                remedy=f"known prefixes: {', '.join(prefixes)} (traceability.prefixes in {CONFIG_NAME})",
            )
        first[item.id] = item
        types[item.id] = prefixes[item.prefix]
    names = {path: path.relative_to(root).as_posix() for path in {item.file for item in raw}}
    return tuple(_item(item, root, names[item.file], types, boards) for item in raw)


def fingerprint(
    *,
    id: str,  # noqa: A002 - the attribute's name
    type: str,  # noqa: A002 - the attribute's name
    title: str,
    text: str,
    fields: Mapping[str, str],
    links: Mapping[str, Iterable[str]],
    boards: Iterable[str],
) -> str:
    """SHA-256 of an item's attributes as canonical JSON, 64 lower-case hexadecimal digits.

    pydantic's encoder gives RFC 8785 here, because the keys are put in order, every key is ASCII and every value a string; it
    takes a twentieth of the time of a general implementation, which the tests compare it with.
    """
    content = {
        "boards": list(boards),
        "fields": dict(sorted(fields.items())),
        "id": id,
        "links": {kind: list(targets) for kind, targets in sorted(links.items())},
        "text": text,
        "title": title,
        "type": type,
    }
    return hashlib.sha256(to_json(content)).hexdigest()


def _item(raw: RawItem, root: Path, name: str, types: Mapping[str, str], boards: Sequence[str]) -> Item:
    kind = types[raw.id]
    fields: dict[str, str] = {}
    links: dict[str, list[str]] = {}
    applies = list(boards)
    for key, value in raw.fields.items():
        if key in LINKS:
            links[key] = _link(raw, key, value, types)
        elif key == "boards":
            applies = _boards(raw, kind, value, boards)
        else:
            _check_field(raw, key, value, kind)
            fields[key] = value
    if "evidence" in fields:
        fields[EVIDENCE_DIGEST] = _evidence_digest(raw, root)
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


def _link(raw: RawItem, key: str, value: str, types: Mapping[str, str]) -> list[str]:
    source, target = LINKS[key]
    kind = types[raw.id]
    if kind != source:
        own = ", ".join(name for name, (carrier, _) in LINKS.items() if carrier == kind) or "none"
        raise _error(raw, key, f"a {kind} has no link '{key}'", remedy=f"links of a {kind}: {own}")
    targets = _names(raw, key, value)
    for name in targets:
        if name not in types:
            close = difflib.get_close_matches(name, types, n=1)
            raise _error(
                raw,
                key,
                f"there is no item {name}",
                remedy=f"did you mean {close[0]}?" if close else f"write {name}, or link an existing {target}",
            )
        if types[name] != target:
            raise _error(raw, key, f"{name} is a {types[name]}", remedy=f"'{key}' leads from a {source} to a {target}")
    return targets


def _boards(raw: RawItem, kind: str, value: str, boards: Sequence[str]) -> list[str]:
    if kind != REQUIREMENT:
        raise _error(raw, "boards", f"a {kind} concerns the whole product", remedy="only requirements name boards")
    names = _names(raw, "boards", value)
    for name in names:
        if name not in boards:
            raise _error(raw, "boards", f"unknown board '{name}'", remedy=f"known boards: {', '.join(boards)}")
    return [board for board in boards if board in names]


def _names(raw: RawItem, key: str, value: str) -> list[str]:
    names = [name.strip() for name in value.split(",")]
    if not all(names):
        raise _error(raw, key, f"an empty name in '{value}'", remedy="part the names by single commas")
    if len(set(names)) != len(names):
        raise _error(raw, key, f"a name stands twice in '{value}'", remedy="name each once")
    return names


def _check_field(raw: RawItem, key: str, value: str, kind: str) -> None:
    if key == EVIDENCE_DIGEST:
        raise _error(raw, key, "is written by devicepipe", remedy="remove the line")
    meant = _meant(key)
    if meant is not None:
        raise _error(raw, key, "looks like a mistyped key", remedy=f"did you mean '{meant}'?")
    if key in ("verification", "evidence") and kind != REQUIREMENT:
        raise _error(raw, key, f"a {kind} has no '{key}'", remedy="only requirements have it")
    if key == "verification" and value not in VERIFICATION:
        raise _error(
            raw,
            key,
            f"expected one of {', '.join(VERIFICATION)}, found '{value}'",
            remedy="name the method of verification",
        )
    if key == "evidence" and raw.fields.get("verification", "test") == "test":
        raise _error(
            raw,
            key,
            "is for a requirement verified by analysis or inspection",
            remedy="add '- verification: analysis', or remove the line: a test's evidence is found by its id",
        )


@functools.cache
def _meant(key: str) -> str | None:
    """The known key that `key` is a typo of; None for a known key and for a field of the user's own."""
    if key in _KNOWN_KEYS:
        return None
    close = difflib.get_close_matches(key, _KNOWN_KEYS, n=1, cutoff=0.8)
    return close[0] if close else None


def _evidence_digest(raw: RawItem, root: Path) -> str:
    value = raw.fields["evidence"]
    path = (root / value).resolve()
    if not path.is_relative_to(root.resolve()):
        raise _error(
            raw, "evidence", f"'{value}' lies outside the project", remedy="commit the record with the product"
        )
    try:
        return sha256_of(path)
    except OSError as error:
        raise _error(
            raw,
            "evidence",
            f"'{value}' cannot be read: {error.strerror}",
            remedy="name the record of the verification, relative to the project's root",
        ) from error


def _error(raw: RawItem, key: str, message: str, *, remedy: str) -> UsageError:
    return UsageError(message, file=raw.file, line=raw.lines.get(key, raw.line), key=key, remedy=remedy)
