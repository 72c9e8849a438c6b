"""Item types, links and rules as data: what devicepipe comes with (schema.toml), extended by a product.

What always holds of a `Schema`: every type, link and rule that it names exists, a rule's links can lead from or to its type, and no
two types share a prefix; otherwise reading it (`schema_files`) raised a UsageError with file, line, key and remedy.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from devicepipe.project.config import Project
    from devicepipe.project.trace_schema import SafetyClass, Severity

CODE = "code"
"""What stands in a rule's `covered-by` or `if-any` for a marker in a source file (`code_markers`)."""

CLASSES: tuple[SafetyClass, ...] = ("A", "B", "C")


@dataclass(frozen=True, slots=True)
class FieldRule:
    """What may stand in a field (see `FieldText`)."""

    needed: bool
    values: tuple[str, ...]
    scale: str | None
    form: str
    reserved: bool


@dataclass(frozen=True, slots=True)
class ItemType:
    """An item type: how people call it, whether its items may name boards, its fields, and of which it needs one."""

    name: str
    title: str
    prefix: str
    boards: bool
    fields: Mapping[str, FieldRule]
    one_of: tuple[tuple[str, ...], ...]

    @property
    def article(self) -> str:
        """The indefinite article before its title."""
        return "an" if self.title[0] in "aeio" or (self.title[0] == "u" and not self.title.startswith("us")) else "a"

    @property
    def called(self) -> str:
        """Its title with the article: "a requirement"."""
        return f"{self.article} {self.title}"


@dataclass(frozen=True, slots=True)
class LinkKind:
    """A kind of link: the types that carry it, those that it leads to, and how many targets an item has, at least and at most."""

    name: str
    sources: tuple[str, ...]
    targets: tuple[str, ...]
    at_least: int
    at_most: int | None


@dataclass(frozen=True, slots=True)
class Rule:
    """What must be covered (see `RuleText`); `severity` by safety class."""

    name: str
    of: str
    has: tuple[str, ...]
    covered_by: tuple[str, ...]
    at_least: int
    at_most: int | None
    if_any: tuple[str, ...]
    severity: Mapping[SafetyClass, Severity]
    reason: str


@dataclass(frozen=True, slots=True)
class Schema:
    """The types, links and rules of a product, by name, and the type of each id prefix.

    `digest` is a SHA-256 over all of it.
    """

    types: Mapping[str, ItemType]
    links: Mapping[str, LinkKind]
    rules: Mapping[str, Rule]
    prefixes: Mapping[str, str]
    digest: str

    def links_of(self, kind: str) -> tuple[LinkKind, ...]:
        """The links that an item of a type may carry."""
        return tuple(link for link in self.links.values() if kind in link.sources)

    def titles(self, kinds: tuple[str, ...], joined: str = " or ") -> str:
        """The titles of some types, as they stand in a sentence."""
        return joined.join(self.types[kind].title if kind in self.types else kind for kind in kinds)

    def to_json(self) -> dict[str, Any]:
        """It as JSON-ready data."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Schema:
        """What `to_json` gave. Raises KeyError or TypeError where it is something else."""
        return cls(
            {name: _item_type(**text) for name, text in data["types"].items()},
            {name: _with_tuples(LinkKind, text) for name, text in data["links"].items()},
            {name: _with_tuples(Rule, text) for name, text in data["rules"].items()},
            data["prefixes"],
            data["digest"],
        )


T = TypeVar("T")


def _item_type(*, fields: dict[str, Any], one_of: list[list[str]], **text: Any) -> ItemType:
    rules = {key: _with_tuples(FieldRule, field) for key, field in fields.items()}
    return ItemType(fields=rules, one_of=tuple(map(tuple, one_of)), **text)


def _with_tuples(kind: type[T], text: dict[str, Any]) -> T:
    return kind(**{key: tuple(value) if isinstance(value, list) else value for key, value in text.items()})


@functools.cache
def shipped_schema() -> Schema:
    """The schema that devicepipe comes with."""
    from devicepipe.traceability.schema_files import read_shipped

    return read_shipped()


def project_schema(project: Project) -> Schema:
    """A product's schema.

    Raises:
        UsageError: It is wrong; names file, line and key.
    """
    from devicepipe.traceability.schema_files import read_schema

    return read_schema(project)


def rules_of(schema: Schema, safety_class: SafetyClass, present: Mapping[str, Any]) -> Iterator[tuple[Rule, Severity]]:
    """The rules that hold for a product of a safety class, with their severity.

    Args:
        schema: The product's schema.
        safety_class: Its safety class.
        present: The item types that it has items of, and `code` where it has markers in its sources.
    """
    for rule in schema.rules.values():
        severity = rule.severity[safety_class]
        if severity != "off" and (not rule.if_any or any(name in present for name in rule.if_any)):
            yield rule, severity
