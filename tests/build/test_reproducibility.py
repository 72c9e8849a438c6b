"""Builds that are irreproducible on purpose: caught, and explained down to section, symbol and source line."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from devicepipe.build.platformio import Build
from devicepipe.build.program_difference import Place, Programs
from devicepipe.build.reproducibility import compare
from devicepipe.build.surroundings import AGED, Surroundings, age, elsewhere

BuildSample = Callable[..., Build]

COMMON = """
extern unsigned char stack_top[];
_Noreturn void reset(void);
__attribute__((section(".vectors"), used)) static const void *const vectors[] = {stack_top, (const void *)reset};
"""
PLAIN = COMMON + "_Noreturn void reset(void) { for (;;) { } }\n"
TIME = COMMON + (
    "const char built_at[] = __TIME__;\nconst int after = 7;\n"
    "_Noreturn void reset(void) { for (;;) { (void)*(const volatile char *)built_at; (void)*(const volatile int *)&after; } }\n"
)
ASSERT = COMMON + (
    "static volatile int level;\nstatic const char *volatile seen;\n"
    "__attribute__((noipa)) static void failed(const char *file) { seen = file; for (;;) { } }\n"
    "#define ASSERT(x) do { if (!(x)) { failed(__FILE__); } } while (0)\n"
    "__attribute__((noipa)) static void check(void)\n{\n    ASSERT(level < 3);\n}\n"
    "_Noreturn void reset(void) { for (;;) { check(); } }\n"
)
MANY = COMMON + (
    "".join(
        f"__attribute__((noinline)) static int part_{name}(int x) {{ return x * {n} + {n}; }}\n"
        for n, name in enumerate("abcd", 3)
    )
    + "volatile int sum;\n"
    "_Noreturn void reset(void) { for (;;) { sum = part_a(sum) + part_b(sum) + part_c(sum) + part_d(sum); } }\n"
)
FLAGS = (
    "-mcpu=cortex-m0 -mthumb -Os -g -ffreestanding -ffunction-sections -fdata-sections -nostdlib -Wl,--build-id=none"
)
SCRIPT = Path(__file__).with_name("sample_project") / "platforms" / "sample" / "link.ld"


def compile_in(
    folder: Path, source: str, *, around: Surroundings | None = None, script: str = "", flags: str = ""
) -> bytes:
    """A linked program, made by the real compiler in a folder of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "main.c").write_text(source, encoding="ascii")
    (folder / "link.ld").write_text(script or SCRIPT.read_text("ascii"), encoding="ascii")
    environment = {key: value for key, value in os.environ.items() if key != "SOURCE_DATE_EPOCH"}
    subprocess.run(
        ["arm-none-eabi-gcc", *FLAGS.split(), *flags.split(), "-T", "link.ld", "-Wl,--defsym=flash_origin=0x4200",
         "-Wl,--defsym=flash_length=0x3e00", str(folder / "main.c"), "-o", "program.elf"],
        cwd=folder, env=environment | (around or Surroundings()).environment(), check=True,
    )  # fmt: skip
    return (folder / "program.elf").read_bytes()


def cleaned(folder: Path) -> Callable[[str], str]:
    return lambda text: text.replace(str(folder), "<folder>")


def difference(tmp_path: Path, first: bytes, second: bytes) -> Place:
    assert first != second
    place = Programs(first, second, cleaned(tmp_path / "one"), cleaned(tmp_path / "elsewhere")).place()
    assert place is not None
    return place


def test_the_same_program_has_no_difference(tmp_path: Path) -> None:
    one, two = (
        compile_in(tmp_path / name, PLAIN, flags=f"-ffile-prefix-map={tmp_path / name}=.") for name in ("one", "two")
    )
    programs = Programs(one, two)
    assert programs.place() is None
    assert programs.unloaded() is None


def test_the_time_of_the_build_is_found_without_waiting_for_it_to_change(tmp_path: Path) -> None:
    """Where SOURCE_DATE_EPOCH is not heeded, the second build's time zone makes every time of day another."""
    second = elsewhere("elsewhere", tmp_path / "private")
    place = difference(
        tmp_path, compile_in(tmp_path / "one", TIME), compile_in(tmp_path / "elsewhere", TIME, around=second)
    )
    assert (place.section, place.symbol) == (".text", "built_at")
    assert place.source == "<folder>/main.c:5"
    assert place.first != place.second


def test_every_local_date_differs(tmp_path: Path) -> None:
    source = TIME.replace("__TIME__", "__DATE__")
    second = elsewhere("elsewhere", tmp_path / "private")
    place = difference(
        tmp_path, compile_in(tmp_path / "one", source), compile_in(tmp_path / "elsewhere", source, around=second)
    )
    assert place.symbol == "built_at"


