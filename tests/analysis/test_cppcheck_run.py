"""cppcheck and its MISRA addon on small projects, and what happens when they do not really run."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from devicepipe.analysis import cppcheck
from devicepipe.analysis.cache import Cache
from devicepipe.analysis.cppcheck import CppcheckReport, analyse
from devicepipe.analysis.deviations import Deviations, load_deviations
from devicepipe.errors import BenchError, UsageError

DEFECT = "int first(void);\nint first(void)\n{\n    const int *where = 0;\n{comment}    return *where;\n}\n"
OCTAL = "int second(void);\nint second(void)\n{\n    return 0123;\n}\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A product whose PlatformIO project is the folder `firmware`."""
    for name, text in {
        "src/first.c": DEFECT.replace("{comment}", ""),
        "src/second.c": OCTAL,
        "src/suppressed.c": DEFECT.replace("first", "third").replace(
            "{comment}", "    // cppcheck-suppress nullPointer\n"
        ),
        "lib/soup/soup.c": DEFECT.replace("first", "soup").replace("{comment}", ""),
        ".pio/libdeps/env/other/other.c": DEFECT.replace("first", "other").replace("{comment}", ""),
    }.items():
        file = tmp_path / "firmware" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="ascii")
    return tmp_path


def run(
    root: Path,
    *files: str,
    deviations: Deviations | None = None,
    cache: Cache | None = None,
    env: str = "env",
    flags: str = "-std=c11",
    core: str = "cortex-m0",
) -> CppcheckReport:
    project = root / "firmware"
    database = project / ".pio" / "build" / env / "compile_commands.json"
    database.parent.mkdir(parents=True, exist_ok=True)
    entries = [
        {
            "directory": str(project),
            "command": f"arm-none-eabi-gcc {flags} -c {file}",
            "file": file,
            "output": file + ".o",
        }
        for file in files
    ]
    database.write_text(json.dumps(entries), encoding="utf-8")
    return analyse(
        database,
        project=project,
        root=root,
        core=core,
        foreign=["lib/soup/soup.c"],
        deviations=deviations,
        cache=cache,
    )


EVERYTHING = ("src/first.c", "src/second.c", "src/suppressed.c", "lib/soup/soup.c", ".pio/libdeps/env/other/other.c")


def test_defects_of_own_files_only_are_found_with_relative_paths(root: Path) -> None:
    report = run(root, *EVERYTHING)
    assert report.files == 3
    assert report.proven_on == {"cppcheck": "cppcheck_null_pointer.c", "misra": "misra_octal_constant.c"}
    found = {(one.tool, one.rule, one.level, one.file, one.line) for one in report.findings}
    assert ("cppcheck", "nullPointer", "error", "firmware/src/first.c", 5) in found
    assert ("misra", "misra-c2012-7.1", "warning", "firmware/src/second.c", 4) in found
    # A comment in the source does not settle a finding: the baseline does, where the report tells it.
    defects = {one[3] for one in found if one[1] == "nullPointer"}
    assert defects == {"firmware/src/first.c", "firmware/src/suppressed.c"}
    assert {one[3] for one in found} <= {"firmware/src/first.c", "firmware/src/second.c", "firmware/src/suppressed.c"}


def test_log_is_sarif_without_paths_or_samples_and_the_project_is_left_clean(root: Path) -> None:
    before = set((root / "firmware" / "src").rglob("*"))
    first = run(root, *EVERYTHING)
    assert set((root / "firmware" / "src").rglob("*")) == before
    assert str(root).encode() not in first.sarif
    assert b"sample" not in first.sarif
    log = json.loads(first.sarif)
    assert [one["tool"]["driver"]["name"] for one in log["runs"]] == ["Cppcheck", "misra"]
    assert run(root, *EVERYTHING).sarif == first.sarif


