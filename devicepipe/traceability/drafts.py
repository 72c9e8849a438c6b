"""An item as its own file says it, checked as far as that goes without looking at any other file.

What a draft is depends on the bytes of its file and on the schema, boards and scales alone, so that it can be kept (`cache`).
What needs other files is left to `items`: whether ids are unique, whether links lead to items that exist and may be led to, and
the digest of a record of evidence.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, Union

from devicepipe.errors import UsageError
from devicepipe.evidence.items import fingerprint
from devicepipe.evidence.words import record_of
from devicepipe.project.place import CONFIG_NAME
from devicepipe.traceability.fields import ALL_BOARDS, BOARDS, EVIDENCE, FieldRules, Scales
from devicepipe.traceability.markdown import RawItem, parse
from devicepipe.traceability.schema import ItemType, Schema

if TYPE_CHECKING:
    from devicepipe.evidence.trace import Item


@dataclass(slots=True)
class Draft:
    """An item's attributes; `lines` are those of its links and of `evidence`. The fingerprint is "" until `evidence` is read.

    `file` is relative to the project's root. It may stand for an `Item` wherever nothing is written down as evidence.
    """

    id: str
    type: str
    title: str
    text: str
    fields: dict[str, str]
    links: dict[str, list[str]]
    boards: list[str]
    file: str
    line: int
    lines: dict[str, int]
    fingerprint: str

    @property
    def record(self) -> str:
        """As `Item.record`."""
        return record_of(self.fields)

    def error(self, root: Path, key: str, message: str, remedy: str) -> UsageError:
        """A UsageError at one of its links, or at its heading."""
        return UsageError(message, file=root / self.file, line=self.lines.get(key, self.line), key=key, remedy=remedy)

    def values(self) -> list[Any]:
        """Its attributes in the order that `Draft` takes them."""
        return [getattr(self, name) for name in self.__slots__]

    def item(self) -> Item:
        """As a value of the evidence, checked."""
        from devicepipe.evidence.trace import Item

        return Item(
            id=self.id,
            type=self.type,
            title=self.title,
            text=self.text,
            fields=self.fields,
            links=self.links,
            boards=self.boards,
            file=self.file,
            line=self.line,
            fingerprint=self.fingerprint or NO_FINGERPRINT,
        )


Traced: TypeAlias = Union["Item", Draft]
"""An item, whether it is evidence already or not yet."""

NO_FINGERPRINT = "0" * 64
"""That of an item whose record of evidence cannot be read: such an item is told as a mistake and becomes no evidence."""


class DraftReader:
    """Reads files of items one by one.

    With `problems`, mistakes are put there and reading goes on behind each; without, the first one is raised.
    """

    def __init__(
        self,
        root: Path,
        schema: Schema,
        prefixes: Mapping[str, str],
        boards: Sequence[str],
        scales: Scales,
        problems: list[UsageError] | None = None,
    ) -> None:
        self._root = root
        self._names: dict[Path, str] = {}
        self._schema = schema
        self._prefixes = prefixes
        self._boards = list(boards)
        self._rules = FieldRules(schema, scales)
        self._problems = problems

    def read(self, text: str, path: Path) -> list[Draft]:
        """The drafts of a file's text, in order.

        Raises:
            UsageError: The text breaks the grammar or the schema, and there is no list of problems.
        """
        return self.take(parse(text, path, self._problems))

    def take(self, items: Sequence[RawItem]) -> list[Draft]:
        """The drafts of items that were read elsewhere. Raises as `read` does."""
        drafts = []
        for raw in items:
            kind = raw.type or self._prefixes.get(raw.prefix)
            if kind is None:
                self._tell(
                    raw.error(
                        raw.id,
                        f"unknown id prefix '{raw.prefix}'",
                        remedy=f"known prefixes: {', '.join(self._prefixes)} (traceability.prefixes in {CONFIG_NAME})",
                    )
                )
            else:
                drafts.append(self._draft(raw, self._schema.types[kind]))
        return drafts

    def _name(self, path: Path) -> str:
        """A file relative to the project's root."""
        if path not in self._names:
            self._names[path] = path.relative_to(self._root).as_posix()
        return self._names[path]

    def _tell(self, problem: UsageError) -> None:
        if self._problems is None:
            raise problem
        self._problems.append(problem)

    def _draft(self, raw: RawItem, kind: ItemType) -> Draft:
        fields: dict[str, str] = {}
        links: dict[str, list[str]] = {}
        lines: dict[str, int] = {}
        applies = self._boards
        free = self._rules.free[kind.name]
        for key, value in raw.fields.items():
            if key in free:
                fields[key] = value
                continue
            try:
                if key in self._schema.links:
                    links[key] = self._targets(raw, key, value, kind)
                    lines[key] = raw.lines.get(key, raw.line)
                elif key == BOARDS:
                    applies = self._applies(raw, kind, value)
                    fields[key] = value
                else:
                    self._rules.check(raw, key, value, kind)
                    fields[key] = value
                    if key == EVIDENCE:
                        lines[key] = raw.lines.get(key, raw.line)
            except UsageError as error:
                self._tell(error)
        try:
            self._rules.check_needed(raw, kind, raw.fields)
        except UsageError as error:
            self._tell(error)
        digest = (
            ""
            if EVIDENCE in lines
            else fingerprint(
                id=raw.id, type=kind.name, title=raw.title, text=raw.text, fields=fields, links=links, boards=applies
            )
        )
        file = self._name(raw.file)
        return Draft(raw.id, kind.name, raw.title, raw.text, fields, links, applies, file, raw.line, lines, digest)

    def _targets(self, raw: RawItem, key: str, value: str, kind: ItemType) -> list[str]:
        link = self._schema.links[key]
        if kind.name not in link.sources:
            own = ", ".join(self._rules.links[kind.name]) or "none"
            raise raw.error(key, f"{kind.called} has no link '{key}'", remedy=f"links of {kind.called}: {own}")
        targets = _names(raw, key, value)
        if not link.at_least <= len(targets) <= (link.at_most or len(targets)):
            wanted = f"at least {link.at_least}" if len(targets) < link.at_least else f"at most {link.at_most}"
            raise raw.error(
                key, f"expected {wanted} of {self._schema.titles(link.targets)}, found {len(targets)}",
                remedy=f"correct it, or change links.{key} of the schema",
            )  # fmt: skip
        return targets

    def _applies(self, raw: RawItem, kind: ItemType, value: str) -> list[str]:
        if not kind.boards:
            may = " and ".join(f"{one.title}s" for one in self._schema.types.values() if one.boards)
            raise raw.error(BOARDS, f"{kind.called} concerns the whole product", remedy=f"only {may} name boards")
        if value == ALL_BOARDS:
            return self._boards
        names = _names(raw, BOARDS, value)
        for name in names:
            if name not in self._boards:
                raise raw.error(
                    BOARDS, f"unknown board '{name}'", remedy=f"known boards: {', '.join(self._boards)}, or all"
                )
        return [board for board in self._boards if board in names]


def _names(raw: RawItem, key: str, value: str) -> list[str]:
    names = [name.strip() for name in value.split(",")]
    if not all(names):
        raise raw.error(key, f"an empty name in '{value}'", remedy="part the names by single commas")
    if len(set(names)) != len(names):
        raise raw.error(key, f"a name stands twice in '{value}'", remedy="name each once")
    return names
