"""The software bill of materials of a board's firmware, as CycloneDX 1.6 JSON.

What always holds: the same inputs give the same bytes; the document passes the library's strict validator; a component is marked
"required" only where the link map proves that its objects are in a firmware, otherwise "excluded"; every library that the link map
shows is a component, and one that the lock file does not name says so (`devicepipe:undeclared`), as one does that differs from
what the lock file says (`devicepipe:mismatch`).

Limits: a component that is only headers leaves no object, so it is taken as required and marked as not proven. Only GNU ld maps
are read. Of a toolchain's libraries only GCC's own are of the compiler's version; the version of others (newlib, picolibc) is what
the lock file declares, and nothing in the program can prove it.
Sources: CycloneDX 1.6; FDA, Cybersecurity in Medical Devices (2025), V.A.4: component, supplier, version, dependency, support;
IEC 81001-5-1 5.7.3 (composition analysis of binaries).
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from cyclonedx.model import ExternalReference, ExternalReferenceType, HashAlgorithm, HashType, Property, XsUri
from cyclonedx.model.bom import Bom
from cyclonedx.model.bom_ref import BomRef
from cyclonedx.model.component import Commit, Component, ComponentScope, ComponentType, Pedigree
from cyclonedx.model.contact import OrganizationalEntity
from cyclonedx.model.license import DisjunctiveLicense, LicenseExpression
from cyclonedx.model.lifecycle import LifecyclePhase, PredefinedLifecycle
from packageurl import PackageURL

from devicepipe.analysis.cyclonedx_text import text_of
from devicepipe.analysis.linked_libraries import LinkedFirmware, Part, parts_of
from devicepipe.evidence import components as names
from devicepipe.evidence.predicates import Tool

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


class Identified(Protocol):
    """What the lock file says of every library."""

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
        """Who maintains it, in words."""

    @property
    def support_level(self) -> names.SupportLevel | None:
        """How well."""

    @property
    def end_of_support(self) -> dt.date | str | None:
        """Until when: a day, or that none was announced."""


class SoupItem(Identified, Protocol):
    """A component of the SOUP lock file (devicepipe.build.soup.Component)."""

    @property
    def archive(self) -> SoupArchive:
        """Where its sources came from."""

    @property
    def files(self) -> Mapping[str, str]:
        """Place in the PlatformIO project of each file, and its name in the archive."""


class LinkedItem(Identified, Protocol):
    """A library that comes with the toolchain, through PlatformIO or with the project (devicepipe.build.soup.Linked)."""

    @property
    def origin(self) -> str:
        """toolchain, platformio or project."""

    @property
    def compiler(self) -> str | None:
        """The compiler that a toolchain's library comes with."""

    @property
    def names(self) -> tuple[str, ...]:
        """Its archives, objects and folders as the link map names them."""


class Fetched(Protocol):
    """A library that PlatformIO fetched, as it describes itself (devicepipe.build.lib_deps.FetchedLibrary)."""

    @property
    def folder(self) -> str:
        """The name of its folder."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def version(self) -> str:
        """Its version, or ""."""

    @property
    def supplier(self) -> str:
        """Its maker, or ""."""

    @property
    def licence(self) -> str:
        """Its licence as it says, or ""."""

    @property
    def purl(self) -> str:
        """Package URL, or ""."""

    @property
    def sha256(self) -> str:
        """Over the names and SHA-256 of its files."""


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
class Declared:
    """What the product says of the libraries that it links.

    Attributes:
        soup: What is fetched by hash.
        linked: What comes otherwise.
        own: Libraries that are the product's own code.
        fetched: What PlatformIO fetched, as it describes itself.
    """

    soup: Sequence[SoupItem] = ()
    linked: Sequence[LinkedItem] = ()
    own: Collection[str] = ()
    fetched: Sequence[Fetched] = field(default=())


def make_sbom(
    product: Product,
    firmwares: Sequence[LinkedFirmware],
    *,
    declared: Declared,
    compilers: Sequence[Tool],
    digests: Mapping[str, str],
    timestamp: str,
    generator: Tool,
) -> bytes:
    """Make a board's bill of materials.

    Args:
        product: The root component.
        firmwares: Everything that is in the product on this board.
        declared: What the product says of its libraries.
        compilers: Whose libraries the toolchain's are.
        digests: SHA-256 of the archives and objects that the link maps name and that were not built, by the name they have there.
        timestamp: RFC 3339, UTC: when the build was made.
        generator: The tool that makes the document.

    Raises:
        ProductError: A link map cannot be read, or the document does not pass validation.
    """
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
    components = _Maker(firmwares, declared, compilers, digests).components()
    identity = f"urn:devicepipe:sbom:{product.name}:{product.version}:{product.board}:{product.sha256}"
    bom = Bom(serial_number=uuid.uuid5(uuid.NAMESPACE_URL, identity), components=components)
    bom.metadata.timestamp = dt.datetime.fromisoformat(timestamp)
    bom.metadata.component = root
    bom.metadata.manufacturer = OrganizationalEntity(name=product.manufacturer)
    bom.metadata.lifecycles.add(PredefinedLifecycle(LifecyclePhase.POST_BUILD))
    bom.metadata.tools.components.add(
        Component(type=ComponentType.APPLICATION, name=generator.name, version=generator.version)
    )
    bom.register_dependency(root, [one for one in components if one.scope == ComponentScope.REQUIRED])
    for component in components:
        bom.register_dependency(component)
    return text_of(bom, f"the bill of materials of {product.board}")


_GCC = ("libgcc", "libstdc++", "libsupc++", "crti.o", "crtn.o", "crtbegin.o", "crtend.o")
"""The libraries that are built from GCC's own sources, and so are of its version."""


