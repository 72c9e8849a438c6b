"""Rule sets: what is refused when one is loaded, and that no rule passes what it cannot evaluate."""

from __future__ import annotations

from pathlib import Path

import pytest

from devicepipe.errors import UsageError
from devicepipe.policy.rule import Rule, variables
from devicepipe.policy.rules import RuleSet, load_rule_set

GOOD = """
name = "mine"
title = "My rules"

[[rule]]
id = "clean"
title = "Clean"
clause = "X 1"
severity = "error"
scope = "release"
expression = "release.source.dirty == false"
passed = "'clean'"
failed = "['dirty']"
message = "it is {seen}"
remedy = "clean it"

[[rule.example]]
name = "clean"
passes = true
release = { source = { dirty = false } }

[[rule.example]]
name = "dirty"
passes = false
release = { source = { dirty = true } }
"""


def load(folder: Path, text: str) -> RuleSet:
    path = folder / "mine.toml"
    path.write_text(text, encoding="utf-8")
    return load_rule_set(path)


def test_a_rule_set_of_ones_own(tmp_path: Path) -> None:
    (rule,) = load(tmp_path, GOOD).rules
    assert rule.judge(variables({"source": {"dirty": False}})).holds
    assert not rule.judge(variables({"source": {"dirty": True}})).holds


@pytest.mark.parametrize("rule", load_rule_set("release").rules, ids=lambda rule: rule.text.id)
def test_shipped_rules_decide_their_examples_as_they_say(rule: Rule) -> None:
    for example in rule.text.example:
        outcome = rule.judge(variables(example.release, example.board))
        assert (outcome.holds, bool(outcome.seen or outcome.undecided)) == (example.passes, True), example.name


UNDECIDABLE: dict[str, tuple[str, dict[str, object]]] = {
    "missing-evidence": ("release.source.dirty == false", {}),
    "number-for-a-list": ("size(release.source) > 0", {"source": 3}),
    "null-for-a-map": ("release.source.dirty == false", {"source": None}),
    "text-for-a-number": ("release.source > 1", {"source": "2"}),
    "text-for-a-boolean": ("release.source && true", {"source": "true"}),
    "index-beyond-the-end": ("release.source[3] == 1", {"source": [1]}),
    "division-by-zero": ("1 / release.source == 1", {"source": 0}),
    "endless-loop": (
        "release.source.all(a, release.source.all(b, release.source.all(c, a + b + c >= 0)))",
        {"source": list(range(100))},
    ),
}


@pytest.mark.parametrize("defect", UNDECIDABLE)
def test_what_cannot_be_evaluated_fails_with_the_reason(tmp_path: Path, defect: str) -> None:
    expression, evidence = UNDECIDABLE[defect]
    text = GOOD.replace(
        "release.source.dirty == false", f"release.probe == true ? ({expression}) : release.source.dirty == false"
    )
    text = text.replace("source = { dirty", "probe = false, source = { dirty")
    (rule,) = load(tmp_path, text).rules
    outcome = rule.judge(variables({"probe": True} | evidence))
    assert not outcome.holds
    assert outcome.undecided


def test_words_that_cannot_be_found_fail_the_rule(tmp_path: Path) -> None:
    (rule,) = load(tmp_path, GOOD.replace("\"'clean'\"", "\"release.source.dirty == false ? release.words : 'x'\"").replace(
        "source = { dirty = false }", "words = 'w', source = { dirty = false }")).rules  # fmt: skip
    assert rule.judge(variables({"words": "w", "source": {"dirty": False}})).seen == ("w",)
    assert rule.judge(variables({"source": {"dirty": False}})).undecided
    assert "not told in words" in rule.judge(variables({"words": 3, "source": {"dirty": False}})).undecided


REFUSED: dict[str, tuple[str, str, str, str]] = {
    # defect: (old, new, key, part of the message)
    "no-syntax": ('dirty == false"', 'dirty == "', "rule.0.expression", "Syntax error"),
    "unknown-variable": ("release.source.dirty ==", "relase.source.dirty ==", "rule.0.expression", "'relase"),
    "board-in-a-rule-of-the-release": ("release.source.dirty ==", "board.dirty ==", "rule.0.expression", "'board"),
    "not-a-boolean": ("release.source.dirty == false", "release.source.dirty", "rule.0.expression", "of type bool, found dyn"),
    "passed-not-a-string": ("\"'clean'\"", '"1"', "rule.0.passed", "of type string, found int"),
    "failed-not-a-list": ("\"['dirty']\"", "\"'dirty'\"", "rule.0.failed", "of type list, found string"),
    "failed-tells-nothing": ("\"['dirty']\"", '"[]"', "rule.0.example", "fails its example 'dirty': nothing seen"),
    "message-without-what-was-seen": ("it is {seen}", "it is dirty", "rule.0.message", "expected '{seen}'"),
    "rule-that-cannot-fail": ("release.source.dirty == false", "true || release.x", "rule.0.example", "passes its"),
    "rule-that-cannot-pass": ("source.dirty ==", "sauce.dirty ==", "rule.0.example", "fails its example 'clean'"),
    "no-failing-example": ("passes = false", "passes = true", "rule.0.example", "not proven"),
    "unknown-key": ('clause = "X 1"', 'clause = "X 1"\nnote = "x"', "rule.0.note", "unknown key"),
    "missing-key": ('clause = "X 1"\n', "", "rule.0.clause", "missing key"),
    "unknown-severity": ('severity = "error"', 'severity = "fatal"', "rule.0.severity", "expected 'error' or 'warning'"),
    "text-for-a-truth-value": ("passes = true", 'passes = "yes"', "rule.0.example.0.passes", "valid boolean"),
    "unknown-scope": ('scope = "release"', 'scope = "bench"', "rule.0.scope", "expected 'release' or 'board'"),
}  # fmt: skip


@pytest.mark.parametrize("defect", REFUSED)
def test_a_defective_rule_set_is_refused_with_file_line_and_key(tmp_path: Path, defect: str) -> None:
    old, new, key, part = REFUSED[defect]
    assert old in GOOD
    with pytest.raises(UsageError) as caught:
        load(tmp_path, GOOD.replace(old, new))
    error = caught.value
    assert error.file == tmp_path / "mine.toml"
    assert error.key == key
    assert error.line is not None
    assert part in error.message
    assert error.remedy


def test_a_rule_twice_is_refused(tmp_path: Path) -> None:
    rule = GOOD[GOOD.index("[[rule]]") :]
    with pytest.raises(UsageError, match="stands twice"):
        load(tmp_path, GOOD + rule)


def test_no_rule_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        load(tmp_path, 'name = "x"\ntitle = "X"\nrule = []\n')


def test_no_toml_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="not valid TOML"):
        load(tmp_path, "name = ")


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(UsageError, match="known rule sets: development, fda-cybersecurity"):
        load_rule_set("relase")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        load_rule_set(tmp_path / "none.toml")
