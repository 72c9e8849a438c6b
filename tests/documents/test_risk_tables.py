"""Hazards before and after, anomalies, SOUP and measurements in the report: what is there is shown, what is missing stands out."""

from __future__ import annotations

import csv
import io
from dataclasses import replace

import pytest

from devicepipe.documents.measurements import limits_text, measurements_csv, measurements_table, number_text
from devicepipe.documents.model import Tone
from devicepipe.documents.record import ReleaseRecord
from devicepipe.documents.release import render_documents
from devicepipe.documents.risks import hazards, open_anomalies, resolved_anomalies, soup_table
from devicepipe.evidence.results import Measurement, Verdict
from devicepipe.evidence.trace import Item
from tests.documents.release_records import BOARDS, green, item

HAZARD = {
    "severity": "critical",
    "probability": "probable",
    "severity-after": "critical",
    "probability-after": "remote",
}
SOUP = {
    "version": "1.2.3",
    "supplier": "Somebody",
    "licence": "MIT",
    "purl": "pkg:github/somebody/tiny@1.2.3",
    "cpe": "cpe:2.3:a:somebody:tiny:1.2.3:*:*:*:*:*:*:*",
    "sha256": "0" * 64,
    "anomaly-list": "https://example.com/tiny",
    "anomalies-reviewed": "2026-11-25",
}
ANOMALY = {"status": "open", "found-by": "review", "cause": "No multiplier.", "impact": "None.", "rationale": "Once."}


def other(name: str, kind: str, fields: dict[str, str], **links: list[str]) -> Item:
    return item(name, kind, f"Title of {name}", links).model_copy(update={"fields": fields})


def with_items(*items: Item) -> ReleaseRecord:
    record = green()
    kept = [one for one in record.traceability.items if one.type == "requirement"]
    return replace(record, traceability=record.traceability.model_copy(update={"items": [*kept, *items]}))


RECORD = with_items(
    other("HAZ-001", "hazard", HAZARD),
    other("HAZ-009", "hazard", {"severity": "minor"}),
    item("RC-001", "risk-control", "Rate limit", {"mitigates": ["HAZ-001"]}),
    other("SOUP-001", "soup", SOUP, requirements=["SRS-001"]),
    other("ANO-001", "anomaly", ANOMALY, affects=["SRS-001"]),
    other("ANO-002", "anomaly", ANOMALY | {"status": "resolved"}, affects=["SRS-002"]),
)


def test_hazards_stand_with_their_ratings_and_controls_and_what_is_missing_stands_out() -> None:
    rated, unrated = hazards(RECORD).rows
    assert [cell.text for cell in rated][2:4] == ["critical", "probable"]
    assert [cell.text for cell in rated][5:] == ["critical", "remote"]
    assert rated[4].text == "RC-001 Rate limit"
    assert [(cell.text, cell.tone) for cell in unrated][3] == ("not rated", Tone.WARNING)
    assert (unrated[4].text, unrated[4].tone) == ("none", Tone.WARNING)


def test_open_and_resolved_anomalies_are_kept_apart() -> None:
    still_open, resolved = open_anomalies(RECORD), resolved_anomalies(RECORD)
    assert [row[0].text for row in still_open.rows] == ["ANO-001"]
    assert [cell.text for cell in still_open.rows[0]][2:] == ["review", "No multiplier.", "None.", "Once."]
    assert [row[0].text for row in resolved.rows] == ["ANO-002"]
    assert resolved_anomalies(with_items()).rows == ()


def test_soup_shows_names_digest_and_review() -> None:
    (row,) = soup_table(RECORD).rows
    assert row[3].detail == "0" * 64
    assert row[4].detail == "rests on it: SRS-001"
    assert (row[5].text, row[5].detail) == ("2026-11-25", "https://example.com/tiny")


def measured(
    name: str, value: float, *, where: str = "", low: float | None = None, high: float | None = 5.0
) -> Measurement:
    within = (low is None or value >= low) and (high is None or value <= high)
    return Measurement(name=name, where=where, value=value, unit="%", low=low, high=high, within=within)


def with_measurements(**values: list[Measurement]) -> ReleaseRecord:
    """`board=[…]`: what its first test measured."""
    record, runs = green(), []
    for run in record.runs:
        first, *others = run.cases
        found = values.get(run.board, [])
        verdict = Verdict.PASSED if all(one.within for one in found) else Verdict.FAILED
        first = first.model_copy(update={"measurements": found, "verdict": verdict})
        runs.append(run.model_copy(update={"cases": [first, *others]}))
    return replace(record, runs=tuple(runs))


def test_measurements_have_a_row_for_each_value_and_a_column_for_each_board() -> None:
    series = [
        measured("error of volume", 1.25, where="2 min"),
        measured("error of volume", -0.5, where="5 min", low=-5.0),
    ]
    record = with_measurements(microbit=series, mps2_an385=[measured("error of volume", 6.5, where="2 min")])
    table = measurements_table(record)
    assert [column.title for column in table.columns][5:] == list(BOARDS)
    first, second = table.rows
    assert [cell.text for cell in first][3:] == ["%", "at most 5", "1.25", "6.5"]
    assert (first[6].detail, first[6].tone) == ("OUTSIDE", Tone.BAD)
    assert [cell.text for cell in second][3:] == ["%", "-5 to 5", "-0.5", "—"]


def test_a_value_of_a_test_that_did_not_pass_is_marked() -> None:
    record = with_measurements(microbit=[measured("a", 1.0), measured("b", 9.0)])
    good = measurements_table(record).rows[0][5]
    assert (good.text, good.detail, good.tone) == ("1", "the test did not pass", Tone.WARNING)


def test_every_digit_is_in_the_csv() -> None:
    data = measurements_csv(with_measurements(microbit=[measured("error", 0.1 + 0.2, where="2 min", low=-5.0)]))
    (row,) = csv.DictReader(io.StringIO(data.decode("utf-8"), newline=""))
    assert row["value"] == "0.30000000000000004"
    assert (row["lower limit"], row["upper limit"], row["within"]) == ("-5.0", "5.0", "yes")
    assert (row["board"], row["where"], row["verdict"]) == ("microbit", "2 min", "passed")


def test_nothing_measured_is_said() -> None:
    assert measurements_table(green()).rows == ()
    assert len(measurements_csv(green()).splitlines()) == 1


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0"), (0.1 + 0.2, "0.3"), (1234567.0, "1,234,567"), (3599.5, "3599.5"), (-1e-9, "-1e-09"), (2e20, "2e+20")],
)
def test_numbers_as_people_read_them(value: float, text: str) -> None:
    assert number_text(value) == text


def test_limits_in_words() -> None:
    assert limits_text(0.0, 100.0) == "0 to 100"
    assert limits_text(5.0, None) == "at least 5"
    assert limits_text(None, 0.5) == "at most 0.5"


def test_the_documents_are_the_same_bytes_each_time() -> None:
    record = with_measurements(microbit=[measured("error", 1.25)])
    assert render_documents(record) == render_documents(record)
