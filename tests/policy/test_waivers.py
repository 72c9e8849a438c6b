"""Waivers: one that holds makes a rule waived, never passed; one that does not does nothing and is named."""

from __future__ import annotations

import dataclasses
from datetime import date

import pytest
from pydantic import ValidationError

from devicepipe.evidence.decisions import Decision, Decisions, Waiver, WaiverUse
from devicepipe.evidence.waivers import covers, item_end, several, sign_waiver
from devicepipe.policy.evidence import GateInput
from devicepipe.policy.gate import decide
from devicepipe.policy.rules import RuleSet, load_rule_set
from devicepipe.policy.waivers import GivenWaiver, digest_of, read_waiver
from tests.evidence.synthetic_bundle import Keys, development_keys
from tests.policy.samples import GOOD, UNTESTED, case, run, traced, with_board

TODAY = date(2026, 6, 1)
FAILURE = "failed: hil/test_a.py::test_a: because it failed"
FAILED = with_board(tests=run("small", case(verdict="failed"), case("hil/test_a.py::test_b")))
TWICE = with_board(tests=run("small", case(verdict="failed"), case("hil/test_b.py::test_b", "failed"), case("t3")))
RULE = "no-failed-verdicts"


@pytest.fixture(scope="module")
def rules() -> RuleSet:
    return load_rule_set("release")


def waiver(**values: object) -> Waiver:
    good = {
        "product": "pump",
        "rule": RULE,
        "board": "small",
        "findings": [FAILURE],
        "reason": "It is the test.",
        "by": "A. Tester",
        "role": "quality",
        "made_on": "2026-05-01T00:00:00Z",
        "until": "2026-06-01",
    }
    return Waiver.model_validate(good | values)


def signed(given: Waiver, rules: RuleSet, name: str = "w", keys: Keys | None = None, digest: str = "") -> GivenWaiver:
    """The waiver as the gate reads it from its file; the trusted key is `development_keys()`."""
    known = {rule.text.id: digest_of(rule) for rule in rules.rules}
    pair = (keys or development_keys()).release
    data = sign_waiver(given, digest or known.get(given.rule, "0" * 64), pair.signer, pair.public)
    return read_waiver(data, development_keys().release.public, name, "0" * 64)


def judged(evidence: GateInput, rules: RuleSet, *given: GivenWaiver, today: date = TODAY) -> Decisions:
    return decide(evidence, rules, given, today)


def decision(decisions: Decisions, rule: str = RULE, board: str = "small") -> Decision:
    (found,) = (one for one in decisions.decisions if (one.rule, one.board) == (rule, board))
    return found


def only_use(decisions: Decisions) -> WaiverUse:
    assert decisions.waivers is not None
    (use,) = decisions.waivers
    return use


@pytest.mark.parametrize("what", ["reason", "by", "role"])
@pytest.mark.parametrize("text", ["fine\nRELEASABLE", "fine\u202egnorw", "fine\x1b[2K", "\u3164"])
def test_the_words_of_a_waiver_forged_lines_of_verify(what: str, text: str) -> None:
    with pytest.raises(ValidationError, match=what):
        waiver(**{what: text})


def test_blanks_of_a_reason_that_fill_a_line_begin_no_other_one() -> None:
    assert waiver(reason=f"fine{' ' * 200}RELEASABLE").told.endswith(": fine RELEASABLE")


def test_what_is_covered_is_waived_and_never_passed(rules: RuleSet) -> None:
    assert not judged(FAILED, rules).releasable
    decisions = judged(FAILED, rules, signed(waiver(), rules))
    assert decisions.releasable
    one = decision(decisions)
    assert (one.passed, one.state, one.stops) == (False, "waived", False)
    assert (one.findings, one.waivers, one.message) == ([FAILURE], ["w"], FAILURE)
    assert decisions.waived == [f"{RULE} on small, waived until 2026-06-01 by A. Tester (quality): It is the test."]
    use = only_use(decisions)
    assert (use.applied, use.message) == (True, "covers 1 of 1 findings")


def test_all_findings_must_be_covered_by_one_waiver_or_several(rules: RuleSet) -> None:
    other = "failed: hil/test_b.py::test_b: because it failed"
    one = judged(TWICE, rules, signed(waiver(), rules))
    assert not one.releasable
    assert decision(one).state == "failed"
    assert [(use.applied, use.message) for use in one.waivers or ()] == [
        (False, f"does not cover all that the rule found: {other}")
    ]
    assert judged(TWICE, rules, signed(waiver(findings=[FAILURE, other]), rules)).releasable
    both = judged(TWICE, rules, signed(waiver(), rules), signed(waiver(findings=[other]), rules, "v"))
    assert both.releasable
    assert decision(both).waivers == ["w", "v"]


