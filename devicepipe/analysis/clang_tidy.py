"""clang-tidy over a firmware's own sources, where it is on PATH.

What always holds: a must-fail sample of a known defect is analysed in the same way; a tool that does not report it is an error and
never "no findings". The checks are those of the product's own `.clang-tidy`, if it has one at its root; else `CHECKS`.

How: of the compilation database only what says how to read the sources is kept (macros, include folders, the target), because Clang
does not know all of GCC's options; GCC's own headers are given by folder.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Collection
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from devicepipe.analysis.external import run_tool
from devicepipe.analysis.own_files import Scope, command_of, is_c
from devicepipe.analysis.sarif import Log, check_log
from devicepipe.errors import BenchError
from devicepipe.evidence.facts import sha256_of
from devicepipe.evidence.predicates import Tool

NAME = "clang-tidy"
CHECKS = "-*,clang-analyzer-*,bugprone-*,-bugprone-easily-swappable-parameters,-bugprone-reserved-identifier"
SAMPLE, SAMPLE_RULE = "clang_tidy_infinite_loop.c", "bugprone-infinite-loop"

_FOLDER = "devicepipe-clang-tidy"
_KEPT = re.compile(r"-(?:D|U|I|std=|mcpu=|march=|mabi=|mthumb|ffreestanding|fshort-enums|funsigned-char).*")
_KEPT_WITH_VALUE = ("-D", "-U", "-I", "-isystem", "-include", "-iquote", "-idirafter", "-imacros")
_LINE = re.compile(
    r"^(?P<file>[^\s:][^:\n]*):(?P<line>\d+):\d+: (?P<level>warning|error): (?P<text>.*) \[(?P<rule>[\w.,+-]+)\]$",
    re.MULTILINE,
)


@dataclass(frozen=True)
class ClangTidyReport:
    """What clang-tidy found in one firmware; `tool` and `log` are None, with the reason in `absent`, where it is not installed."""

    tool: Tool | None
    absent: str
    log: Log | None
    files: int


def analyse(database: Path, *, project: Path, root: Path, foreign: Collection[str]) -> ClangTidyReport:
    """Analyse a firmware's own C sources where they were built; the arguments are those of `cppcheck.analyse`.

    Raises:
        BenchError: It fails, takes too long, or does not report its must-fail sample.
    """
    program = shutil.which(NAME)
    if program is None:
        return ClangTidyReport(None, "clang-tidy is not on PATH", None, 0)
    scope = Scope(project, root, foreign)
    entries = [entry for entry in scope.own_entries(json.loads(database.read_text("utf-8"))) if is_c(entry["file"])]
    if not entries:
        return ClangTidyReport(None, "there is no C source of the product's own", None, 0)
    folder = database.parent / _FOLDER
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    try:
        return _analyse(program, entries, scope, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _analyse(program: str, entries: list[dict[str, Any]], scope: Scope, folder: Path) -> ClangTidyReport:
    sample = folder / SAMPLE
    sample.write_bytes(files("devicepipe.analysis").joinpath("samples", SAMPLE).read_bytes())
    proof = {**entries[0], "file": str(sample), "arguments": [*command_of(entries[0])[:1], "-std=c11"]}
    plain = [_plain(entry) for entry in [*entries, proof]]
    (folder / "compile_commands.json").write_text(json.dumps(plain), encoding="utf-8")
    own = (scope.root / ".clang-tidy").is_file()
    choice = [f"--config-file={scope.root / '.clang-tidy'}"] if own else [f"--checks={CHECKS}"]
    sources = [entry["file"] for entry in plain]
    found = _matches(_run([program, "-p", str(folder), "--quiet", *choice, *sources[:-1]], scope.project), scope)
    # By itself, so that a product's own choice of checks cannot leave out what proves the tool.
    proven = _matches(
        _run([program, "-p", str(folder), "--quiet", f"--checks={CHECKS}", str(sample)], scope.project), None
    )
    if not any(match["rule"].startswith(SAMPLE_RULE) for match in proven):
        raise BenchError(
            f"clang-tidy did not report the known defect of {SAMPLE} ({SAMPLE_RULE}): its silence about the product means nothing",
            remedy="install another version of clang-tidy, or take it off PATH",
        )
    version = re.search(r"version (\S+)", _run([program, "--version"], scope.project))
    log = _log(found, version[1] if version else "unknown")
    check_log(log)
    place = Path(program).resolve()
    tool = Tool(name=NAME, version=version[1] if version else "unknown", sha256=sha256_of(place))
    return ClangTidyReport(tool, "", log, len(entries))


def _plain(entry: dict[str, Any]) -> dict[str, Any]:
    """An entry as Clang can read it."""
    words = command_of(entry)
    kept: list[str] = []
    rest = iter(words[1:])
    for word in rest:
        if word in _KEPT_WITH_VALUE:
            kept += [word, next(rest, "")]
        elif _KEPT.fullmatch(word):
            kept.append(word)
    compiler = Path(words[0]).name
    target = [f"--target={'riscv32-unknown-elf' if compiler.startswith('riscv') else 'arm-none-eabi'}"]
    if not compiler.startswith(("arm-none-eabi", "riscv")):
        target = []
    headers = _ask(words[0], "-print-file-name=include")
    file = str((Path(entry["directory"]) / entry["file"]).resolve())
    flags = [*target, *kept, *(["-isystem", headers] if headers else []), "-w"]
    return {"directory": entry["directory"], "file": file, "arguments": ["clang", *flags, "-c", file]}


def _ask(program: str, question: str) -> str:
    done = run_tool([program, question], Path.cwd(), install="install it again")
    return done.stdout.strip() if done.returncode == 0 else ""


def _matches(output: str, scope: Scope | None) -> list[dict[str, Any]]:
    """The findings of an output, in own files only where there is a scope, each once."""
    found: dict[tuple[str, ...], dict[str, Any]] = {}
    for match in _LINE.finditer(output):
        file = scope.relative(match["file"]) if scope else match["file"]
        rule = match["rule"].partition(",")[0]
        if rule == "clang-diagnostic-error":
            raise BenchError(
                f"clang-tidy cannot read {match['file']}:{match['line']}: {match['text']}",
                remedy="its silence would mean nothing; take clang-tidy off PATH, or make the sources readable for Clang",
            )
        if file is not None:
            one = {
                "file": file,
                "line": int(match["line"]),
                "rule": rule,
                "text": match["text"],
                "level": match["level"],
            }
            found[file, match["line"], rule, match["text"]] = one
    return list(found.values())


def _log(found: list[dict[str, Any]], version: str) -> Log:
    results = [
        {
            "ruleId": one["rule"],
            "level": one["level"],
            "message": {"text": one["text"]},
            "locations": [
                {
                    "physicalLocation": {
                        "artifactLocation": {"uri": one["file"]},
                        "region": {"startLine": one["line"]},
                    }
                }
            ],
        }
        for one in sorted(found, key=lambda one: (one["file"], one["line"], one["rule"], one["text"]))
    ]
    rules = [{"id": rule} for rule in sorted({one["rule"] for one in found})]
    driver = {"name": NAME, "semanticVersion": version, "rules": rules}
    return {"version": "2.1.0", "runs": [{"tool": {"driver": driver}, "results": results}]}


def _run(command: list[str], directory: Path) -> str:
    done = run_tool(command, directory, install="install it again, or take it off PATH")
    if done.returncode not in (0, 1) or (done.returncode == 1 and not _LINE.search(done.stdout)):
        tail = "\n".join((done.stdout + done.stderr).strip().splitlines()[-5:])
        raise BenchError(f"clang-tidy failed (exit code {done.returncode}): {tail}", remedy="see what it says")
    return done.stdout
