"""`devicepipe gate`: the rules of a release, what one of them saw in a bundle, and whether they decide their own examples."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from devicepipe.cli.common import json_option, open_project, print_json, project_option, tell
from devicepipe.errors import EXIT_INTEGRITY, EXIT_OK, EXIT_PRODUCT_FAILED, UsageError

if TYPE_CHECKING:
    from devicepipe.evidence.decisions import Decision, Decisions
    from devicepipe.policy.explain import Input
    from devicepipe.policy.rule import Outcome, Rule
    from devicepipe.policy.rules import RuleSet

_SHOWN = 400


def complete_rule(_ctx: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    """The ids of the product's rules."""
    from devicepipe.errors import DevicepipeError

    try:
        return [rule.text.id for rule in _rules((), Path()).rules if rule.text.id.startswith(incomplete)]
    except DevicepipeError:
        return []


def _complete_set(_ctx: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    from devicepipe.policy.rules import shipped_sets

    return [name for name in shipped_sets() if name.startswith(incomplete)]


@click.group()
def gate() -> None:
    """Show the rules of a release, explain what they decided, and test them on their own examples."""


@gate.command("list")
@click.argument("rule_sets", metavar="[RULE_SET]...", nargs=-1, shell_complete=_complete_set)
@project_option
@json_option
def list_(rule_sets: tuple[str, ...], folder: Path, as_json: bool) -> int:
    """List the rules of the product, or of each RULE_SET (a name, or the path of a file), and the rule sets there are.

    Exit codes: 0 listed, 2 no such rule set, or a mistake in one.
    """
    from devicepipe.policy.rules import load_rule_set, shipped_sets

    shown = [_rules((name,), folder) for name in rule_sets] or [_rules((), folder)]
    known = {name: load_rule_set(name, proven=False) for name in shipped_sets()}
    if as_json:
        print_json(
            {
                "ruleSets": [_set_document(one) for one in shown],
                "shipped": [{"name": one.name, "title": one.title, "rules": len(one.rules)} for one in known.values()],
            }
        )
        return EXIT_OK
    for rules in shown:
        tell(f"{rules.name}: {rules.title}, {len(rules.rules)} rules", bold=True)
        for rule in rules.rules:
            text = rule.text
            roles = f"; {' or '.join(text.waivable_by)} may waive it" if text.waivable_by else ""
            tell(f"  {text.id:32} {text.severity:8} {text.scope:8} {text.clause}{roles}")
            tell(f"  {'':32} {text.title}", dim=True)
        _tell_changes(rules)
    tell()
    tell("rule sets that devicepipe brings along:", bold=True)
    for name, rules in known.items():
        tell(f"  {name:32} {len(rules.rules):3} rules  {rules.title}")
    return EXIT_OK


@gate.command()
@click.argument("rule_sets", metavar="[RULE_SET]...", nargs=-1, shell_complete=_complete_set)
@project_option
@json_option
def test(rule_sets: tuple[str, ...], folder: Path, as_json: bool) -> int:
    """Decide the examples of the product's rule sets, or of each RULE_SET (a name, or the path of a file).

    Exit codes: 0 every rule passes and fails its examples as they say, 1 one does not, 2 no such rule set, or a mistake in one.
    """
    tested = [_tested(name) for name in rule_sets or _sets(folder)]
    surprised = any(one.surprises for one in tested)
    if as_json:
        print_json(
            [
                {
                    "ruleSet": one.rules.name,
                    "rules": len(one.rules.rules),
                    "passing": one.passing,
                    "failing": one.failing,
                    "surprises": one.surprises,
                }
                for one in tested
            ]
        )
        return EXIT_PRODUCT_FAILED if surprised else EXIT_OK
    for one in tested:
        count = f"{len(one.rules.rules)} rules, {one.passing} examples that pass and {one.failing} that fail"
        tell(f"{one.rules.name}: {count}", fg="red" if one.surprises else "green")
        for surprise in one.surprises:
            tell(f"  ✗ {surprise}", fg="red")
    return EXIT_PRODUCT_FAILED if surprised else EXIT_OK


@gate.command()
@click.argument("rule", shell_complete=complete_rule)
@click.argument("bundle", required=False, type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--board", "board", help="Only what it saw of this board.")
@project_option
@json_option
def explain(rule: str, bundle: Path | None, board: str | None, folder: Path, as_json: bool) -> int:
    """Show the rule RULE of the product: what it asks, by which clause, and how it decides.

    With BUNDLE, a release's folder, show what the rule saw there and why it decided as it did, by the rules of that bundle, judged
    again from its evidence. `verify` tells whether the bundle is intact.

    Exit codes: 0 shown, and nothing that stops the release; 1 the rule stops it; 2 no such rule, board or bundle; 4 the rule
    decides otherwise than the bundle says.
    """
    if bundle is None:
        if board is not None:
            raise UsageError("--board is for what a rule saw in a bundle", remedy="name the bundle's folder")
        rules = _rules((), folder)
        found = rules.rule(rule)
        changes = [change.to_json() for change in rules.changes if change.rule == rule]
        if as_json:
            print_json(_rule_document(found) | {"changes": changes})
        else:
            _tell_rule(found)
            for change in changes:
                tell(f"  changed   {change['change']}: {change['reason']} ({change['place']})", fg="yellow")
        return EXIT_OK
    judged = _judged(rule, bundle, board)
    if as_json:
        print_json(_rule_document(judged.rule) | {"decisions": [one.document() for one in judged.decisions]})
    else:
        _tell_rule(judged.rule)
        for one in judged.decisions:
            _tell_decision(one)
    if any(one.differs for one in judged.decisions):
        return EXIT_INTEGRITY
    return EXIT_PRODUCT_FAILED if any(one.recorded.stops for one in judged.decisions) else EXIT_OK


@dataclass(frozen=True)
class _Tested:
    rules: RuleSet
    passing: int
    failing: int
    surprises: list[str]


@dataclass(frozen=True)
class _Seen:
    """A decision of a bundle, and what the rule says of the same evidence now."""

    recorded: Decision
    outcome: Outcome
    inputs: tuple[Input, ...]
    waived: list[str]

    @property
    def differs(self) -> bool:
        return self.outcome.holds != self.recorded.passed

    def document(self) -> dict[str, Any]:
        """As JSON."""
        values = [
            {"path": one.path, "present": one.present} | ({"value": one.value} if one.present else {})
            for one in self.inputs
        ]
        return {
            "board": self.recorded.board,
            "state": self.recorded.state,
            "message": self.recorded.message,
            "remedy": self.recorded.remedy,
            "seen": list(self.outcome.seen),
            "undecided": self.outcome.undecided,
            "inputs": values,
            "waived": self.waived,
            "decidesAlike": not self.differs,
        }


@dataclass(frozen=True)
class _Judged:
    rule: Rule
    decisions: list[_Seen]


def _rules(names: tuple[str, ...], folder: Path) -> RuleSet:
    """A rule set by name; without one that of the product, or "release" outside of one."""
    from devicepipe.policy.rules import load_policy, load_rule_set
    from devicepipe.project.policy import DEFAULT_RULE_SET

    if names:
        return load_rule_set(names[0])
    return load_policy(open_project(folder)) if _in_project(folder) else load_rule_set(DEFAULT_RULE_SET)


def _in_project(folder: Path) -> bool:
    from devicepipe.project.config import find_project

    try:
        find_project(folder.resolve())
    except UsageError:
        return False
    return True


def _sets(folder: Path) -> tuple[str, ...]:
    """The rule sets that the product picks; outside of one, those that devicepipe brings along."""
    from devicepipe.policy.rules import shipped_sets
    from devicepipe.project.policy import is_path

    if not _in_project(folder):
        return shipped_sets()
    project = open_project(folder)
    return tuple(str(project.root / name) if is_path(name) else name for name in project.policy.rule_sets)


def _tested(name: str) -> _Tested:
    from devicepipe.policy.rule import surprise
    from devicepipe.policy.rules import load_rule_set

    rules = load_rule_set(name, proven=False)
    examples = [(rule, example) for rule in rules.rules for example in rule.text.example]
    surprises = [told for rule, example in examples if (told := surprise(rule, example))]
    for rule in rules.rules:
        for passes, kind in ((True, "passes"), (False, "fails")):
            if not any(example.passes == passes for example in rule.text.example):
                surprises.append(f"rule '{rule.text.id}' has no example that it {kind}")
    passing = sum(example.passes for _, example in examples)
    return _Tested(rules, passing, len(examples) - passing, surprises)


def _judged(name: str, folder: Path, board: str | None) -> _Judged:
    """What a rule saw in a bundle, judged again."""
    from devicepipe.evidence.bundle import Bundle
    from devicepipe.evidence.decisions import VerificationSummary
    from devicepipe.evidence.layout import IMAGE_KEY
    from devicepipe.policy.explain import inputs
    from devicepipe.policy.gate import data_of, judge
    from devicepipe.policy.rules import load_rule_set
    from devicepipe.signing.keys import PublicKey
    from devicepipe.stages.gate import evidence_of

    bundle = Bundle(folder)
    summary = bundle.predicate(VerificationSummary)
    decisions = summary.devicepipe
    rules = load_rule_set(bundle.path(str(summary.policy.get("uri"))), proven=False)
    rule = rules.rule(name)
    evidence = evidence_of(bundle, PublicKey.from_pem(bundle.read(IMAGE_KEY)))
    outcomes = judge(evidence, rules)
    found = [one for one in decisions.decisions if one.rule == name and board in (None, one.board)]
    if not found:
        known = ", ".join(one.board for one in decisions.decisions if one.rule == name and one.board)
        if not board:
            raise UsageError(
                f"{name} is judged on each board", remedy=f"name one: --board {known.replace(', ', ' or ')}"
            )
        raise UsageError(
            f"{name} was not judged on a board '{board}'",
            remedy=f"it was judged on {known}" if known else "it was judged once for the release: leave --board out",
        )
    return _Judged(
        rule,
        [
            _Seen(
                one, outcomes[name, one.board], inputs(rule.text, data_of(evidence, one.board)), _waived(decisions, one)
            )
            for one in found
        ],
    )


def _waived(decisions: Decisions, decision: Decision) -> list[str]:
    uses = {use.file: use for use in decisions.waivers or ()}
    files = [uses[file] for file in decision.waivers or () if file in uses]
    return [use.waiver.told for use in files if use.waiver is not None]


def _set_document(rules: RuleSet) -> dict[str, Any]:
    return {
        "name": rules.name,
        "title": rules.title,
        "forRelease": rules.for_release,
        "rules": [_rule_document(rule, brief=True) for rule in rules.rules],
        "changes": [change.to_json() for change in rules.changes],
    }


def _rule_document(rule: Rule, *, brief: bool = False) -> dict[str, Any]:
    text = rule.text
    document: dict[str, Any] = {
        "id": text.id,
        "title": text.title,
        "clause": text.clause,
        "severity": text.severity,
        "scope": text.scope,
        "waivableBy": list(text.waivable_by),
    }
    if brief:
        return document
    examples = [{"name": example.name, "passes": example.passes} for example in text.example]
    return document | {"expression": text.expression, "remedy": text.remedy, "examples": examples}


def _tell_changes(rules: RuleSet) -> None:
    for change in rules.changes:
        tell(f"  ! {change.rule}: {change.change}: {change.reason} ({change.place})", fg="yellow")
    if not rules.for_release:
        tell("  ! nothing that this set judges is releasable", fg="yellow")


def _tell_rule(rule: Rule) -> None:
    text = rule.text
    tell(f"{text.id}: {text.title}", bold=True)
    tell(f"  clause    {text.clause}")
    deciding = "a failure stops the release" if text.severity == "error" else "a failure is only shown"
    tell(f"  severity  {text.severity}: {deciding}")
    tell(f"  judged    {'once for the release' if text.scope == 'release' else 'on each board'}")
    tell(f"  waivers   {'by ' + ' or '.join(text.waivable_by) if text.waivable_by else 'by nobody'}")
    lines = text.expression.splitlines()
    tell(f"  holds if  {lines[0]}")
    for line in lines[1:]:
        tell(f"            {line}")
    tell(f"  remedy    {text.remedy}")


def _tell_decision(one: _Seen) -> None:
    decision = one.recorded
    mark, colour = {"passed": ("✓ holds", "green"), "waived": ("! waived", "yellow"), "failed": ("✗ fails", "red")}[
        decision.state
    ]
    if decision.state == "failed" and not decision.stops:
        mark, colour = "! warning", "yellow"
    tell()
    tell(f"{mark}{f' on {decision.board}' if decision.board else ''}: {decision.message}", fg=colour, bold=True)
    for waived in one.waived:
        tell(f"  waived {waived}", fg="yellow")
    for read in one.inputs:
        tell(f"  {read.path} = {_shown(read.value)}" if read.present else f"  {read.path}: the evidence has none")
    if one.differs:
        now = "holds" if one.outcome.holds else "does not hold"
        tell(f"  judged again, it {now}: the bundle says otherwise", fg="red")


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"


def evidence_findings(bundle: Path, rule: str, board: str) -> tuple[str, ...]:
    """What a rule found in a bundle, in its own words: what a waiver has to name.

    Raises:
        UsageError: No such rule or board; or there is nothing to waive.
    """
    from devicepipe.policy.waivers import findings

    (one,) = _judged(rule, bundle, board).decisions
    found = findings(one.outcome)
    if not found:
        why = one.outcome.undecided or ("the rule holds" if one.outcome.holds else "the rule names nothing")
        raise UsageError(f"there is nothing to waive of {rule} in {bundle}: {why}")
    return found
