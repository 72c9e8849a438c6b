"""The links of bills of materials: they are of this release's factory images, of what was built, and the files say the same."""

from __future__ import annotations

from typing import Any

from devicepipe.errors import IntegrityError
from devicepipe.evidence.bundle import Attestation, Bundle
from devicepipe.evidence.checks import Link, about, same
from devicepipe.evidence.components import components_of
from devicepipe.evidence.layout import sbom_file
from devicepipe.evidence.predicates import ImageSigning, Provenance
from devicepipe.evidence.statement import strict_json

_ARCHIVE = "source-distribution"


def check_sbom(bundle: Bundle, attestation: Attestation, provenance: Provenance, signing: ImageSigning) -> Link:
    """Check a board's bill of materials.

    Args:
        bundle: Whose files it is about.
        attestation: The bill of materials.
        provenance: The board's build.
        signing: The board's images.

    Raises:
        IntegrityError: It is of another image, its file says something else, or it names an archive that was not built from.
    """
    link, document = attestation.path, attestation.statement.predicate
    _check_file(bundle, attestation, sbom_file(attestation.board))
    root = _root(document, link)
    about(attestation, signing.factory_image)
    same("SHA-256", root["sha256"], bundle.sha256(signing.factory_image), link, signing.factory_image)
    built_from = {dependency.digest.get("sha256") for dependency in provenance.build_definition.resolved_dependencies}
    for name, digest in _archives(document, link):
        if digest not in built_from:
            raise IntegrityError(f"says that {name} is of an archive that the build does not name", link=link)
    components_of(document, link)
    return Link(link, f"is of {signing.factory_image}, and of archives that the build names")


def check_build_sbom(bundle: Bundle, attestation: Attestation, builds: list[Attestation]) -> Link:
    """Check the bill of materials of what built the product.

    Raises:
        IntegrityError: It is not about these builds, its file says something else, or it lacks a compiler.
    """
    link, document = attestation.path, attestation.statement.predicate
    _check_file(bundle, attestation, sbom_file())
    _root(document, link)
    listed = {(one.name, one.version, one.sha256) for one in components_of(document, link)}
    for build in builds:
        about(attestation, build.path)
        for tool in build.read(Provenance).devicepipe.compilers:
            if (tool.name, tool.version, tool.sha256 or "") not in listed:
                raise IntegrityError(f"lacks {tool.name}, which {build.path} was made with", link=link)
    return Link(link, "names the compilers of every board")


def _check_file(bundle: Bundle, attestation: Attestation, name: str) -> None:
    if attestation.statement.digest_of(name) is None:
        raise IntegrityError(f"is not about {name}, which it should be", link=attestation.path)
    if strict_json(bundle.read(name), name) != attestation.statement.predicate:
        raise IntegrityError(f"says something else than {name}", link=attestation.path)


def _root(document: dict[str, Any], link: str) -> dict[str, str]:
    """The root component's name and SHA-256."""
    same("bomFormat", document.get("bomFormat"), "CycloneDX", link, "its type")
    try:
        root = document["metadata"]["component"]
        digests = [one["content"] for one in root.get("hashes", []) if one["alg"] == "SHA-256"]
        return {"name": str(root["name"]), "sha256": str(digests[0]) if digests else ""}
    except (KeyError, TypeError, AttributeError) as error:
        raise IntegrityError("does not say what it is of (metadata.component)", link=link) from error


def _archives(document: dict[str, Any], link: str) -> list[tuple[str, str]]:
    """Component and SHA-256 of each source archive."""
    try:
        return [
            (str(component["name"]), str(digest["content"]))
            for component in document.get("components", [])
            for reference in component.get("externalReferences", [])
            if reference["type"] == _ARCHIVE
            for digest in reference.get("hashes", [])
        ]
    except (KeyError, TypeError, AttributeError) as error:
        raise IntegrityError(f"holds a component that is none of CycloneDX: {error}", link=link) from error
