"""The tables that say which item types and links there are, as they stand in devicepipe.toml or in a schema file.

Every key is optional: what a file gives replaces what was there before, and the rest stays (traceability/schema.py puts the files
together and checks what they say). docs/reference/traceability.md describes each key.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, get_args

from pydantic import Field, PlainValidator

from devicepipe.project.toml_file import Table, matching

Severity = Literal["error", "warning", "off"]
SafetyClass = Literal["A", "B", "C"]

Word = Annotated[str, matching(r"^[a-z][a-z0-9-]*$", "small letters, digits and '-', a letter first", max_length=40)]
Prefix = Annotated[
    str,
    matching(
        r"^[A-Za-z][A-Za-z0-9]*(-[A-Za-z][A-Za-z0-9]*)*$", "letters and digits, e.g. SRS or SYS-REQ", max_length=40
    ),
]
Words = Annotated[tuple[Word, ...], Field(strict=False)]


def _severity(value: Any) -> Any:
    by_class = value if isinstance(value, dict) else {"A": value}
    if not by_class.keys() <= {*get_args(SafetyClass)} or not {*map(str, by_class.values())} <= {*get_args(Severity)}:
        raise ValueError(
            "expected error, warning or off, or one of them for each safety class, e.g. { B = 'warning', C = 'error' }"
        )
    return value


SeverityText = Annotated[Severity | dict[SafetyClass, Severity], PlainValidator(_severity)]


class FieldText(Table):
    """A field of an item type: whether each item needs it, and what may stand in it.

    `values` are the words that may stand there; `scale` takes them from devicepipe.toml; `form` asks for a date or a SHA-256.
    `reserved` refuses the key on items of other types.
    """

    needed: bool = False
    values: tuple[str, ...] = Field(default=(), strict=False)
    scale: Literal["severities", "probabilities"] | None = None
    form: Literal["text", "date", "sha256"] = "text"
    reserved: bool = False


class TypeText(Table):
    """An item type: how people call it, the prefix of its ids, whether it may name boards, its fields.

    Of each list in `one_of`, an item needs at least one field.
    """

    title: str = Field(default="", max_length=40)
    prefix: Prefix | None = None
    boards: bool = False
    one_of: tuple[Words, ...] = Field(default=(), strict=False)
    fields: dict[Word, FieldText] = Field(default_factory=dict)


class LinkText(Table):
    """A kind of link: which types may carry it, which it may lead to, and how many targets an item that carries it has."""

    from_: Words = Field(default=(), alias="from")
    to: Words = ()
    at_least: int = Field(default=0, ge=0)
    at_most: int | None = Field(default=None, ge=1)


class RuleText(Table):
    """What must be covered: each item `of` a type `has` so many links of some kinds, or is the target of so many (`covered_by`).

    `if_any` lets the rule hold only where the product has an item of one of these types (or `code`: a marker in its sources).
    `severity` may differ by safety class. `least` is what a project may not go below.
    """

    of: Word | None = None
    has: Words = ()
    covered_by: Words = ()
    at_least: int = Field(default=1, ge=0)
    at_most: int | None = Field(default=None, ge=1)
    if_any: Words = ()
    severity: SeverityText = "error"
    least: Severity = "off"
    reason: str = ""


class SchemaText(Table):
    """Types, links and rules by name."""

    types: dict[Word, TypeText] = Field(default_factory=dict)
    links: dict[Word, LinkText] = Field(default_factory=dict)
    rules: dict[Word, RuleText] = Field(default_factory=dict)
