"""The software bill of materials of a board's firmware, as CycloneDX 1.6 JSON.

What always holds: the same inputs give the same bytes; the document passes the library's strict validator; a SOUP component is
marked "required" only where the link map proves that its objects are in a firmware, otherwise "excluded". Beside the
SOUP of the lock file stand the toolchain's libraries that the map shows (libgcc, libc, …) and libraries and frameworks
that PlatformIO itself fetched; of those only the name is known, and for the toolchain's the compiler's version.

Limits: a component that is only headers leaves no object, so it is taken as required and marked as not proven. Only GNU ld
maps are read.
Sources: CycloneDX 1.6; FDA, Cybersecurity in Medical Devices (2025), V.A.4: component, supplier, version, dependency, support.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from cyclonedx.model import ExternalReference, ExternalReferenceType, HashAlgorithm, HashType, Property, XsUri
from cyclonedx.model.bom import Bom
from cyclonedx.model.bom_ref import BomRef
from cyclonedx.model.component import Commit, Component, ComponentScope, ComponentType, Pedigree
from cyclonedx.model.contact import OrganizationalEntity
from cyclonedx.model.license import LicenseExpression
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

from devicepipe.analysis.link_map import LinkedObject, bytes_from, linked_objects
from devicepipe.errors import ProductError
from devicepipe.evidence.predicates import Tool

_FETCHED = re.compile(r"(?:^|/)(?:\.pio/libdeps/[^/]+|packages)/(?P<name>[^/]+)/")
_SOURCES = (".c", ".cc", ".cpp", ".cxx", ".s", ".S")


class SoupArchive(Protocol):
    """The archive that carries a component's sources (devicepipe.build.soup.Archive)."""

    @property
    def filename(self) -> str:
        """Its published file name."""

    @property
    def sha256(self) -> str:
        """Its SHA-256, lower-case hexadecimal."""

    @property
    def purl(self) -> str:
        """Package URL."""


class SoupItem(Protocol):
    """A component of the SOUP lock file (devicepipe.build.soup.Component)."""

    @property
    def name(self) -> str:
        """The library's name."""

    @property
    def version(self) -> str:
        """The library's version."""

    @property
    def supplier(self) -> str:
        """Who supplies it."""

    @property
    def licence(self) -> str:
        """SPDX licence expression."""

    @property
    def purl(self) -> str:
        """Package URL."""

    @property
    def cpe(self) -> str:
        """CPE 2.3 name."""

    @property
    def upstream_commit(self) -> str | None:
        """The commit in its own repository, if known."""

    @property
    def support(self) -> str | None:
        """Who maintains it and until when, if known."""

    @property
    def archive(self) -> SoupArchive:
        """Where its sources came from."""

    @property
    def files(self) -> Mapping[str, str]:
        """Place in the PlatformIO project of each file, and its name in the archive."""


@dataclass(frozen=True)
class Product:
    """What the bill of materials is of: the product on one board, and the SHA-256 of the file that ships."""

    name: str
    version: str
    manufacturer: str
    board: str
    binary: str
    sha256: str


@dataclass(frozen=True)
class LinkedFirmware:
    """One firmware's link map and compilation database, as text."""

    role: str
    link_map: str
    compile_commands: str


def make_sbom(
    product: Product,
    firmwares: Sequence[LinkedFirmware],
    *,
    soup: Sequence[SoupItem],
    compilers: Sequence[Tool],
    timestamp: str,
    generator: Tool,
) -> bytes:
    """Make a board's bill of materials.

    Args:
        product: The root component.
        firmwares: Everything that is in the product on this board.
        soup: The lock file's components.
        compilers: Whose libraries the toolchain's are; the first one's version stands for them.
        timestamp: RFC 3339, UTC: when the build was made.
        generator: The tool that makes the document.

    Raises:
        ProductError: A link map cannot be read, or the document does not pass validation.
    """
    linked = [_Linked(firmware) for firmware in firmwares]
    root = Component(
        type=ComponentType.FIRMWARE,
        name=product.name,
        version=product.version,
        supplier=OrganizationalEntity(name=product.manufacturer),
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=product.sha256)],
        properties=[
            Property(name="devicepipe:board", value=product.board),
            Property(name="devicepipe:file", value=product.binary),
        ],
        bom_ref=BomRef(f"{product.name}@{product.version}#{product.board}"),
    )
    components = [
        *(_soup_component(item, linked) for item in soup),
        *_toolchain_components(linked, compilers),
        *_fetched_components(linked, soup),
    ]
    identity = f"urn:devicepipe:sbom:{product.name}:{product.version}:{product.board}:{product.sha256}"
    bom = Bom(serial_number=uuid.uuid5(uuid.NAMESPACE_URL, identity), components=components)
    bom.metadata.timestamp = datetime.fromisoformat(timestamp)
    bom.metadata.component = root
    bom.metadata.tools.components.add(
        Component(type=ComponentType.APPLICATION, name=generator.name, version=generator.version)
    )
    bom.register_dependency(root, [one for one in components if one.scope == ComponentScope.REQUIRED])
    for component in components:
        bom.register_dependency(component)
    text = JsonV1Dot6(bom).output_as_string(indent=1)
    _validate(text, product.board)
    return text.encode() + b"\n"