class _Maker:
    """The components of one board."""

    def __init__(
        self,
        firmwares: Sequence[LinkedFirmware],
        declared: Declared,
        compilers: Sequence[Tool],
        digests: Mapping[str, str],
    ) -> None:
        listed = {place: item.name for item in declared.soup for place in item.files}
        self.roles = [firmware.role for firmware in firmwares]
        self.parts = [part for firmware in firmwares for part in parts_of(firmware, listed)]
        self.declared = declared
        self.compilers = {tool.name: tool.version for tool in compilers}
        self.digests = digests

    def components(self) -> list[Component]:
        foreign = [part for part in self.parts if part.kind not in ("soup", "own")]
        foreign = [part for part in foreign if part.kind != "library" or part.name not in self.declared.own]
        found = [self.soup(item) for item in self.declared.soup]
        for item in self.declared.linked:
            if item.compiler is not None and item.compiler not in self.compilers:
                continue
            kind = "toolchain" if item.origin == "toolchain" else "library"
            own = [part for part in foreign if part.kind == kind and part.name in item.names]
            foreign = [part for part in foreign if part not in own]
            found.append(self.linked(item, own))
        undeclared: dict[tuple[str, str], list[Part]] = {}
        for part in foreign:
            undeclared.setdefault((part.kind, part.name), []).append(part)
        found += [self.undeclared(name, kind, parts) for (kind, name), parts in sorted(undeclared.items())]
        return found + self.unused(set(undeclared))

    def soup(self, item: SoupItem) -> Component:
        own = [part for part in self.parts if part.kind == "soup" and part.name == item.name]
        proven = any(place.endswith(_SOURCES) for place in item.files)
        properties = (
            self.sizes(own)
            if proven
            else [Property(name="devicepipe:linked", value="not proven: a component of headers only leaves no object")]
        )
        archive = ExternalReference(
            type=ExternalReferenceType.SOURCE_DISTRIBUTION,
            url=XsUri(item.archive.purl),
            comment=item.archive.filename,
            hashes=[HashType(alg=HashAlgorithm.SHA_256, content=item.archive.sha256)],
        )
        return _component(
            item, f"soup:{item.name}@{item.version}", linked=bool(own) or not proven, properties=properties,
            references=[archive],
        )  # fmt: skip

    def linked(self, item: LinkedItem, own: list[Part]) -> Component:
        properties = [Property(name=names.ORIGIN, value=item.origin), *self.sizes(own)]
        fetched = [one for one in self.declared.fetched if one.folder in item.names]
        compiler = self.compilers.get(item.compiler or "", "")
        if any(part.name in _GCC for part in own) and item.version not in compiler.split():
            message = f"version {item.version} is declared, but {item.compiler} is {compiler}"
            properties.append(Property(name=names.MISMATCH, value=message))
        properties += [
            Property(
                name=names.MISMATCH, value=f"version {item.version} is declared, but PlatformIO fetched {one.version}"
            )
            for one in fetched
            if one.version and one.version != item.version
        ]
        return _component(
            item, f"linked:{item.name}@{item.version}", linked=bool(own), properties=properties,
            references=[_tree(one) for one in fetched], files=self.files(own),
        )  # fmt: skip

    def undeclared(self, name: str, kind: str, parts: list[Part]) -> Component:
        bytes_in = {role: sum(part.size for part in parts if part.role == role) for role in self.roles}
        told = " and ".join(f"{size} bytes of the {role}" for role, size in bytes_in.items() if size)
        fetched = next((one for one in self.declared.fetched if kind == "library" and one.folder == name), None)
        gcc = kind == "toolchain" and name in _GCC
        version = fetched.version if fetched else next(iter(self.compilers.values()), "") if gcc else ""
        licence = fetched.licence if fetched else "GPL-3.0-or-later WITH GCC-exception-3.1" if gcc else ""
        supplier = fetched.supplier if fetched else "Free Software Foundation" if gcc else ""
        return Component(
            type=ComponentType.LIBRARY,
            name=fetched.name if fetched else name,
            version=version or None,
            supplier=OrganizationalEntity(name=supplier) if supplier else None,
            licenses=[LicenseExpression(licence) if gcc else DisjunctiveLicense(name=licence)] if licence else None,
            purl=PackageURL.from_string(fetched.purl) if fetched and fetched.purl else None,
            scope=ComponentScope.REQUIRED,
            external_references=[_tree(fetched)] if fetched else None,
            hashes=self.hashes(parts),
            components=self.files(parts),
            properties=[
                Property(name=names.ORIGIN, value=kind),
                Property(name=names.UNDECLARED, value=f"{parts[0].file}: {told}, and the lock file does not name it"),
                *self.sizes(parts),
            ],
            bom_ref=BomRef(f"{kind}:{name}"),
        )

    def unused(self, told: set[tuple[str, str]]) -> list[Component]:
        """What PlatformIO fetched and no program contains."""
        declared = {name for item in self.declared.linked for name in item.names}
        return [
            Component(
                type=ComponentType.LIBRARY,
                name=one.name,
                version=one.version or None,
                scope=ComponentScope.EXCLUDED,
                properties=[Property(name=names.ORIGIN, value="platformio"), *self.sizes([])],
                bom_ref=BomRef(f"platformio:{one.folder}"),
            )
            for one in self.declared.fetched
            if ("library", one.folder) not in told
            and one.folder not in declared
            and one.folder not in self.declared.own
        ]

    def sizes(self, parts: list[Part]) -> list[Property]:
        return [
            Property(
                name=f"{names.LINKED_BYTES}{role}", value=str(sum(part.size for part in parts if part.role == role))
            )
            for role in self.roles
        ]

    def hashes(self, parts: list[Part]) -> list[HashType]:
        """The SHA-256 of the one file that a library is; none where it is several, which are told one by one."""
        found = {self.digests[part.file] for part in parts if part.file in self.digests}
        return [HashType(alg=HashAlgorithm.SHA_256, content=one) for one in found] if len(found) == 1 else []

    def files(self, parts: list[Part]) -> list[Component]:
        found = sorted({(part.file.rsplit("/", 1)[-1], self.digests.get(part.file, "")) for part in parts})
        known = [(name, digest) for name, digest in found if digest]
        return [
            Component(
                type=ComponentType.FILE,
                name=name,
                hashes=[HashType(alg=HashAlgorithm.SHA_256, content=digest)],
                bom_ref=BomRef(f"file:{name}:{digest[:16]}"),
            )
            for name, digest in known
        ]


