"""The schema as it is written: the file that devicepipe comes with, and what a product puts over it.

A product extends it in `[traceability]` of devicepipe.toml (tables `types`, `links`, `rules`) and in the file that `schema` names
there; what stands in devicepipe.toml counts last. A key that is given replaces what was there; what is not given stays.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

from devicepipe.errors import UsageError
from devicepipe.project.config import CONFIG_NAME, Project
from devicepipe.project.toml_file import Table, TomlFile, Where
from devicepipe.project.trace_schema import LinkText, RuleText, SafetyClass, SchemaText, Severity, TypeText
from devicepipe.traceability.schema import CLASSES, CODE, FieldRule, ItemType, LinkKind, Rule, Schema, shipped_schema

_ORDER: tuple[Severity, ...] = ("off", "warning", "error")
_REMEDY = "see docs/reference/traceability.md"
_SHIPPED = Path(__file__).with_name("schema.toml")


def read_shipped() -> Schema:
    """The schema that devicepipe comes with."""
    source = TomlFile.read(_SHIPPED)
    return _Builder([_Layer(source, (), source.parse(SchemaText))], None).schema()


def read_schema(project: Project) -> Schema:
    """A product's schema. Raises UsageError as `project_schema` does."""
    settings = project.traceability
    if (
        settings.schema_ is None
        and settings.prefixes is None
        and not (settings.types or settings.links or settings.rules)
    ):
        return shipped_schema()
    shipped = TomlFile.read(_SHIPPED)
    layers = [_Layer(shipped, (), shipped.parse(SchemaText))]
    if settings.schema_ is not None:
        file = TomlFile.read(project.root / settings.schema_, advice=_REMEDY)
        layers.append(_Layer(file, (), file.parse(SchemaText)))
    config = TomlFile.read(project.root / CONFIG_NAME, advice=_REMEDY)
    layers.append(_Layer(config, ("traceability",), settings))
    return _Builder(layers, settings.prefixes).schema()


@dataclass(frozen=True, slots=True)
class _Layer:
    """A file that says something of the schema, and the table of it under which that stands."""

    file: TomlFile
    above: Where
    text: SchemaText

    def has(self, where: Where) -> bool:
        """Whether a key (table, name, key) is given here."""
        table, name, *keys = where
        entry = getattr(self.text, str(table)).get(name)
        return entry is not None and (not keys or _field_of(entry, str(keys[0])) in entry.model_fields_set)


T = TypeVar("T", bound=Table)


