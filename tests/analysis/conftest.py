"""Programs linked by the real compiler, in the folders that PlatformIO uses."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from devicepipe.analysis.linked_libraries import LinkedFirmware
from devicepipe.project.board import Board

SAMPLE = Path(__file__).parents[1] / "build" / "sample_project"
MACHINE = ("-mcpu=cortex-m0", "-mthumb")

VECTORS = """
extern unsigned char stack_top[];
_Noreturn void reset(void);
_Noreturn void reset(void) { for (;;) { } }
__attribute__((section(".vectors"), used)) static const void *const vectors[] = {stack_top, (const void *)reset};
"""

LINK = """
MEMORY { FLASH (rx) : ORIGIN = 0x4200, LENGTH = 0x3e00  RAM (rw) : ORIGIN = 0x20000000, LENGTH = 0x1000 }
ENTRY(reset)
SECTIONS
{
    .vectors : { KEEP(*(.vectors)) } > FLASH
    .text : { *(.text .text.* .rodata .rodata.*) } > FLASH
    .data : { *(.data .data.*) } > RAM AT > FLASH
    .bss (NOLOAD) : { *(.bss .bss.*) } > RAM
    stack_top = 0x20001000;
}
"""


@pytest.fixture(scope="session")
def board() -> Board:
    section = json.loads((SAMPLE / "boards" / "sample.json").read_text("utf-8"))["devicepipe"]
    return Board.model_validate({**section, "name": "sample", "title": "Sample"})


Link = Callable[..., bytes]


@pytest.fixture
def link(tmp_path: Path) -> Link:
    """Compiles and links one C file with a linker script; returns the ELF."""

    def make(
        *, source: str = VECTORS, extra: str = "", change: tuple[str, str] = ("", ""), flags: tuple[str, ...] = ()
    ) -> bytes:
        source += extra
        script = LINK.replace(*change) if change[0] else LINK
        assert not change[0] or script != LINK
        (tmp_path / "main.c").write_text(source, encoding="ascii")
        (tmp_path / "link.ld").write_text(script, encoding="ascii")
        files = ["main.c", "-T", "link.ld", "-o", "main.elf"]
        fixed = ["-Os", "-ffreestanding", "-nostdlib", "-Wl,--build-id=none", "-Wl,--no-warn-rwx-segments"]
        subprocess.run(["arm-none-eabi-gcc", *MACHINE, *fixed, *flags, *files], cwd=tmp_path, check=True)
        return (tmp_path / "main.elf").read_bytes()

    return make


@pytest.fixture(scope="session")
def linked(tmp_path_factory: pytest.TempPathFactory) -> LinkedFirmware:
    """The sample's application: `tiny` is called, `idle` is archived and named to the linker but never called."""
    root = tmp_path_factory.mktemp("linked")
    folder = ".pio/build/application"
    objects = {
        "src/application/main.c": f"{folder}/src/application/main.o",
        "lib/tiny/tiny.c": f"{folder}/lib1a2/tiny/tiny.o",
        "lib/idle/idle.c": f"{folder}/lib1a2/idle/idle.o",
    }

    def run(*command: str) -> None:
        subprocess.run(command, cwd=root, check=True)

    for source, output in objects.items():
        (root / output).parent.mkdir(parents=True, exist_ok=True)
        includes = [f"-I{SAMPLE}/lib/{name}" for name in ("tiny", "idle")]
        flags = ("-Os", "-ffreestanding", "-ffunction-sections", "-c")
        run("arm-none-eabi-gcc", *MACHINE, *flags, *includes, str(SAMPLE / source), "-o", output)
    for name in ("tiny", "idle"):
        run("arm-none-eabi-ar", "rcD", f"{folder}/lib1a2/lib{name}.a", f"{folder}/lib1a2/{name}/{name}.o")
    run(
        *("arm-none-eabi-gcc", *MACHINE, "-nostdlib", "-Wl,--gc-sections", "-Wl,--defsym=flash_origin=0x4200"),
        *("-Wl,--defsym=flash_length=0x3e00", "-T", str(SAMPLE / "platforms/sample/link.ld"), "-Wl,-Map,firmware.map"),
        *(objects["src/application/main.c"], f"{folder}/lib1a2/libtiny.a", f"{folder}/lib1a2/libidle.a", "-lgcc"),
        *("-o", "firmware.elf"),
    )
    entries = [{"directory": ".", "file": source, "output": output} for source, output in objects.items()]
    return LinkedFirmware("application", (root / "firmware.map").read_text("utf-8"), json.dumps(entries))