def _validate(text: str, board: str) -> None:
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator  # takes long to import

    if problem := JsonStrictValidator(SchemaVersion.V1_6).validate_str(text):
        raise ProductError(
            f"the bill of materials of {board} is not valid CycloneDX 1.6: {problem}",
            remedy="correct the component in the SOUP lock file",
        )


class _Linked:
    """A firmware's linked objects and the source file of each object file."""

    def __init__(self, firmware: LinkedFirmware) -> None:
        self.role = firmware.role
        self.objects = linked_objects(firmware.link_map)
        if not self.objects:
            raise ProductError(
                f"the link map of the {firmware.role} names no object",
                remedy="link with GNU ld: other linkers' maps are not read",
            )
        self.outputs = {
            entry["output"]: str(entry["file"]).removeprefix("./")
            for entry in json.loads(firmware.compile_commands)
            if "output" in entry
        }

    def bytes_of(self, sources: set[str]) -> int:
        """Bytes of the program that come from these source files."""
        return bytes_from((output for output, source in self.outputs.items() if source in sources), self.objects)


def _soup_component(item: SoupItem, linked: Sequence[_Linked]) -> Component:
    sources = {place for place in item.files if place.endswith(_SOURCES)}
    sizes = {firmware.role: firmware.bytes_of(sources) for firmware in linked}
    included = {role: size for role, size in sizes.items() if size}
    properties = [Property(name=f"devicepipe:linked-bytes:{role}", value=str(size)) for role, size in sizes.items()]
    if not sources:
        properties = [
            Property(name="devicepipe:linked", value="not proven: a component of headers only leaves no object")
        ]
    if item.support:
        properties.append(Property(name="devicepipe:support", value=item.support))
    archive = ExternalReference(
        type=ExternalReferenceType.SOURCE_DISTRIBUTION,
        url=XsUri(item.archive.purl),
        comment=item.archive.filename,
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=item.archive.sha256)],
    )
    return Component(
        type=ComponentType.LIBRARY,
        name=item.name,
        version=item.version,
        supplier=OrganizationalEntity(name=item.supplier),
        licenses=[LicenseExpression(item.licence)],
        purl=PackageURL.from_string(item.purl),
        cpe=item.cpe,
        scope=ComponentScope.REQUIRED if included or not sources else ComponentScope.EXCLUDED,
        pedigree=Pedigree(commits=[Commit(uid=item.upstream_commit)]) if item.upstream_commit else None,
        external_references=[archive],
        properties=properties,
        bom_ref=BomRef(f"soup:{item.name}@{item.version}"),
    )


_KNOWN = {"libgcc": ("Free Software Foundation", "GPL-3.0-or-later WITH GCC-exception-3.1")}
"""Supplier and licence of toolchain libraries; of others only the name is known."""


def _toolchain_components(linked: Sequence[_Linked], compilers: Sequence[Tool]) -> list[Component]:
    """The libraries and start-up objects that the toolchain brought into the program."""
    version = compilers[0].version if compilers else None
    sizes: dict[str, dict[str, int]] = {}
    for firmware in linked:
        for one in firmware.objects:
            if not one.is_built:
                roles = sizes.setdefault(_library_name(one), {})
                roles[firmware.role] = roles.get(firmware.role, 0) + one.size
    return [
        Component(
            type=ComponentType.LIBRARY,
            name=name,
            version=version,
            supplier=OrganizationalEntity(name=_KNOWN[name][0]) if name in _KNOWN else None,
            licenses=[LicenseExpression(_KNOWN[name][1])] if name in _KNOWN else None,
            scope=ComponentScope.REQUIRED,
            properties=[
                Property(name="devicepipe:origin", value="toolchain"),
                *(Property(name=f"devicepipe:linked-bytes:{role}", value=str(size)) for role, size in roles.items()),
            ],
            bom_ref=BomRef(f"toolchain:{name}"),
        )
        for name, roles in sorted(sizes.items())
    ]


def _library_name(linked: LinkedObject) -> str:
    name = linked.file.rsplit("/", 1)[-1]
    return name.removesuffix(".a") if linked.member else name


def _fetched_components(linked: Sequence[_Linked], soup: Sequence[SoupItem]) -> list[Component]:
    """Libraries and frameworks that PlatformIO fetched and that are in the program but not in the lock file."""
    listed = {place for item in soup for place in item.files}
    sources: dict[str, set[str]] = {}
    for firmware in linked:
        for source in firmware.outputs.values():
            found = _FETCHED.search(source)
            if found and source not in listed:
                sources.setdefault(found["name"], set()).add(source)
    return [
        Component(
            type=ComponentType.LIBRARY,
            name=name,
            scope=ComponentScope.REQUIRED,
            properties=[Property(name="devicepipe:origin", value="PlatformIO; version not recorded: list it as SOUP")],
            bom_ref=BomRef(f"platformio:{name}"),
        )
        for name, files in sorted(sources.items())
        if any(firmware.bytes_of(files) for firmware in linked)
    ]
