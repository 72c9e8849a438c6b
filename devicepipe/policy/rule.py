"""A rule in CEL as data, compiled once and proven before it judges.

What always holds of a `Rule`: every expression compiled and is of the right type. One that was proven has at least one example that
it passes and one that it fails, and decided all of its examples as they say: so a rule that cannot fail is never used.

A rule is a `[[rule]]` table of a TOML file (rules.py says which) with

    id, title, clause    what is asked, and by which clause
    severity             "error" decides about the release, "warning" is only shown
    scope                "release": judged once; "board": judged for each board
    waivable-by          optional: the roles that may waive it, e.g. ["quality"]; left out: nobody may
    expression           CEL, a boolean: does the rule hold? It reads `release` and, in scope "board", `board`
    passed               CEL, a string: what was seen, where it holds
    failed               CEL, a list of strings: what was seen, where it does not
    message              the sentence for a rule that does not hold; "{seen}" is replaced by what `failed` gives
    remedy               what to do then
    [[rule.example]]     name, passes (true or false), and the variables `release` and `board`

The language is defined at https://cel.dev; what the variables hold is written in devicepipe/policy/evidence.py.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from cel_expr_python import cel
from pydantic import Field, StringConstraints

from devicepipe.errors import UsageError
from devicepipe.project.policy import Role
from devicepipe.project.toml_file import Table, Text, TomlFile, Where

_SEEN = "{seen}"
_MISSING = re.compile(r'Key not found in map : "(.*)"')
REMEDY = "docs/reference/policy.md says how a rule set is written"

# The types an expression may have, by CEL's names. What evidence holds is DYN, known only when it is read: that will do for
# words, which `Rule.judge` checks, but the decision itself must be a boolean by its form.
_KINDS = {"expression": ("BOOL",), "passed": ("STRING", "DYN"), "failed": ("LIST", "DYN")}


class Example(Table):
    """Evidence that a rule must pass or must fail."""

    name: Text
    passes: bool
    release: dict[str, Any] = Field(default_factory=dict)
    board: dict[str, Any] = Field(default_factory=dict)


class RuleText(Table):
    """A rule as written; see this module's docstring."""

    id: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]*$")]
    title: Text
    clause: Text
    severity: Literal["error", "warning"]
    scope: Literal["release", "board"]
    waivable_by: tuple[Role, ...] = Field(default=(), strict=False)
    expression: Text
    passed: Text
    failed: Text
    message: Text
    remedy: Text
    example: tuple[Example, ...] = Field(strict=False)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a rule says of evidence.

    Attributes:
        holds: Whether it holds.
        seen: What was seen, in sentences or names.
        undecided: Why the rule could not be evaluated; "" where it could.
    """

    holds: bool
    seen: tuple[str, ...]
    undecided: str = ""


@dataclass(frozen=True, slots=True)
class Rule:
    """A compiled rule."""

    text: RuleText
    _expression: cel.Expression
    _passed: cel.Expression
    _failed: cel.Expression

    def judge(self, variables: cel.Activation) -> Outcome:
        """Judge evidence; never raises.

        Returns:
            `holds` is true only where the expression gave true. Where it, or the account of what was seen, could not be
            evaluated (evidence is missing, or of another type), `undecided` is the reason and `holds` is false.
        """
        holds, reason = _evaluate(self._expression, variables)
        if reason:
            return Outcome(holds=False, seen=(), undecided=reason)
        seen, reason = _evaluate(self._passed if holds is True else self._failed, variables)
        sentences = [seen] if holds is True else seen
        if not reason and not (isinstance(sentences, list) and all(isinstance(one, str) for one in sentences)):
            reason = f"what was seen is not told in words: {seen!r}"
        if reason:
            return Outcome(holds=False, seen=(), undecided=reason)
        return Outcome(holds=holds is True, seen=tuple(sentences))


def variables(release: Mapping[str, Any], board: Mapping[str, Any] | None = None) -> cel.Activation:
    """The variables of an evaluation; converted once, for all rules that read them."""
    data: dict[str, Any] = {"release": dict(release)}
    if board is not None:
        data["board"] = dict(board)
    return _environment("board").Activation(data)


@functools.cache
def _environment(scope: str) -> cel.Env:
    anything = cel.Type.Map(cel.Type.STRING, cel.Type.DYN)
    names = ("release", "board") if scope == "board" else ("release",)
    return cel.NewEnv(variables=dict.fromkeys(names, anything))


def compile_rule(written: RuleText, source: TomlFile, index: int) -> Rule:
    """Compile a rule, the `index`-th of its file.

    Raises:
        UsageError: An expression does not compile or is of the wrong type, or the message does not tell what was seen.
    """
    environment = _environment(written.scope)
    compiled: list[cel.Expression] = []
    for key, kinds in _KINDS.items():
        try:
            expression = environment.compile(getattr(written, key))
        except RuntimeError as error:
            reason = str(error).removesuffix(" [INVALID_ARGUMENT]").removeprefix("INVALID_ARGUMENT: ")
            raise _error(source, ("rule", index, key), f"does not compile: {reason}") from error
        found = expression.return_type().name()
        if found.partition("<")[0] not in kinds:
            raise _error(
                source,
                ("rule", index, key),
                f"expected an expression of type {kinds[0].lower()}, found {found.lower()}",
                remedy="compare or convert what it reads, e.g. release.source.dirty == false",
            )
        compiled.append(expression)
    if _SEEN not in written.message:
        raise _error(source, ("rule", index, "message"), f"does not say what was seen: expected '{_SEEN}' in it")
    return Rule(written, *compiled)


def prove(rule: Rule, source: TomlFile, index: int) -> None:
    """See that a rule passes and fails its examples as they say.

    Raises:
        UsageError: It does not, or it has no example of one of the two kinds.
    """
    where = ("rule", index, "example")
    if {example.passes for example in rule.text.example} != {True, False}:
        raise _error(
            source,
            where,
            f"rule '{rule.text.id}' is not proven",
            remedy="give it at least one example that passes and one that fails",
        )
    for example in rule.text.example:
        if told := surprise(rule, example):
            raise _error(source, where, told, remedy="correct the expression or the example")


def surprise(rule: Rule, example: Example) -> str:
    """How a rule decides an example otherwise than it says, in a sentence; "" where it decides it as it says."""
    outcome = rule.judge(variables(example.release, example.board))
    told = outcome.undecided or "; ".join(outcome.seen)
    if outcome.holds == example.passes and told:
        return ""
    decided = "passes" if outcome.holds else "fails"
    return f"rule '{rule.text.id}' {decided} its example '{example.name}': {told or 'nothing seen'}"


def _evaluate(expression: cel.Expression, variables: cel.Activation) -> tuple[Any, str]:
    """The value, or the reason why there is none."""
    try:
        value = expression.eval(variables)
    except RuntimeError as error:  # CEL gives up, e.g. after too many steps
        return None, str(error)
    if value.type() in (cel.Type.ERROR, cel.Type.UNKNOWN):
        told = str(value.plain_value()).partition(": ")[2]
        missing = _MISSING.fullmatch(told)
        return None, f"there is no evidence of '{missing[1]}'" if missing else told
    return value.plain_value(), ""


def _error(source: TomlFile, where: Where, message: str, *, remedy: str = REMEDY) -> UsageError:
    return source.error(message, where, remedy=remedy)
