"""PlatformIO builds: what is collected, what stays out, and how each failure is told."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from devicepipe.build import platformio
from devicepipe.build.collect import Role
from devicepipe.build.platformio import Build, BuildInputs, build_board
from devicepipe.build.provenance import make_provenance
from devicepipe.build.reproducibility import compare
from devicepipe.errors import BenchError, DevicepipeError, ProductError, UsageError
from devicepipe.evidence.predicates import Provenance
from devicepipe.project.board import Board

BuildSample = Callable[..., Build]
SAMPLE = Path(__file__).with_name("sample_project")
BOTH: dict[Role, str] = {"application": "application", "bootloader": "bootloader"}


def test_every_output_is_collected_under_its_bundle_name(built: Build) -> None:
    names = {artifact.path for firmware in built.result.firmwares for artifact in firmware.artifacts}
    assert names == {
        f"images/sample/{role}{suffix}"
        for role in ("application", "bootloader")
        for suffix in (".elf", ".bin", ".hex", ".map", ".compile_commands.json")
    }
    application = built.result.firmware("application")
    assert application.flash.limit == 0x4000 - 512
    assert 0 < application.flash.used == application.artifact("bin").size
    assert application.ram.used == 4


def test_evidence_holds_no_path_of_this_machine(built: Build) -> None:
    files = [built.log, *(built.output / "images" / "sample").iterdir()]
    own = (str(built.project), str(Path.home()) + "/", "pytest-")
    for file in files:
        text = file.read_bytes().decode("utf-8", "replace")
        assert not [path for path in own if path in text], file.name


def test_analysers_get_a_database_with_real_paths_each_file_once(built: Build) -> None:
    entries = json.loads(built.databases["application"].read_text("utf-8"))
    assert {entry["directory"] for entry in entries} == {str(built.project)}
    assert sorted(entry["file"] for entry in entries) == [
        "lib/idle/idle.c",
        "lib/tiny/tiny.c",
        "src/application/main.c",
    ]


def test_compilers_are_named_with_version_and_digest(built: Build) -> None:
    compilers = {tool.name: tool for tool in built.result.compilers}
    assert set(compilers) >= {"arm-none-eabi-gcc", "arm-none-eabi-gcc/cc1", "arm-none-eabi-gcc/ld"}
    assert all(tool.sha256 and tool.version != "unknown" and "/" not in tool.version for tool in compilers.values())


def test_another_folder_and_a_hostile_environment_give_identical_programs(
    built: Build, build_sample: BuildSample, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "include").mkdir()
    (tmp_path / "include" / "tiny.h").write_text("#error from the user's own search path\n", encoding="ascii")
    monkeypatch.setenv("CPATH", str(tmp_path / "include"))
    monkeypatch.setenv("PLATFORMIO_BUILD_FLAGS", "-O0 -DBUILT_BY_HAND")
    monkeypatch.setenv("PLATFORMIO_SRC_DIR", str(tmp_path))
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
    second = build_sample(tmp_path, BOTH)
    result = compare(built, second)
    assert result.identical
    assert len(result.compared) == 6


def test_path_leak_is_found_in_section_and_symbol(build_sample: BuildSample, tmp_path: Path) -> None:
    first = build_sample(tmp_path / "one", {"application": "path_leak"})
    second = build_sample(tmp_path / "two", {"application": "path_leak"})
    result = compare(first, second)
    assert not result.identical
    places = {difference.artifact: (difference.section, difference.symbol) for difference in result.differences}
    assert places["images/sample/application.bin"] == (".text", "build_root")
    assert places["images/sample/application.hex"] == (".text", "build_root")
    assert places["images/sample/application.elf"] == (".text", "build_root")


def test_provenance_names_inputs_and_materials_without_paths(built: Build, inputs: BuildInputs) -> None:
    manifest = SAMPLE / "boards" / "sample.json"
    provenance = make_provenance(
        built,
        inputs=inputs,
        manifest=manifest,
        manifest_name="boards/sample.json",
        soup=None,
        invocation_id="sample-1.2.3-sample",
        dirty=False,
    )
    data = provenance.to_json()
    assert Provenance.from_json(data) == provenance
    definition = data["buildDefinition"]
    assert definition["externalParameters"]["environments"] == BOTH
    assert definition["internalParameters"]["environment"]["DEVICEPIPE_IMAGE_KEY"] == "sha256:" + "d" * 64
    names = [dependency.get("name", "") for dependency in definition["resolvedDependencies"]]
    assert {"source", "boards/sample.json"} <= set(names)
    assert any(name.startswith("platformio ") for name in names)
    assert str(inputs.image_key) not in json.dumps(data)


def test_compile_error_is_the_products_with_file_and_line(build_sample: BuildSample, tmp_path: Path) -> None:
    with pytest.raises(ProductError, match=r"src/broken/main\.c:5: .*not_declared") as caught:
        build_sample(tmp_path, {"application": "compile_error"})
    assert str(tmp_path / "build.log") in caught.value.remedy


def test_undefined_reference_is_the_products(build_sample: BuildSample, tmp_path: Path) -> None:
    with pytest.raises(ProductError, match=r"undefined reference to .missing_function"):
        build_sample(tmp_path, {"application": "undefined_reference"})


def test_flash_overflow_is_the_products(build_sample: BuildSample, tmp_path: Path) -> None:
    with pytest.raises(ProductError, match=r"does not fit: section \.text is too large for FLASH"):
        build_sample(tmp_path, {"application": "flash_overflow"})


def test_unknown_environment_names_the_known_ones(build_sample: BuildSample, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"'aplication'.*known environments: application, bootloader") as caught:
        build_sample(tmp_path, {"application": "aplication"})
    assert caught.value.file == tmp_path / "project" / "platformio.ini"


@pytest.mark.parametrize(
    ("output", "error", "message"),
    [
        ("UnknownPackageError: Could not find the package with 'a/b'", BenchError, "missing: UnknownPackageError"),
        ("HTTPClientError: ", BenchError, "package or compiler is missing"),
        ("sh: 1: riscv-none-elf-gcc: not found", BenchError, "riscv-none-elf-gcc: not found"),
        ("UnknownBoard: Unknown board ID 'nucleo_x'", UsageError, "knows no board 'nucleo_x'"),
        ("InvalidProjectConfError: Invalid 'platformio.ini'", UsageError, r"Invalid 'platformio\.ini'"),
        ("error: no image key at /x", ProductError, "no image key"),
        ("something new went wrong", ProductError, r"PlatformIO failed:\n(.*\n)*something new went wrong"),
    ],
)
def test_failure_accuses_who_has_to_act(
    board: Board, tmp_path: Path, output: str, error: type[DevicepipeError], message: str
) -> None:
    log = tmp_path / "build.log"
    log.write_text(f"Processing application\n{output}\n", encoding="utf-8")
    told = platformio._explain(tmp_path / "platformio.ini", board, log)
    assert type(told) is error
    assert re.search(message, str(told))
    assert str(log) in told.remedy


@pytest.mark.parametrize(
    ("configuration", "own"),
    [
        ("[platformio]\nplatforms_dir = p ; ours\npackages_dir = t\n", True),
        ("[platformio]\nplatforms_dir = p\n", False),
        ("[env:nucleo]\nplatform = ststm32\n", False),
    ],
)
def test_only_a_project_that_brings_everything_gets_a_core_folder_of_its_own(
    tmp_path: Path, configuration: str, own: bool
) -> None:
    (tmp_path / "platformio.ini").write_text(configuration, encoding="utf-8")
    assert platformio._brings_platforms(tmp_path / "platformio.ini") is own


def test_folder_without_platformio_ini_is_a_usage_error(board: Board, inputs: BuildInputs, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"platformio\.ini"):
        build_board(
            project=tmp_path,
            board=board,
            environments=BOTH,
            inputs=inputs,
            output=tmp_path,
            log=tmp_path / "log",
            cancel=threading.Event(),
        )


def test_cancelled_build_is_a_bench_error(build_sample: BuildSample, tmp_path: Path) -> None:
    cancel = threading.Event()
    cancel.set()
    with pytest.raises(BenchError, match="cancelled"):
        build_sample(tmp_path, BOTH, cancel)