def test_a_path_in_an_assertion_is_found_with_the_function_that_uses_it(tmp_path: Path) -> None:
    place = difference(tmp_path, compile_in(tmp_path / "one", ASSERT), compile_in(tmp_path / "elsewhere", ASSERT))
    assert (place.section, place.symbol) == (".text", "check")
    assert place.source == "<folder>/main.c:9"
    assert (place.first, place.second) == ("<folder>/main.c", "<folder>/main.c")
    assert "without a name" in place.note


def test_another_order_of_sections_is_told_by_what_stands_where(tmp_path: Path) -> None:
    orders = [
        SCRIPT.read_text("ascii").replace("*(.text .text.*)", " ".join(f"*(.text.{name})" for name in names) + " *(.text .text.*)")
        for names in (["reset", "part_a", "part_b", "part_c", "part_d"], ["reset", "part_a", "part_c", "part_b", "part_d"])
    ]  # fmt: skip
    one, two = (
        compile_in(tmp_path / name, MANY, script=text) for name, text in zip(("one", "elsewhere"), orders, strict=True)
    )
    place = difference(tmp_path, one, two)
    assert (place.section, place.symbol, place.other_symbol) == (".text", "part_b", "part_c")
    assert place.source == "<folder>/main.c:6"
    assert "order" in place.note


def test_a_function_of_another_size_is_the_cause_and_not_its_callers(tmp_path: Path) -> None:
    larger = MANY.replace("return x * 4 + 4;", "return x * 4 + 4 + (x ^ 17) * x;")
    place = difference(tmp_path, compile_in(tmp_path / "one", MANY), compile_in(tmp_path / "elsewhere", larger))
    assert (place.symbol, place.source) == ("part_b", "<folder>/main.c:6")
    assert "bytes in the first build" in place.note


def test_a_changed_instruction_gives_its_line(tmp_path: Path) -> None:
    changed = MANY.replace("return x * 5 + 5;", "return x * 5 + 6;")
    place = difference(tmp_path, compile_in(tmp_path / "one", MANY), compile_in(tmp_path / "elsewhere", changed))
    assert (place.section, place.symbol, place.source) == (".text", "part_c", "<folder>/main.c:7")


def test_debug_information_alone_is_told_by_its_section(tmp_path: Path) -> None:
    programs = Programs(
        compile_in(tmp_path / "one", PLAIN), compile_in(tmp_path / "elsewhere", PLAIN),
        cleaned(tmp_path / "one"), cleaned(tmp_path / "elsewhere"),
    )  # fmt: skip
    assert programs.place() is None
    place = programs.unloaded()
    assert place is not None
    assert place.section is not None
    assert place.section.startswith(".debug")


def test_through_platformio_the_path_is_explained(build_sample: BuildSample, tmp_path: Path) -> None:
    first = build_sample(tmp_path / "one", {"application": "path_in_assert"})
    second = build_sample(
        tmp_path / "another", {"application": "path_in_assert"}, surroundings=elsewhere("another", tmp_path / "private")
    )
    result = compare(first, second)
    assert not result.identical
    for name in ("elf", "bin", "hex"):
        found = next(one for one in result.differences if one.artifact == f"images/sample/application.{name}")
        assert (found.section, found.symbol) == (".text", "check")
        assert found.source == "<folder of build 1>/src/leaky_assert/check.h:14"
        assert found.first == "<folder of build 1>/src/leaky_assert/check.h"
        assert found.second == "<folder of build 2>/src/leaky_assert/check.h"
        assert str(tmp_path) not in found.model_dump_json()
    varied = {one.what for one in result.varied or []}
    assert {"folder", "home folder", "user name", "time zone", "locale", "umask", "compilers at once", "time"} <= varied


def test_surroundings_differ_in_everything_and_tell_nothing_of_this_machine(tmp_path: Path) -> None:
    usual, other = Surroundings(), elsewhere("elsewhere", tmp_path)
    assert all(value != other.recorded()[what] for what, value in usual.recorded().items())
    assert str(tmp_path) not in str(other.recorded())
    assert other.environment()["HOME"].startswith(str(tmp_path))
    assert elsewhere("x", tmp_path, {"USER": "builder"}).user != "builder"
    assert replace(other, jobs=None).recorded()["compilers at once"] == "one per processor"


def test_an_aged_copy_has_no_time_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "file").touch()
    age(tmp_path)
    assert {path.stat().st_mtime for path in tmp_path.rglob("*")} == {AGED}
