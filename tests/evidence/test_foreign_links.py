"""Results of other frameworks in a bundle: they are what their files say, of the released commit, and no row says more."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from devicepipe.errors import IntegrityError
from devicepipe.evidence.verify import verify_bundle
from tests.evidence.synthetic_bundle import Spoil, make_bundle
from tests.evidence.synthetic_records import JUNIT, JUNIT_FILE

RESULTS = "attestations/foreign-results.dsse.json"
TRACE = "attestations/traceability.dsse.json"


def edit(name: str, change: Callable[[dict[str, Any]], object]) -> Spoil:
    def spoil(predicate: dict[str, Any]) -> None:
        change(predicate)

    return Spoil(edit={name: spoil})


def case(number: int = 0, **changes: object) -> Spoil:
    return edit("foreign-results", lambda said: said["sets"][0]["cases"][number].update(changes))


def one(**changes: object) -> Spoil:
    return edit("foreign-results", lambda said: said["sets"][0].update(changes))


STORIES = {
    "no results": (Spoil(leave_out=["foreign-results"]), RESULTS),
    "results that nobody asks for": (edit("source", lambda said: said.pop("results")), RESULTS),
    "another set": (one(name="other"), RESULTS),
    "a set left out": (edit("foreign-results", lambda said: said.update(sets=[])), RESULTS),
    "another tester": (edit("foreign-results", lambda said: said.update(tester="nobody")), RESULTS),
    "a skipped case that is said to have passed": (
        Spoil(files={JUNIT_FILE: JUNIT.replace(b'"waits"/>', b'"waits"><skipped/></testcase>')}),
        RESULTS,
    ),
    "a case with another verdict": (case(1, verdict="failed", reason="failed"), RESULTS),
    "a case left out": (one(cases=[]), RESULTS),
    "a case that verifies more": (case(names=["SRS-001", "SRS-002"]), RESULTS),
    "another file": (Spoil(files={JUNIT_FILE: JUNIT.replace(b"adds", b"subs")}), RESULTS),
    "a file that is no XML": (Spoil(files={JUNIT_FILE: b"<testsuite"}), JUNIT_FILE),
    "a file with entities": (Spoil(files={JUNIT_FILE: b"<!DOCTYPE x>" + JUNIT}), JUNIT_FILE),
    "a file of another commit": (
        Spoil(files={JUNIT_FILE: JUNIT.replace(b"1f" * 20, b"2e" * 20)}),
        RESULTS,
    ),
    "not about its file": (Spoil(subjects={"foreign-results": ["keys/image.pub.pem"]}), RESULTS),
    "stale results said to be current": (
        edit("source", lambda said: said.update(commit="2e" * 20)),
        "attestations/source.dsse.json",
    ),
    "an exit code without a command": (one(exitCode=0), RESULTS),
    "a row for a case that verifies nothing": (
        edit(
            "traceability",
            lambda said: said["matrix"].append(
                {"requirement": "SRS-001", "test": "unit: core.waits", "verdicts": {"host": "passed"}}
            ),
        ),
        TRACE,
    ),
    "a row for an item that the case does not verify": (
        edit("traceability", lambda said: said["matrix"][2].update(requirement="SRS-002")),
        TRACE,
    ),
    "a case without a row": (edit("traceability", lambda said: said["matrix"].pop(2)), TRACE),
    "a host's result on a board": (
        edit("traceability", lambda said: said["matrix"][2].update(verdicts={"alpha": "passed"})),
        TRACE,
    ),
}


@pytest.mark.parametrize(("spoil", "link"), STORIES.values(), ids=STORIES.keys())
def test_a_story_that_does_not_hold(tmp_path: Path, spoil: Spoil, link: str) -> None:
    made = make_bundle(tmp_path, spoil=spoil)
    with pytest.raises(IntegrityError) as caught:
        verify_bundle(made.path, made.keys.release.public)
    assert caught.value.link == link


def test_a_good_bundle_says_what_was_read(tmp_path: Path) -> None:
    made = make_bundle(tmp_path)
    checks = [link.check for link in verify_bundle(made.path, made.keys.release.public).links]
    assert "its 2 results are what 1 files of other frameworks say" in checks
