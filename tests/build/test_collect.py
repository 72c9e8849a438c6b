"""Outputs under other names, derived files, limits, and the cleaning of paths."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from intelhex import IntelHex

from devicepipe.build.collect import PathCleaner, collect_firmware, flash_limit
from devicepipe.build.elf_file import ElfFile, NotAnElf
from devicepipe.build.platformio import Build
from devicepipe.build.reproducibility import compare
from devicepipe.errors import ProductError
from devicepipe.evidence.predicates import Difference, FirmwareBuild
from devicepipe.project.board import Board


@pytest.fixture
def outputs(built: Build, tmp_path: Path) -> Path:
    """A build folder with the sample application's outputs, to spoil."""
    folder = tmp_path / "env"
    folder.mkdir()
    source = built.databases["application"].parent
    for name in ("firmware.elf", "firmware.bin", "firmware.map", "compile_commands.json"):
        shutil.copy(source / name, folder / name)
    return folder


def collect(folder: Path, board: Board, output: Path, data: dict[str, str] | None = None) -> FirmwareBuild:
    return collect_firmware(
        role="application",
        environment="env",
        build_dir=folder,
        board=board,
        output=output,
        cleaner=PathCleaner(folder, folder / "core"),
        data=data,
    )


def test_program_without_suffix_gives_the_same_binary_as_objcopy(outputs: Path, board: Board, tmp_path: Path) -> None:
    made_by_objcopy = (outputs / "firmware.bin").read_bytes()
    (outputs / "firmware.bin").unlink()
    (outputs / "firmware.elf").rename(outputs / "program")
    (outputs / "firmware.map").rename(outputs / "program.map")
    firmware = collect(outputs, board, tmp_path / "bundle")
    derived = tmp_path / "bundle" / firmware.artifact("bin").path
    assert derived.read_bytes() == made_by_objcopy


def test_derived_hex_holds_the_binary_at_its_address(built: Build) -> None:
    image = IntelHex(str(built.output / "images/sample/application.hex"))
    assert image.minaddr() == 0x4200
    flat = (built.output / "images/sample/application.bin").read_bytes()
    assert bytes(image.tobinarray(start=0x4200, size=len(flat))) == flat


def test_image_beyond_its_slot_is_too_large(outputs: Path, board: Board, tmp_path: Path) -> None:
    small = board.model_copy(update={"image": board.image.model_copy(update={"header_size": 0x4000 - 16})})
    with pytest.raises(ProductError, match=r"does not fit: it uses \d+ bytes of flash, \d+ more than the 16"):
        collect(outputs, small, tmp_path / "bundle")


def test_data_beyond_the_ram_is_too_large(outputs: Path, board: Board, tmp_path: Path) -> None:
    small = board.model_copy(update={"ram": board.ram.model_copy(update={"size": 2})})
    with pytest.raises(ProductError, match="4 bytes of RAM, 2 more than the 2"):
        collect(outputs, small, tmp_path / "bundle")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda folder: (folder / "firmware.elf").unlink(), r"expected one \.elf file .* found none"),
        (lambda folder: (folder / "firmware.elf").write_bytes(b"\x7fELF"), "not a linked program"),
        (lambda folder: (folder / "firmware.map").unlink(), r"expected one \.map file"),
        (lambda folder: (folder / "compile_commands.json").unlink(), "no compilation database"),
    ],
    ids=["no_elf", "truncated_elf", "no_map", "no_database"],
)
def test_missing_or_broken_output_is_told(
    outputs: Path, board: Board, tmp_path: Path, spoil: object, message: str
) -> None:
    assert callable(spoil)
    spoil(outputs)
    with pytest.raises(ProductError, match=message):
        collect(outputs, board, tmp_path / "bundle")


def test_files_that_become_data_images_are_collected(outputs: Path, board: Board, tmp_path: Path) -> None:
    (outputs / "limits.bin").write_bytes(b"limits")
    firmware = collect(outputs, board, tmp_path / "bundle", data={"table": "limits.bin"})
    assert {name: file.path for name, file in firmware.data.items()} == {"table": "images/sample/table.bin"}
    assert (tmp_path / "bundle/images/sample/table.bin").read_bytes() == b"limits"


@pytest.mark.parametrize("content", [None, b""], ids=["missing", "empty"])
def test_a_data_file_that_was_not_made_is_told(
    outputs: Path, board: Board, tmp_path: Path, content: bytes | None
) -> None:
    if content is not None:
        (outputs / "limits.bin").write_bytes(content)
    with pytest.raises(ProductError, match=r"made no limits\.bin beside the program"):
        collect(outputs, board, tmp_path / "bundle", data={"table": "limits.bin"})


def test_data_files_are_compared(outputs: Path, built: Build, board: Board, tmp_path: Path) -> None:
    builds = []
    for content in (b"limits", b"limitS"):
        (outputs / "limits.bin").write_bytes(content)
        output = tmp_path / content.decode()
        firmware = collect(outputs, board, output, data={"table": "limits.bin"})
        result = built.result.model_copy(update={"firmwares": [firmware]})
        builds.append(dataclasses.replace(built, result=result, output=output))
    assert compare(builds[0], builds[0]).identical
    differing = compare(*builds)
    assert not differing.identical
    assert differing.differences == [Difference(artifact="images/sample/table.bin", offset=5)]


def test_limits_are_those_of_the_regions(board: Board) -> None:
    assert flash_limit(board, "bootloader") == 0x4000
    assert flash_limit(board, "application") == board.slot0.size - board.image.header_size


def test_only_whole_folder_names_are_cleaned(tmp_path: Path) -> None:
    root, core = Path("/tmp/build-a"), Path("/tmp/build-a/core")
    text = "-I/tmp/build-a/src /tmp/build-ab/x /tmp/build-a.old /tmp/build-a -prefix-map=/tmp/build-a=. /tmp/build-a/core/packages"
    cleaned = PathCleaner(root, core).clean(text)
    assert cleaned == "-I./src /tmp/build-ab/x /tmp/build-a.old . -prefix-map=.=. $PLATFORMIO_CORE_DIR/packages"


def test_missing_artifact_is_a_difference(built: Build) -> None:
    only_application = built.result.model_copy(update={"firmwares": built.result.firmwares[:1]})
    shorter = dataclasses.replace(built, result=only_application)
    result = compare(built, shorter)
    assert not result.identical
    assert {difference.artifact for difference in result.differences} == {
        f"images/sample/bootloader.{kind}" for kind in ("elf", "bin", "hex")
    }


@given(st.binary(max_size=300), st.integers(min_value=0, max_value=51))
def test_spoilt_elf_header_is_told_and_never_a_crash(noise: bytes, offset: int) -> None:
    for content in (noise, b"\x7fELF\x01\x01\x01" + noise):
        try:
            ElfFile(content).flat()
        except NotAnElf:
            continue
