"""An external scanner for secrets: gitleaks, where it is on PATH.

What always holds: it also searches a folder with a private key that was made for this run; if it does not report that, its silence
about the product is an error and never "no findings".
Source: gitleaks 8, `detect --no-git` and its JSON report.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

from devicepipe.analysis.external import run_tool
from devicepipe.analysis.secrets import Hit, planted
from devicepipe.errors import BenchError
from devicepipe.evidence.facts import sha256_of
from devicepipe.evidence.predicates import Tool

NAME = "gitleaks"
_INSTALL = "install it again, or take it off PATH"


@dataclass(frozen=True)
class GitleaksReport:
    """What it found in a folder: files relative to it."""

    tool: Tool
    hits: list[Hit]


def search(folder: Path, work: Path) -> GitleaksReport | None:
    """Search a folder; None where gitleaks is not on PATH.

    Args:
        folder: What to search.
        work: A folder for its reports, which must not lie in `folder`.

    Raises:
        BenchError: It fails, takes too long, reports in another form, or does not report the planted key.
    """
    program = shutil.which(NAME)
    if program is None:
        return None
    work.mkdir(parents=True, exist_ok=True)
    sample = work / "planted"
    sample.mkdir(exist_ok=True)
    (sample / "key.pem").write_bytes(planted()["pem-private-key"])
    if not _run(program, sample, work / "planted.json"):
        raise BenchError(
            "gitleaks did not report the planted private key: its silence about the product means nothing",
            remedy="install another version of gitleaks, or take it off PATH",
        )
    version = run_tool([program, "version"], Path.cwd(), install=_INSTALL).stdout.strip() or "unknown"
    hits = _run(program, folder, work / "report.json")
    return GitleaksReport(Tool(name=NAME, version=version, sha256=sha256_of(Path(program).resolve())), hits)


def _run(program: str, folder: Path, report: Path) -> list[Hit]:
    report.unlink(missing_ok=True)
    options = ["--no-git", "--source", str(folder), "--report-format", "json", "--report-path", str(report)]
    done = run_tool(
        [program, "detect", *options, "--exit-code", "0", "--redact", "--no-banner"], Path.cwd(), install=_INSTALL
    )
    try:
        entries = json.loads(report.read_text(encoding="utf-8"))
        hits = []
        for entry in entries:
            path = Path(str(entry["File"]))
            name = path.relative_to(folder) if path.is_absolute() else path
            hits.append(Hit(name.as_posix(), int(entry["StartLine"]), str(entry["RuleID"])))
    except (OSError, ValueError, KeyError, TypeError) as error:
        tail = "\n".join((done.stdout + done.stderr).strip().splitlines()[-5:])
        raise BenchError(
            f"gitleaks left no readable report: {error} {tail}".strip(), remedy="see what it says"
        ) from error
    return sorted(set(hits))
