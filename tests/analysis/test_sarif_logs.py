"""SARIF logs: what is read, and what is refused."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from devicepipe.analysis.sarif import check_log, dump_log, findings_of, read_log
from devicepipe.errors import BenchError


def place(uri: str, line: int) -> dict[str, Any]:
    return {"physicalLocation": {"artifactLocation": {"uri": uri}, "region": {"startLine": line}}}


RESULT: dict[str, Any] = {
    "ruleId": "nullPointer",
    "level": "error",
    "message": {"text": "Null pointer"},
    "locations": [place("src/way.c", 1), place("src/defect.c", 7)],
}
LOG: dict[str, Any] = {
    "version": "2.1.0",
    "runs": [{"tool": {"driver": {"name": "Cppcheck"}}, "results": [RESULT, RESULT]}],
}


def test_finding_stands_at_the_last_place_and_once() -> None:
    (finding,) = findings_of(LOG)
    assert (finding.tool, finding.rule, finding.level) == ("cppcheck", "nullPointer", "error")
    assert (finding.file, finding.line) == ("src/defect.c", 7)


def test_written_log_reads_back_the_same(tmp_path: Path) -> None:
    path = tmp_path / "log.sarif"
    path.write_bytes(dump_log(LOG))
    assert read_log(path) == LOG


@pytest.mark.parametrize(
    ("where", "value"),
    [
        (("version",), "2.0.0"),
        (("runs",), []),
        (("runs", 0, "tool", "driver"), {}),
        (("runs", 0, "results", 0, "level"), "fatal"),
        (("runs", 0, "results", 0, "message"), {}),
        (("runs", 0, "results", 0, "ruleId"), ""),
        (("runs", 0, "results", 0, "locations", 0, "physicalLocation", "region", "startLine"), "7"),
    ],
    ids=["old_version", "no_runs", "no_tool_name", "unknown_level", "no_message", "no_rule", "line_is_text"],
)
def test_log_of_another_structure_is_refused(where: tuple[str | int, ...], value: object) -> None:
    log: Any = copy.deepcopy(LOG)
    inside = log
    for key in where[:-1]:
        inside = inside[key]
    inside[where[-1]] = value
    with pytest.raises(BenchError, match="not well-formed at"):
        check_log(json.loads(json.dumps(log)))


def test_truncated_log_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "log.sarif"
    path.write_bytes(dump_log(LOG)[:-20])
    with pytest.raises(BenchError, match="no readable SARIF log"):
        read_log(path)
