"""SARIF logs: reading findings out of them, and writing them without this machine's paths.

What always holds of a log that was read here: every result names its rule, message and place in the form that SARIF 2.1.0
gives them. Limit: the OASIS schema itself cannot be had from a package registry, so logs are validated against
`sarif_structure.json`, which states the parts that devicepipe relies on; other parts pass unread.

Source: OASIS, Static Analysis Results Interchange Format (SARIF) version 2.1.0.
"""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from devicepipe.errors import BenchError
from devicepipe.evidence.predicates import Finding

if TYPE_CHECKING:
    from jsonschema import Draft202012Validator

Log = dict[str, Any]


@cache
def _validator() -> Draft202012Validator:
    from jsonschema import Draft202012Validator  # takes long to import where its format checkers are installed

    schema = json.loads(files("devicepipe.analysis").joinpath("sarif_structure.json").read_text(encoding="utf-8"))
    return Draft202012Validator(schema)


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
    """Validate a log's structure.

    Raises:
        BenchError: It does not hold; names the place and what was expected.
    """
    for error in sorted(_validator().iter_errors(log), key=lambda error: list(map(str, error.absolute_path))):
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
                deviated=bool(result.get("suppressions")),
            )
            found[finding.model_dump_json()] = finding
    return sorted(found.values(), key=lambda one: (one.file, one.line, one.rule, one.message))


def dump_log(log: Log) -> bytes:
    """The log as bytes that depend on its content only."""
    return json.dumps(log, indent=1, sort_keys=True, ensure_ascii=False).encode() + b"\n"
