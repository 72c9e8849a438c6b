"""The bill of materials: complete, proven by the link map, valid, the same every time."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devicepipe.analysis.link_map import bytes_from, linked_objects
from devicepipe.analysis.linked_libraries import LinkedFirmware, parts_of
from devicepipe.analysis.sbom import Declared, Product, make_sbom
from devicepipe.build.lib_deps import FetchedLibrary, fetched_libraries
from devicepipe.build.soup import Archive, Component, Linked
from devicepipe.errors import ProductError
from devicepipe.evidence.components import components_of
from devicepipe.evidence.predicates import Tool

PRODUCT = Product(
    name="pump", version="1.2.3", manufacturer="Acme", board="sample", binary="images/sample/pump.hex", sha256="a" * 64
)
COMPILER = Tool(name="arm-none-eabi-gcc", version="12.2.1")
GENERATOR = Tool(name="devicepipe", version="0.1.0")


def soup(name: str, *files: str, **changes: Any) -> Component:
    archive = Archive(registry="pypi", package=name, version="2.0", filename=f"{name}-2.0.tar.gz", sha256="b" * 64)
    fields: dict[str, Any] = {
        "name": name,
        "version": "1.9",
        "supplier": "Somebody",
        "licence": "MIT",
        "purl": f"pkg:github/somebody/{name}@1.9",
        "cpe": f"cpe:2.3:a:somebody:{name}:1.9:*:*:*:*:*:*:*",
        "upstream_commit": "e" * 40,
        "support": "until 2030",
        "archive": archive,
        "files": {file: f"{name}-2.0/{file}" for file in files},
    }
    return Component(**(fields | changes))


TINY = soup("tiny", "lib/tiny/tiny.c", "lib/tiny/tiny.h")
IDLE = soup("idle", "lib/idle/idle.c", "lib/idle/idle.h")


def of_the_compiler(**changes: Any) -> Linked:
    fields: dict[str, Any] = {
        "name": "libgcc of GCC for Arm",
        "version": "12.2.1",
        "supplier": "Free Software Foundation",
        "licence": "GPL-3.0-or-later WITH GCC-exception-3.1",
        "purl": "pkg:deb/debian/gcc-arm-none-eabi@12.2.rel1-1",
        "cpe": "cpe:2.3:a:gnu:gcc:12.2.1:*:*:*:*:*:*:*",
        "support_level": "actively-maintained",
        "end_of_support": dt.date(2028, 6, 30),
        "origin": "toolchain",
        "compiler": "arm-none-eabi-gcc",
        "libraries": ("libgcc",),
    }
    return Linked(**(fields | changes))


def make(
    firmware: LinkedFirmware,
    *components: Component,
    product: Product = PRODUCT,
    linked: tuple[Linked, ...] = (),
    own: tuple[str, ...] = (),
    fetched: tuple[FetchedLibrary, ...] = (),
) -> dict[str, Any]:
    data = make_sbom(
        product,
        [firmware],
        declared=Declared(components, linked, own, fetched),
        compilers=[COMPILER],
        digests={part.file: "d" * 64 for part in parts_of(firmware, {}) if part.kind == "toolchain"},
        timestamp="2026-01-02T03:04:05Z",
        generator=GENERATOR,
    )
    document: dict[str, Any] = json.loads(data)
    return document


def undeclared(document: dict[str, Any]) -> dict[str, str]:
    return {one.name: one.undeclared for one in components_of(document, "sbom") if one.undeclared}


def by_name(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {component["name"]: component for component in document["components"]}


def test_linked_component_is_required_and_fully_described(linked: LinkedFirmware) -> None:
    document = make(linked, TINY)
    tiny = by_name(document)["tiny"]
    assert tiny["scope"] == "required"
    assert tiny["purl"] == "pkg:github/somebody/tiny@1.9"
    assert tiny["cpe"] == TINY.cpe
    assert tiny["supplier"] == {"name": "Somebody"}
    assert tiny["licenses"] == [{"expression": "MIT"}]
    assert tiny["pedigree"]["commits"] == [{"uid": "e" * 40}]
    assert tiny["externalReferences"][0]["hashes"] == [{"alg": "SHA-256", "content": "b" * 64}]
    root = document["metadata"]["component"]
    assert (root["name"], root["version"], root["hashes"]) == (
        "pump",
        "1.2.3",
        [{"alg": "SHA-256", "content": "a" * 64}],
    )
    (depends,) = [entry["dependsOn"] for entry in document["dependencies"] if entry["ref"] == root["bom-ref"]]
    assert tiny["bom-ref"] in depends


def test_component_that_is_archived_but_never_called_is_excluded(linked: LinkedFirmware) -> None:
    document = make(linked, TINY, IDLE)
    idle = by_name(document)["idle"]
    assert idle["scope"] == "excluded"
    assert {"name": "devicepipe:linked-bytes:application", "value": "0"} in idle["properties"]
    assert idle["bom-ref"] not in document["dependencies"][0].get("dependsOn", [])


def test_component_of_headers_only_is_required_and_marked_as_not_proven(linked: LinkedFirmware) -> None:
    headers = by_name(make(linked, soup("headers", "include/headers.h")))["headers"]
    assert headers["scope"] == "required"
    assert any("not proven" in entry["value"] for entry in headers["properties"])


def test_toolchains_library_is_listed_with_the_compilers_version(linked: LinkedFirmware) -> None:
    libgcc = by_name(make(linked))["libgcc"]
    assert (libgcc["version"], libgcc["scope"]) == ("12.2.1", "required")
    assert libgcc["supplier"]["name"] == "Free Software Foundation"
    assert libgcc["licenses"] == [{"expression": "GPL-3.0-or-later WITH GCC-exception-3.1"}]


def test_library_that_platformio_fetched_is_not_forgotten(linked: LinkedFirmware) -> None:
    fetched = linked.compile_commands.replace("lib/tiny/tiny.c", ".pio/libdeps/env/Tiny Lib/src/tiny.c")
    document = make(LinkedFirmware("application", linked.link_map, fetched))
    assert by_name(document)["Tiny Lib"]["scope"] == "required"


def test_a_library_linked_without_being_declared_is_told_by_name(linked: LinkedFirmware) -> None:
    assert set(undeclared(make(linked))) == {"libgcc", "tiny"}
    assert set(undeclared(make(linked, TINY))) == {"libgcc"}
    assert undeclared(make(linked, TINY, linked=(of_the_compiler(),))) == {}
    assert undeclared(make(linked, linked=(of_the_compiler(),), own=("tiny",))) == {}
    assert "bytes of the application" in undeclared(make(linked))["tiny"]


def test_a_file_that_the_lock_does_not_list_is_undeclared_though_its_library_is_known(linked: LinkedFirmware) -> None:
    other = soup("tiny", "lib/tiny/other.c")
    assert undeclared(make(linked, other, linked=(of_the_compiler(),)))["tiny"].startswith("lib/tiny/tiny.c: ")


def test_toolchains_library_of_another_version_than_declared_is_told(linked: LinkedFirmware) -> None:
    def mismatch(version: str) -> str:
        document = make(linked, TINY, linked=(of_the_compiler(version=version),))
        return next(one.mismatch for one in components_of(document, "sbom") if one.name == "libgcc of GCC for Arm")

    assert mismatch("12.2.1") == ""
    assert "13.1.0 is declared, but arm-none-eabi-gcc is 12.2.1" in mismatch("13.1.0")


def test_library_of_another_compiler_declares_nothing(linked: LinkedFirmware) -> None:
    riscv = of_the_compiler(name="libgcc for RISC-V", compiler="riscv64-unknown-elf-gcc")
    document = make(linked, TINY, linked=(riscv,))
    assert set(undeclared(document)) == {"libgcc"}
    assert "libgcc for RISC-V" not in by_name(document)


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("/opt/arm/lib/thumb/libc_nano.a(memcpy.o)", "libc_nano"),
        ("/opt/arm/lib/thumb/libm.a(sqrt.o)", "libm"),
        ("/opt/arm/lib/crt0.o", "crt0.o"),
        ("lib/vendor/libblob.a(blob.o)", "libblob"),
        ("../elsewhere/thing.o", "thing.o"),
        ("/tmp/ccXyz1.ltrans0.ltrans.o", "code of link-time optimisation"),
        (".pio/build/e/FrameworkX/core.o", "core.o"),
        (".pio/build/e/lib0ff/libother.a(other.o)", "other"),
    ],
)
def test_nothing_of_unknown_origin_is_taken_for_the_products_own(file: str, name: str) -> None:
    text = MAP.replace("/lib1/", "/lib1a2/").replace(".pio/build/e/src/main.o", file)
    document = make(LinkedFirmware("application", text, "[]"), own=("x",))
    assert set(undeclared(document)) == {name}
    assert list(by_name(document)) == [name]


def test_what_the_linker_makes_itself_is_no_library() -> None:
    text = MAP.replace("/lib1/", "/lib1a2/").replace(
        " *fill*         0x00000018        0x8\n", " .text          0x00000018        0x8 linker stubs\n"
    )
    assert "linker stubs" in text
    assert make(LinkedFirmware("application", text, "[]"), own=("x",)).get("components", []) == []


LIB_DEPS = {
    "ArduinoJson/.piopm": '{"name": "ArduinoJson", "version": "6.21.3", "spec": {"owner": "bblanchon"}}',
    "ArduinoJson/library.json": '{"license": "MIT", "repository": {"url": "https://github.com/bblanchon/ArduinoJson.git"}}',
    "ArduinoJson/src/a.c": "int a;",
    "Old Lib/library.properties": "name=Old\nversion=1.2\nauthor=Somebody <a@example.org>\n",
    "bare/x.c": "int x;",
}


@pytest.fixture
def fetched(tmp_path: Path) -> tuple[FetchedLibrary, ...]:
    for name, text in LIB_DEPS.items():
        path = tmp_path / ".pio/libdeps/e" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return fetched_libraries(tmp_path, ["e", "absent"])


def test_lib_deps_of_platformio_are_read(fetched: tuple[FetchedLibrary, ...]) -> None:
    assert [(one.folder, one.name, one.version, one.supplier, one.licence) for one in fetched] == [
        ("ArduinoJson", "ArduinoJson", "6.21.3", "bblanchon", "MIT"),
        ("Old Lib", "Old", "1.2", "Somebody <a@example.org>", ""),
        ("bare", "bare", "", "", ""),
    ]
    assert fetched[0].purl == "pkg:github/bblanchon/arduinojson@6.21.3"
    assert len({one.sha256 for one in fetched}) == 3


def test_lib_deps_in_the_program_are_to_be_declared_in_their_version(
    linked: LinkedFirmware, fetched: tuple[FetchedLibrary, ...]
) -> None:
    database = linked.compile_commands.replace("lib/tiny/tiny.c", ".pio/libdeps/e/ArduinoJson/src/a.c")
    firmware = LinkedFirmware("application", linked.link_map, database)
    gcc = of_the_compiler()
    document = make(firmware, linked=(gcc,), fetched=fetched)
    found = by_name(document)["ArduinoJson"]
    assert undeclared(document).keys() == {"ArduinoJson"}
    assert (found["version"], found["purl"]) == ("6.21.3", "pkg:github/bblanchon/arduinojson@6.21.3")
    assert by_name(document)["Old"]["scope"] == "excluded"

    def declared(version: str) -> tuple[str, str]:
        entry = of_the_compiler(
            name="JSON", origin="platformio", compiler=None, libraries=("ArduinoJson",), version=version
        )
        document = make(firmware, linked=(gcc, entry), fetched=fetched)
        found = next(one for one in components_of(document, "sbom") if one.name == "JSON")
        return found.undeclared, found.mismatch

    assert declared("6.21.3") == ("", "")
    assert declared("6.0.0")[1] == "version 6.0.0 is declared, but PlatformIO fetched 6.21.3"


def test_support_level_and_end_of_support_are_in_the_document(linked: LinkedFirmware) -> None:
    tiny = soup("tiny", "lib/tiny/tiny.c", support_level="abandoned", end_of_support="not announced")
    read = {one.name: one for one in components_of(make(linked, tiny, linked=(of_the_compiler(),)), "sbom")}
    assert (read["tiny"].support_level, read["tiny"].end_of_support) == ("abandoned", "not announced")
    assert read["libgcc of GCC for Arm"].end_of_support == "2028-06-30"
    assert read["libgcc of GCC for Arm"].missing == []
    assert read["libgcc of GCC for Arm"].sha256 == "d" * 64


def test_same_inputs_give_the_same_bytes_and_another_binary_another_serial_number(linked: LinkedFirmware) -> None:
    first, second = make(linked, TINY, IDLE), make(linked, IDLE, TINY)
    assert json.dumps(first) == json.dumps(second)
    other = Product(**{**PRODUCT.__dict__, "sha256": "f" * 64})
    assert make(linked, TINY, product=other)["serialNumber"] != first["serialNumber"]


def test_map_of_another_linker_is_refused(linked: LinkedFirmware) -> None:
    with pytest.raises(ProductError, match="names no object"):
        make(LinkedFirmware("application", "VMA LMA Size Align Out In Symbol\n", linked.compile_commands), TINY)


def test_invalid_document_is_refused(linked: LinkedFirmware) -> None:
    broken = Product(**{**PRODUCT.__dict__, "sha256": "not a digest"})
    with pytest.raises(ProductError, match="not valid CycloneDX"):
        make(linked, TINY, product=broken)


MAP = """\
Discarded input sections

 .text.unused   0x00000000       0x10 .pio/build/e/lib1/libx.a(gone.o)

