"""Rule sets that extend others, shipped ones, and what a product picks and changes: nothing is dropped without a word."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from devicepipe.errors import UsageError
from devicepipe.policy.gate import decide
from devicepipe.policy.rules import RuleSet, load_policy, load_rule_set, shipped_sets
from devicepipe.project.config import load_project
from tests.policy.samples import GOOD as GOOD_EVIDENCE
from tests.policy.samples import changed, failed
from tests.policy.test_rules import GOOD as OWN
from tests.project.test_config import GOOD as PROJECT
from tests.project.test_config import MANIFEST

SHIPPED = (
    "development",
    "fda-cybersecurity",
    "fda-premarket-basic",
    "fda-premarket-enhanced",
    "floor",
    "iec62304-class-a",
    "iec62304-class-b",
    "iec62304-class-c",
    "release",
)
BEGINS_WITH = {  # class: the rules whose clauses begin to apply with it
    "b": {"design-complete", "builds-reproducible", "builds-in-other-surroundings",
          "hazards-controlled", "hazards-rated", "anomalies-assessed", "misra-deviations", "analysis-clean",
          "analysis-tools-complete", "findings-disposed", "no-affected-component", "no-data-decided", "snapshot-fresh",
          "risk-acceptability-stated", "controls-implemented", "controls-effective", "control-hazards-assessed",
          "residual-risk-acceptable", "items-reviewed"},
    "c": {"design-implemented", "stack-bounded", "no-recursion", "slot-spare", "never-executed-explained", "reviews-kept"},
}  # fmt: skip


def ids(rules: RuleSet) -> list[str]:
    return [rule.text.id for rule in rules.rules]


def by_id(rules: RuleSet, name: str) -> tuple[str, str, tuple[str, ...]]:
    text = rules.rule(name).text
    return text.severity, text.clause, text.waivable_by


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for folder in ("firmware", "boards", "requirements", "hil", "policy"):
        (tmp_path / folder).mkdir()
    (tmp_path / "boards/one.json").write_text(json.dumps(MANIFEST))
    return tmp_path


def pick(root: Path, policy: str, safety_class: str = "C") -> RuleSet:
    project = PROJECT.replace('safety-class = "C"', f'safety-class = "{safety_class}"')
    (root / "devicepipe.toml").write_text(f"{project}\n{policy}")
    return load_policy(load_project(root / "devicepipe.toml"))


def own_set(root: Path, text: str, name: str = "own") -> None:
    (root / f"policy/{name}.toml").write_text(f'name = "{name}"\ntitle = "Ours"\n{text}')


def test_the_shipped_sets_are_these() -> None:
    assert shipped_sets() == SHIPPED


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_set_is_proven_and_its_one_file_says_the_same(name: str, tmp_path: Path) -> None:
    rules = load_rule_set(name)
    assert all({one.passes for one in rule.text.example} == {True, False} for rule in rules.rules)
    (tmp_path / "rules.toml").write_text(rules.text)
    again = load_rule_set(tmp_path / "rules.toml")
    assert (again.name, again.title, again.for_release) == (rules.name, rules.title, rules.for_release)
    assert [rule.text for rule in again.rules] == [rule.text for rule in rules.rules]
    assert [(one.rule, one.change, one.reason) for one in again.changes] == [
        (one.rule, one.change, one.reason) for one in rules.changes
    ]
    assert again.text == rules.text


def test_every_rule_that_is_brought_along_is_in_a_set() -> None:
    folder = Path(load_rule_set.__code__.co_filename).parent / "rule_sets/shared"
    written = {
        line for file in folder.glob("*.toml") for line in file.read_text().splitlines() if line.startswith("id =")
    }
    assert {f'id = "{name}"' for one in SHIPPED for name in ids(load_rule_set(one))} == written


def test_classes_differ_by_the_clauses_that_begin_with_them() -> None:
    a, b, c = (set(ids(load_rule_set(f"iec62304-class-{one}"))) for one in "abc")
    assert b - a == BEGINS_WITH["b"]
    assert c - b == BEGINS_WITH["c"]
    assert a < b < c


def test_whole_evidence_passes_every_shipped_set() -> None:
    for name in SHIPPED:
        decisions = decide(GOOD_EVIDENCE, load_rule_set(name))
        assert failed(decisions) == {}
        assert decisions.releasable == (name != "development")


def test_a_set_adds_the_clause_by_which_it_asks() -> None:
    assert (
        by_id(load_rule_set("fda-premarket-basic"), "requirements-verified")[1] == "IEC 62304 5.7.4; FDA premarket VI.H"
    )


def test_without_policy_a_product_is_judged_as_ever(root: Path) -> None:
    rules = pick(root, "")
    assert (rules.name, rules.text) == ("release", load_rule_set("release").text)


def test_a_product_picks_sets_and_adds_its_own(root: Path) -> None:
    own_set(root, OWN[OWN.index("[[rule]]") :])
    rules = pick(root, '[policy]\nrule-sets = ["iec62304-class-a", "fda-premarket-basic", "policy/own.toml"]', "A")
    assert rules.name == "iec62304-class-a, fda-premarket-basic, own"
    wanted = {*ids(load_rule_set("iec62304-class-a")), *ids(load_rule_set("fda-premarket-basic")), "clean"}
    assert set(ids(rules)) == wanted
    assert len(ids(rules)) == len(wanted)
    assert by_id(rules, "requirements-verified")[1] == "IEC 62304 5.7.4; FDA premarket VI.H"
    assert rules.changes == ()


def test_the_stricter_set_counts_and_nothing_is_left_out_that_another_set_has(root: Path) -> None:
    own_set(
        root,
        'extends = ["release"]\n'
        '[[change]]\nrule = "no-recursion"\nseverity = "warning"\nreason = "R."\n'
        '[[change]]\nrule = "slot-spare"\nleave-out = true\nreason = "S."\n'
        '[[change]]\nrule = "stack-bounded"\nwaivable-by = ["quality"]\nreason = "T."\n',
    )
    alone = pick(root, '[policy]\nrule-sets = ["policy/own.toml"]')
    assert by_id(alone, "no-recursion")[0] == "warning"
    assert "slot-spare" not in ids(alone)
    assert [(one.rule, one.change, one.reason, one.place) for one in alone.changes] == [
        ("stack-bounded", "waivable by quality", "T.", "own.toml:12"),
        ("no-recursion", "severity warning", "R.", "own.toml:4"),
        ("slot-spare", "left out", "S.", "own.toml:8"),
    ]
    both = pick(root, '[policy]\nrule-sets = ["policy/own.toml", "iec62304-class-c"]')
    assert by_id(both, "no-recursion")[0] == "error"
    assert "slot-spare" in ids(both)
    assert [(one.rule, one.change) for one in both.changes] == [("stack-bounded", "waivable by quality")]


def test_what_a_product_changes_stands_in_the_decisions_with_its_reason(root: Path) -> None:
    rules = pick(
        root,
        '[policy]\nrule-sets = ["iec62304-class-c"]\n'
        '[[policy.change]]\nrule = "no-recursion"\nleave-out = true\nreason = "The parser recurses, four levels deep."\n'
        '[[policy.change]]\nrule = "verified-by-test"\nseverity = "error"\nwaivable-by = []\nreason = "We test everything."\n',
    )
    decisions = decide(GOOD_EVIDENCE, rules)
    assert "no-recursion" not in {one.rule for one in decisions.decisions}
    assert by_id(rules, "verified-by-test")[::2] == ("error", ())
    assert [(one.rule, one.change, one.place) for one in decisions.changes or ()] == [
        ("verified-by-test", "severity error", "devicepipe.toml:28"),
        ("verified-by-test", "waivable by nobody", "devicepipe.toml:28"),
        ("no-recursion", "left out", "devicepipe.toml:24"),
    ]
    assert 'reason = "The parser recurses, four levels deep."' in rules.text
    (root / "again.toml").write_text(rules.text)
    assert ids(load_rule_set(root / "again.toml")) == ids(rules)


def test_development_warns_of_what_is_not_finished_and_releases_nothing() -> None:
    rules = load_rule_set("development")
    assert decide(GOOD_EVIDENCE, rules).reasons == ["rule set development: what it judges is not for release"]
    assert by_id(rules, "requirements-verified")[0] == "warning"
    assert by_id(rules, "images-verified")[0] == "error"


def test_no_rule_set_releases_a_dirty_tree(tmp_path: Path) -> None:
    assert GOOD_EVIDENCE.source is not None
    dirty = GOOD_EVIDENCE.source.model_copy(update={"dirty": True})
    (tmp_path / "own.toml").write_text('name = "own"\ntitle = "Ours"\nrules = ["images-verified"]\n')
    decisions = decide(dataclasses.replace(GOOD_EVIDENCE, source=dirty), load_rule_set(tmp_path / "own.toml"))
    assert decisions.reasons == ["the source: the tree differed from the commit"]


def test_what_is_asked_of_every_release_judges_whatever_a_product_picks(root: Path) -> None:
    own_set(root, OWN[OWN.index("[[rule]]") :])
    rules = pick(root, '[policy]\nrule-sets = ["policy/own.toml"]')
    assert set(ids(rules)) == {*ids(load_rule_set("floor")), "clean"}
    assert by_id(rules, "no-failed-verdicts") == ("error", "IEC 62304 5.7.4", ("quality",))
    evidence = changed("tests", identity_errors=["the version differs"])
    assert not decide(evidence, rules).releasable
    (root / "again.toml").write_text(rules.text)
    assert ids(load_rule_set(root / "again.toml")) == ids(rules)
    own_set(root, 'for-release = false\nrules = ["images-verified"]')
    assert ids(pick(root, '[policy]\nrule-sets = ["policy/own.toml"]')) == ["images-verified"]


@pytest.mark.parametrize("rule", ["clean-source", "no-failed-verdicts"])
@pytest.mark.parametrize("change", ["leave-out = true", 'severity = "warning"', 'waivable-by = ["anybody"]'])
@pytest.mark.parametrize("where", ["product", "set"])
def test_what_is_asked_of_every_release_cannot_be_made_weaker(root: Path, rule: str, change: str, where: str) -> None:
    table = f'rule = "{rule}"\n{change}\nreason = "R."\n'
    own_set(root, 'extends = ["release"]\n' + (f"[[change]]\n{table}" if where == "set" else ""))
    changes = f"[[policy.change]]\n{table}" if where == "product" else ""
    with pytest.raises(UsageError, match=f"'{rule}' is asked of every release") as caught:
        pick(root, f'[policy]\nrule-sets = ["policy/own.toml"]\n{changes}')
    assert caught.value.key == ("change.0" if where == "set" else "policy.change.0")
    assert ("devicepipe waive" in caught.value.remedy) == (rule == "no-failed-verdicts")


def test_what_is_asked_of_every_release_can_be_made_stricter_and_is_no_matter_where_nothing_is_released(
    root: Path,
) -> None:
    change = '[[policy.change]]\nrule = "no-failed-verdicts"\nwaivable-by = []\nreason = "R."\n'
    assert by_id(pick(root, f"[policy]\n{change}"), "no-failed-verdicts")[2] == ()
    change = '[[change]]\nrule = "no-failed-verdicts"\nseverity = "warning"\nreason = "R."\n'
    own_set(root, f'extends = ["development"]\n{change}')
    assert by_id(pick(root, '[policy]\nrule-sets = ["policy/own.toml"]'), "no-failed-verdicts")[0] == "warning"


def test_a_rule_with_lines_that_look_like_headers_is_refused(root: Path) -> None:
    """The one file is made of the authors' own lines: what it cannot be made of is refused, not written wrongly."""
    text = OWN[OWN.index("[[rule]]") :].replace('message = "it is {seen}"', 'message = """it is {seen}\n[[rule]]\n"""')
    own_set(root, text)
    with pytest.raises(UsageError, match="cannot be written out"):
        pick(root, '[policy]\nrule-sets = ["policy/own.toml"]')


