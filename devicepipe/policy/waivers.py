"""Which waivers count, and for what: a pure function of them, the rules and what the rules found.

A waiver counts only where it was signed by a person's account, or by the release key where the product takes that, is of this
product, has not expired, names a rule as it judges now,
by a role that may waive it, on one board where the rule is judged by board, and where all that the rule found is named by it and
others like it, each finding by itself. What could not be decided, because evidence is missing, nobody can waive. A waiver that does
not count does nothing and is told as such.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from devicepipe.errors import IntegrityError
from devicepipe.evidence.decisions import Waiver, WaiverUse, rule_digest
from devicepipe.evidence.personal_waivers import Beside, WaiverPolicy, objection, open_given
from devicepipe.evidence.waivers import covers, over_wide, several, time_problem
from devicepipe.policy.rule import Outcome, Rule
from devicepipe.policy.rules import RuleSet
from devicepipe.signing.keys import PublicKey

Place = tuple[str, str]
"""A rule and the board that it was judged on, "" for the whole release."""


@dataclass(frozen=True, slots=True)
class GivenWaiver:
    """A file that the product gives as a waiver.

    Attributes:
        file: Its name in the bundle.
        sha256: That of its bytes.
        waiver: What it says; None where it is no waiver that was signed by a person of the roster, or by the release key.
        digest: That of the rule which it is about.
        problem: Why it is none, or why the product's policy does not take it; "" where it does.
    """

    file: str
    sha256: str
    waiver: Waiver | None
    digest: str = ""
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Waived:
    """What waivers come to.

    Attributes:
        by_place: The files of the waivers of each rule and board that they cover whole.
        uses: What became of each waiver.
    """

    by_place: Mapping[Place, tuple[str, ...]]
    uses: tuple[WaiverUse, ...]


def read_waiver(
    data: bytes,
    public_key: PublicKey,
    file: str,
    sha256: str,
    around: Beside | None = None,
    policy: WaiverPolicy | None = None,
) -> GivenWaiver:
    """Read a file that should be a waiver, with what lies beside it; never raises for what it holds."""
    around = around or Beside()
    try:
        waiver, digest = open_given(data, public_key, around, file)
    except IntegrityError as error:
        return GivenWaiver(file, sha256, None, problem=error.message)
    return GivenWaiver(file, sha256, waiver, digest, objection(waiver, policy or WaiverPolicy(), around, public_key))


def findings(outcome: Outcome) -> tuple[str, ...]:
    """What a rule found, each in one line: what a waiver has to name. None where it holds or could not be decided."""
    if outcome.holds or outcome.undecided:
        return ()
    return tuple(dict.fromkeys(line for one in outcome.seen if (line := " ".join(one.split()))))


def apply(
    given: Sequence[GivenWaiver],
    outcomes: Mapping[Place, Outcome],
    rules: RuleSet,
    product: str,
    today: date,
) -> Waived:
    """What is waived.

    Args:
        given: The product's waivers.
        outcomes: What each rule said of the release, or of each board.
        rules: The rules.
        product: The product's name.
        today: The day of the gate, in UTC.
    """
    holding: dict[str, Waiver] = {}
    why: dict[str, str] = {}
    boards = {board for _, board in outcomes if board}
    for one in given:
        why[one.file] = one.problem
        if one.waiver is not None and not one.problem:
            why[one.file] = problem(one.waiver, one.digest, rules, product, boards, today)
            if not why[one.file]:
                holding[one.file] = one.waiver
    covered: dict[Place, tuple[str, ...]] = {}
    for place, outcome in outcomes.items():
        own = {file: waiver for file, waiver in holding.items() if (waiver.rule, waiver.board) == place}
        found = findings(outcome)
        wide = {file: pattern for file, waiver in own.items() if (pattern := several(waiver, found))}
        why |= {file: f"is over-wide: '{pattern}' covers several findings" for file, pattern in wide.items()}
        own = {file: waiver for file, waiver in own.items() if file not in wide}
        open_findings = [one for one in found if not any(_covered(waiver, one) for waiver in own.values())]
        useful = tuple(file for file, waiver in own.items() if any(_covered(waiver, one) for one in found))
        for file, waiver in own.items():
            why[file] = _told(outcome, waiver, found, open_findings)
        if found and not open_findings:
            covered[place] = useful
    used = {file for files in covered.values() for file in files}
    uses = tuple(
        WaiverUse(file=one.file, sha256=one.sha256, applied=one.file in used, message=why[one.file], waiver=one.waiver)
        for one in given
    )
    return Waived(covered, uses)


def _covered(waiver: Waiver, finding: str) -> bool:
    return any(covers(pattern, finding) for pattern in waiver.findings)


def problem(waiver: Waiver, digest: str, rules: RuleSet, product: str, boards: set[str], today: date) -> str:
    """Why a waiver can waive nothing, in words; "" where it can."""
    rule = next((one for one in rules.rules if one.text.id == waiver.rule), None)
    if waiver.product != product:
        return f"is of another product, {waiver.product}"
    if rule is None:
        return f"there is no rule '{waiver.rule}'"
    text = rule.text
    if waiver.role not in text.waivable_by:
        who = f"only {' or '.join(text.waivable_by)}" if text.waivable_by else "nobody"
        return f"{waiver.role} may not waive {text.id}: {who} may"
    return _over_wide(waiver, rule, boards) or _stale(waiver, digest, rule, today)


def _over_wide(waiver: Waiver, rule: Rule, boards: set[str]) -> str:
    if rule.text.scope == "board" and not waiver.board:
        return f"is over-wide: {rule.text.id} is judged for each board, and it names none"
    if rule.text.scope == "release" and waiver.board:
        return f"names board {waiver.board}, but {rule.text.id} is judged once for the release"
    if waiver.board and waiver.board not in boards:
        return f"there is no board '{waiver.board}'"
    return over_wide(waiver)


def _stale(waiver: Waiver, digest: str, rule: Rule, today: date) -> str:
    if digest != digest_of(rule):
        return f"{rule.text.id} has another expression than the one that was waived"
    return time_problem(waiver, today)


def digest_of(rule: Rule) -> str:
    """The digest of what a rule decides, which a waiver is about."""
    return rule_digest(rule.text.id, rule.text.scope, rule.text.expression)


def _told(outcome: Outcome, waiver: Waiver, found: tuple[str, ...], open_findings: list[str]) -> str:
    if outcome.holds:
        return "there is nothing to waive: the rule holds"
    if outcome.undecided:
        return "what cannot be decided cannot be waived"
    if not found:
        return "the rule names nothing that could be waived"
    count = sum(_covered(waiver, one) for one in found)
    if not count:
        return "what it names was not found this time"
    if open_findings:
        more = f" and {len(open_findings) - 1} more" if len(open_findings) > 1 else ""
        return f"does not cover all that the rule found: {open_findings[0]}{more}"
    return f"covers {count} of {len(found)} findings"
