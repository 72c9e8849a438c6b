"""devicepipe.toml: what is right is read, what is wrong is named with file, line and key."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from devicepipe.errors import UsageError
from devicepipe.project.config import find_project, load_project

GOOD = """\
[product]
name = "pump"
title = "A pump"
manufacturer = "Us"
safety-class = "C"

[firmware]
project = "firmware"

[[board]]
name = "one"
manifest = "boards/one.json"
application = "one"
bootloader = "one_boot"

[[board]]
name = "two"
manifest = "boards/one.json"
application = "two"
bootloader = "two_boot"
"""

QEMU = {"driver": "qemu", "program": "qemu-system-arm", "machine": "microbit"}
REGIONS = {"bootloader": {"offset": 0, "size": "0x8000"}, "slot0": {"offset": "0x8000", "size": "0x8000"}}

MANIFEST = {
    "name": "Board one",
    "devicepipe": {
        "core": "cortex-m0",
        "flash": {"base": "0x0", "size": "0x40000", "page": 1024, "write": 4},
        "ram": {"base": "0x20000000", "size": "0x4000"},
        "regions": REGIONS,
    },
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for folder in ("firmware", "boards", "requirements", "hil"):
        (tmp_path / folder).mkdir()
    (tmp_path / "boards/one.json").write_text(json.dumps(MANIFEST))
    (tmp_path / "devicepipe.toml").write_text(GOOD)
    return tmp_path


def test_a_good_file_is_read(root: Path) -> None:
    project = load_project(root / "devicepipe.toml")
    assert [board.name for board in project.boards] == ["one", "two"]
    assert project.board("two").entry.bootloader == "two_boot"
    assert project.board("one").board.slot0.offset == 0x8000
    assert project.firmware_path == root / "firmware"


@pytest.mark.parametrize(
    ("table", "boards"),
    [
        ("", ()),
        ("[coverage]\n", ()),
        ("[coverage]\nrelease = true\n", ("one", "two")),
        ('[coverage]\nrelease = true\nboards = ["two"]\n', ("two",)),
    ],
)
def test_boards_whose_coverage_is_recorded(root: Path, table: str, boards: tuple[str, ...]) -> None:
    (root / "devicepipe.toml").write_text(GOOD + table)
    assert load_project(root / "devicepipe.toml").covered_boards == boards


def test_it_is_found_from_a_folder_below(root: Path) -> None:
    assert find_project(root / "firmware") == root / "devicepipe.toml"


def test_no_project_names_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no devicepipe\.toml") as raised:
        find_project(tmp_path)
    assert raised.value.exit_code == 2


def test_unknown_board_lists_the_known_ones(root: Path) -> None:
    with pytest.raises(UsageError) as raised:
        load_project(root / "devicepipe.toml").board("three")
    assert raised.value.remedy == "known boards: one, two"


@pytest.mark.parametrize(
    ("old", "new", "line", "key", "says"),
    [
        pytest.param(
            'safety-class = "C"', 'safty-class = "C"', 5, "product.safty-class", "unknown key", id="misspelt-key"
        ),
        pytest.param(
            'safety-class = "C"', 'safety-class = "D"', 5, "product.safety-class", "'A', 'B' or 'C'", id="no-such-class"
        ),
        pytest.param('title = "A pump"', "title = 7", 3, "product.title", "valid string, found 7", id="wrong-type"),
        pytest.param('manufacturer = "Us"\n', "", 1, "product.manufacturer", "missing key", id="missing-key"),
        pytest.param(
            'name = "pump"',
            'name = "../pump"',
            2,
            "product.name",
            "expected small letters, digits",
            id="name-with-a-path",
        ),
        pytest.param(
            'project = "firmware"',
            'project = "nowhere"',
            8,
            "firmware.project",
            "expected a folder",
            id="missing-folder",
        ),
        pytest.param('project = "firmware"', 'project = ".."', 8, "firmware.project", "outside", id="path-outside"),
        pytest.param(
            'application = "two"', 'app = "two"', 19, "board.1.app", "unknown key", id="misspelt-key-in-second-board"
        ),
        pytest.param(
            "[product]",
            '[coverage]\nboards = ["three"]\n[product]',
            2,
            "coverage.boards.0",
            "no board 'three'",
            id="coverage",
        ),
        pytest.param(
            "[product]",
            '[coverage]\nnever-executed = "none.toml"\n[product]',
            2,
            "coverage.never-executed",
            "expected a file",
            id="missing-reasons",
        ),
        pytest.param(
            "[product]",
            "[coverage]\nminimum = { lines = 101 }\n[product]",
            2,
            "coverage.minimum.lines",
            "100",
            id="percent",
        ),
        pytest.param('name = "two"', 'name = "one"', 17, "board.1.name", "stands twice", id="board-twice"),
        pytest.param("[product]", 'output = ".."\n[product]', 1, "output", "inside the project", id="output-outside"),
        pytest.param(
            "[product]", 'output = "."\n[product]', 1, "output", "inside the project", id="output-is-the-root"
        ),
        pytest.param("[firmware]", "[firmware", 7, None, "not valid TOML", id="broken-toml"),
        pytest.param("[firmware]", "[hardware]\n[firmware]", 7, "hardware", "unknown key", id="unknown-table"),
    ],
)
def test_a_mistake_is_named_by_line_and_key(
    root: Path, old: str, new: str, line: int, key: str | None, says: str
) -> None:
    file = root / "devicepipe.toml"
    file.write_text(GOOD.replace(old, new, 1))
    with pytest.raises(UsageError) as raised:
        load_project(file)
    assert (raised.value.file, raised.value.line, raised.value.key) == (file, line, key)
    assert says in str(raised.value)
    assert raised.value.remedy


WITH_DATA = """\
[image]
dependencies = ["(1, 1.0.0+3)"]

