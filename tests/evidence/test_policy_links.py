"""Decisions that are not those of the bundle's rules, and waivers that do not waive what they are said to: the link is named."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from devicepipe.errors import IntegrityError
from devicepipe.evidence.decisions import Waiver, WaiverUse, rule_digest
from devicepipe.evidence.verify import verify_bundle
from devicepipe.evidence.waivers import sign_waiver
from tests.evidence.synthetic_bundle import Keys, Spoil, development_keys, make_bundle
from tests.evidence.synthetic_records import RULES

GATE = "attestations/gate.dsse.json"
RULES_FILE = "evidence/policy/basic.toml"
FILE = "evidence/policy/waivers/w.dsse.json"
FINDING = "failed: hil/test_pump.py::test_1: no volume"
WAIVED = "tests-pass on alpha, waived until 2026-03-31 by A. Tester (quality): It is the test."
DIGEST = rule_digest("tests-pass", "board", "board.passed == true")

Change = Callable[[dict[str, Any]], None]


def waiver(**values: object) -> Waiver:
    """One that covers FINDING; the synthetic gate judged on 2026-03-01."""
    good = {
        "product": "pump",
        "rule": "tests-pass",
        "board": "alpha",
        "findings": [FINDING],
        "reason": "It is the test.",
        "by": "A. Tester",
        "role": "quality",
        "made_on": "2026-02-01T00:00:00Z",
        "until": "2026-03-31",
    }
    return Waiver.model_validate(good | values)


def waived(
    given: Waiver | None = None,
    *,
    told: Change = lambda _: None,
    release: Change = lambda _: None,
    keys: Keys | None = None,
    digest: str = DIGEST,
    files: dict[str, bytes] | None = None,
) -> Spoil:
    """A bundle whose only failure is waived; `told` and `release` change what the gate and the release statement say of it."""
    given = given or waiver()
    pair = (keys or development_keys()).release
    data = sign_waiver(given, digest, pair.signer, pair.public)

    def gate(predicate: dict[str, Any]) -> None:
        decisions = predicate["devicepipe"]
        use = WaiverUse(file=FILE, sha256="0" * 64, applied=True, message="m", waiver=given).to_json()
        use["sha256"] = hashlib.sha256((files or {}).get(FILE, data)).hexdigest()
        decisions["waivers"] = [use]
        decisions["decisions"][1] |= {"passed": False, "remedy": "r", "findings": [FINDING], "waivers": [FILE]}
        told(predicate)

    def statement(predicate: dict[str, Any]) -> None:
        predicate["waived"] = [WAIVED]
        release(predicate)

    return Spoil(edit={"gate": gate, "release": statement}, files={FILE: data} | (files or {}))


def of_decision(**values: object) -> Change:
    return lambda gate: gate["devicepipe"]["decisions"][1].update(values)


def of_use(**values: object) -> Change:
    return lambda gate: gate["devicepipe"]["waivers"][0].update(values)


def unwaived(gate: dict[str, Any]) -> None:
    """The decision no longer names the waiver that was applied."""
    for key in ("findings", "waivers"):
        del gate["devicepipe"]["decisions"][1][key]
    gate["devicepipe"]["decisions"][1]["passed"] = True


def rules(old: str, new: str) -> Spoil:
    assert old in RULES.decode()
    return Spoil(files={RULES_FILE: RULES.decode().replace(old, new).encode()})


def decided(change: Callable[[list[dict[str, Any]]], object]) -> Spoil:
    def edit(gate: dict[str, Any]) -> None:
        change(gate["devicepipe"]["decisions"])

    return Spoil(edit={"gate": edit})


CHANGE = {"rule": "complete", "change": "severity warning", "reason": "R.", "place": "devicepipe.toml:1"}
CHANGED = RULES + b'\n[[change]]\nrule = "complete"\nseverity = "warning"\nreason = "R."\n'

STORIES: dict[str, tuple[Spoil, str]] = {
    # rules
    "a rule was not decided": (decided(lambda all_: all_.pop(0)), GATE),
    "a rule was not decided on a board": (decided(lambda all_: all_.pop(1)), GATE),
    "a rule was decided twice": (decided(lambda all_: all_.append(all_[0])), GATE),
    "a rule that is not in the file": (decided(lambda all_: all_.append(all_[0] | {"rule": "other"})), GATE),
    "a rule of a board that is none": (decided(lambda all_: all_.append(all_[1] | {"board": "beta"})), GATE),
    "another severity": (decided(lambda all_: all_[0].update(severity="warning")), GATE),
    "no rule set": (Spoil(files={RULES_FILE: b"rules"}), GATE),
    "rules that are no text": (Spoil(files={RULES_FILE: b"\xff"}), GATE),
    "a rule without a scope": (rules('scope = "release"\n', ""), GATE),
    "a rule twice in the file": (rules('id = "tests-pass"', 'id = "complete"'), GATE),
    "rules that are not for a release": (rules('title = "Basic"', 'title = "Basic"\nfor-release = false'), GATE),
    "a change that is not told": (Spoil(files={RULES_FILE: CHANGED}), GATE),
    "a change that nobody made": (
        Spoil(edit={"gate": lambda gate: gate["devicepipe"].update(changes=[CHANGE | {"rule": "tests-pass"}])}), GATE,
    ),
    # waivers
    "a waiver that the gate does not tell of": (Spoil(files={FILE: b"x"}), GATE),
    "a waiver that is not there": (
        Spoil(edit=waived().edit), GATE,
    ),
    "by another key": (waived(keys=development_keys(1)), FILE),
    "an altered one": (waived(files={FILE: b"{}"}), FILE),
    "an expired one": (waived(waiver(until="2026-02-28")), FILE),
    "one made later": (waived(waiver(made_on="2026-03-02T00:00:00Z")), FILE),
    "one for more than a year": (waived(waiver(until="2027-03-31")), FILE),
    "by a role that may not": (waived(waiver(role="developer")), FILE),
    "of another product": (waived(waiver(product="other")), FILE),
    "of a reworded rule": (waived(digest="1" * 64), FILE),
    "of another board": (waived(waiver(board="beta")), GATE),
    "of another rule": (waived(waiver(rule="complete", board="")), FILE),
    "of another finding": (waived(waiver(findings=["failed: hil/test_pump.py::test_2*"])), GATE),
    "over-wide": (waived(waiver(findings=["failed: *"])), FILE),
    "that covers one of two findings": (waived(told=of_decision(findings=[FINDING, "failed: another"])), GATE),
    "that covers nothing": (waived(told=of_decision(findings=[])), GATE),
    "told otherwise": (waived(told=lambda gate: gate["devicepipe"]["waivers"][0]["waiver"].update(reason="None.")), GATE),
    "with another digest": (waived(told=of_use(sha256="1" * 64)), GATE),
    "applied and named by no decision": (waived(told=unwaived, release=lambda release: release.pop("waived")), GATE),
    "not applied and named by a decision": (waived(told=of_use(applied=False)), GATE),
    "applied and unread": (waived(told=lambda gate: gate["devicepipe"]["waivers"][0].pop("waiver")), FILE),
    "waived and called passed": (waived(told=of_decision(passed=True)), GATE),
    "findings of what is not waived": (decided(lambda all_: all_[1].update(findings=["x"])), GATE),
    "the release does not say so": (waived(release=lambda release: release.pop("waived")), "release.json"),
    "the release tells of a change that nobody made": (
        Spoil(edit={"release": lambda release: release.update(weakened=["x"])}), "release.json",
    ),
    "the release says more": (waived(release=lambda release: release["waived"].append("x")), "release.json"),
}  # fmt: skip


def test_a_waived_failure_verifies_and_the_release_says_so(tmp_path: Path) -> None:
    made = make_bundle(tmp_path, spoil=waived())
    verified = verify_bundle(made.path, made.keys.release.public)
    assert (verified.release.releasable, verified.release.waived) == (True, [WAIVED])
    assert any("releasable with 1 waived" in link.check for link in verified.links)


def test_changes_that_are_told_verify(tmp_path: Path) -> None:
    def gate(predicate: dict[str, Any]) -> None:
        predicate["devicepipe"].update(changes=[CHANGE])
        predicate["devicepipe"]["decisions"][0]["severity"] = "warning"

    def statement(predicate: dict[str, Any]) -> None:
        predicate["weakened"] = ["complete: severity warning: R. (devicepipe.toml:1)"]

    spoil = Spoil(edit={"gate": gate, "release": statement}, files={RULES_FILE: CHANGED})
    made = make_bundle(tmp_path, spoil=spoil)
    assert verify_bundle(made.path, made.keys.release.public).release.weakened
    (tmp_path / "silent").mkdir()
    silent = make_bundle(tmp_path / "silent", spoil=Spoil(edit={"gate": gate}, files={RULES_FILE: CHANGED}))
    with pytest.raises(IntegrityError, match="does not say what the gate decided"):
        verify_bundle(silent.path, silent.keys.release.public)


@pytest.mark.parametrize("story", STORIES)
def test_a_story_that_does_not_hold(tmp_path: Path, story: str) -> None:
    spoil, link = STORIES[story]
    made = make_bundle(tmp_path, spoil=spoil)
    with pytest.raises(IntegrityError) as caught:
        verify_bundle(made.path, made.keys.release.public)
    assert caught.value.link == link
