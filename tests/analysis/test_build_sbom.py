"""The bill of materials of the tools: compilers by digest, Python packages by name; valid, and the same every time."""

from __future__ import annotations

import json
from importlib.metadata import version
from typing import Any

from devicepipe.analysis.build_sbom import installed_packages, make_build_sbom
from devicepipe.analysis.cyclonedx_text import schema_problem
from devicepipe.evidence.predicates import Tool

GCC = Tool(name="arm-none-eabi-gcc", version="12.2.1", sha256="a" * 64)
CC1 = Tool(name="arm-none-eabi-gcc/cc1", version="12.2.1", sha256="b" * 64)


def make(*compilers: Tool) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(
        make_build_sbom(
            "pump",
            "1.2.3",
            manufacturer="Acme",
            compilers=compilers,
            packages=installed_packages(),
            timestamp="2026-01-02T03:04:05Z",
        )
    )
    return document


def test_compilers_and_python_packages_are_listed_once() -> None:
    document = make(GCC, CC1, GCC)
    found = [(one["name"], one["version"]) for one in document["components"]]
    assert ("arm-none-eabi-gcc/cc1", "12.2.1") in found
    assert ("pydantic", version("pydantic")) in found
    assert len(found) == len(set(found))
    gcc = next(one for one in document["components"] if one["name"] == "arm-none-eabi-gcc")
    assert gcc["hashes"] == [{"alg": "SHA-256", "content": "a" * 64}]
    click = next(one for one in document["components"] if one["name"] == "click")
    assert click["purl"] == f"pkg:pypi/click@{version('click')}"


def test_the_document_is_valid_and_the_same_every_time() -> None:
    document = make(GCC, CC1)
    assert schema_problem(document) == ""
    assert make(CC1, GCC) == document
    assert make(GCC)["serialNumber"] != document["serialNumber"]


def test_the_strict_schema_refuses_what_is_not_of_cyclonedx() -> None:
    document = make(GCC)
    document["components"][0]["colour"] = "red"
    assert schema_problem(document)
