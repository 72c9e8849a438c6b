"""`devicepipe gate` and `devicepipe waive`: what they show, write and refuse, and their exit codes."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.shell_completion import ShellComplete
from click.testing import CliRunner, Result

from devicepipe.cli.main import cli
from devicepipe.errors import DevicepipeError, UsageError
from devicepipe.evidence.waivers import open_waiver
from devicepipe.policy.rules import load_rule_set
from devicepipe.signing.keys import PublicKey
from tests.evidence.synthetic_bundle import Spoil, make_bundle
from tests.policy.test_crafted_bundles import Change, at, case
from tests.policy.test_crafted_bundles import bundle as whole_bundle
from tests.policy.test_rules import GOOD as OWN
from tests.project.test_config import GOOD as PROJECT
from tests.project.test_config import MANIFEST

FINDING = "failed: hil/test_pump.py::test_1: no volume"
WHY = ("--reason", "It is the test.", "--role", "quality", "--by", "A. Tester")


def run(*arguments: object) -> Result:
    return CliRunner().invoke(cli, [*map(str, arguments)], standalone_mode=False)


def code(result: Result) -> int:
    """The exit code that the `devicepipe` command gives."""
    if isinstance(result.exception, DevicepipeError):
        return result.exception.exit_code
    assert result.exception is None, result.exception
    return result.return_value or 0


def refused(*arguments: object) -> UsageError:
    error = run(*arguments).exception
    assert isinstance(error, UsageError), error
    return error


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A product, which is the working folder."""
    for folder in ("firmware", "boards", "requirements", "hil", "policy"):
        (tmp_path / folder).mkdir()
    (tmp_path / "boards/one.json").write_text(json.dumps(MANIFEST))
    (tmp_path / "policy/own.toml").write_text(OWN)
    policy = (
        '[policy]\nrule-sets = ["iec62304-class-a", "policy/own.toml"]\n'
        '[[policy.change]]\nrule = "no-quarantine"\nleave-out = true\nreason = "We have none."\n'
    )
    text = (
        PROJECT.replace('safety-class = "C"', 'safety-class = "A"')
        .replace('name = "one"', 'name = "alpha"')
        .replace('name = "two"', 'name = "beta"')
    )
    (tmp_path / "devicepipe.toml").write_text(f"{text}\n{policy}")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One whose test failed on board alpha, by the rules of class A; the gate's own word is changed with it."""
    rules = load_rule_set("iec62304-class-a")

    def gate(summary: dict[str, Any]) -> None:
        summary["devicepipe"]["decisions"] = [
            {
                "rule": rule.text.id,
                "title": "t",
                "clause": "c",
                "severity": rule.text.severity,
                "passed": not (rule.text.id == "no-failed-verdicts" and board == "alpha"),
                "message": FINDING,
                "remedy": "r",
                "board": board,
            }
            for rule in rules.rules
            for board in (("alpha", "beta") if rule.text.scope == "board" else ("",))
        ]

    def failure(result: dict[str, Any]) -> None:
        case(verdict="failed", reason="no volume")(result)

    changes: dict[str, Change] = {"gate": gate, "alpha/test": failure}
    files = {"evidence/policy/basic.toml": rules.text.encode()}
    return whole_bundle(tmp_path_factory.mktemp("made"), changes, files).path


def test_list_shows_the_products_rules_and_what_it_changed(root: Path) -> None:
    result = run("gate", "list")
    assert code(result) == 0
    assert (
        f"iec62304-class-a, mine: Rules of pump, {len(load_rule_set('iec62304-class-a').rules)} rules" in result.output
    )
    assert "! no-quarantine: left out: We have none. (devicepipe.toml:" in result.output
    assert "fda-cybersecurity" in result.output
    document = json.loads(run("gate", "list", "--json").output)
    (rules,) = document["ruleSets"]
    assert {
        "id": "clean",
        "title": "Clean",
        "clause": "X 1",
        "severity": "error",
        "scope": "release",
        "waivableBy": [],
    } in rules["rules"]
    assert [change["rule"] for change in rules["changes"]] == ["no-quarantine"]
    assert "development" in {one["name"] for one in document["shipped"]}
    assert (root / "devicepipe.toml").is_file()


