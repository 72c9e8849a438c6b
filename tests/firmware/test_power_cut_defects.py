"""The host test of power cuts must find what it is there for: each known mistake of the update path makes it fail.

A mistake is one edit of a copy of the sources. An edit that no longer applies is an error of this file.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

FIRMWARE = Path(__file__).parents[2] / "firmware"
MONOCYPHER = FIRMWARE / "lib" / "monocypher"
CORE = ("bytes", "data_image", "ed25519", "handover", "image", "sha256", "sha512", "text", "update", "verify")
BOOTLOADER = ("boot", "counter", "report", "swap")
CONFIG = """
#define BOOTLOADER_OFFSET 0x0u
#define BOOTLOADER_SIZE 0x1000u
#define SLOT0_OFFSET 0x1000u
#define SLOT0_SIZE 0x1000u
#define SLOT1_OFFSET 0x2000u
#define SLOT1_SIZE 0x1000u
"""
MAIN = '#include "tests.h"\nint main(void)\n{\n    return test_power_cut();\n}\n'


@dataclass(frozen=True)
class Mistake:
    """One edit: in `file`, `old` (which stands there once) becomes `new`."""

    name: str
    file: str
    old: str
    new: str


MISTAKES = (
    Mistake(
        "mark before copy",
        "bootloader/swap.c",
        "return copy_page(to, from) && update_write_mark(&slots->slot0, step);",
        "return update_write_mark(&slots->slot0, step) && copy_page(to, from);",
    ),
    Mistake(
        "old plan left standing during the erase",
        "bootloader/swap.c",
        "return update_forget_swap(&slots->slot0) && update_erase_trailer(&slots->slot0) &&",
        "return update_erase_trailer(&slots->slot0) &&",
    ),
    Mistake(
        "request erased before the plan is written",
        "bootloader/swap.c",
        "update_write_swap(&slots->slot0, type, pages) && update_write_magic(&slots->slot0);",
        "update_erase_trailer(&slots->slot1) && update_write_swap(&slots->slot0, type, pages) &&"
        " update_write_magic(&slots->slot0);",
    ),
    Mistake(
        "marks of the last swap left standing",
        "core/update.c",
        "for (uint32_t at = 0u; erased && (at < size); at += port_flash_page()) {",
        "for (uint32_t at = size - port_flash_page(); erased && (at < size); at += port_flash_page()) {",
    ),
    Mistake(
        "a swap begins anew instead of going on",
        "bootloader/swap.c",
        "uint32_t step = update_marks(&slots->slot0, pages);",
        "uint32_t step = 0u;",
    ),
    Mistake(
        "a page's mark counts for the page after it",
        "core/update.c",
        "    return marks;",
        "    return (marks > 0u) ? (marks + 1u) : 0u;",
    ),
    Mistake(
        "pages moved from the bottom up",
        "bootloader/swap.c",
        "((pages - 1u - step) * size)",
        "(step * size)",
    ),
    Mistake(
        "target not erased where it reads as blank",
        "bootloader/swap.c",
        "bool copied = port_flash_erase(to);",
        "bool copied = (update_marks(&(struct update_slot){.offset = to, .size = 0u}, 0u) == 0u);",
    ),
    Mistake(
        "copy_done before the request is erased",
        "bootloader/swap.c",
        "return held && update_erase_trailer(&slots->slot1) && update_write_copy_done(&slots->slot0);",
        "return held && update_write_copy_done(&slots->slot0) && update_erase_trailer(&slots->slot1);",
    ),
    Mistake(
        "image_ok after copy_done",
        "bootloader/swap.c",
        """    if (held && (type != SWAP_TEST)) {
        held = update_write_image_ok(&slots->slot0);
    }
    return held && update_erase_trailer(&slots->slot1) && update_write_copy_done(&slots->slot0);""",
        """    held = held && update_erase_trailer(&slots->slot1) && update_write_copy_done(&slots->slot0);
    return held && ((type == SWAP_TEST) || update_write_image_ok(&slots->slot0));""",
    ),
    Mistake(
        "magic of a request before image_ok",
        "core/update.c",
        """        written = update_write_image_ok(slot1);
    }
    return written && update_write_magic(slot1);""",
        """        written = update_write_magic(slot1) && update_write_image_ok(slot1);
    }
    return written && ((type != SWAP_TEST) || update_write_magic(slot1));""",
    ),
    Mistake(
        "a test request outdoes an unconfirmed trial",
        "core/update.c",
        "} else if (!update_confirmed(slot0)) {",
        "} else if (!update_confirmed(slot0) && !slot1->magic) {",
    ),
    Mistake(
        "a trailer half erased looks like a trial",
        "core/update.c",
        "return !(slot0->magic && slot0->swap_known && slot0->copy_done && !slot0->image_ok);",
        "return !(slot0->magic && slot0->copy_done && !slot0->image_ok);",
    ),
    Mistake(
        "the way back is not noted in slot 1",
        "bootloader/boot.c",
        "if ((request->magic && request->image_ok) || update_request_in(&boot->layout->slots.slot1, SWAP_REVERT)) {",
        "if (request != NULL) {",
    ),
    Mistake(
        "the way back is noted as any permanent request",
        "bootloader/boot.c",
        "update_request_in(&boot->layout->slots.slot1, SWAP_REVERT)) {",
        "update_request_in(&boot->layout->slots.slot1, SWAP_PERMANENT)) {",
    ),
    Mistake(
        "counter raised for a trial",
        "bootloader/boot.c",
        "return check_slot0(boot, update_confirmed(&trailer));",
        "return check_slot0(boot, trailer.magic || true);",
    ),
    Mistake(
        "counter raised on the way back",
        "bootloader/boot.c",
        "enum image_result result = check_slot0(boot, type != SWAP_REVERT);",
        "enum image_result result = check_slot0(boot, true);",
    ),
    Mistake(
        "a trial is never taken back",
        "core/update.c",
        "        type = SWAP_REVERT;\n    } else if (slot1->magic && slot1->image_ok) {",
        "        type = SWAP_NONE;\n    } else if (slot1->magic && slot1->image_ok) {",
    ),
    Mistake(
        "slot 1 is not judged",
        "bootloader/boot.c",
        "boot->refused = check_slot1(boot, type != SWAP_REVERT, &slot1_size);",
        "(void)check_slot1(boot, type != SWAP_REVERT, &slot1_size);",
    ),
    Mistake(
        "only the size of the new image counts",
        "bootloader/boot.c",
        "const uint32_t size = (boot->slot0_size > slot1_size) ? boot->slot0_size : slot1_size;",
        "const uint32_t size = slot1_size;",
    ),
    Mistake(
        "a damaged image is not replaced",
        "bootloader/boot.c",
        "if (check_slot1(boot, false, &slot1_size) == IMAGE_OK) {",
        "if ((check_slot1(boot, false, &slot1_size) == IMAGE_OK) && false) {",
    ),
)


def run(command: list[str], seconds: float, seeds: int = 2) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, or to the end of its time."""
    environment = os.environ | {"POWER_CUT_SEEDS": str(seeds)}
    return subprocess.run(
        command, capture_output=True, text=True, timeout=seconds, check=False, stdin=subprocess.DEVNULL, env=environment
    )


