"""The link between the gate's decisions, the rules they were made by and the waivers: all of them are in the bundle.

What is checked: every rule of the file was decided, for every board where it is judged by board, once and at its severity, and no
other rule; what was changed about the rules is told; what is waived is covered by waivers that a person of the roster or the
release key signed, as the product asks, for that rule as it is, that board and those findings, by a role that may, and not expired
when the gate judged. That a rule was evaluated
rightly is not checked here: `devicepipe gate explain RULE BUNDLE` judges again.
"""

from __future__ import annotations

import tomllib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from devicepipe.errors import IntegrityError
from devicepipe.evidence.decisions import (
    WAIVERS,
    Decision,
    Decisions,
    VerificationSummary,
    Waiver,
    WaiverUse,
    rule_digest,
)
from devicepipe.evidence.personal_waivers import (
    ROSTERS,
    Beside,
    WaiverPolicy,
    beside,
    is_waiver,
    objection,
    open_given,
    roster_file,
    stray,
)
from devicepipe.evidence.waivers import covers, over_wide, several, time_problem
from devicepipe.signing.keys import PublicKey


@dataclass(frozen=True, slots=True)
class _Rule:
    """What the file says of a rule, after its changes."""

    scope: str
    severity: str
    waivable_by: tuple[str, ...]
    digest: str


@dataclass(frozen=True, slots=True)
class Judged:
    """What the decisions are compared with.

    Attributes:
        link: The gate's attestation, as errors name it.
        product: The product.
        boards: Its boards.
        rules: The bytes of the file of rules.
        files: The bytes of the bundle's waivers and of what lies beside them, by file.
        digests: Their SHA-256, by file.
        key: The release key.
        policy: What the product asks of waivers.
    """

    link: str
    product: str
    boards: list[str]
    rules: bytes
    files: Mapping[str, bytes]
    digests: Mapping[str, str]
    key: PublicKey
    policy: WaiverPolicy

    @property
    def waivers(self) -> dict[str, bytes]:
        """The waivers alone."""
        return {name: data for name, data in self.files.items() if is_waiver(name.removeprefix(WAIVERS))}

    @property
    def around(self) -> Beside:
        """What lies beside them."""
        return beside({name.removeprefix(WAIVERS): data for name, data in self.files.items()})


def check_policy(summary: VerificationSummary, judged: Judged) -> str:
    """Check the decisions; what held, in words.

    Raises:
        IntegrityError: They are not those of the rules and waivers of this bundle.
    """
    decisions, link = summary.devicepipe, judged.link
    rules = _rules(judged.rules, decisions, link)
    wanted = {
        (name, board) for name, rule in rules.items() for board in (judged.boards if rule.scope == "board" else [""])
    }
    found = Counter((one.rule, one.board) for one in decisions.decisions)
    for name, board in sorted(wanted ^ found.keys()):
        what = "leaves out" if (name, board) in wanted else "decides by a rule that is not in its file of rules:"
        raise IntegrityError(f"{what} {name}{f' on {board}' if board else ''}", link=link)
    for decision in decisions.decisions:
        if found[decision.rule, decision.board] > 1 or decision.severity != rules[decision.rule].severity:
            raise IntegrityError(
                f"decides {decision.rule} twice, or at another severity than its rules have", link=link
            )
    count = _check_waivers(decisions, rules, judged, date.fromisoformat(summary.time_verified[:10]))
    changed = f", {len(decisions.changes)} changes told" if decisions.changes else ""
    return f"{len(rules)} rules decided at their severities{changed}, {count} waivers applied"


def _rules(data: bytes, decisions: Decisions, link: str) -> dict[str, _Rule]:
    try:
        file = tomllib.loads(data.decode("utf-8"))
        rules = {rule["id"]: _rule(rule) for rule in file["rule"]}
        changes = list(file.get("change", []))
        for change in changes:
            rules[change["rule"]] = _changed(rules[change["rule"]], change)
        left_out = {change["rule"] for change in changes if change.get("leave-out") is True}
        told = [(str(change["rule"]), str(change["reason"])) for change in changes]
        for_release = file.get("for-release", True) is True
        twice = len(rules) != len(file["rule"])
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise IntegrityError(f"was decided by a file that is no rule set: {error}", link=link) from error
    if twice:
        raise IntegrityError("was decided by a file that has a rule twice", link=link)
    if [(change.rule, change.reason) for change in decisions.changes or ()] != told:
        raise IntegrityError("does not tell what was changed about its rules, for the reasons given there", link=link)
    if decisions.releasable and not for_release:
        raise IntegrityError("says releasable by rules that are not for a release", link=link)
    return {name: rule for name, rule in rules.items() if name not in left_out}