def test_an_item_is_covered_whatever_is_said_of_it(rules: RuleSet) -> None:
    assert judged(FAILED, rules, signed(waiver(findings=["failed: hil/test_a.py::test_a*"]), rules)).releasable


def test_a_waiver_of_a_rule_that_is_judged_once(rules: RuleSet) -> None:
    evidence = dataclasses.replace(GOOD, traceability=traced("passed", "not_run", findings=(UNTESTED,)))
    given = waiver(rule="requirements-verified", board="", findings=["SRS-1 on large: not-run: t"])
    decisions = judged(evidence, rules, signed(given, rules))
    assert decisions.releasable
    assert decision(decisions, "requirements-verified", "").state == "waived"


OTHER_KEYS = development_keys(1)
USELESS: dict[str, tuple[GateInput, Waiver, dict[str, object], str]] = {
    # defect: (evidence, waiver, how it is signed, what is said of it)
    "expired": (FAILED, waiver(until="2026-05-31"), {}, "expired on 2026-05-31"),
    "made-in-the-future": (FAILED, waiver(made_on="2026-06-02T00:00:00Z", until="2026-06-03"), {}, "has not come yet"),
    "no-day": (FAILED, waiver(until="2026-06-31"), {}, "has no proper dates"),
    "by-another-key": (FAILED, waiver(), {"keys": OTHER_KEYS}, "is signed by the key"),
    "of-another-product": (FAILED, waiver(product="ventilator"), {}, "is of another product, ventilator"),
    "of-another-board": (FAILED, waiver(board="large"), {}, "there is nothing to waive: the rule holds"),
    "of-an-unknown-board": (FAILED, waiver(board="medium"), {}, "there is no board 'medium'"),
    "of-no-board": (FAILED, waiver(board=""), {}, "is over-wide: no-failed-verdicts is judged for each board"),
    "of-an-unknown-rule": (FAILED, waiver(rule="no-failure"), {}, "there is no rule 'no-failure'"),
    "of-a-rule-that-nobody-may-waive": (
        with_board(tests=run("small", case(verdict="not_run"), case("t2"))),
        waiver(rule="no-missing-verdicts", findings=["hil/test_a.py::test_a: because it not_run"]),
        {}, "quality may not waive no-missing-verdicts: nobody may",
    ),
    "by-a-role-that-may-not": (FAILED, waiver(role="developer"), {}, "developer may not waive no-failed-verdicts: only"),
    "of-a-rule-that-was-reworded": (FAILED, waiver(), {"digest": "1" * 64}, "has another expression"),
    "of-another-finding": (FAILED, waiver(findings=["failed: hil/test_a.py::test_b"]), {}, "what it names was not found this time"),
    "of-everything": (FAILED, waiver(findings=["*"]), {}, "is over-wide: '*' names no item"),
    "of-all-failures": (FAILED, waiver(findings=["failed: *"]), {}, "is over-wide: 'failed: *' names no item"),
    "of-part-of-a-name": (FAILED, waiver(findings=["failed: hil/test_a.py*"]), {}, "what it names was not found this time"),
    "of-a-file-with-a-colon": (FAILED, waiver(findings=["failed: hil/test_a.py:*"]), {}, "what it names was not found this time"),
    "of-a-star-within": (FAILED, waiver(findings=["failed: *test_a.py: because"]), {}, "is over-wide: '*' stands for the end"),
    "for-years": (FAILED, waiver(until="2027-05-03"), {}, "is over-wide: it would hold for 367 days"),
    "of-a-rule-that-holds": (GOOD, waiver(), {}, "there is nothing to waive: the rule holds"),
    "of-missing-evidence": (with_board(tests=None), waiver(), {}, "what cannot be decided cannot be waived"),
}  # fmt: skip


@pytest.mark.parametrize("defect", USELESS)
def test_a_useless_waiver_does_nothing_and_is_named(rules: RuleSet, defect: str) -> None:
    evidence, given, how, said = USELESS[defect]
    without = judged(evidence, rules)
    decisions = judged(evidence, rules, signed(given, rules, **how))  # type: ignore[arg-type]
    use = only_use(decisions)
    assert not use.applied
    assert said in use.message
    assert decisions.model_copy(update={"waivers": None}) == without


