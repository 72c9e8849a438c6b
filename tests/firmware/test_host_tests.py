"""The firmware's host tests pass and take every branch they must; their runner does not pass what it must not."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).parents[2]
RUNNER = REPOSITORY / "tools" / "host_tests.py"

CONFIGURATION = f"""
[platformio]
default_envs = host_tests
platforms_dir = {REPOSITORY}/firmware/platforms
packages_dir = {REPOSITORY}/firmware/tools

[env]
platform = host
custom_manifest = {REPOSITORY}/firmware/tests/host.json
custom_tests = tests
build_src_filter = -<*> +<core/> +<../tests/>

[env:host_tests]
custom_proof = sanitizers

[env:host_coverage]
custom_proof = coverage
"""

SAMPLE = """
#include "core/sample.h"
int sample(int a, const int *p)
{
    int result = 0;
    if (a > 3) {
        result = p[a - 4];
    }
    return result;
}
"""

TESTS = """
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include "core/sample.h"
static const int numbers[2] = {5, 6};
static volatile int big = 2147483647;
static void sound(void **state)
{
    (void)state;
    assert_int_equal(sample(1, numbers), 0);
    assert_int_equal(sample(4, numbers), 5);
}
static void overruns(void **state) { (void)state; assert_int_equal(sample(big - 2147483641, numbers), 0); }
static void overflows(void **state) { (void)state; assert_int_equal(sample(big + 1, numbers), 0); }
static void shifts(void **state) { (void)state; assert_true((1 << (big - 2147483615)) != 7); }
static void fails(void **state) { (void)state; assert_true(0); }
static void skips(void **state) { (void)state; skip(); }
static const struct CMUnitTest tests[] = {MODULES};
int main(int argc, char **argv)
{
    for (size_t i = 0u; i < (sizeof tests / sizeof tests[0]); i++) {
        if (strcmp(argv[1], "--list") == 0) {
            (void)puts(tests[i].name);
        }
        if (strcmp(argv[1], tests[i].name) == 0) {
            return _cmocka_run_group_tests("sample", &tests[i], 1u, NULL, NULL);
        }
    }
    if (strcmp(argv[1], "--list") == 0) {
        (void)puts(EXTRA);
    }
    return (argc == 2) ? 0 : 1;
}
"""

GATE = '[[module]]\narea = "sample"\nfiles = ["src/core/*.c"]\n'


@dataclass(frozen=True)
class Outcome:
    """How the runner ended."""

    code: int
    output: str

    @property
    def summary(self) -> Any:
        return json.loads(self.output.splitlines()[-1])


def run(project: Path, timeout: float = 300.0) -> Outcome:
    done = subprocess.run(
        [sys.executable, str(RUNNER), "--project", str(project)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=timeout,
        check=False,
    )
    return Outcome(done.returncode, done.stdout)


@pytest.fixture
def sample(tmp_path: Path) -> Path:
    """A project that passes, to be spoilt."""
    (tmp_path / "src" / "core").mkdir(parents=True)
    (tmp_path / "tests").mkdir()
    (tmp_path / "platformio.ini").write_text(CONFIGURATION)
    (tmp_path / "src/core/sample.h").write_text("int sample(int a, const int *p);\n")
    (tmp_path / "src/core/sample.c").write_text(SAMPLE)
    (tmp_path / "tests/coverage.toml").write_text(GATE)
    modules(tmp_path, "sound")
    return tmp_path


def modules(project: Path, *names: str, extra: str = "") -> None:
    """The test program with those modules, and one that is listed but holds nothing."""
    table = ", ".join(f"cmocka_unit_test({name})" for name in names)
    unused = [name for name in ("overruns", "overflows", "shifts", "fails", "skips") if name not in names]
    text = TESTS.replace("MODULES", table).replace("EXTRA", f'"{extra}"')
    for name in unused:
        text = "\n".join(line for line in text.splitlines() if f"void {name}(" not in line)
    (project / "tests/main.c").write_text(text + "\n")


def spoil(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))


def test_the_firmware_passes_and_every_branch_of_the_gated_modules_is_taken() -> None:
    """Minutes of work on a busy machine: the power-cut tests alone try tens of thousands of cuts."""
    if not (REPOSITORY / "firmware/lib/monocypher").is_dir():
        pytest.fail("the firmware's C libraries are missing: run `make setup`")
    outcome = run(REPOSITORY / "firmware", timeout=1500)
    assert outcome.code == 0, outcome.output
    assert outcome.summary["branches"] == outcome.summary["branches_taken"] > 1000


def test_a_sound_project_passes(sample: Path) -> None:
    outcome = run(sample)
    assert outcome.code == 0, outcome.output
    assert outcome.summary["tests"] == 1
    assert outcome.summary["branches"] == outcome.summary["branches_taken"] == 2
    assert (sample / ".pio/host-tests/coverage.html").is_file()


REASON = "a justification that is long enough"


def test_test_runs_that_must_fail(sample: Path) -> None:
    """Undefined behaviour, an address outside, a failure, a skip and an empty module are each told of."""
    names = ("sound", "overruns", "overflows", "shifts", "fails", "skips")
    modules(sample, *names, extra="empty")
    outcome = run(sample)
    assert outcome.code == 1, outcome.output
    for said in (
        "overruns (host_tests): ERROR: AddressSanitizer: global-buffer-overflow",
        "overflows (host_tests): runtime error: signed integer overflow",
        "shifts (host_tests): runtime error: shift exponent 32 is too large",
        "fails (host_tests): did not pass: fails",
        "skips (host_tests): did not pass: skips",
        "empty (host_tests): ran no test",
    ):
        assert f"not as it must be: {said}" in outcome.output
    assert "not as it must be: sound" not in outcome.output
    assert outcome.summary["tests"] == 1
    assert outcome.summary["passed"] is False


def test_coverage_that_must_fail(sample: Path) -> None:
    """A branch and a line that no test takes, and exclusions that say nothing or exclude nothing, are each told of."""
    core = sample / "src/core"
    spoil(sample / "tests/main.c", "    assert_int_equal(sample(4, numbers), 5);\n", "")
    for name, remark in (
        ("bare", "/* LCOV_EXCL_BR_LINE */"),
        ("curt", "/* LCOV_EXCL_BR_LINE: see above */"),
        ("wide", f"/* GCOVR_EXCL_START: {REASON} */"),
    ):
        text = SAMPLE.replace("> 3) {", f"> 3) {{ {remark}").replace("int sample(", f"int {name}(")
        (core / f"{name}.c").write_text(text.replace("#include", f"int {name}(int a, const int *p);\n#include", 1))
    spoil(core / "sample.c", "int result = 0;", f"int result = 0; /* LCOV_EXCL_LINE: {REASON} */")
    spoil(sample / "tests/coverage.toml", '"src/core/*.c"', '"src/core/*.c", "src/none/*.c"')
    outcome = run(sample)
    assert outcome.code == 1, outcome.output
    for said in (
        "src/core/sample.c: branches never taken: line 6 (1)",
        "src/core/sample.c: never ran: line 7",
        "src/core/sample.c: line 5: an exclusion where nothing was left untaken",
        "src/core/bare.c: line 7: an exclusion must be",
        "src/core/curt.c: line 7: an exclusion must be",
        "src/core/wide.c: line 7: an exclusion must be",
        "coverage.toml: src/none/*.c names no file",
    ):
        assert f"not as it must be: {said}" in outcome.output
    assert outcome.summary["passed"] is False


def test_sources_that_do_not_build_fail(sample: Path) -> None:
    spoil(sample / "src/core/sample.c", "int result = 0;", "int result = missing;")
    outcome = run(sample)
    assert outcome.code == 1
    assert "does not build" in outcome.output
    assert "missing" in outcome.output


def test_a_justified_exclusion_passes_and_is_counted(sample: Path) -> None:
    spoil(sample / "tests/main.c", "    assert_int_equal(sample(4, numbers), 5);\n", "")
    spoil(sample / "src/core/sample.c", "> 3) {", f"> 3) {{ /* LCOV_EXCL_BR_LINE: {REASON} */")
    spoil(sample / "src/core/sample.c", "- 4];", f"- 4]; /* LCOV_EXCL_LINE: {REASON} */")
    outcome = run(sample)
    assert outcome.code == 0, outcome.output
    assert outcome.summary["exclusions"] == 2
