"""GCC's warnings and its analyser on small projects, by the real compiler; clang-tidy by a stand-in, for real where it is there."""

from __future__ import annotations

import json
import shutil
import stat
import threading
from pathlib import Path

import pytest

from devicepipe.analysis import clang_tidy, gcc
from devicepipe.analysis.cache import Cache
from devicepipe.analysis.gcc import ANALYZER, WARNINGS, GccReport
from devicepipe.analysis.sarif import check_log, findings_of
from devicepipe.errors import BenchError

SOURCES = {
    "src/shadow.c": (
        "#include <header.h>\nint f(int x);\nint f(int x)\n{\n    int unused;\n    return x / 0 + inline_one(x);\n}\n"
    ),
    "src/way.c": (
        "int g(int *p, int k);\nint g(int *p, int k)\n{\n    int *q = 0;\n    if (k) {\n        q = p;\n    }\n    return *q;\n}\n"
    ),
    "src/time.c": "const char *when(void);\nconst char *when(void)\n{\n    return __TIME__;\n}\n",
    "include/header.h": "static inline int inline_one(int x)\n{\n    int also_unused;\n    return x;\n}\n",
    "lib/soup.c": "int soup(void);\nint soup(void)\n{\n    return 1 / 0;\n}\n",
}
FLAGS = "-std=c11 -mcpu=cortex-m0 -mthumb -Os -Iinclude -Werror -Wall -fstack-usage -fcallgraph-info=su -MMD -MF x.d"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name, text in SOURCES.items():
        file = tmp_path / "firmware" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="ascii")
    return tmp_path


def database(root: Path, files: tuple[str, ...], flags: str, compiler: str = "arm-none-eabi-gcc") -> Path:
    project = root / "firmware"
    path = project / ".pio" / "build" / "env" / "compile_commands.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    entries = [
        {"directory": str(project), "command": f"{compiler} -o {file}.o -c {flags} {file}", "file": file}
        for file in files
    ]
    path.write_text(json.dumps(entries), encoding="utf-8")
    return path


def run(
    root: Path, *files: str, flags: str = FLAGS, cache: Cache | None = None, compiler: str = "arm-none-eabi-gcc"
) -> GccReport:
    path = database(root, files or tuple(name for name in SOURCES if name.endswith(".c")), flags, compiler)
    return gcc.analyse(path, project=root / "firmware", root=root, foreign=["lib/soup.c"], cache=cache)


def test_warnings_and_ways_to_a_defect_are_found_in_own_files(root: Path) -> None:
    before = set(root.rglob("*"))
    report = run(root)
    assert set(root.rglob("*")) - before == {
        root / "firmware/.pio", root / "firmware/.pio/build", root / "firmware/.pio/build/env",
        root / "firmware/.pio/build/env/compile_commands.json",
    }  # fmt: skip
    assert report.log is not None
    check_log(report.log)
    found = {(one.tool, one.rule, one.level, one.file, one.line) for one in findings_of(report.log)}
    assert found == {
        ("gcc", "-Wdiv-by-zero", "warning", "firmware/src/shadow.c", 6),
        ("gcc", "-Wunused-variable", "warning", "firmware/src/shadow.c", 5),
        ("gcc", "-Wunused-variable", "warning", "firmware/include/header.h", 3),
        ("gcc", "-Wdate-time", "warning", "firmware/src/time.c", 4),
        ("gcc-analyzer", "-Wanalyzer-null-dereference", "warning", "firmware/src/way.c", 8),
    }
    assert str(root) not in json.dumps(report.log)
    assert "devicepipe_sample" not in json.dumps(report.log)
    (flow,) = [one for run_ in report.log["runs"] for one in run_["results"] if "codeFlows" in one]
    steps = flow["codeFlows"][0]["threadFlows"][0]["locations"]
    assert [step["location"]["physicalLocation"]["region"]["startLine"] for step in steps][-1] == 8
    assert flow["properties"] == {"cwe": 476}


def test_warnings_that_a_source_switches_off_are_a_finding(root: Path) -> None:
    pragma = '#pragma GCC diagnostic ignored "-Wanalyzer-null-dereference"'
    way, header, soup = (root / "firmware" / name for name in ("src/way.c", "include/header.h", "lib/soup.c"))
    way.write_text(f"{pragma}\n{way.read_text('ascii')}", "ascii")
    header.write_text(f"#pragma GCC system_header\n{header.read_text('ascii')}", "ascii")
    soup.write_text(f"{pragma}\n{soup.read_text('ascii')}", "ascii")
    report = run(root)
    assert report.log is not None
    check_log(report.log)
    found = {(one.rule, one.file, one.line) for one in findings_of(report.log)}
    assert ("switched-off-warning", "firmware/src/way.c", 1) in found
    assert ("switched-off-warning", "firmware/include/header.h", 1) in found
    assert not [one for one in found if one[1] == "firmware/lib/soup.c"]
    texts = [one["message"]["text"] for run_ in report.log["runs"] for one in run_["results"]]
    assert "warnings are switched off here: -Wanalyzer-null-dereference" in texts


def test_both_tools_are_proven_with_version_and_digest(root: Path) -> None:
    report = run(root)
    assert report.proven_on == {WARNINGS: "gcc_division_by_zero.c", ANALYZER: "gcc_analyzer_null_dereference.c"}
    assert [tool.name for tool in report.tools] == [WARNINGS, ANALYZER]
    assert all(tool.sha256 and tool.version[0].isdigit() for tool in report.tools)
    assert (report.files, report.absent) == (3, {})