class _Builder:
    """Puts layers together and checks what they say."""

    def __init__(self, layers: list[_Layer], prefixes: Mapping[str, str] | None) -> None:
        self._layers = layers
        self._given = prefixes
        self._types: dict[str, TypeText] = {}
        self._links: dict[str, LinkText] = {}
        self._rules: dict[str, RuleText] = {}

    def schema(self) -> Schema:
        for layer in self._layers:
            for name, text in layer.text.types.items():
                self._types[name] = _type_over(self._types.get(name), text)
            for name, link in layer.text.links.items():
                self._links[name] = _over(self._links.get(name), link)
            for name, rule in layer.text.rules.items():
                self._rules[name] = self._rule_over(name, rule)
        prefixes = self._prefixes()
        types = {name: self._type(name, text) for name, text in self._types.items()}
        links = {name: self._link(name, text) for name, text in self._links.items()}
        rules = {name: self._rule(name, text) for name, text in self._rules.items()}
        content: dict[str, Any] = {
            "types": {name: text.model_dump(by_alias=True) for name, text in self._types.items()},
            "links": {name: asdict(link) for name, link in links.items()},
            "rules": {name: text.model_dump(by_alias=True) for name, text in self._rules.items()},
            "prefixes": prefixes,
        }
        digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
        return Schema(types, links, rules, prefixes, digest)

    # --- types

    def _prefixes(self) -> dict[str, str]:
        found: dict[str, str] = {}
        for name, text in self._types.items():
            if not text.prefix:
                continue
            if text.prefix in found:
                raise self._error(
                    f"'{text.prefix}' is the prefix of '{found[text.prefix]}' already",
                    ("types", name, "prefix"),
                    "give each type a prefix of its own",
                )
            found[text.prefix] = name
        if self._given is None:
            return found
        for prefix, kind in self._given.items():
            if kind not in self._types:
                config = self._layers[-1]
                raise config.file.error(
                    f"unknown item type '{kind}'",
                    (*config.above, "prefixes", prefix),
                    remedy=f"known types: {', '.join(self._types)}",
                )
        # The product's own list stands for the shipped one; types that the product adds bring their prefixes along.
        own = {text.prefix for layer in self._layers[1:] for text in layer.text.types.values() if text.prefix}
        return {**self._given, **{prefix: kind for prefix, kind in found.items() if prefix in own}}

    def _type(self, name: str, text: TypeText) -> ItemType:
        if name == CODE:
            raise self._error(f"'{CODE}' stands for markers in sources", ("types", name), "call the type otherwise")
        for key in text.fields:
            if key in self._links:
                raise self._error(f"'{key}' is a link", ("types", name, "fields"), "call the field otherwise")
        title = text.title or name.replace("-", " ")
        fields = {
            key: FieldRule(one.needed, one.values, one.scale, one.form, one.reserved)
            for key, one in text.fields.items()
        }
        return ItemType(name, title, text.prefix or "", text.boards, fields, text.one_of)

    # --- links

    def _link(self, name: str, text: LinkText) -> LinkKind:
        for key, kinds in (("from", text.from_), ("to", text.to)):
            self._known(kinds, self._types, ("links", name, key), "item type")
            if not kinds:
                raise self._error("names no item type", ("links", name, key), f"types: {', '.join(self._types)}")
        if text.at_most is not None and text.at_most < text.at_least:
            raise self._error(
                f"is less than at-least, {text.at_least}", ("links", name, "at-most"), "correct one of the two"
            )
        return LinkKind(name, text.from_, text.to, text.at_least, text.at_most)

    # --- rules

    def _rule_over(self, name: str, text: RuleText) -> RuleText:
        """A rule of a further layer: it may not be weaker than `least` of the ones before."""
        before = self._rules.get(name)
        rule = _over(before, text)
        if before is None or before.least == "off":
            return rule
        weakest = min(_by_class(rule.severity).values(), key=_ORDER.index)
        fix = f"remove the line: a product may make '{name}' stricter only ({before.reason})"
        if _ORDER.index(weakest) < _ORDER.index(before.least):
            raise self._error(f"may not be '{weakest}'", ("rules", name, "severity"), fix, newest=text)
        if rule.at_least < before.at_least:
            raise self._error(f"may not be below {before.at_least}", ("rules", name, "at-least"), fix, newest=text)
        return rule.model_copy(update={"least": before.least})

    def _rule(self, name: str, text: RuleText) -> Rule:
        where: Where = ("rules", name)
        if text.of is None:
            raise self._error("missing key", (*where, "of"), 'say of which item type the rule is: of = "requirement"')
        self._known((text.of,), self._types, (*where, "of"), "item type")
        if bool(text.has) == bool(text.covered_by):
            raise self._error("needs 'has' or 'covered-by', one of them", where, "name the links that are counted")
        self._known(text.has, self._links, (*where, "has"), "link")
        self._known(text.covered_by, [*self._links, CODE], (*where, "covered-by"), "link")
        self._known(text.if_any, [*self._types, CODE], (*where, "if-any"), "item type")
        for key, kinds in (("has", text.has), ("covered-by", text.covered_by)):
            for kind in kinds:
                if kind == CODE:
                    continue
                link = self._links[kind]
                if text.of not in (link.from_ if key == "has" else link.to):
                    way = "from" if key == "has" else "to"
                    raise self._error(
                        f"no '{kind}' leads {way} {text.of}",
                        (*where, key),
                        f"add it to {way} of the link, or correct the rule",
                    )
        if text.at_most is not None and text.at_most < text.at_least:
            raise self._error(f"is less than at-least, {text.at_least}", (*where, "at-most"), "correct one of the two")
        return Rule(
            name, text.of, text.has, text.covered_by, text.at_least, text.at_most, text.if_any,
            _by_class(text.severity), text.reason,
        )  # fmt: skip

    # --- mistakes

    def _known(self, names: tuple[str, ...], known: Any, where: Where, what: str) -> None:
        for name in names:
            if name not in known:
                raise self._error(f"there is no {what} '{name}'", where, f"there are: {', '.join(known)}")

    def _error(self, message: str, where: Where, remedy: str, *, newest: RuleText | None = None) -> UsageError:
        """A mistake in the last file that gives a key, or else the table that the key is missing in."""
        for key in (where, where[:2]):
            for layer in reversed(self._layers):
                if layer.has(key) and (newest is None or layer.text.rules.get(str(where[1])) is newest):
                    return layer.file.error(message, (*layer.above, *where), remedy=remedy)
        return self._layers[-1].file.error(message, (*self._layers[-1].above, *where), remedy=remedy)


def _field_of(entry: Table, key: str) -> str:
    return next((name for name, field in type(entry).model_fields.items() if key in (name, field.alias)), key)


def _over(before: T | None, text: T) -> T:
    """The keys of a later file over those of an earlier one."""
    if before is None:
        return text
    return before.model_copy(update={name: getattr(text, name) for name in text.model_fields_set})


def _type_over(before: TypeText | None, text: TypeText) -> TypeText:
    if before is None:
        return text
    fields = dict(before.fields)
    for key, field in text.fields.items():
        fields[key] = _over(fields.get(key), field)
    return _over(before, text).model_copy(update={"fields": fields})


def _by_class(severity: Severity | dict[SafetyClass, Severity]) -> dict[SafetyClass, Severity]:
    """The severity for each safety class; one that is not given is `off`."""
    if isinstance(severity, dict):
        return {each: severity.get(each, "off") for each in CLASSES}
    return dict.fromkeys(CLASSES, severity)
