"""What the schema's rules ask of the items: which item is covered by what, and where that does not hold."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from devicepipe.evidence.words import HOST, HOST_TEST, REQUIREMENT, Verdict
from devicepipe.traceability.findings import Found
from devicepipe.traceability.schema import CODE, Rule, Schema, rules_of

if TYPE_CHECKING:
    from devicepipe.project.trace_schema import SafetyClass, Severity
    from devicepipe.traceability.drafts import Traced


class Tested(Protocol):
    """What of a line of the matrix is looked at here."""

    @property
    def requirement(self) -> str:
        """A requirement's id, or ""."""

    @property
    def test(self) -> str:
        """What verifies it, or ""."""

    @property
    def verdicts(self) -> dict[str, str]:
        """By board."""


NOTHING: tuple[str, ...] = ()


class LinkIndex:
    """By kind of link and target: the items that link to it, in their order. `code` is a kind as well: marker → item."""

    def __init__(self, items: Sequence[Traced], code: Mapping[str, Sequence[str]]) -> None:
        self._found: dict[str, dict[str, list[str]]] = {CODE: {name: list(places) for name, places in code.items()}}
        for item in items:
            for kind, targets in item.links.items():
                by_target = self._found.setdefault(kind, {})
                for target in targets:
                    by_target.setdefault(target, []).append(item.id)

    def sources(self, kind: str, target: str) -> Sequence[str]:
        """The ids of the items (for `code` the places of the markers) that lead to `target` by links of a kind."""
        return self._found.get(kind, {}).get(target, NOTHING)


@dataclass(frozen=True, slots=True)
class Covered:
    """How far a rule holds: of how many items (`total`) it is asked, and the ids of those for which it does not hold."""

    rule: Rule
    severity: Severity
    total: int
    missing: tuple[str, ...]


class RuleCheck:
    """The rules that hold for a product, and what does not hold of them.

    Args:
        items: The product's items.
        schema: Its schema.
        safety_class: Its safety class.
        code: Item → the markers in sources that name it ("src/flow.c:12").
    """

    def __init__(
        self, items: Sequence[Traced], schema: Schema, safety_class: SafetyClass, code: Mapping[str, Sequence[str]]
    ) -> None:
        self._schema = schema
        self.index = LinkIndex(items, code)
        present = dict.fromkeys(item.type for item in items)
        if code:
            present[CODE] = None
        self._rules: dict[str, list[tuple[Rule, Severity]]] = {}
        for rule, severity in rules_of(schema, safety_class, present):
            self._rules.setdefault(rule.of, []).append((rule, severity))

    def findings(self, item: Traced) -> Iterator[Found]:
        """What does not hold of one item, in the order of the rules."""
        for rule, severity in self._rules.get(item.type, ()):
            count = self._count(rule, item)
            if count < rule.at_least or (rule.at_most is not None and count > rule.at_most):
                yield Found(
                    kind=rule.name,
                    item=item.id,
                    message=self._told(rule, count),
                    file=item.file,
                    line=item.line,
                    severity="error" if severity == "error" else "warning",
                )

    def covered(self, items: Sequence[Traced]) -> list[Covered]:
        """How far each rule holds."""
        by_type: dict[str, list[Traced]] = {}
        for item in items:
            by_type.setdefault(item.type, []).append(item)
        return [
            Covered(
                rule,
                severity,
                len(by_type.get(rule.of, ())),
                tuple(
                    item.id
                    for item in by_type.get(rule.of, ())
                    if not rule.at_least <= (count := self._count(rule, item)) <= (rule.at_most or count)
                ),
            )
            for rules in self._rules.values()
            for rule, severity in rules
        ]

    def _count(self, rule: Rule, item: Traced) -> int:
        if rule.has:
            return sum(len(item.links.get(kind, NOTHING)) for kind in rule.has)
        return sum(len(self.index.sources(kind, item.id)) for kind in rule.covered_by)

    def _told(self, rule: Rule, count: int) -> str:
        """The finding as a sentence without its subject, e.g. "no design item realises it"."""
        if rule.at_most is not None and count > rule.at_most:
            return f"{count} of {', '.join(rule.has or rule.covered_by)}, at most {rule.at_most} allowed"
        if count:
            return f"{count} of {', '.join(rule.has or rule.covered_by)}, at least {rule.at_least} needed"
        if rule.has:
            links = [self._schema.links[kind] for kind in rule.has]
            return "it " + ", and ".join(f"{link.name} no {self._schema.titles(link.targets)}" for link in links)
        parts = []
        for kind in rule.covered_by:
            source = "code" if kind == CODE else self._schema.titles(self._schema.links[kind].sources)
            parts.append(f"no {source} {'realises' if kind == CODE else kind} it")
        return ", and ".join(parts)


@dataclass(frozen=True, slots=True)
class Share:
    """How many items of a type (`of`, its title) something holds for: of `total` all but those `missing`."""

    of: str
    what: str
    total: int
    missing: tuple[str, ...]

    def to_json(self) -> dict[str, str | int | list[str]]:
        """As JSON."""
        covered = self.total - len(self.missing)
        return {"of": self.of, "what": self.what, "covered": covered, "total": self.total, "missing": [*self.missing]}


def rule_shares(check: RuleCheck, items: Sequence[Traced], schema: Schema) -> list[Share]:
    """How far each rule of the schema holds that is asked of any item."""
    return [
        Share(schema.types[one.rule.of].title, _what(one.rule, schema), one.total, one.missing)
        for one in check.covered(items)
        if one.total
    ]


def _what(rule: Rule, schema: Schema) -> str:
    if rule.has:
        return " or ".join(f"{kind} {schema.titles(schema.links[kind].targets)}" for kind in rule.has)
    sources = [CODE if kind == CODE else schema.titles(schema.links[kind].sources) for kind in rule.covered_by]
    names = ["realises" if kind == CODE else kind for kind in rule.covered_by]
    return " or ".join(f"{source} {name} it" for source, name in zip(sources, names, strict=True))


def tested_share(items: Sequence[Traced], rows: Sequence[Tested]) -> Share:
    """How many requirements a test names, or a record verifies."""
    named = {row.requirement for row in rows if row.test}
    asked = [item.id for item in items if item.type == REQUIREMENT]
    return Share(
        REQUIREMENT, "test or record verifies it", len(asked), tuple(name for name in asked if name not in named)
    )


def passed_shares(items: Sequence[Traced], rows: Sequence[Tested], boards: Sequence[str]) -> list[Share]:
    """How many requirements a test verifies that passed, or a record, on each board that they apply to."""
    shares = []
    on_host = {row.requirement for row in rows if row.verdicts.get(HOST) == Verdict.PASSED}
    for board in boards:
        passed = {row.requirement for row in rows if row.verdicts.get(board) == Verdict.PASSED}
        asked = [item for item in items if item.type == REQUIREMENT and board in item.boards]
        missing = tuple(
            item.id
            for item in asked
            if item.id not in passed
            and not item.record
            and not (item.fields.get("verification") == HOST_TEST and item.id in on_host)
        )
        shares.append(Share(REQUIREMENT, f"verified on {board}", len(asked), missing))
    return shares