def test_file_compiled_twice_is_analysed_twice_and_reported_once(root: Path) -> None:
    report = run(root, "src/second.c", "src/second.c")
    assert [one.line for one in report.findings if one.rule == "misra-c2012-7.1"] == [4]
    assert not list(root.rglob("*.dump"))


def test_project_without_own_files_is_still_proven(root: Path) -> None:
    report = run(root, "lib/soup/soup.c")
    assert (report.files, report.findings) == (0, [])
    assert report.proven_on


GOOD_DEVIATIONS = """
[[deviation]]
rule = "7.1"
scope = ["firmware/src/first.c", "firmware/src/sec*"]
justification = \"\"\"Octal, as the
data sheet has it.\"\"\"
reviewer = "Somebody"
date = 2026-11-25

[[deviation]]
rule = "2.1"
scope = ["firmware/src/*"]
justification = "Never used here."
reviewer = "Somebody"
date = 2026-11-25
"""


def test_a_deviation_marks_findings_with_its_justification_and_is_counted(root: Path) -> None:
    file = root / "deviations.toml"
    file.write_text(GOOD_DEVIATIONS, encoding="utf-8")
    deviations = load_deviations(file)
    report = run(root, *EVERYTHING, deviations=deviations)
    marked = [(one.rule, one.file) for one in report.findings if one.deviated]
    assert marked == [("misra-c2012-7.1", "firmware/src/second.c")]
    assert [(one.rule, one.places) for one in deviations.used()] == [("7.1", 1), ("2.1", 0)]
    run(root, "src/second.c", deviations=deviations)
    assert [one.places for one in deviations.used()] == [1, 0], "a file of two programs is one place"
    results = [one for log in json.loads(report.sarif)["runs"] for one in log["results"] if "suppressions" in one]
    assert [one["suppressions"] for one in results] == [
        [{"kind": "external", "status": "accepted", "justification": "Octal, as the data sheet has it."}]
    ]


def test_a_deviation_covers_neither_other_files_nor_other_rules_nor_other_tools(root: Path) -> None:
    file = root / "deviations.toml"
    file.write_text(GOOD_DEVIATIONS.replace("firmware/src/sec*", "src/second.c"), encoding="utf-8")
    assert not [one for one in run(root, *EVERYTHING, deviations=load_deviations(file)).findings if one.deviated]


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ('justification = "Never used here."', 'justification = " "', "deviation.1.justification"),
        ('justification = "Never used here."\n', "", "deviation.1.justification"),
        ('rule = "2.1"', 'rule = "Rule 2.1"', "deviation.1.rule"),
        (
            'rule = "2.1"\nscope = ["firmware/src/*"]',
            'rule = "7.1"\nscope = ["firmware/src/first.c"]',
            "deviation.1.scope",
        ),
        ('scope = ["firmware/src/*"]', "scope = []", "deviation.1.scope"),
        ("date = 2026-11-25", 'date = "yesterday"', "deviation.0.date"),
        ('reviewer = "Somebody"', 'reviewed = "Somebody"', "deviation.0.reviewed"),
    ],
    ids=["empty", "no-justification", "no-rule", "twice", "no-scope", "no-date", "misspelt"],
)
def test_a_deviation_without_its_parts_is_refused(tmp_path: Path, old: str, new: str, key: str) -> None:
    file = tmp_path / "deviations.toml"
    assert old in GOOD_DEVIATIONS
    file.write_text(GOOD_DEVIATIONS.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(UsageError) as raised:
        load_deviations(file)
    assert raised.value.key == key


def program(folder: Path, text: str) -> Path:
    file = folder / "cppcheck"
    file.write_text("#!/bin/sh\n" + text, encoding="ascii")
    file.chmod(file.stat().st_mode | stat.S_IXUSR)
    (folder / "addons").mkdir()
    (folder / "addons" / "misra.py").write_text("", encoding="ascii")
    return file


EMPTY = (
    '{"version": "2.1.0", "runs": [{"tool": {"driver": {"name": "Cppcheck", "semanticVersion": "1"}}, "results": []}]}'
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"echo '{EMPTY}' > .pio/build/env/devicepipe-analysis/cppcheck.sarif\n", "did not report the known defect"),
        ("echo 'bad flag'; exit 1\n", r"cppcheck failed \(exit code 1\): bad flag"),
        ("exit 0\n", "left no readable SARIF log"),
        ("echo '{}' > .pio/build/env/devicepipe-analysis/cppcheck.sarif\n", "not well-formed"),
    ],
    ids=["analyser_that_finds_nothing", "analyser_that_fails", "analyser_without_output", "output_that_is_not_sarif"],
)
def test_silent_analyser_is_never_no_findings(
    root: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch, text: str, message: str
) -> None:
    fake = program(tmp_path_factory.mktemp("bin"), text)
    monkeypatch.setattr(cppcheck, "_installed", lambda: fake)
    with pytest.raises(BenchError, match=message):
        run(root, "src/first.c")
    assert not list(root.rglob("*.dump"))


