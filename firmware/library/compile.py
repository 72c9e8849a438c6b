# SPDX-License-Identifier: Apache-2.0
"""Compiles the drug library: a reviewed TOML source to the payload that the pump reads (PROTOCOL.md, "Drug library").

Use: compile.py drug-library.toml library.bin

The same source gives the same bytes. Everything the pump would refuse is refused here, with the drug and the key that is wrong.
"""

import re
import struct
import sys
import tomllib
from pathlib import Path

HEAD = struct.Struct("<4sHH")
ENTRY = struct.Struct("<H14sHHHHIHHI4x")
FORMAT = 1
DRUGS_MAX = 32
NAME = re.compile(r"[a-z0-9-]{1,14}")
NO_BOLUS = {"max": 0, "rate": 0, "lockout": 0, "hourly": 0}


class LibraryError(Exception):
    """What is wrong with the source, in one sentence."""


def number(table: dict[str, object], key: str, where: str, least: int, most: int) -> int:
    """An integer of a table, within its range."""
    value = table.get(key)
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise LibraryError(f"{where}.{key} is {value!r}: expected an integer from {least} to {most}")
    return value


def table_of(table: dict[str, object], key: str, where: str, keys: set[str]) -> dict[str, object]:
    """A table within a table, with exactly these keys."""
    value = table.get(key)
    if not isinstance(value, dict):
        raise LibraryError(f"{where}.{key} is {value!r}: expected a table")
    exact_keys(value, f"{where}.{key}", keys)
    return value


def exact_keys(
    table: dict[str, object], where: str, required: set[str], optional: frozenset[str] = frozenset()
) -> None:
    """Refuses keys that are missing or unknown: a limit with a slip in its name would be no limit."""
    for key in sorted(required - set(table)):
        raise LibraryError(f"{where} has no {key}")
    for key in sorted(set(table) - required - optional):
        raise LibraryError(f"{where} has an unknown key {key!r}")


def entry(drug: object, position: int, ids: set[int]) -> bytes:
    """The 40 bytes of one drug."""
    where = f"drug {position}"
    if not isinstance(drug, dict):
        raise LibraryError(f"{where} is {drug!r}: expected a table")
    exact_keys(drug, where, {"id", "name", "soft", "hard"}, frozenset({"bolus"}))
    identity = number(drug, "id", where, 1, 0xFFFF)
    if identity in ids:
        raise LibraryError(f"{where}.id is {identity}, which another drug has already")
    ids.add(identity)
    name = drug["name"]
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise LibraryError(f"{where}.name is {name!r}: expected 1 to 14 of the characters a-z, 0-9 and '-'")
    soft = table_of(drug, "soft", where, {"min", "max"})
    hard = table_of(drug, "hard", where, {"min", "max"})
    hard_min = number(hard, "min", f"{where}.hard", 1, 1000)
    hard_max = number(hard, "max", f"{where}.hard", hard_min, 1000)
    soft_min = number(soft, "min", f"{where}.soft", hard_min, hard_max)
    soft_max = number(soft, "max", f"{where}.soft", soft_min, hard_max)
    bolus: dict[str, object] = dict(NO_BOLUS)
    if "bolus" in drug:
        bolus = table_of(drug, "bolus", where, set(NO_BOLUS))
        hourly = number(bolus, "hourly", f"{where}.bolus", 10, 50000)
        number(bolus, "max", f"{where}.bolus", 10, hourly)
        number(bolus, "rate", f"{where}.bolus", 1, 1000)
        number(bolus, "lockout", f"{where}.bolus", 0, 0xFFFF)
    limits = (soft_min, soft_max, hard_min, hard_max)
    return ENTRY.pack(identity, name.encode(), *limits, bolus["max"], bolus["rate"], bolus["lockout"], bolus["hourly"])


def compile_library(source: str) -> bytes:
    """The payload of a library from the text of its source.

    Raises:
        LibraryError: the source breaks a rule.
    """
    try:
        document = tomllib.loads(source)
    except tomllib.TOMLDecodeError as error:
        raise LibraryError(f"not TOML: {error}") from None
    exact_keys(document, "the library", {"drug"})
    drugs = document["drug"]
    if not isinstance(drugs, list) or not 1 <= len(drugs) <= DRUGS_MAX:
        raise LibraryError(f"expected 1 to {DRUGS_MAX} tables [[drug]]")
    ids: set[int] = set()
    entries = [entry(drug, position, ids) for position, drug in enumerate(drugs, start=1)]
    return HEAD.pack(b"DLIB", FORMAT, len(entries)) + b"".join(entries)


def main(arguments: list[str]) -> int:
    """Compiles the first file into the second."""
    if len(arguments) != len(("source", "target")):
        sys.stderr.write("use: compile.py <source.toml> <library.bin>\n")
        return 2
    source, target = Path(arguments[0]), Path(arguments[1])
    try:
        payload = compile_library(source.read_text(encoding="utf-8"))
    except (LibraryError, OSError, UnicodeDecodeError) as error:
        sys.stderr.write(f"error: drug library {source.name}: {error}\n")
        return 1
    target.write_bytes(payload)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