CHANGE = '[policy]\n[[policy.change]]\nrule = "{}"\n{}\nreason = "R."\n'

REFUSED: dict[str, tuple[str, str, str, str]] = {
    # mistake: (devicepipe.toml's [policy], policy/own.toml, key, part of the message)
    "unknown-set": ('[policy]\nrule-sets = ["iec62304-class-d"]', "", "policy.rule-sets.0", "unknown rule set 'iec62304-class-d'"),
    "no-such-file": ('[policy]\nrule-sets = ["policy/none.toml"]', "", "policy.rule-sets.0", "expected a file"),
    "outside-the-project": ('[policy]\nrule-sets = ["../own.toml"]', "", "policy.rule-sets.0", "outside the project"),
    "no-set": ("[policy]\nrule-sets = []", "", "policy.rule-sets", "at least one entry"),
    "unknown-key": ("[policy]\nrules = []", "", "policy.rules", "unknown key"),
    "waivers-outside": ('[policy]\nwaivers = "../waivers"', "", "policy.waivers", "outside the project"),
    "change-of-an-unknown-rule": (CHANGE.format("clean-sauce", "leave-out = true"), "",
        "policy.change.0.rule", "no rule 'clean-sauce'"),
    "change-of-nothing": (CHANGE.format("clean-source", 'severity = "error"'), "", "policy.change.0", "changes nothing"),
    "change-without-a-change": (CHANGE.format("clean-source", ""), "", "policy.change.0", "a change says either"),
    "change-without-a-reason": (CHANGE.format("clean-source", "leave-out = true").replace('reason = "R."', ""), "",
        "policy.change.0.reason", "missing key"),
    "left-out-and-changed": (CHANGE.format("clean-source", 'leave-out = true\nseverity = "warning"'), "",
        "policy.change.0", "a change says"),
    "extends-an-unknown-set": ("", 'extends = ["relase"]', "extends.0", "unknown rule set 'relase'"),
    "extends-itself": ("", 'extends = ["own.toml"]', "extends.0", "extends itself: own → own"),
    "extends-outside": ("", 'extends = ["../../outside.toml"]', "extends.0", "no rule set at"),
    "unknown-shared-rule": ("", 'rules = ["clean-sauce"]', "rules.0", "no rule 'clean-sauce'"),
    "shared-rule-twice": ("", 'rules = ["clean-source", "clean-source"]', "rules.1", "stands twice"),
    "no-rule": ("", "", "name", "has no rule"),
    "clause-of-an-unknown-rule": ("", 'rules = ["clean-source"]\n[clauses]\nno-recursion = "X"', "clauses.no-recursion", "no rule"),
    "change-in-a-set-of-an-unknown-rule": (
        "", 'extends = ["release"]\n[[change]]\nrule = "x"\nleave-out = true\nreason = "R."', "change.0.rule", "no rule 'x'"),
    "name-of-a-shipped-rule": ("", OWN[OWN.index("[[rule]]") :].replace('id = "clean"', 'id = "clean-source"'),
        "rule.0.id", "stands twice, also in identity.toml"),
}  # fmt: skip