def _tree(fetched: Fetched) -> ExternalReference:
    return ExternalReference(
        type=ExternalReferenceType.OTHER,
        url=XsUri(fetched.purl or f"urn:devicepipe:lib_deps:{fetched.folder.replace(' ', '%20')}"),
        comment="SHA-256 over the names and SHA-256 of the files that PlatformIO fetched",
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=fetched.sha256)],
    )


def _component(
    item: Identified,
    reference: str,
    *,
    linked: bool,
    properties: list[Property],
    references: list[ExternalReference],
    files: list[Component] | None = None,
) -> Component:
    return Component(
        type=ComponentType.LIBRARY,
        name=item.name,
        version=item.version,
        supplier=OrganizationalEntity(name=item.supplier),
        licenses=[LicenseExpression(item.licence)],
        purl=PackageURL.from_string(item.purl),
        cpe=item.cpe,
        scope=ComponentScope.REQUIRED if linked else ComponentScope.EXCLUDED,
        pedigree=Pedigree(commits=[Commit(uid=item.upstream_commit)]) if item.upstream_commit else None,
        external_references=references,
        components=files,
        properties=[*properties, *_support(item)],
        bom_ref=BomRef(reference),
    )


def _support(item: Identified) -> list[Property]:
    end = item.end_of_support
    told = {
        names.SUPPORT: item.support,
        names.SUPPORT_LEVEL: item.support_level,
        names.END_OF_SUPPORT: end.isoformat() if isinstance(end, dt.date) else None,
        names.NO_END_OF_SUPPORT: end if isinstance(end, str) else None,
    }
    return [Property(name=name, value=value) for name, value in told.items() if value]
