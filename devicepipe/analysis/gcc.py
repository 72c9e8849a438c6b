"""GCC's warnings and its static analyser (-fanalyzer) over a firmware's own sources, with the very flags of its build.

What always holds: every distinct set of flags is tried, in the same run, on must-fail samples of known defects; a tool is proven on
only if every set reported its sample, so that a `-w` somewhere is seen. Each source is compiled as the build compiles it (the
same compiler, macros and options), with `-Wall -Wextra -Wdate-time` added and `-Werror` taken back. Nothing is written into the
build's folders. Warnings in headers count where the header is the product's own. Where an own source switches warnings off, that is
itself a finding.

One compilation gives both: warnings of `-Wanalyzer-…` are the tool `gcc-analyzer`, the others `gcc`. A source whose preprocessed
text, compiler and flags were seen before in this release is not analysed again (`Cache`).

Limits: diagnostics are read as JSON, which GCC 9 to 14 write; -fanalyzer is there since GCC 10 and is for C only. Another
compiler, or another GCC, makes the tools absent, with the reason.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import threading
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from devicepipe.analysis.cache import Cache
from devicepipe.analysis.external import run_tool
from devicepipe.analysis.own_files import Scope, command_of, is_c
from devicepipe.analysis.sarif import Log, check_log
from devicepipe.errors import BenchError
from devicepipe.evidence.facts import sha256_of
from devicepipe.evidence.predicates import Tool

WARNINGS, ANALYZER = "gcc", "gcc-analyzer"
SAMPLES = {
    WARNINGS: ("gcc_division_by_zero.c", "-Wdiv-by-zero"),
    ANALYZER: ("gcc_analyzer_null_dereference.c", "-Wanalyzer-null-dereference"),
}
"""Per tool, the must-fail sample and the option that has to report it."""

_FOLDER = "devicepipe-gcc"
_ADDED = ("-Wall", "-Wextra", "-Wdate-time", "-Wno-error", "-fdiagnostics-format=json", "-S")
_WITH_VALUE = ("-o", "-MF", "-MT", "-MQ", "-x")
# What writes files beside the output, or takes the compiler's work elsewhere.
_DROPPED = re.compile(r"-c|-M(?:D|MD|P)?|-fstack-usage|-fcallgraph-info.*|-save-temps.*|-flto.*|-fdiagnostics-.*|-pipe")
_MARKER = re.compile(r'# (?P<line>\d+) "(?P<file>[^"]*)"(?: \d)*$')
_IGNORED = re.compile(r'#pragma GCC diagnostic ignored "([^"]+)"')
_SYSTEM_HEADER = re.compile(r"^[ \t]*#[ \t]*pragma[ \t]+GCC[ \t]+system_header\b", re.MULTILINE)
_OLDEST_JSON, _OLDEST_ANALYZER, _NEWEST = 9, 10, 14


@dataclass(frozen=True)
class GccReport:
    """What GCC found in one firmware.

    Attributes:
        tools: `gcc` and `gcc-analyzer`, as far as they ran.
        proven_on: Per tool, the must-fail sample that it reported under every set of flags.
        absent: Per tool that did not run, the reason.
        log: The findings in own files as a SARIF 2.1.0 log, path-free; one run per tool. None where no tool ran.
        files: How many source files were analysed.
    """

    tools: list[Tool]
    proven_on: dict[str, str]
    absent: dict[str, str]
    log: Log | None
    files: int


def analyse(
    database: Path,
    *,
    project: Path,
    root: Path,
    foreign: Collection[str],
    cache: Cache | None = None,
    cancel: threading.Event | None = None,
) -> GccReport:
    """Analyse a firmware's own sources where they were built.

    Args:
        database: The firmware's compilation database, with real paths.
        project: The PlatformIO project that it was built in.
        root: The product's root: files outside are not its own, and paths in findings are relative to it.
        foreign: Files that are not the product's own (SOUP), relative to `project`.
        cache: Of the release.
        cancel: When set, no further source is begun.

    Raises:
        BenchError: The compiler fails over a source that it compiled before, or takes too long; or it was cancelled.
    """
    scope = Scope(project, root, foreign)
    entries = scope.own_entries(json.loads(database.read_text(encoding="utf-8")))
    if not entries:
        return GccReport([], {}, dict.fromkeys(SAMPLES, "there is no source of the product's own"), None, 0)
    compilers = {program: _Compiler.identify(program) for program in {command_of(entry)[0] for entry in entries}}
    if reason := next((one.reason for one in compilers.values() if one.reason), ""):
        return GccReport([], {}, dict.fromkeys(SAMPLES, reason), None, 0)
    run = _Run(scope, database.parent / _FOLDER, compilers, cache or Cache(), cancel or threading.Event())
    try:
        return run.report(entries)
    finally:
        shutil.rmtree(run.folder, ignore_errors=True)


@dataclass(frozen=True)
class _Compiler:
    """A GCC driver, or why it is none that can be used."""

    program: str
    version: str = ""
    sha256: str = ""
    reason: str = ""

    @property
    def analyzes(self) -> bool:
        return int(self.version.partition(".")[0]) >= _OLDEST_ANALYZER

    @classmethod
    def identify(cls, program: str) -> _Compiler:
        path = shutil.which(program)
        if path is None:
            raise BenchError(f"the compiler {program} is gone", remedy="install the toolchain that built the firmware")
        name = Path(path).name
        about = _call([path, "--version"], Path.cwd()).stdout
        if "Free Software Foundation" not in about:
            return cls(path, reason=f"{name} is no GCC")
        version = _call([path, "-dumpfullversion"], Path.cwd()).stdout.strip()
        major = version.partition(".")[0]
        if not major.isdigit() or not _OLDEST_JSON <= int(major) <= _NEWEST:
            return cls(path, reason=f"{name} {version}: only GCC {_OLDEST_JSON} to {_NEWEST} writes JSON diagnostics")
        return cls(path, version, sha256_of(Path(path)))


@dataclass
class _Run:
    scope: Scope
    folder: Path
    compilers: dict[str, _Compiler]
    cache: Cache
    cancel: threading.Event

    def report(self, entries: list[dict[str, Any]]) -> GccReport:
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir()
        found: list[dict[str, Any]] = []
        sets: dict[tuple[str, ...], Path] = {}
        for entry in entries:
            if self.cancel.is_set():
                raise BenchError("the analysis was cancelled")
            flags = self._flags(entry)
            directory = Path(entry["directory"])
            if is_c(entry["file"]):
                sets.setdefault(tuple(flags), directory)
            found += self._diagnostics(flags, entry["file"], directory)
        analyzer = all(compiler.analyzes for compiler in self.compilers.values()) and bool(sets)
        absent = {} if analyzer else {ANALYZER: "needs C sources, and GCC 10 or later"}
        names = [name for name in SAMPLES if name not in absent]
        proven = {name: SAMPLES[name][0] for name in names if sets and self._proven(name, sets)}
        runs = [self._sarif(name, [one for one in found if _tool(one) == name]) for name in names]
        log: Log = {"version": "2.1.0", "runs": runs}
        check_log(log)
        return GccReport(
            tools=[Tool(name=name, version=self._version(), sha256=self._sha256()) for name in names],
            proven_on=proven,
            absent=absent,
            log=log,
            files=len(entries),
        )

    def _version(self) -> str:
        return ", ".join(sorted({compiler.version for compiler in self.compilers.values()}))

    def _sha256(self) -> str | None:
        digests = {compiler.sha256 for compiler in self.compilers.values()}
        return digests.pop() if len(digests) == 1 else None

    def _flags(self, entry: dict[str, Any]) -> list[str]:
        """Compiler and options of an entry: without its file, its output and what writes further files."""
        words, kept = iter(command_of(entry)), []
        for word in words:
            if word in _WITH_VALUE:
                next(words, None)
            elif word != entry["file"] and not _DROPPED.fullmatch(word):
                kept.append(word)
        return kept

    def _diagnostics(self, flags: list[str], file: str, directory: Path) -> list[dict[str, Any]]:
        program = self.compilers[flags[0]]
        preprocessed = _call([program.program, *flags[1:], "-E", file], directory)
        if preprocessed.returncode != 0:
            raise self._failed(file, preprocessed)
        here = str(self.scope.root.resolve())
        made_of = "\0".join([program.sha256, *flags[1:], file, preprocessed.stdout]).replace(here, ".")
        key = hashlib.sha256(made_of.encode("utf-8", "replace")).hexdigest()

        def made(_: Any) -> list[list[dict[str, Any]]]:
            return [
                [
                    *self._compile(flags, file, directory),
                    *map(self._portable, self._silenced(preprocessed.stdout, directory)),
                ]
            ]

        return self.cache.get([key], made)[0]

    def _silenced(self, preprocessed: str, directory: Path) -> Iterator[dict[str, Any]]:
        """Where own sources switch warnings off: what is not found there must not look as if there were nothing."""
        file, line = "", 0
        files: dict[str, None] = {}
        for text in preprocessed.splitlines():
            if marker := _MARKER.match(text):
                file, line = marker["file"], int(marker["line"])
                files[file] = None
                continue
            if pragma := _IGNORED.match(text):
                yield _told(file, line, f"here: {pragma[1]}")
            line += 1
        here = self.scope.project.resolve().as_posix() + "/"
        for name in files:
            # The preprocessor takes this pragma out.
            if self.scope.relative(name.removeprefix(here)) is None or not (directory / name).is_file():
                continue
            source = (directory / name).read_text("utf-8", "replace")
            if (found := _SYSTEM_HEADER.search(source)) is not None:
                yield _told(name, source.count("\n", 0, found.start()) + 1, "from here on: as in a system header")

    def _compile(self, flags: list[str], file: str, directory: Path) -> list[dict[str, Any]]:
        program = self.compilers[flags[0]]
        analyzer = ["-fanalyzer"] if program.analyzes and is_c(file) else []
        output = self.folder / f"{threading.get_ident()}.s"
        command = [program.program, *flags[1:], *_ADDED, *analyzer, file, "-o", str(output)]
        done = _call(command, directory)
        if done.returncode != 0:
            raise self._failed(file, done)
        found: list[dict[str, Any]] = []
        for line in done.stderr.splitlines():
            if line.startswith("["):
                found += json.loads(line)
        return [self._portable(one) for one in found]

    def _portable(self, diagnostic: dict[str, Any]) -> dict[str, Any]:
        """With files named relative to the project: another board's copy of it is elsewhere."""
        here = self.scope.project.resolve().as_posix() + "/"
        told: dict[str, Any] = json.loads(json.dumps(diagnostic).replace(here, ""))
        return told

    def _proven(self, tool: str, sets: dict[tuple[str, ...], Path]) -> bool:
        sample, option = SAMPLES[tool]
        source = self.folder / sample
        source.write_bytes(files("devicepipe.analysis").joinpath("samples", sample).read_bytes())
        for flags, directory in sets.items():
            found = self._compile(list(flags), str(source), directory)
            if not any(one.get("option") == option for one in found):
                return False
        return True

    def _sarif(self, tool: str, diagnostics: list[dict[str, Any]]) -> dict[str, Any]:
        results = [result for one in diagnostics if (result := self._result(one)) is not None]
        unique = {json.dumps(result, sort_keys=True): result for result in results}
        rules = [{"id": rule} for rule in sorted({result["ruleId"] for result in unique.values()})]
        driver = {"name": tool, "semanticVersion": self._version(), "rules": rules}
        return {"tool": {"driver": driver}, "results": [unique[key] for key in sorted(unique)]}

    def _result(self, diagnostic: dict[str, Any]) -> dict[str, Any] | None:
        place = self._place((diagnostic.get("locations") or [{}])[0].get("caret"))
        if place is None or diagnostic.get("kind") not in ("warning", "error"):
            return None
        result: dict[str, Any] = {
            "ruleId": diagnostic.get("option") or "gcc",
            "level": diagnostic["kind"],
            "message": {"text": diagnostic["message"]},
            "locations": [{"physicalLocation": place}],
        }
        if cwe := diagnostic.get("metadata", {}).get("cwe"):
            result["properties"] = {"cwe": cwe}
        way = [self._step(event) for event in diagnostic.get("path", [])]
        steps = [step for step in way if step is not None]
        if steps:
            result["codeFlows"] = [{"threadFlows": [{"locations": steps}]}]
        return result

    def _step(self, event: dict[str, Any]) -> dict[str, Any] | None:
        place = self._place(event.get("location"))
        if place is None:
            return None
        return {"location": {"physicalLocation": place, "message": {"text": event.get("description", "")}}}

    def _place(self, caret: dict[str, Any] | None) -> dict[str, Any] | None:
        """A place in an own file; None for any other."""
        path = self.scope.relative(str(caret["file"])) if caret else None
        if caret is None or path is None or int(caret["line"]) < 1:
            return None
        return {"artifactLocation": {"uri": path}, "region": {"startLine": int(caret["line"])}}

    def _failed(self, file: str, done: subprocess.CompletedProcess[str]) -> BenchError:
        tail = "\n".join(done.stderr.strip().splitlines()[-5:])[-1000:]
        return BenchError(
            f"GCC's analysis of {file} failed (exit code {done.returncode}): {tail}",
            remedy="if the compiler itself failed, leave gcc-analyzer out of `tools` of [analysis] in devicepipe.toml",
        )


def _told(file: str, line: int, what: str) -> dict[str, Any]:
    return {
        "kind": "warning",
        "option": "switched-off-warning",
        "message": f"warnings are switched off {what}",
        "locations": [{"caret": {"file": file, "line": line}}],
    }


def _tool(diagnostic: dict[str, Any]) -> str:
    return ANALYZER if str(diagnostic.get("option", "")).startswith("-Wanalyzer-") else WARNINGS


def _call(command: list[str], directory: Path) -> subprocess.CompletedProcess[str]:
    # With a fixed time, __TIME__ does not make every run's preprocessed text another.
    environment = {**os.environ, "LC_ALL": "C.UTF-8", "SOURCE_DATE_EPOCH": "0"}
    return run_tool(command, directory, install="install the toolchain again", environment=environment)
