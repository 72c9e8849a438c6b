"""The bill of materials: complete, proven by the link map, valid, the same every time."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devicepipe.analysis.link_map import bytes_from, linked_objects
from devicepipe.analysis.sbom import LinkedFirmware, Product, make_sbom
from devicepipe.build.soup import Archive, Component
from devicepipe.errors import ProductError
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


def make(firmware: LinkedFirmware, *components: Component, product: Product = PRODUCT) -> dict[str, Any]:
    data = make_sbom(
        product,
        [firmware],
        soup=components,
        compilers=[COMPILER],
        timestamp="2026-01-02T03:04:05Z",
        generator=GENERATOR,
    )
    document: dict[str, Any] = json.loads(data)
    return document


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