def _rule(rule: dict[str, Any]) -> _Rule:
    name, scope, expression = (str(rule[key]) for key in ("id", "scope", "expression"))
    roles = tuple(map(str, rule.get("waivable-by", [])))
    return _Rule(scope, str(rule["severity"]), roles, rule_digest(name, scope, expression.strip()))


def _changed(rule: _Rule, change: dict[str, Any]) -> _Rule:
    roles = tuple(map(str, change.get("waivable-by", rule.waivable_by)))
    return _Rule(rule.scope, str(change.get("severity", rule.severity)), roles, rule.digest)


def _check_waivers(decisions: Decisions, rules: Mapping[str, _Rule], judged: Judged, day: date) -> int:
    """How many waivers were applied."""
    uses = {use.file: use for use in decisions.waivers or ()}
    files = sorted(use.file for use in decisions.waivers or ())
    if files != sorted(judged.waivers):
        raise IntegrityError("does not tell of exactly the waivers of this bundle", link=judged.link)
    _check_beside(judged)
    for use in uses.values():
        _check_use(use, rules, judged, day)
    applied = {use.file for use in uses.values() if use.applied}
    named: set[str] = set()
    for decision in decisions.decisions:
        if decision.waivers is not None or decision.findings is not None:
            _check_waived(decision, {file: uses[file].waiver for file in applied}, judged.link)
            named |= set(decision.waivers or ())
    if applied != named:
        raise IntegrityError("says of a waiver that it was applied, but no decision names it", link=judged.link)
    return len(applied)


def _check_beside(judged: Judged) -> None:
    """Beside waivers there is nothing but their proofs and rosters, each roster under the name of its digest."""
    waivers = {name.removeprefix(WAIVERS): data for name, data in judged.waivers.items()}
    if found := stray((name.removeprefix(WAIVERS) for name in judged.files), waivers):
        raise IntegrityError("belongs to no waiver of this bundle", link=f"{WAIVERS}{found[0]}")
    for name, digest in judged.digests.items():
        if name.startswith(f"{WAIVERS}{ROSTERS}") and name != f"{WAIVERS}{roster_file(digest)}":
            raise IntegrityError("is not the roster that its name says", link=name)


def _check_use(use: WaiverUse, rules: Mapping[str, _Rule], judged: Judged, day: date) -> None:
    if use.sha256 != judged.digests[use.file]:
        raise IntegrityError(f"gives another SHA-256 of {use.file} than the bundle's file has", link=judged.link)
    if use.waiver is None:
        if use.applied:
            raise IntegrityError("was applied, but the gate could not read it", link=use.file)
        return
    waiver, digest = open_given(judged.files[use.file], judged.key, judged.around, use.file)
    if waiver != use.waiver:
        raise IntegrityError(f"tells otherwise what {use.file} waives", link=judged.link)
    rule = rules.get(waiver.rule)
    if not use.applied:
        return
    if rule is None or digest != rule.digest or waiver.product != judged.product:
        raise IntegrityError("was applied, but is of another product or of a rule that did not judge", link=use.file)
    if why := objection(waiver, judged.policy, judged.around, judged.key):
        raise IntegrityError(f"was applied, but {why}", link=use.file)
    if waiver.role not in rule.waivable_by:
        raise IntegrityError(f"was applied, but {waiver.role} may not waive {waiver.rule}", link=use.file)
    if problem := time_problem(waiver, day):
        raise IntegrityError(f"was applied, but {problem}", link=use.file)


def _check_waived(decision: Decision, applied: Mapping[str, Waiver | None], link: str) -> None:
    """All that the rule found is named by waivers of this rule and board."""
    found = decision.findings or []
    named: list[str] = []
    for file in decision.waivers or ():
        waiver = applied.get(file)
        if waiver is None or (waiver.rule, waiver.board) != (decision.rule, decision.board):
            raise IntegrityError(f"waives {decision.rule} by {file}, which does not do that", link=link)
        if several(waiver, found) or over_wide(waiver):
            raise IntegrityError("was applied, but is over-wide", link=file)
        named += waiver.findings
    if decision.passed or not found or not all(any(covers(one, each) for one in named) for each in found):
        raise IntegrityError(f"says waived of {decision.rule}, but its waivers do not cover what was found", link=link)
