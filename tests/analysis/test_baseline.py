"""The baseline of findings: known by fingerprint whatever the line's number, and never left out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from devicepipe.analysis.baseline import Baseline, add_fingerprints, load_baseline, write_baseline
from devicepipe.analysis.sarif import Log, check_log, findings_of
from devicepipe.errors import UsageError
from devicepipe.evidence.findings import Finding

SOURCE = "int a;\nint b;\n  int c;\nint c;\n"


def result(line: int, rule: str = "shadow", text: str = "shadows") -> dict[str, Any]:
    place = {"artifactLocation": {"uri": "src/a.c"}, "region": {"startLine": line}}
    return {"ruleId": rule, "level": "warning", "message": {"text": text}, "locations": [{"physicalLocation": place}]}


def log(root: Path, *results: dict[str, Any], source: str = SOURCE) -> Log:
    (root / "src").mkdir(exist_ok=True)
    (root / "src" / "a.c").write_text(source, encoding="ascii")
    made: Log = {"version": "2.1.0", "runs": [{"tool": {"driver": {"name": "gcc"}}, "results": list(results)}]}
    add_fingerprints(made, root)
    check_log(made)
    return made


def fingerprints(made: Log) -> list[str | None]:
    return [one.fingerprint for one in findings_of(made)]


def baseline(root: Path, findings: list[Finding], known: Baseline | None = None) -> str:
    write_baseline(root / "known.toml", findings, known or Baseline(), {"src/a.c": SOURCE.split("\n")})
    return (root / "known.toml").read_text("utf-8")


def test_a_fingerprint_follows_its_line_and_not_its_number(tmp_path: Path) -> None:
    before = fingerprints(log(tmp_path, result(2)))
    assert fingerprints(log(tmp_path, result(4), source="\n\n" + SOURCE)) == before
    assert fingerprints(log(tmp_path, result(2), source=SOURCE.replace("int b;", "int  b2;"))) != before
    assert fingerprints(log(tmp_path, result(2, rule="other"))) != before


def test_alike_findings_of_alike_lines_are_told_apart(tmp_path: Path) -> None:
    found = fingerprints(log(tmp_path, result(3), result(4), result(4, text="again"), result(4)))
    assert len(found) == len(set(found)) == 3


def test_what_is_known_is_marked_and_what_is_settled_is_suppressed(tmp_path: Path) -> None:
    first = log(tmp_path, result(1), result(2), result(3))
    text = baseline(tmp_path, findings_of(first)[:2])
    text = text.replace('disposition = "unreviewed"', 'disposition = "accepted"\njustification = "It is\\nfine."', 1)
    (tmp_path / "known.toml").write_text(text, encoding="utf-8")
    known = load_baseline(tmp_path / "known.toml")
    known.mark(first)
    check_log(first)
    assert [one.disposition for one in findings_of(first)] == ["accepted", "unreviewed", None]
    assert not [one for one in findings_of(first) if one.deviated]
    suppressed = [
        one["suppressions"][0]["justification"] for one in first["runs"][0]["results"] if "suppressions" in one
    ]
    assert suppressed == ["It is fine."]
    assert [one.disposition for one in known.used()] == ["accepted", "unreviewed"]


def test_writing_again_keeps_decisions_and_drops_what_is_gone(tmp_path: Path) -> None:
    found = findings_of(log(tmp_path, result(1), result(2)))
    text = baseline(tmp_path, found).replace(
        'disposition = "unreviewed"', 'disposition = "to-fix"\njustification = "\\"Next\\" week"', 1
    )
    (tmp_path / "known.toml").write_text(text, encoding="utf-8")
    again = findings_of(log(tmp_path, result(1), result(3)))
    text = baseline(tmp_path, again, load_baseline(tmp_path / "known.toml"))
    assert text.count("[[finding]]") == 2
    assert 'disposition = "to-fix"\njustification = "\\"Next\\" week"' in text
    assert 'code = "int c;"' in text
    assert 'code = "int b;"' not in text


def test_deviated_findings_stay_out(tmp_path: Path) -> None:
    found = [one.model_copy(update={"deviated": True}) for one in findings_of(log(tmp_path, result(1)))]
    assert "[[finding]]" not in baseline(tmp_path, found)


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ('disposition = "unreviewed"', 'disposition = "accepted"', "finding.0.justification"),
        ('disposition = "unreviewed"', 'disposition = "fine"', "finding.0.disposition"),
        ('rule = "shadow"\n', "", "finding.0.rule"),
        ('fingerprint = "', 'fingerprint = "x', "finding.0.fingerprint"),
    ],
)
def test_an_entry_without_its_parts_is_refused(tmp_path: Path, old: str, new: str, key: str) -> None:
    text = baseline(tmp_path, findings_of(log(tmp_path, result(1))))
    assert old in text
    (tmp_path / "known.toml").write_text(text.replace(old, new), encoding="utf-8")
    with pytest.raises(UsageError) as raised:
        load_baseline(tmp_path / "known.toml")
    assert raised.value.key == key


def test_an_entry_twice_is_refused(tmp_path: Path) -> None:
    text = baseline(tmp_path, findings_of(log(tmp_path, result(1))))
    entry = text[text.index("[[finding]]") :]
    (tmp_path / "known.toml").write_text(text + entry, encoding="utf-8")
    with pytest.raises(UsageError, match="stands twice"):
        load_baseline(tmp_path / "known.toml")
