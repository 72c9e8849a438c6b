"""SARIF logs: reading findings out of them, and writing them without this machine's paths.

What always holds of a log that was read or is written here: it is valid by the JSON schema of SARIF 2.1.0 (`schemas/`,
unchanged), and by `sarif_structure.json`, which also asks for what devicepipe relies on: every result names its rule, message and
place.

Source: OASIS, Static Analysis Results Interchange Format (SARIF) version 2.1.0.
"""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from devicepipe.errors import BenchError
from devicepipe.evidence.findings import Finding

if TYPE_CHECKING:
    from jsonschema import Draft4Validator, Draft202012Validator

Log = dict[str, Any]

FINGERPRINT = "devicepipe/v1"
"""The name of the fingerprint that devicepipe gives every result (SARIF 2.1.0, 3.27.17)."""

_SCHEMA = "schemas/sarif-2.1.0-rtm.5.json"


@cache
def _validators() -> tuple[Draft202012Validator, Draft4Validator]:
    from jsonschema import (
        Draft4Validator,
        Draft202012Validator,
    )  # takes long to import where its format checkers are installed

    folder = files("devicepipe.analysis")
    own, schema = (
        json.loads(folder.joinpath(name).read_text(encoding="utf-8")) for name in ("sarif_structure.json", _SCHEMA)
    )
    return Draft202012Validator(own), Draft4Validator(schema)


def read_log(path: Path) -> Log:
    """Read a SARIF log.

    Raises:
        BenchError: It is missing, is not JSON, or does not have the structure that is relied on.
    """
    remedy = "the analyser is of another version than devicepipe was made for, or did not end well"
    try:
        log: Log = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BenchError(f"the analyser left no readable SARIF log {path.name}: {error}", remedy=remedy) from error
    check_log(log)
    return log


def check_log(log: Log) -> None:
    """Validate a log against the schema of SARIF 2.1.0 and the structure that is relied on.

    Raises:
        BenchError: It does not hold; names the place and what was expected.
    """
    errors = [error for validator in _validators() for error in validator.iter_errors(log)]
    for error in sorted(errors, key=lambda error: list(map(str, error.absolute_path))):
        where = "/".join(str(part) for part in error.absolute_path)
        raise BenchError(
            f"the SARIF log is not well-formed at '{where}': {error.message}",
            remedy="the analyser is of another version than devicepipe was made for",
        )


def findings_of(log: Log) -> list[Finding]:
    """The log's results as findings, sorted, each once.

    Where a result has several places they are the way to the defect, and the last is the defect's own (cppcheck's order).
    """
    found = {}
    for run in log["runs"]:
        tool = run["tool"]["driver"]["name"].lower()
        for result in run["results"]:
            place = result["locations"][-1]["physicalLocation"] if result["locations"] else None
            level = result.get("level", "warning")
            finding = Finding(
                tool=tool,
                rule=result["ruleId"],
                level="note" if level == "none" else level,
                message=result["message"]["text"],
                file=place["artifactLocation"]["uri"] if place else "",
                line=place["region"]["startLine"] if place else 0,
                deviated=_covered_by_deviation(result),
                fingerprint=result.get("partialFingerprints", {}).get(FINGERPRINT),
                disposition=result.get("properties", {}).get("disposition"),
            )
            found[finding.model_dump_json()] = finding
    return sorted(found.values(), key=lambda one: (one.file, one.line, one.rule, one.message))


def _covered_by_deviation(result: dict[str, Any]) -> bool:
    return bool(result.get("suppressions")) and "disposition" not in result.get("properties", {})


def dump_log(log: Log) -> bytes:
    """The log as bytes that depend on its content only."""
    return json.dumps(log, indent=1, sort_keys=True, ensure_ascii=False).encode() + b"\n"