def test_list_of_sets_needs_no_product(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert "nothing that this set judges is releasable" in run("gate", "list", "development").output
    assert "release: Rules of a release" in run("gate", "list").output
    assert "unknown rule set 'relase'" in refused("gate", "list", "relase").message


def test_test_counts_examples_and_names_the_rule_that_decides_one_otherwise(root: Path) -> None:
    result = run("gate", "test")
    assert code(result) == 0
    assert "mine: 1 rules, 1 examples that pass and 1 that fail" in result.output
    (root / "policy/own.toml").write_text(OWN.replace("passes = false", "passes = true"))
    result = run("gate", "test", "policy/own.toml")
    assert code(result) == 1
    assert "✗ rule 'clean' fails its example 'dirty': dirty" in result.output
    assert "✗ rule 'clean' has no example that it fails" in result.output
    (document,) = json.loads(run("gate", "test", "policy/own.toml", "--json").output)
    assert (document["rules"], document["passing"], document["failing"], len(document["surprises"])) == (1, 2, 0, 2)
    assert "unknown rule set" in refused("gate", "test", "own").message


def test_explain_shows_a_rule(root: Path) -> None:
    result = run("gate", "explain", "no-failed-verdicts")
    assert code(result) == 0
    for part in (
        "clause    IEC 62304 5.7.4",
        "a failure stops the release",
        "on each board",
        "by quality",
        "size(board.tests.failed) == 0",
    ):
        assert part in result.output
    document = json.loads(run("gate", "explain", "clean", "--json").output)
    assert document["expression"] == "release.source.dirty == false"
    assert document["examples"] == [{"name": "clean", "passes": True}, {"name": "dirty", "passes": False}]
    error = refused("gate", "explain", "no-failed-verdict")
    assert "has no rule 'no-failed-verdict'" in error.message
    assert "did you mean 'no-failed-verdicts'?" in error.remedy
    assert "name the bundle" in refused("gate", "explain", "clean", "--board", "alpha").remedy
    assert root.is_dir()


def test_explain_shows_what_a_rule_saw_and_why(bundle: Path) -> None:
    result = run("gate", "explain", "no-failed-verdicts", bundle)
    assert code(result) == 1
    assert f"✗ fails on alpha: {FINDING}" in result.output
    assert '  board.tests.failed = ["hil/test_pump.py::test_1: no volume"]' in result.output
    assert "✓ holds on beta" in result.output
    assert code(run("gate", "explain", "no-failed-verdicts", bundle, "--board", "beta")) == 0
    document = json.loads(run("gate", "explain", "no-failed-verdicts", bundle, "--board", "alpha", "--json").output)
    (decision,) = document["decisions"]
    assert (decision["state"], decision["seen"], decision["decidesAlike"]) == ("failed", [FINDING], True)
    assert {"path": "board.tests.passed", "present": True, "value": 1} in decision["inputs"]
    assert (
        "it was judged on alpha, beta"
        in refused("gate", "explain", "no-failed-verdicts", bundle, "--board", "x").remedy
    )
    assert "judged once" in refused("gate", "explain", "clean-source", bundle, "--board", "alpha").remedy
    assert "has no rule 'no-recursion'" in refused("gate", "explain", "no-recursion", bundle).message


def test_explain_of_a_bundle_that_says_otherwise(bundle: Path, tmp_path: Path) -> None:
    rules = (bundle / "evidence/policy/basic.toml").read_bytes()

    def gate(summary: dict[str, Any]) -> None:
        summary["devicepipe"]["decisions"] = [
            {
                "rule": "clean-source",
                "title": "t",
                "clause": "c",
                "severity": "error",
                "passed": True,
                "message": "m",
                "remedy": "",
            }
            | {"board": ""}
        ]

    spoil = Spoil(edit={"gate": gate, "source": at("dirty", value=True)}, files={"evidence/policy/basic.toml": rules})
    made = make_bundle(tmp_path, spoil=spoil)
    result = run("gate", "explain", "clean-source", made.path)
    assert code(result) == 4
    assert "judged again, it does not hold: the bundle says otherwise" in result.output


def test_waive_writes_a_signed_waiver_of_what_a_bundle_shows(root: Path, bundle: Path) -> None:
    wanted = ("no-failed-verdicts", "--board", "alpha", "--bundle", bundle, *WHY)
    result = run("waive", *wanted, "--until", _soon())
    assert code(result) == 0, result.output
    assert (
        f"waived no-failed-verdicts on alpha until {_soon()} by A. Tester (quality): It is the test." in result.output
    )
    document = json.loads(run("waive", *wanted, "--until", _soon(), "--by-item", "--json").output)
    assert document["waiver"]["findings"] == ["failed: hil/test_pump.py::test_1*"]
    first, second = sorted((root / "policy/waivers").glob("*.dsse.json"))
    assert Path(document["file"]) == first
    key = PublicKey.load(root / ".devicepipe/keys/release.pub.pem")
    waiver, _ = open_waiver(second.read_bytes(), key, "w")
    assert (waiver.product, waiver.findings, waiver.role) == ("pump", [FINDING], "quality")


def _soon() -> str:
    return (datetime.now(UTC).date() + timedelta(days=30)).isoformat()


REFUSED: dict[str, tuple[tuple[str, ...], str]] = {
    # mistake: (arguments, part of the message)
    "unknown-rule": (("no-failure", "--finding", FINDING), "has no rule 'no-failure'"),
    "nobody-may": (("no-missing-verdicts", "--board", "alpha", "--finding", "x"), "nobody may"),
    "no-finding": (("no-failed-verdicts", "--board", "alpha"), "either --finding, or --bundle"),
    "no-board": (("no-failed-verdicts", "--finding", FINDING), "is over-wide"),
    "unknown-board": (("no-failed-verdicts", "--board", "gamma", "--finding", FINDING), "there is no board 'gamma'"),
    "two-boards": (
        ("no-failed-verdicts", "--board", "alpha", "--board", "beta", "--finding", FINDING),
        "for one board",
    ),
    "everything": (("no-failed-verdicts", "--board", "alpha", "--finding", "*"), "is over-wide"),
    "nothing": (("no-failed-verdicts", "--board", "alpha", "--finding", " "), "is over-wide"),
    "board-of-a-rule-of-the-release": (("requirements-verified", "--board", "alpha", "--finding", "x"), "judged once"),
}


@pytest.mark.parametrize("mistake", REFUSED)
@pytest.mark.usefixtures("root")
def test_waive_refuses_what_would_do_nothing(mistake: str) -> None:
    arguments, part = REFUSED[mistake]
    assert part in refused("waive", *arguments, *WHY, "--until", _soon()).message
    assert not Path("policy/waivers").exists()


@pytest.mark.usefixtures("root")
def test_waive_refuses_wrong_words_and_days(bundle: Path) -> None:
    wanted = ("no-failed-verdicts", "--board", "alpha", "--finding", FINDING)
    assert "is no day" in refused("waive", *wanted, *WHY, "--until", "tomorrow").message
    assert "expired on 2020-01-01" in refused("waive", *wanted, *WHY, "--until", "2020-01-01").message
    assert "366 are the most" in refused("waive", *wanted, *WHY, "--until", "2999-01-01").message
    empty = ("--reason", " ", "--role", "quality", "--until", _soon())
    assert "--reason has nothing that can be seen" in refused("waive", *wanted, *empty).message
    turned = ("--reason", "ok \u202eAPPROVED", "--role", "quality", "--until", _soon())
    assert "--reason has a character that is not printed" in refused("waive", *wanted, *turned).message
    other = ("--reason", "r", "--role", "developer", "--until", _soon())
    assert "developer may not waive no-failed-verdicts: only quality may" in refused("waive", *wanted, *other).message
    boardless = refused("waive", "no-failed-verdicts", "--bundle", bundle, *WHY, "--until", _soon())
    assert "is judged on each board" in boardless.message
    assert boardless.remedy.startswith("name one: --board alpha")
    held = ("no-failed-verdicts", "--board", "beta", "--bundle", bundle)
    assert "the rule holds" in refused("waive", *held, *WHY, "--until", _soon()).message


@pytest.mark.usefixtures("root")
def test_rules_and_sets_are_completed() -> None:
    def completed(*words: str, incomplete: str) -> list[str]:
        return [
            item.value for item in ShellComplete(cli, {}, "devicepipe", "_X").get_completions(list(words), incomplete)
        ]

    assert completed("gate", "explain", incomplete="no-fail") == ["no-failed-verdicts", "no-failure-retried"]
    assert completed("waive", incomplete="clea") == ["clean-source", "clean"]
    assert completed("gate", "test", incomplete="iec") == [f"iec62304-class-{one}" for one in "abc"]
    assert "explain" in completed("gate", incomplete="")