class Build:
    """Compiles the test program from a copy of the sources, in which a mistake can be made."""

    FLAGS = ("-std=c11", "-O1", "-w")

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._objects: dict[str, Path] = {}
        shutil.copytree(FIRMWARE / "src", folder / "src")
        (folder / "build_config.h").write_text(CONFIG, encoding="ascii")
        (folder / "main.c").write_text(MAIN, encoding="ascii")
        sources = [folder / "src" / "core" / f"{name}.c" for name in CORE]
        sources += [folder / "src" / "bootloader" / f"{name}.c" for name in BOOTLOADER]
        sources += [folder / "main.c", FIRMWARE / "tests" / "test_power_cut.c", MONOCYPHER / "monocypher.c"]
        sources += [FIRMWARE / "tests" / "sim" / f"{name}.c" for name in ("flash", "port", "signer")]
        for source in sources:
            self._objects[f"{source.parent.name}/{source.name}"] = self._compile(source)

    def _compile(self, source: Path) -> Path:
        target = self._folder / f"{source.parent.name}-{source.stem}.o"
        includes = (self._folder, self._folder / "src", FIRMWARE / "tests", MONOCYPHER)
        command = ["gcc", *self.FLAGS, *(f"-I{folder}" for folder in includes), "-c", str(source), "-o", str(target)]
        done = run(command, 120)
        assert done.returncode == 0, done.stderr
        return target

    def program(self, mistake: Mistake | None = None) -> Path:
        """The test program, with that mistake in it."""
        objects = dict(self._objects)
        if mistake is not None:
            source = self._folder / "src" / mistake.file
            original = source.read_text(encoding="utf-8")
            assert original.count(mistake.old) == 1, f"{mistake.name}: the edit does not apply to {mistake.file}"
            copy = source.with_name(f"mistaken-{source.name}")
            copy.write_text(original.replace(mistake.old, mistake.new), encoding="utf-8")
            objects[mistake.file] = self._compile(copy)
            copy.unlink()
        program = self._folder / "power_cut"
        done = run(["gcc", *map(str, objects.values()), "-lcmocka", "-o", str(program)], 120)
        assert done.returncode == 0, done.stderr
        return program


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Build:
    """The sources, compiled."""
    if not (MONOCYPHER / "monocypher.c").is_file():
        pytest.fail(f"{MONOCYPHER} is missing: run `make setup`")
    return Build(tmp_path_factory.mktemp("power_cut"))


def test_without_a_mistake_it_passes(build: Build) -> None:
    """The sources as they are survive every cut."""
    done = run([str(build.program())], 300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "small pages" in done.stdout
    assert "big sectors" in done.stdout


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake.name.replace(" ", "-"))
def test_a_mistake_is_found(build: Build, mistake: Mistake) -> None:
    """With the mistake, some cut leads to a device that breaks a promise, or a write that flash does not allow."""
    done = run([str(build.program(mistake))], 300)
    assert done.returncode != 0, f"{mistake.name}: nothing was found\n{done.stdout}"