[[data]]
name = "table"
artifact = "table.bin"
region = "table"
image = 1
version = "1.2.0"
copies = 2
"""


@pytest.fixture
def root_with_data(root: Path) -> Path:
    place = {"table": {"offset": "0x20000", "size": "0x800"}, "slot1": {"offset": "0x10000", "size": "0x8000"}}
    manifest = MANIFEST | {"devicepipe": MANIFEST["devicepipe"] | {"regions": REGIONS | place}}  # type: ignore[operator]
    (root / "boards/one.json").write_text(json.dumps(manifest))
    (root / "devicepipe.toml").write_text(GOOD + WITH_DATA)
    return root


def test_data_images_are_read(root_with_data: Path) -> None:
    project = load_project(root_with_data / "devicepipe.toml")
    assert [(data.name, data.image, data.copies, data.security_counter) for data in project.data] == [
        ("table", 1, 2, 0)
    ]
    assert project.image.dependencies == ("(1, 1.0.0+3)",)


@pytest.mark.parametrize(
    ("old", "new", "key", "says"),
    [
        pytest.param('region = "table"', 'region = "tabel"', "data.0.region", "has no region 'tabel'", id="region"),
        pytest.param('region = "table"', 'region = "slot1"', "data.0.region", "holds programs", id="a-slot"),
        pytest.param('name = "table"', 'name = "application"', "data.0.name", "another file", id="taken-name"),
        pytest.param('artifact = "table.bin"', 'artifact = "../t.bin"', "data.0.artifact", "pattern", id="a-path"),
        pytest.param("image = 1", "image = 0", "data.0.image", "greater than or equal to 1", id="application-number"),
        pytest.param('version = "1.2.0"', 'version = "1.2"', "data.0.version", "pattern", id="version"),
        pytest.param("(1, ", "(2, ", "image.dependencies.0", "no [[data]] has the image number 2", id="unknown-image"),
        pytest.param("1.0.0+3", "1.2.0+1", "image.dependencies.0", "is version 1.2.0 only", id="too-old-to-start"),
        pytest.param('"(1, 1.0.0+3)"', '"1.0.0"', "image.dependencies.0", "pattern", id="no-dependency"),
        pytest.param(
            WITH_DATA,
            WITH_DATA + WITH_DATA.partition("\n\n")[2],
            "data.1.name",
            "another [[data]] has 'table'",
            id="twice",
        ),
    ],
)
def test_wrong_data_images_are_refused(root_with_data: Path, old: str, new: str, key: str, says: str) -> None:
    file = root_with_data / "devicepipe.toml"
    file.write_text(GOOD + WITH_DATA.replace(old, new, 1))
    with pytest.raises(UsageError) as raised:
        load_project(file)
    assert raised.value.key == key
    assert says in str(raised.value)


def test_missing_key_in_a_missing_table(root: Path) -> None:
    file = root / "devicepipe.toml"
    file.write_text("")
    with pytest.raises(UsageError, match="missing key") as raised:
        load_project(file)
    assert raised.value.key == "product"


@pytest.mark.parametrize(
    ("regions", "says"),
    [
        pytest.param({"bootloader": {"offset": 0, "size": 1024}}, "'slot0'", id="no-slot"),
        pytest.param(REGIONS | {"slot0": {"offset": "0x8001", "size": 1024}}, "multiples of the page", id="unaligned"),
        pytest.param(REGIONS | {"slot0": {"offset": "0x8000", "size": "0x80000"}}, "beyond the flash", id="beyond"),
        pytest.param(REGIONS | {"slot0": {"offset": 1024, "size": 2048}}, "overlaps", id="overlap"),
        pytest.param(REGIONS | {"slot0": {"offset": "x", "size": 2048}}, "expected an integer", id="not-a-number"),
    ],
)
def test_wrong_regions_are_refused(root: Path, regions: dict[str, object], says: str) -> None:
    assert_refused(root, {"regions": regions}, says)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        pytest.param({"emulator": QEMU | {"program": "./qemu.sh"}}, "pattern", id="emulator-of-ones-own"),
        pytest.param(
            {"emulator": QEMU | {"arguments": ["-device", "loader,file=x.elf"]}},
            "'-device' is not",
            id="loads-another-program",
        ),
        pytest.param({"emulator": QEMU | {"arguments": ["-m", "-kernel"]}}, "'-m' is not", id="option-as-value"),
        pytest.param({"corr": "cortex-m0"}, "Extra inputs", id="misspelt"),
    ],
)
def test_a_wrong_board_manifest_is_refused(root: Path, change: dict[str, object], says: str) -> None:
    assert_refused(root, change, says)


def assert_refused(root: Path, change: dict[str, object], says: str) -> None:
    manifest = MANIFEST | {"devicepipe": MANIFEST["devicepipe"] | change}  # type: ignore[operator]
    (root / "boards/one.json").write_text(json.dumps(manifest))
    with pytest.raises(UsageError) as raised:
        load_project(root / "devicepipe.toml")
    assert says in str(raised.value)
    assert raised.value.file == root / "boards/one.json"


@pytest.mark.parametrize("text", ["{", "[]", '{"name": "x"}'], ids=["not-json", "not-an-object", "no-section"])
def test_a_manifest_of_another_shape_is_refused(root: Path, text: str) -> None:
    (root / "boards/one.json").write_text(text)
    with pytest.raises(UsageError):
        load_project(root / "devicepipe.toml")
