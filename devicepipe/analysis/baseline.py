"""The baseline of findings: which ones are known, and what was decided about each.

The file is TOML, written by `devicepipe analyse --write-baseline` and reviewed by people::

    [[finding]]
    fingerprint = "…"                    # of tool, rule, file and the text of the line; not of the line's number
    tool = "cppcheck"
    rule = "constParameterPointer"
    file = "firmware/src/a.c"
    code = "static int f(int *x)"        # the line, for whoever reads the file
    disposition = "accepted"             # unreviewed, false-positive, accepted, to-fix
    justification = "…"                  # needed for all but unreviewed

What always holds: a finding is known only by its fingerprint, and what is known is never left out of the evidence: it stands
there with its disposition. A finding in a line that was changed is a new one.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, StringConstraints

from devicepipe.analysis.sarif import FINGERPRINT, Log
from devicepipe.errors import UsageError
from devicepipe.evidence.findings import Disposition, DispositionKind, Finding
from devicepipe.project.toml_file import Table, Text, TomlFile

_HEAD = """\
# Known findings of static analysis; docs/reference/analysis.md tells what the keys mean.
# `devicepipe analyse --write-baseline` adds new ones as "unreviewed", keeps what was decided, and drops what is no longer found.
"""


_ADVICE = "docs/reference/analysis.md says how a baseline is written"


class _Entry(Table):
    fingerprint: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
    tool: Text
    rule: Text
    file: Text
    code: str = ""
    disposition: DispositionKind
    justification: str = ""


class _File(Table):
    finding: tuple[_Entry, ...] = Field(default=(), strict=False)


@dataclass(slots=True)
class Baseline:
    """Known findings by fingerprint, and which of them were seen."""

    entries: Mapping[str, Disposition] = field(default_factory=dict)
    seen: set[str] = field(default_factory=set)

    def mark(self, log: Log) -> None:
        """Note on every result what was decided about it; a result needs its fingerprint."""
        for result in (result for run in log["runs"] for result in run["results"]):
            entry = self.entries.get(result.get("partialFingerprints", {}).get(FINGERPRINT, ""))
            if entry is None or result.get("suppressions"):
                continue
            self.seen.add(entry.fingerprint)
            result.setdefault("properties", {})["disposition"] = entry.disposition
            if entry.settles:
                result["suppressions"] = [
                    {"kind": "external", "status": "accepted", "justification": entry.justification}
                ]

    def used(self) -> list[Disposition]:
        """The entries that were seen."""
        return [entry for fingerprint, entry in self.entries.items() if fingerprint in self.seen]


def load_baseline(path: Path | None) -> Baseline:
    """Read a baseline; an empty one where there is no file.

    Raises:
        UsageError: A key is missing, unknown or wrong, or a fingerprint stands twice; names file, line and key.
    """
    if path is None:
        return Baseline()
    source = TomlFile.read(path, remedy="make it by `devicepipe analyse --write-baseline`", advice=_ADVICE)
    entries: dict[str, Disposition] = {}
    for index, entry in enumerate(source.parse(_File).finding):
        if entry.fingerprint in entries:
            raise source.error("stands twice", ("finding", index, "fingerprint"))
        if entry.disposition != "unreviewed" and not entry.justification.strip():
            raise source.error(f"'{entry.disposition}' needs a justification", ("finding", index, "justification"))
        entries[entry.fingerprint] = Disposition(
            fingerprint=entry.fingerprint,
            tool=entry.tool,
            rule=entry.rule,
            file=entry.file,
            disposition=entry.disposition,
            justification=" ".join(entry.justification.split()),
        )
    return Baseline(entries)


def write_baseline(path: Path, findings: Iterable[Finding], known: Baseline, lines: Mapping[str, Sequence[str]]) -> int:
    """Write the baseline of these findings (all of them but deviated ones), keeping what was decided.

    Args:
        path: The file.
        findings: What was found.
        known: The baseline so far.
        lines: By file, its lines.

    Returns:
        How many findings are new in it.
    """
    wanted = {one.fingerprint: one for one in findings if one.fingerprint and not one.deviated}
    text, new = [_HEAD], 0
    for fingerprint, one in sorted(wanted.items(), key=lambda item: (item[1].file, item[1].rule, item[1].line)):
        entry = known.entries.get(fingerprint)
        new += entry is None
        source = lines.get(one.file, ())
        code = source[one.line - 1].strip() if 0 < one.line <= len(source) else ""
        values = {
            "fingerprint": fingerprint,
            "tool": one.tool,
            "rule": one.rule,
            "file": one.file,
            "code": code,
            "disposition": entry.disposition if entry else "unreviewed",
            "justification": entry.justification if entry else "",
        }
        text.append(
            "\n[[finding]]\n" + "".join(f"{key} = {_quoted(value)}\n" for key, value in values.items() if value)
        )
    try:
        path.write_text("".join(text), encoding="utf-8")
    except OSError as error:
        raise UsageError(f"cannot be written: {error.strerror}", file=path) from error
    return new


def _quoted(text: str) -> str:
    """A TOML basic string: JSON's escapes are among TOML's."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def add_fingerprints(log: Log, root: Path) -> None:
    """Give every result its fingerprint: of tool, rule, file, the line's text, and which of those that share them it is.

    Args:
        log: Results with paths relative to `root`.
        root: Where the sources are.
    """
    texts: dict[str, list[str]] = {}
    for run in log["runs"]:
        tool = run["tool"]["driver"]["name"].lower()
        counted: dict[str, dict[tuple[int, str], int]] = {}
        for result in sorted(run["results"], key=_order):
            file, line = _place(result)
            if file not in texts:
                texts[file] = lines_of(root / file)
            text = texts[file][line - 1].strip() if 0 < line <= len(texts[file]) else ""
            base = "\0".join([tool, result["ruleId"], file, text])
            alike = counted.setdefault(base, {})
            number = alike.setdefault((line, result["message"]["text"]), len(alike))
            digest = hashlib.sha256(f"{base}\0{number}".encode()).hexdigest()
            result["partialFingerprints"] = {FINGERPRINT: digest}


def lines_of(path: Path) -> list[str]:
    """The lines of a source file; none where it cannot be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").split("\n")
    except OSError:
        return []


def _place(result: dict[str, Any]) -> tuple[str, int]:
    if not result["locations"]:
        return "", 0
    place = result["locations"][-1]["physicalLocation"]
    return str(place["artifactLocation"]["uri"]), int(place["region"]["startLine"])


def _order(result: dict[str, Any]) -> tuple[str, int, str]:
    return (*_place(result), str(result["message"]["text"]))
