"""Waivers and changed rules in the report: what is waived never looks as if it held, and what does nothing is named."""

from __future__ import annotations

from dataclasses import replace

from devicepipe.documents.details import gate
from devicepipe.documents.identity import release_status
from devicepipe.documents.model import Notice, Table, Tone
from devicepipe.documents.record import ReleaseRecord
from devicepipe.documents.release import render_documents
from devicepipe.evidence.decisions import Decision, PolicyChange, Waiver, WaiverUse
from tests.documents.release_records import BOARDS, decisions, green

FILE = "evidence/policy/waivers/no-recursion.dsse.json"
WAIVER = Waiver(
    product="pump",
    rule="no-recursion",
    board=BOARDS[0],
    findings=["application: parse → parse"],
    reason="Four levels deep at most.",
    by="A. Tester",
    role="quality",
    made_on="2026-05-01T00:00:00Z",
    until="2026-12-31",
)
FAILS = Decision(
    rule="no-recursion",
    title="No function calls itself",
    clause="IEC 62304 5.5.4",
    severity="error",
    passed=False,
    message="recursion: application: parse → parse",
    remedy="replace it by a loop",
    board=BOARDS[0],
)
WAIVED = FAILS.model_copy(update={"findings": WAIVER.findings, "waivers": [FILE]})
USE = WaiverUse(file=FILE, sha256="0" * 64, applied=True, message="covers 1 of 1 findings", waiver=WAIVER)
ALTERED = WaiverUse(
    file="evidence/policy/waivers/x.dsse.json", sha256="0" * 64, applied=False, message="is not canonical"
)
CHANGE = PolicyChange(rule="slot-spare", change="left out", reason="One slot only.", place="devicepipe.toml:70")


def record(failing: Decision, *uses: WaiverUse, changes: tuple[PolicyChange, ...] = ()) -> ReleaseRecord:
    decided = decisions(failing=failing).model_copy(update={"waivers": list(uses), "changes": list(changes) or None})
    return replace(green(), decisions=decided)


def tables(of: ReleaseRecord) -> dict[str, Table]:
    return {block.caption: block for block in gate(of) if isinstance(block, Table)}


def test_the_title_page_says_that_it_is_released_with_waivers() -> None:
    waived = record(WAIVED, USE)
    (notice,) = (block for block in release_status(waived) if isinstance(block, Notice) and "RELEASABLE" in block.title)
    assert (notice.tone, notice.title) == (Tone.WARNING, "RELEASABLE, WITH WAIVERS")
    assert "of those that do not, 1 waived" in notice.lines[0]
    assert notice.lines[1] == (
        f"no-recursion on {BOARDS[0]}, waived until 2026-12-31 by A. Tester (quality): Four levels deep at most."
    )


def test_an_error_that_nobody_waived_is_not_releasable() -> None:
    assert not record(FAILS, ALTERED).releasable
    assert record(WAIVED, USE).releasable


def test_waivers_stand_in_a_table_and_those_that_do_nothing_too() -> None:
    table = tables(record(WAIVED, USE, ALTERED))["Waivers"]
    applied, altered = table.rows
    assert applied[-1].text == "applied"
    assert applied[-1].tone is Tone.WARNING
    assert (altered[0].text, altered[-1].text, altered[-1].tone) == ("x.dsse.json", "does nothing", Tone.BAD)
    outcome = next(row for row in tables(record(WAIVED, USE))["Decisions"].rows if "no-recursion" in str(row))[3]
    assert (outcome.text, outcome.tone) == ("WAIVED", Tone.WARNING)


def test_the_title_page_says_that_rules_were_made_weaker() -> None:
    stricter = CHANGE.model_copy(update={"change": "severity error"})
    for changes, said in (((CHANGE, stricter), True), ((stricter,), False)):
        changed = replace(green(), decisions=green().decisions.model_copy(update={"changes": list(changes)}))
        (notice,) = (
            block for block in release_status(changed) if isinstance(block, Notice) and "RELEASABLE" in block.title
        )
        assert ("1 made weaker than written" in notice.lines[0]) == said


def test_changed_rules_stand_with_their_reason() -> None:
    table = tables(record(WAIVED, USE, changes=(CHANGE,)))["What was changed about the rules"]
    assert [cell.text for cell in table.rows[0]] == ["slot-spare", "left out", "One slot only.", "devicepipe.toml:70"]
    assert "Waivers" not in tables(green())


def test_all_of_it_is_rendered() -> None:
    rendered = render_documents(record(WAIVED, USE, ALTERED, changes=(CHANGE,)))
    page = rendered["software-verification-report.html"].decode()
    for text in ("RELEASABLE, WITH WAIVERS", "WAIVED", "Four levels deep at most.", "does nothing", "One slot only."):
        assert text in page
    assert rendered["software-verification-report.pdf"].startswith(b"%PDF")