def test_misra_addon_that_finds_nothing_is_an_error(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cppcheck, "check_dumps", lambda *_, **__: [])
    with pytest.raises(BenchError, match=r"misra did not report the known defect of misra_octal_constant\.c"):
        run(root, "src/second.c")


@pytest.fixture
def with_header(root: Path) -> Path:
    """Two sources that include a header which breaks a rule, and one that does not."""
    source = root / "firmware/src"
    (source / "more.h").write_text("static inline int more(int a)\n{\n    a++;\n    return a;\n}\n", encoding="ascii")
    for name in ("one", "two"):
        text = f'#include "more.h"\nint {name}(void);\nint {name}(void)\n{{\n    return more(1);\n}}\n'
        (source / f"{name}.c").write_text(text, encoding="ascii")
    return root


def places(report: CppcheckReport) -> list[str]:
    return [one.file for one in report.findings if one.rule == "misra-c2012-17.8"]


def test_sources_that_programs_share_are_read_once_with_the_same_findings(with_header: Path) -> None:
    cache = Cache()
    first = run(with_header, "src/one.c", "src/second.c", cache=cache)
    assert cache.hits == 0
    second = run(with_header, "src/one.c", "src/two.c", env="boot", cache=cache)
    assert cache.hits == 1
    assert second.log == run(with_header, "src/one.c", "src/two.c", env="boot").log
    assert places(first) == ["firmware/src/more.h"]
    # The header is told of whoever includes it, also where another program's source was told of it before.
    assert places(second) == ["firmware/src/more.h"]
    assert places(run(with_header, "src/two.c", env="other", cache=cache)) == ["firmware/src/more.h"]
    assert cache.hits == 2


@pytest.mark.parametrize("changed", ["header", "options", "sizes"])
def test_what_a_source_is_read_with_makes_it_another_one(with_header: Path, changed: str) -> None:
    cache = Cache()
    run(with_header, "src/one.c", cache=cache)
    header = with_header / "firmware/src/more.h"
    if changed == "header":
        header.write_text(header.read_text("ascii").replace("a++;", ""), encoding="ascii")
    again = run(
        with_header,
        "src/one.c",
        env="boot",
        flags="-std=c11 -DOTHER=1" if changed == "options" else "-std=c11",
        core="rv32imac" if changed == "sizes" else "cortex-m0",
        cache=cache,
    )
    assert cache.hits == 0
    assert places(again) == ([] if changed == "header" else ["firmware/src/more.h"])


def test_an_addon_that_ends_in_a_traceback_is_an_error(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    addon = root / "misra.py"
    addon.write_text("def main():\n    raise ValueError('no dump of mine')\n", encoding="ascii")
    monkeypatch.setattr(cppcheck, "addon_of", lambda _: addon)
    with pytest.raises(BenchError, match=r"(?s)MISRA addon failed.*no dump of mine"):
        run(root, "src/second.c")
