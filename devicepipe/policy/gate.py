"""The gate: a pure function of evidence and rules.

What always holds: a rule passes only where its expression gave true; a rule that cannot be evaluated fails with the reason; every
rule of scope "board" is judged on every board, and without any board it fails; a release is releasable only where every rule of
severity "error" passed or is waived (waivers.py), the tree was the commit's, and the rule set is one for releases. Nothing is
raised for evidence, however wrong.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any

from devicepipe.evidence.decisions import Decision, Decisions
from devicepipe.policy.evidence import GateInput, board_data, release_data
from devicepipe.policy.rule import Outcome, Rule, variables
from devicepipe.policy.rules import RuleSet
from devicepipe.policy.waivers import GivenWaiver, Place, apply, findings

_SEEN_LENGTH = 500
_SENTENCE_LENGTH = 240


def judge(evidence: GateInput, rule_set: RuleSet) -> dict[Place, Outcome]:
    """What each rule says of a release or, in scope "board", of each board ("" where there is none); in the rules' order."""
    release = release_data(evidence)
    whole = variables(release)
    asked = (evidence.covered, evidence.wishes, evidence.day)
    boards = {one.board: variables(release, board_data(one, *asked)) for one in evidence.boards}
    outcomes: dict[Place, Outcome] = {}
    for rule in rule_set.rules:
        name = rule.text.id
        if rule.text.scope == "release":
            outcomes[name, ""] = rule.judge(whole)
        else:
            outcomes |= {(name, board): rule.judge(data) for board, data in boards.items()}
            if not boards:
                outcomes[name, ""] = Outcome(holds=False, seen=(), undecided="there is no board")
    return outcomes


def data_of(evidence: GateInput, board: str = "") -> dict[str, dict[str, Any]]:
    """The variables that rules read of a release and, where one is named, of a board."""
    data = {"release": release_data(evidence)}
    for one in evidence.boards:
        if one.board == board:
            data["board"] = board_data(one, evidence.covered, evidence.wishes, evidence.day)
    return data


def decide(
    evidence: GateInput, rule_set: RuleSet, waivers: Sequence[GivenWaiver] = (), today: date | None = None
) -> Decisions:
    """Judge a release.

    Args:
        evidence: All that is known of it.
        rule_set: The rules.
        waivers: Those that the product gives.
        today: The day that they must hold on; None: this day, in UTC.

    Returns:
        The decisions in the order of the rules and, within a rule, of the boards; `reasons` are those of the rules of severity
        "error" that failed and are not waived.
    """
    outcomes = judge(evidence, rule_set)
    rules = {rule.text.id: rule for rule in rule_set.rules}
    product = evidence.source.product if evidence.source is not None else ""
    waived = apply(waivers, outcomes, rule_set, product, today or datetime.now(UTC).date())
    decisions = [_decision(rules[name], outcome, board, waived.by_place) for (name, board), outcome in outcomes.items()]
    reasons = list(_reasons(decisions, evidence, rule_set))
    return Decisions(
        rule_set=rule_set.name,
        releasable=not reasons,
        reasons=reasons,
        decisions=decisions,
        changes=list(rule_set.changes) or None,
        waivers=list(waived.uses) or None,
    )


def _decision(rule: Rule, outcome: Outcome, board: str, waived: Mapping[Place, tuple[str, ...]]) -> Decision:
    text = rule.text
    files = waived.get((text.id, board), ())
    return Decision(
        rule=text.id,
        title=text.title,
        clause=text.clause,
        severity=text.severity,
        passed=outcome.holds,
        message=_message(rule, outcome),
        remedy="" if outcome.holds else text.remedy,
        board=board,
        findings=list(findings(outcome)) if files else None,
        waivers=list(files) or None,
    )


def _message(rule: Rule, outcome: Outcome) -> str:
    if outcome.undecided:
        return f"cannot be decided: {_joined((outcome.undecided,))}"
    if outcome.holds:
        return _joined(outcome.seen)
    return rule.text.message.replace("{seen}", _joined(outcome.seen) or "the rule's expression is false")


def _joined(sentences: Sequence[str]) -> str:
    """The sentences in one line of bounded length: those that fit, and how many more there are."""
    kept: list[str] = []
    length = 0
    for sentence in sentences:
        line = " ".join(sentence.split())
        line = line if len(line) <= _SENTENCE_LENGTH else f"{line[: _SENTENCE_LENGTH - 1]}…"
        length += len(line)
        if kept and length > _SEEN_LENGTH:
            return f"{'; '.join(kept)}; and {len(sentences) - len(kept)} more"
        kept.append(line)
    return "; ".join(kept)


def _reasons(decisions: list[Decision], evidence: GateInput, rule_set: RuleSet) -> Iterator[str]:
    if not rule_set.for_release:
        yield f"rule set {rule_set.name}: what it judges is not for release"
    if evidence.source is not None and evidence.source.dirty and not _failed(decisions, "clean-source"):
        # Whatever rules a product picks: what is in no commit cannot be made again.
        yield "the source: the tree differed from the commit"
    for decision in decisions:
        if decision.stops:
            where = f" on {decision.board}" if decision.board else ""
            yield f"{decision.rule}{where}: {decision.message}"


def _failed(decisions: list[Decision], rule: str) -> bool:
    return any(one.rule == rule and one.severity == "error" and not one.passed for one in decisions)
