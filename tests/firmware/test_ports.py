# SPDX-License-Identifier: Apache-2.0
"""What all ports share: the header made of the manifests, and the rules of the flash, which a stricter board would hide."""

import importlib.util
import json
import re
import subprocess
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
BOARDS = sorted(path.stem for path in (ROOT / "boards").glob("*.json"))
KEY = bytes(range(32))


@pytest.fixture(scope="module")
def config() -> ModuleType:
    """firmware/platforms/build_config.py, which the PlatformIO build runs."""
    specification = importlib.util.spec_from_file_location(
        "build_config", ROOT / "firmware" / "platforms" / "build_config.py"
    )
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def content(board: str) -> dict[str, Any]:
    """A board's manifest."""
    manifest: dict[str, Any] = json.loads((ROOT / "boards" / f"{board}.json").read_text(encoding="utf-8"))
    return manifest


def header(
    config: ModuleType, board: str, manifest: dict[str, Any], key: bytes | None = KEY, **environment: str
) -> str:
    """The text of build_config.h: of a bootloader, or without a key of an application."""
    text: str = config.build_config(config.Manifest(board, manifest), stack_size=4096, key=key, environment=environment)
    return text


def test_there_are_four_boards() -> None:
    assert BOARDS == ["microbit", "mps2_an385", "mps2_an505", "virt_rv32"]


@pytest.mark.parametrize("board", BOARDS)
def test_header_says_what_the_manifest_says(config: ModuleType, board: str) -> None:
    """Slots of one size, two halves of whole pages in each store, and one plant link, own or shared."""
    text = header(config, board, content(board), DEVICEPIPE_VERSION="1.2.3+4")
    values = {name: int(value, 16) for name, value in re.findall(r"#define (\w+) (0x[0-9a-f]+)u\n", text)}
    assert '#define BUILD_VERSION "1.2.3+4"\n' in text
    assert values["SLOT0_SIZE"] == values["SLOT1_SIZE"]
    for store in ("STATE", "CONFIG", "LOG", "LIBRARY"):
        assert values[f"{store}_SIZE"] % (2 * values["FLASH_PAGE_SIZE"]) == 0
    shares = board in ("microbit", "virt_rv32")
    assert (values["PLANT_SHARES_CONSOLE"], values["WATCHDOG_MODELLED"]) == ((1, 0) if shares else (0, 1))
    assert values["CPU_HZ"] % 1_000_000 == 0
    assert "#define IMAGE_KEY_BYTES 0x00u, 0x01u, " in text
    assert '#define KEY_KIND "development"\n' in text


@pytest.mark.parametrize("board", BOARDS)
def test_an_application_is_the_same_under_every_key(config: ModuleType, board: str) -> None:
    """It is built without one, whatever its kind: the same payload is signed for the bench and for the field."""
    text = header(config, board, content(board), key=None, DEVICEPIPE_KEY_KIND="production")
    assert "KEY" not in text
    assert text == header(config, board, content(board), key=None)


def test_a_manifest_without_a_region_is_refused(config: ModuleType) -> None:
    manifest = content("microbit")
    del manifest["devicepipe"]["regions"]["log"]
    with pytest.raises(config.ConfigError, match=r"boards/microbit\.json has no devicepipe\.regions\.log\.offset"):
        header(config, "microbit", manifest)


def test_flash_that_erases_to_zero_is_refused(config: ModuleType) -> None:
    manifest = content("microbit")
    manifest["devicepipe"]["flash"]["erased"] = "0x00"
    with pytest.raises(config.ConfigError, match="only flash that erases to 0xff"):
        header(config, "microbit", manifest)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("DEVICEPIPE_VERSION", '1.0.0" "'),
        ("DEVICEPIPE_VERSION", "1.0"),
        ("DEVICEPIPE_COMMIT", "f" * 39),
        ("DEVICEPIPE_KEY_KIND", "secret"),
    ],
)
def test_identity_that_is_not_safe_in_c_is_refused(config: ModuleType, variable: str, value: str) -> None:
    with pytest.raises(config.ConfigError, match=variable):
        header(config, "microbit", content("microbit"), **{variable: value})


@pytest.mark.parametrize(
    ("pem", "message"),
    [
        ("", "expected one PEM block"),
        ("-----BEGIN PUBLIC KEY-----\n!!!!\n-----END PUBLIC KEY-----\n", "bad base64"),
        ("-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA\n-----END PUBLIC KEY-----\n", "expected an Ed25519 public key"),
    ],
    ids=["empty", "garbage", "cut_off"],
)
def test_what_is_no_key_is_refused(config: ModuleType, tmp_path: Path, pem: str, message: str) -> None:
    path = tmp_path / "key.pem"
    path.write_text(pem, encoding="ascii")
    with pytest.raises(config.ConfigError, match=message):
        config.image_key(path)
    with pytest.raises(config.ConfigError, match="run `devicepipe keys`"):
        config.image_key(tmp_path / "none.pem")


@pytest.fixture(scope="module", params=[(0x400, "small_pages"), (0x40000, "large_pages")], ids=lambda case: case[1])
def flash_program(config: ModuleType, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Path:
    """port/common/flash.c for this computer, with memory in the place of flash, under sanitizers."""
    page = request.param[0]
    folder = tmp_path_factory.mktemp("port_flash")
    manifest = content("virt_rv32")
    manifest["devicepipe"]["flash"]["page"] = page
    (folder / "build_config.h").write_text(header(config, "host", manifest), encoding="ascii")
    sources = [ROOT / "firmware/src/port/common/flash.c", ROOT / "tests/firmware/port_flash/main.c"]
    flags = ["-std=gnu11", "-O1", "-g", "-Wall", "-Wextra", "-Werror", "-fsanitize=undefined", "-fno-sanitize-recover"]
    command = [
        "gcc",
        *flags,
        f"-I{folder}",
        f"-I{ROOT / 'firmware/src'}",
        *map(str, sources),
        "-o",
        str(folder / "test"),
    ]
    subprocess.run(command, check=True, timeout=120)
    return folder / "test"


def test_flash_keeps_its_rules_on_every_board(flash_program: Path) -> None:
    """A set bit, a wrong place, the bootloader's region: refused without an access. A flash that fails is noticed."""
    done = subprocess.run([flash_program], check=False, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