@pytest.mark.parametrize("mistake", REFUSED)
def test_a_mistake_is_named_with_file_line_key_and_remedy(root: Path, mistake: str) -> None:
    policy, own, key, part = REFUSED[mistake]
    own_set(root, own)
    with pytest.raises(UsageError) as caught:
        pick(root, policy or '[policy]\nrule-sets = ["policy/own.toml"]')
    error = caught.value
    assert error.key == key
    assert part in error.message
    assert error.line is not None
    assert error.file == root / ("devicepipe.toml" if policy else "policy/own.toml")


def test_the_set_of_a_lower_class_than_the_products_is_refused(root: Path) -> None:
    with pytest.raises(UsageError, match="is of safety class C, and iec62304-class-b asks for less") as caught:
        pick(root, '[policy]\nrule-sets = ["release", "iec62304-class-b"]')
    assert (caught.value.key, caught.value.remedy[:20]) == ("policy.rule-sets.1", "pick iec62304-class-")
    own_set(root, 'extends = ["other.toml"]')
    own_set(root, 'extends = ["iec62304-class-b"]', "other")
    with pytest.raises(UsageError, match=r"class C, and iec62304-class-b, which policy/own\.toml extends, asks"):
        pick(root, '[policy]\nrule-sets = ["release", "policy/own.toml"]')
    own_set(root, 'extends = ["iec62304-class-c"]')
    assert pick(root, '[policy]\nrule-sets = ["iec62304-class-b", "policy/own.toml"]').rules
    assert pick(root, '[policy]\nrule-sets = ["iec62304-class-b"]', "A").rules


def test_a_circle_of_sets_is_named(root: Path) -> None:
    own_set(root, 'extends = ["other.toml"]')
    own_set(root, 'extends = ["own.toml"]', "other")
    with pytest.raises(UsageError, match="extends itself: own → other → own") as caught:
        pick(root, '[policy]\nrule-sets = ["policy/own.toml"]')
    assert caught.value.remedy


def test_two_rules_of_one_name_are_refused(root: Path) -> None:
    rule = OWN[OWN.index("[[rule]]") :]
    own_set(root, rule)
    own_set(root, rule, "other")
    with pytest.raises(UsageError, match=r"another one in own\.toml and other\.toml"):
        pick(root, '[policy]\nrule-sets = ["policy/own.toml", "policy/other.toml"]')


def test_failures_keep_their_rule_whatever_the_set() -> None:
    evidence = changed("tests", identity_errors=["the version differs"])
    for name in SHIPPED:
        assert set(failed(decide(evidence, load_rule_set(name)))) == {("identity-confirmed", "small")}