Linker script and memory map

.text           0x00000000       0x40
 .text.a        0x00000000       0x10 .pio/build/e/src/main.o
                0x00000000                a
 .text.a_very_long_name
                0x00000010        0x8 .pio/build/e/lib1/libx.a(x.o)
 *fill*         0x00000018        0x8
 .text          0x00000020        0x0 .pio/build/e/src/empty.o
 COMMON         0x20000000        0x4 .pio/build/e/src/main.o
.debug_info     0x00000000      0x100
 .debug_info    0x00000000      0x100 .pio/build/e/src/only_debug.o
"""


def test_only_contents_of_the_output_count_as_linked() -> None:
    found = {(one.file, one.member): one.size for one in linked_objects(MAP)}
    assert found == {(".pio/build/e/src/main.o", ""): 0x14, (".pio/build/e/lib1/libx.a", "x.o"): 8}


@pytest.mark.parametrize(
    ("output", "size"),
    [
        (".pio/build/e/lib1/x/x.o", 8),
        (".pio/build/e/lib1/x/sub/x.o", 8),
        (".pio/build/e/lib1/y/x.o", 0),
        (".pio/build/e/lib2/x/x.o", 0),
        (".pio/build/e/lib1/x/y.o", 0),
        (".pio/build/e/src/main.o", 0x14),
    ],
)
def test_members_belong_to_the_library_that_they_were_built_for(output: str, size: int) -> None:
    assert bytes_from([output], linked_objects(MAP)) == size


@given(st.text(max_size=200))
def test_any_text_can_be_read_as_a_map(text: str) -> None:
    assert linked_objects(text) == [] or "Linker script and memory map" in text
    linked_objects("Linker script and memory map\n" + text)