@pytest.mark.parametrize(
    ("flags", "unproven"),
    [
        (f"{FLAGS} -w", {WARNINGS, ANALYZER}),
        (f"{FLAGS} -Wno-div-by-zero", {WARNINGS}),
        (f"{FLAGS} -Wno-analyzer-null-dereference", {ANALYZER}),
    ],
)
def test_a_tool_that_the_builds_flags_silence_is_not_proven(root: Path, flags: str, unproven: set[str]) -> None:
    report = run(root, flags=flags)
    assert {tool.name for tool in report.tools} - report.proven_on.keys() == unproven


def test_a_silenced_file_among_others_is_enough_to_be_unproven(root: Path) -> None:
    path = database(root, ("src/shadow.c", "src/way.c"), FLAGS)
    entries = json.loads(path.read_text("utf-8"))
    entries[1]["command"] += " -w"
    path.write_text(json.dumps(entries), encoding="utf-8")
    report = gcc.analyse(path, project=root / "firmware", root=root, foreign=[])
    assert report.proven_on == {}


def test_another_copy_of_unchanged_sources_is_not_analysed_again(root: Path, tmp_path: Path) -> None:
    cache = Cache()
    first = run(root, cache=cache)
    assert cache.hits == 0
    copy = tmp_path / "copy"
    shutil.copytree(root / "firmware", copy / "firmware")
    second = run(copy, cache=cache)
    assert cache.hits == 3
    assert second.log == first.log
    (copy / "firmware/include/header.h").write_text(
        "static inline int inline_one(int x)\n{\n    return x;\n}\n", "ascii"
    )
    third = run(copy, cache=cache)
    assert cache.hits == 5
    assert third.log != first.log


def test_another_compiler_is_absent_with_the_reason(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tool = root / "bin" / "armcc"
    tool.parent.mkdir()
    tool.write_text("#!/bin/sh\necho some other compiler\n", encoding="ascii")
    tool.chmod(tool.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(tool.parent), prepend=":")
    report = run(root, compiler="armcc")
    assert report.absent == {WARNINGS: "armcc is no GCC", ANALYZER: "armcc is no GCC"}
    assert (report.tools, report.log) == ([], None)


def test_a_source_that_no_longer_compiles_is_the_bench(root: Path) -> None:
    (root / "firmware/src/way.c").write_text("int g(void) { return missing; }\n", encoding="ascii")
    with pytest.raises(BenchError, match=r"analysis of src/way\.c failed"):
        run(root)


TIDY = """#!/bin/sh
case "$*" in
*--version*) echo "LLVM version 17.0.6" ;;
*clang_tidy_infinite_loop.c) {proof} ;;
*) {product} ;;
esac
"""
PROOF = 'echo "$5:11:5: warning: this loop is infinite [bugprone-infinite-loop]"'


def tidy(
    root: Path, monkeypatch: pytest.MonkeyPatch, *, proof: str = PROOF, product: str = ":"
) -> clang_tidy.ClangTidyReport:
    tool = root / "bin" / "clang-tidy"
    tool.parent.mkdir()
    tool.write_text(TIDY.format(proof=proof, product=product), encoding="ascii")
    tool.chmod(tool.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(tool.parent), prepend=":")
    path = database(root, ("src/shadow.c", "lib/soup.c"), FLAGS)
    return clang_tidy.analyse(path, project=root / "firmware", root=root, foreign=["lib/soup.c"])


def test_clang_tidy_reports_own_files_only(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [
        f"{root}/firmware/{file}:3:1: warning: bad [bugprone-x]"
        for file in ("src/shadow.c", "src/shadow.c", "lib/soup.c")
    ]
    report = tidy(root, monkeypatch, product="; ".join(f"echo '{line}'" for line in lines))
    assert report.log is not None
    assert report.tool is not None
    assert [(one.tool, one.rule, one.file) for one in findings_of(report.log)] == [
        ("clang-tidy", "bugprone-x", "firmware/src/shadow.c")
    ]
    assert (report.tool.version, report.files) == ("17.0.6", 1)


@pytest.mark.parametrize(
    ("proof", "product", "message"),
    [
        (":", ":", "did not report the known defect"),
        (PROOF, "echo broken >&2; exit 2", r"failed \(exit code 2\): broken"),
        (PROOF, "echo '/x/a.c:1:1: error: no such file [clang-diagnostic-error]'", "cannot read /x/a.c:1"),
    ],
)
def test_clang_tidy_that_does_not_really_run_is_an_error(
    root: Path, monkeypatch: pytest.MonkeyPatch, proof: str, product: str, message: str
) -> None:
    with pytest.raises(BenchError, match=message):
        tidy(root, monkeypatch, proof=proof, product=product)


def test_clang_tidy_that_is_not_there_is_absent(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(root))
    report = clang_tidy.analyse(database(root, ("src/shadow.c",), FLAGS), project=root, root=root, foreign=[])
    assert report.absent == "clang-tidy is not on PATH"


@pytest.mark.skipif(shutil.which("clang-tidy") is None, reason="clang-tidy is not on PATH")
def test_the_real_clang_tidy_finds_a_way_to_a_null_pointer(root: Path) -> None:
    path = database(root, ("src/way.c",), FLAGS)
    report = clang_tidy.analyse(path, project=root / "firmware", root=root, foreign=[])
    assert report.log is not None
    assert "clang-analyzer-core.NullDereference" in {one.rule for one in findings_of(report.log)}


def test_a_cancelled_analysis_begins_no_further_source(root: Path) -> None:
    cancel = threading.Event()
    cancel.set()
    path = database(root, ("src/way.c",), FLAGS)
    with pytest.raises(BenchError, match="was cancelled"):
        gcc.analyse(path, project=root / "firmware", root=root, foreign=[], cancel=cancel)
