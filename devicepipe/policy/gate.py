"""The gate: a pure function of evidence and rules.

What always holds: a rule passes only where its expression gave true; a rule that cannot be evaluated fails with the reason; every
rule of scope "board" is judged on every board, and without any board it fails; a release is releasable only where every rule of
severity "error" passed, the tree was the commit's, and the rule set is one for releases. Nothing is raised for evidence, however
wrong.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from devicepipe.evidence.predicates import Decision, Decisions
from devicepipe.policy.evidence import GateInput, board_data, release_data
from devicepipe.policy.rule import Outcome, Rule, variables
from devicepipe.policy.rules import RuleSet

_SEEN_LENGTH = 500
_SENTENCE_LENGTH = 240


def decide(evidence: GateInput, rule_set: RuleSet) -> Decisions:
    """Judge a release.

    Returns:
        The decisions in the order of the rules and, within a rule, of the boards; `reasons` are those of the rules of severity
        "error" that failed.
    """
    release = release_data(evidence)
    whole = variables(release)
    asked = (evidence.covered, evidence.wishes, evidence.day)
    boards = {board.board: variables(release, board_data(board, *asked)) for board in evidence.boards}
    decisions: list[Decision] = []
    for rule in rule_set.rules:
        if rule.text.scope == "release":
            decisions.append(_decision(rule, rule.judge(whole)))
        else:
            decisions += [_decision(rule, rule.judge(data), board) for board, data in boards.items()]
            if not boards:
                decisions.append(_decision(rule, Outcome(holds=False, seen=(), undecided="there is no board")))
    reasons = list(_reasons(decisions, evidence, rule_set))
    return Decisions(
        rule_set=rule_set.name,
        releasable=not reasons,
        reasons=reasons,
        decisions=decisions,
        changes=list(rule_set.changes) or None,
    )


def _decision(rule: Rule, outcome: Outcome, board: str = "") -> Decision:
    text = rule.text
    return Decision(
        rule=text.id,
        title=text.title,
        clause=text.clause,
        severity=text.severity,
        passed=outcome.holds,
        message=_message(rule, outcome),
        remedy="" if outcome.holds else text.remedy,
        board=board,
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
        if not decision.passed and decision.severity == "error":
            where = f" on {decision.board}" if decision.board else ""
            yield f"{decision.rule}{where}: {decision.message}"


def _failed(decisions: list[Decision], rule: str) -> bool:
    return any(one.rule == rule and one.severity == "error" and not one.passed for one in decisions)
