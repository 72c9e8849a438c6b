"""The bill of materials of what built and tested a product: compilers with their parts, and devicepipe's Python packages.

None of it is in the firmware; what of a toolchain is linked in stands in the boards' own (devicepipe.analysis.sbom).
What always holds: the same tools give the same bytes. A compiler's SHA-256 is that of the program that ran; of a Python package it
is that of its RECORD file, which lists each installed file with its own.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import re
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import distributions

from cyclonedx.model import HashAlgorithm, HashType, Property
from cyclonedx.model.bom import Bom
from cyclonedx.model.bom_ref import BomRef
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.contact import OrganizationalEntity
from cyclonedx.model.license import DisjunctiveLicense
from cyclonedx.model.lifecycle import LifecyclePhase, PredefinedLifecycle
from packageurl import PackageURL

from devicepipe.analysis.cyclonedx_text import text_of
from devicepipe.evidence.predicates import Tool

RECORD_SHA256 = "devicepipe:record-sha256"
_LICENCES = ("License-Expression", "License")
_LONGEST_LICENCE = 80


@dataclass(frozen=True, slots=True)
class PythonPackage:
    """An installed distribution; `record_sha256` is "" where it has no RECORD (an editable installation of old form)."""

    name: str
    version: str
    licence: str
    record_sha256: str


def installed_packages() -> tuple[PythonPackage, ...]:
    """Every distribution of this environment, each once: the one that Python finds first. Sorted by name."""
    found: dict[str, PythonPackage] = {}
    for one in distributions():
        name = re.sub(r"[-_.]+", "-", one.metadata["Name"] or "").lower()
        if not name or name in found:
            continue
        licence = next((one.metadata[key] for key in _LICENCES if key in one.metadata), "")
        record = one.read_text("RECORD")
        found[name] = PythonPackage(
            name=name,
            version=one.version,
            # Some packages put the whole text of their licence there.
            licence=licence if len(licence) <= _LONGEST_LICENCE and "\n" not in licence else "",
            record_sha256=hashlib.sha256(record.encode()).hexdigest() if record else "",
        )
    return tuple(package for _, package in sorted(found.items()))


def make_build_sbom(
    product: str,
    version: str,
    *,
    manufacturer: str,
    compilers: Sequence[Tool],
    packages: Sequence[PythonPackage],
    timestamp: str,
) -> bytes:
    """Make the bill of materials of the tools.

    Args:
        product: The product's name.
        version: The version that they made.
        manufacturer: Who makes the product, and this document.
        compilers: The compilers and their parts, of all boards; what is named twice counts once.
        packages: The Python packages.
        timestamp: RFC 3339, UTC.

    Raises:
        ProductError: The document does not pass validation.
    """
    root = Component(
        type=ComponentType.APPLICATION,
        name=f"{product}-build",
        version=version,
        properties=[
            Property(name="devicepipe:of", value="what built and tested the product; none of it is in the firmware")
        ],
        bom_ref=BomRef(f"{product}@{version}#build"),
    )
    tools = sorted(set(compilers), key=lambda tool: (tool.name, tool.version, tool.sha256 or ""))
    components = [*map(_tool, tools), *map(_package, packages)]
    told = json.dumps([*(tool.to_json() for tool in tools), *([one.name, one.version] for one in packages)])
    identity = f"urn:devicepipe:build-sbom:{product}:{version}:{hashlib.sha256(told.encode()).hexdigest()}"
    bom = Bom(serial_number=uuid.uuid5(uuid.NAMESPACE_URL, identity), components=components)
    bom.metadata.timestamp = dt.datetime.fromisoformat(timestamp)
    bom.metadata.component = root
    bom.metadata.manufacturer = OrganizationalEntity(name=manufacturer)
    bom.metadata.lifecycles.add(PredefinedLifecycle(LifecyclePhase.BUILD))
    bom.register_dependency(root, components)
    return text_of(bom, "the bill of materials of the tools")


def _tool(tool: Tool) -> Component:
    return Component(
        type=ComponentType.APPLICATION,
        name=tool.name,
        version=tool.version,
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=tool.sha256)] if tool.sha256 else None,
        properties=[Property(name="devicepipe:origin", value="toolchain")],
        bom_ref=BomRef(f"tool:{tool.name}@{tool.version}:{(tool.sha256 or '')[:16]}"),
    )


def _package(package: PythonPackage) -> Component:
    origin = [Property(name="devicepipe:origin", value="python")]
    record = [Property(name=RECORD_SHA256, value=package.record_sha256)] if package.record_sha256 else []
    return Component(
        type=ComponentType.LIBRARY,
        name=package.name,
        version=package.version,
        licenses=[DisjunctiveLicense(name=package.licence)] if package.licence else None,
        purl=PackageURL(type="pypi", name=package.name, version=package.version),
        properties=[*origin, *record],
        bom_ref=BomRef(f"python:{package.name}@{package.version}"),
    )
