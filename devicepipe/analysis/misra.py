"""cppcheck's MISRA C:2012 addon over the syntax dumps of a firmware's sources.

One process of the addon reads all dumps, each on its own (`misra_each.py`): started once per file it takes four times as long,
and over all files at once it tells a finding in a header for the first file only that includes it. A source is not read again
in the same release if it and everything that it includes, the options and the sizes of C types are the same (`Cache`); what a
source includes is what cppcheck says it read.
"""

from __future__ import annotations

import hashlib
import html
import re
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from devicepipe.analysis.cache import Cache, Said
from devicepipe.analysis.external import run_tool
from devicepipe.errors import BenchError
from devicepipe.evidence.facts import sha256_of

_FINDING = re.compile(r"^\[(?P<file>.+):(?P<line>\d+)\] \(\w+\) .* \[(?P<rule>misra-c2012-[\d.]+)\]$", re.MULTILINE)
_DUMP = re.compile(r"^== (?P<exit>\d+)$", re.MULTILINE)
_READ = re.compile(rb'<file index="\d+" name="([^"]*)"/>')
_EACH = Path(__file__).with_name("misra_each.py")


def addon_of(program: Path) -> Path:
    """The addon that belongs to a cppcheck program."""
    return program.with_name("addons") / "misra.py"


def check_dumps(
    addon: Path, dumps: Mapping[Path, str], project: Path, *, install: str, cache: Cache | None = None
) -> list[dict[str, Any]]:
    """What the addon finds, as SARIF results ordered by place and rule; what several files find in a header counts once.

    Args:
        addon: The addon's script.
        dumps: The dumps that cppcheck wrote, below the project; each with what decides beside the files it was made of (options).
        project: Where cppcheck ran, to which files are relative.
        install: The remedy where it does not run.
        cache: Of the release.

    Raises:
        BenchError: The addon fails.
    """
    of = {_key(dump, options, project): dump for dump, options in dumps.items()}

    def make(keys: Sequence[str]) -> list[Said]:
        return _run(addon, [of[key] for key in keys], project, install)

    places: Counter[tuple[str, int, str]] = Counter()
    for said in (cache or Cache()).get(list(of), make):
        # A rule that is broken twice in a line is told twice, by every file that includes it.
        places |= Counter((one["file"], one["line"], one["rule"]) for one in said)
    return [_result(*place) for place in sorted(places.elements())]


def _key(dump: Path, options: str, project: Path) -> str:
    """Digest of the options, and of name and content of each file that cppcheck read for this dump."""
    content = dump.read_bytes()
    names = [html.unescape(name.decode("utf-8", "surrogateescape")) for name in _READ.findall(content)]
    # A dump that tells of no file is no other's.
    parts = [options, dump.name, *names, *(sha256_of(project / name) for name in names)] if names else [str(dump)]
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogateescape")).hexdigest()


def _run(addon: Path, dumps: Sequence[Path], project: Path, install: str) -> list[Said]:
    arguments = [str(dump.relative_to(project)) for dump in dumps]
    done = run_tool([sys.executable, "-P", str(_EACH), str(addon), *arguments], project, install=install)
    *parts, rest = _DUMP.split(done.stderr)
    said, exits = parts[::2], parts[1::2]
    # 1: there are violations.
    if done.returncode != 0 or rest.strip() or len(said) != len(dumps) or {*exits} - {"0", "1"}:
        tail = "\n".join((done.stdout + done.stderr).strip().splitlines()[-10:])
        raise BenchError(
            f"cppcheck's MISRA addon failed (exit code {done.returncode}): {tail}",
            remedy="see what it says; run it again",
        )
    return [
        [{"file": one["file"], "line": int(one["line"]), "rule": one["rule"]} for one in _FINDING.finditer(text)]
        for text in said
    ]


def _result(file: str, line: int, rule: str) -> dict[str, Any]:
    text = f"MISRA C:2012 rule {rule.removeprefix('misra-c2012-')} does not hold here"
    place = {"artifactLocation": {"uri": file}, "region": {"startLine": line}}
    return {"ruleId": rule, "level": "warning", "message": {"text": text}, "locations": [{"physicalLocation": place}]}


def sarif_run(results: list[dict[str, Any]], version: str) -> dict[str, Any]:
    """The addon's findings as a SARIF run."""
    rules = [{"id": rule} for rule in sorted({result["ruleId"] for result in results})]
    return {"tool": {"driver": {"name": "misra", "semanticVersion": version, "rules": rules}}, "results": results}
