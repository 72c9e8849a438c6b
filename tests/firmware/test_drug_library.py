# SPDX-License-Identifier: Apache-2.0
"""The compiler of the drug library: what it makes, that it makes it again, and that it refuses what the pump would refuse."""

import importlib.util
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

FOLDER = Path(__file__).parents[2] / "firmware" / "library"
SOURCE = FOLDER / "drug-library.toml"
DRUG = """
[[drug]]
id = 7
name = "x"
soft = {min = 2, max = 3}
hard = {min = 1, max = 4}
"""
BOLUS = """
[drug.bolus]
max = 1000
rate = 500
lockout = 600
hourly = 4000
"""
# Worked out by hand from PROTOCOL.md, byte by byte.
EXPECTED = (
    "444c4942 0100 01000700 78 00000000000000000000000000 0200 0300 0100 0400e8030000 f401 5802 a00f0000 00000000"
)


def load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("drug_library_compile", FOLDER / "compile.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


compiler = load()


def test_bytes_are_those_of_the_protocol() -> None:
    assert compiler.compile_library(DRUG + BOLUS) == bytes.fromhex(EXPECTED)


def test_without_a_bolus_its_numbers_are_0() -> None:
    assert compiler.compile_library(DRUG)[32:] == bytes(16)


def test_the_product_s_library_holds_the_drugs_that_the_protocol_names() -> None:
    payload = compiler.compile_library(SOURCE.read_text(encoding="utf-8"))
    entries = [payload[at : at + 40] for at in range(8, len(payload), 40)]
    names = {int.from_bytes(entry[:2], "little"): entry[2:16].rstrip(b"\0").decode() for entry in entries}
    assert names == {1: "morphine-1mg", 2: "saline-test", 3: "heparin"}
    assert int.from_bytes(entries[0][30:32], "little") == 600
    assert int.from_bytes(entries[1][30:32], "little") == 5
    assert int.from_bytes(entries[1][32:36], "little") == 200


def test_command_line_makes_the_same_bytes_again(tmp_path: Path) -> None:
    outputs = [tmp_path / "a.bin", tmp_path / "b.bin"]
    for output in outputs:
        subprocess.run([sys.executable, FOLDER / "compile.py", SOURCE, output], check=True)
    assert outputs[0].read_bytes() == outputs[1].read_bytes()
    assert outputs[0].read_bytes() == compiler.compile_library(SOURCE.read_text(encoding="utf-8"))


def test_command_line_says_what_is_wrong_and_makes_nothing(tmp_path: Path) -> None:
    source = tmp_path / "bad.toml"
    source.write_text(DRUG.replace("min = 2", "min = 5"), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, FOLDER / "compile.py", source, tmp_path / "out.bin"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr == "error: drug library bad.toml: drug 1.soft.min is 5: expected an integer from 1 to 4\n"
    assert not (tmp_path / "out.bin").exists()
    assert subprocess.run([sys.executable, FOLDER / "compile.py"], capture_output=True, check=False).returncode == 2


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("", "the library has no drug"),
        ("drug = []", "expected 1 to 32 tables [[drug]]"),
        ("drug = 5", "expected 1 to 32 tables [[drug]]"),
        ("drug = [5]", "drug 1 is 5: expected a table"),
        ("".join(DRUG.replace("id = 7", f"id = {i}") for i in range(1, 34)), "expected 1 to 32 tables [[drug]]"),
        ("version = 1\n" + DRUG, "the library has an unknown key 'version'"),
        (DRUG + DRUG, "drug 2.id is 7, which another drug has already"),
        (DRUG.replace("id = 7", "id = 0"), "drug 1.id is 0"),
        (DRUG.replace("id = 7", "id = 65536"), "drug 1.id is 65536"),
        (DRUG.replace("id = 7", "id = true"), "drug 1.id is True"),
        (DRUG.replace("id = 7", "id = 7.0"), "drug 1.id is 7.0"),
        (DRUG.replace("id = 7\n", ""), "drug 1 has no id"),
        (DRUG + "sofd = 1\n", "drug 1 has an unknown key 'sofd'"),
        (DRUG.replace('"x"', '""'), "drug 1.name is ''"),
        (DRUG.replace('"x"', '"fifteen-letters"'), "drug 1.name is 'fifteen-letters'"),
        (DRUG.replace('"x"', '"two words"'), "drug 1.name is 'two words'"),
        (DRUG.replace('"x"', '"X"'), "drug 1.name is 'X'"),
        (DRUG.replace('"x"', '"x\\n"'), "drug 1.name is 'x\\n'"),
        (DRUG.replace('"x"', "5"), "drug 1.name is 5"),
        (DRUG.replace("soft = {min = 2, max = 3}", "soft = 5"), "drug 1.soft is 5: expected a table"),
        (DRUG.replace("min = 2, max = 3", "min = 3, max = 2"), "drug 1.soft.max is 2"),
        (DRUG.replace("min = 2, max = 3", "min = 2, max = 5"), "drug 1.soft.max is 5"),
        (DRUG.replace("min = 2, max = 3", "min = 2"), "drug 1.soft has no max"),
        (DRUG.replace("min = 1, max = 4", "min = 0, max = 4"), "drug 1.hard.min is 0"),
        (DRUG.replace("min = 1, max = 4", "min = 1, max = 1001"), "drug 1.hard.max is 1001"),
        (DRUG.replace("min = 1, max = 4", "min = 3, max = 4"), "drug 1.soft.min is 2"),
        (DRUG + BOLUS.replace("max = 1000", "max = 9"), "drug 1.bolus.max is 9"),
        (DRUG + BOLUS.replace("max = 1000", "max = 4001"), "drug 1.bolus.max is 4001"),
        (DRUG + BOLUS.replace("rate = 500", "rate = 0"), "drug 1.bolus.rate is 0"),
        (DRUG + BOLUS.replace("rate = 500", "rate = 1001"), "drug 1.bolus.rate is 1001"),
        (DRUG + BOLUS.replace("hourly = 4000", "hourly = 50001"), "drug 1.bolus.hourly is 50001"),
        (DRUG + BOLUS.replace("lockout = 600", "lockout = -1"), "drug 1.bolus.lockout is -1"),
        (DRUG + BOLUS.replace("lockout = 600\n", ""), "drug 1.bolus has no lockout"),
        ("[[drug]", "not TOML"),
    ],
)
def test_refuses(source: str, message: str) -> None:
    with pytest.raises(compiler.LibraryError, match="^" + re.escape(message)):
        compiler.compile_library(source)