def test_a_waiver_of_one_board_or_of_none_is_not_one_of_another_board(rules: RuleSet) -> None:
    evidence = dataclasses.replace(GOOD, traceability=traced("failed", "failed"))
    for pattern, told in (("SRS-1*", "what it names was not found"), ("SRS-1 on small*", "does not cover all")):
        given = waiver(rule="requirements-verified", board="", findings=[pattern])
        use = only_use(judged(evidence, rules, signed(given, rules)))
        assert (use.applied, use.message[: len(told)]) == (False, told)


def test_one_pattern_that_covers_several_findings_is_over_wide() -> None:
    given = waiver(findings=["src/a.c:3*"])
    assert several(given, ["src/a.c:3: null pointer", "src/b.c:3: x"]) == ""
    assert several(given, ["src/a.c:3: null pointer", "src/a.c:3: division by zero"]) == "src/a.c:3*"


@pytest.mark.parametrize("place", range(0, 700, 37))
def test_an_altered_waiver_is_none(rules: RuleSet, place: int) -> None:
    pair = development_keys().release
    data = bytearray(sign_waiver(waiver(), digest_of(rules.rule(RULE)), pair.signer, pair.public))
    data[place % len(data)] ^= 1
    given = read_waiver(bytes(data), pair.public, "w", "0" * 64)
    assert given.waiver is None
    decisions = judged(FAILED, rules, given)
    use = only_use(decisions)
    assert (use.applied, use.waiver, decisions.releasable) == (False, None, False)
    assert use.message


def test_no_waiver_is_read_of_other_statements(rules: RuleSet) -> None:
    pair = development_keys().release
    for data in (b"", b"{}", b"x" * 2_000_000):
        assert read_waiver(data, pair.public, "w", "0" * 64).problem
    given = read_waiver(
        sign_waiver(waiver(), "2" * 64, pair.signer, pair.public).replace(b"in-toto", b"outtoto"),
        pair.public,
        "w",
        "0" * 64,
    )
    assert given.problem
    assert not judged(FAILED, rules, given).releasable


def test_a_dirty_tree_cannot_be_waived(rules: RuleSet) -> None:
    assert GOOD.source is not None
    dirty = dataclasses.replace(GOOD, source=GOOD.source.model_copy(update={"dirty": True}))
    given = waiver(rule="clean-source", board="", findings=[f"the tree differed from commit {'c' * 40}"])
    assert not judged(dirty, rules, signed(given, rules)).releasable


@pytest.mark.parametrize(
    ("pattern", "finding", "expected"),
    [
        ("a: b", "a: b", True),
        ("a: b", "a: bc", False),
        ("SRS-1*", "SRS-1 on a: x", False),
        ("SRS-1 on a*", "SRS-1 on a: x", True),
        ("SRS-1 on a*", "SRS-1 on b: x", False),
        ("zcbor 0.9.1*", "zcbor 0.9.1 by CVE-1 (in the range)", False),
        ("zcbor 0.9.1 by CVE-1*", "zcbor 0.9.1 by CVE-1 (in the range)", True),
        ("zcbor 0.9.1 by CVE-1*", "zcbor 0.9.1 by CVE-12 (in the range)", False),
        ("SRS-1*", "SRS-1: x", True),
        ("SRS-1*", "SRS-1", True),
        ("SRS-1*", "SRS-10: x", False),
        ("t.py::a*", "t.py::a[1]: x", False),
        ("t.py::a: *", "t.py::a: x", True),
        ("t.py*", "t.py::a: x", False),
        ("t.py:*", "t.py::a: x", False),
        ("failed: t.py:*", "failed: t.py::test_overdose_alarm on a: x", False),
        ("t.py::*", "t.py::a: x", False),
        ("src/a.c:3:*", "src/a.c:3: x", True),
        ("src/a.c:3:*", "src/a.c:3:14: x", False),
        ("t.py::a[b*", "t.py::a[b: 1]: x", False),
        ("t.py::a[b*", "t.py::a[b (c)]: x", False),
        ("t.py::a[b: 1]*", "t.py::a[b: 1]: x", True),
    ],
)
def test_what_a_finding_covers(pattern: str, finding: str, *, expected: bool) -> None:
    assert covers(pattern, finding) is expected


@pytest.mark.parametrize(
    ("finding", "item"),
    [
        ("failed: hil/test_a.py::test_b: x", "hil/test_a.py::test_b"),
        ("SRS-007 on a: no passing test", "SRS-007"),
        ("misra-c2012-7.1 in src/a.c:4", "misra-c2012-7.1"),
        ("no test passed", None),
    ],
)
def test_the_item_of_a_finding(finding: str, item: str | None) -> None:
    end = item_end(finding)
    assert (finding[:end].rsplit(maxsplit=1)[-1] if end >= 0 else None) == item
