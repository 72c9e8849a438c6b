"""Components of a bill of materials as typed values: what is said of each, read back from CycloneDX JSON.

What always holds: nothing is guessed; what a document does not say is "" here. What CycloneDX 1.6 has no field for stands in
properties, whose names are those of this module; the end of support is CycloneDX's own `cdx:lifecycle:milestone:endOfSupport`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, get_args

from devicepipe.errors import IntegrityError

SupportLevel = Literal["actively-maintained", "no-longer-maintained", "abandoned"]
"""FDA, Cybersecurity in Medical Devices (2025), V.A.4: the level of support through monitoring and maintenance by the maker."""

NOT_ANNOUNCED: Final = "not announced"
"""The end of support where the maker has told none."""

SUPPORT: Final = "devicepipe:support"
SUPPORT_LEVEL: Final = "devicepipe:support-level"
END_OF_SUPPORT: Final = "cdx:lifecycle:milestone:endOfSupport"
NO_END_OF_SUPPORT: Final = "devicepipe:end-of-support"
ORIGIN: Final = "devicepipe:origin"
LIBRARY: Final = "devicepipe:library"
LINKED_BYTES: Final = "devicepipe:linked-bytes:"
UNDECLARED: Final = "devicepipe:undeclared"
MISMATCH: Final = "devicepipe:mismatch"

REQUIRED: Final = "required"


@dataclass(frozen=True, slots=True)
class Component:
    """A component of a bill of materials.

    Attributes:
        name: Its title.
        version: Its version.
        supplier: Who supplies it.
        licence: SPDX expression or name.
        purl: Package URL.
        cpe: CPE 2.3 name.
        commit: The commit in its own repository.
        sha256: Of the archive that it was built from, or of the file that was linked.
        linked: Whether the link map proves that it is in the program, or nothing can (headers only).
        undeclared: Why it counts as undeclared; "" where the lock file names it.
        mismatch: In what it differs from what the lock file says.
        support: Who maintains it, in words.
        support_level: One of `SupportLevel`.
        end_of_support: A day (YYYY-MM-DD) or `NOT_ANNOUNCED`.
    """

    name: str
    version: str = ""
    supplier: str = ""
    licence: str = ""
    purl: str = ""
    cpe: str = ""
    commit: str = ""
    sha256: str = ""
    linked: bool = True
    undeclared: str = ""
    mismatch: str = ""
    support: str = ""
    support_level: str = ""
    end_of_support: str = ""

    @property
    def missing(self) -> list[str]:
        """What a reader of the bill of materials needs and is not told (NTIA minimum elements; a hash)."""
        told = {
            "version": self.version,
            "supplier": self.supplier,
            "licence": self.licence,
            "package URL or CPE": self.purl or self.cpe,
            "SHA-256": self.sha256,
        }
        return [what for what, value in told.items() if not value]

    def unsupported(self, day: str) -> list[str]:
        """What is missing or bad about its support on a day (YYYY-MM-DD), in words."""
        found: list[str] = []
        if self.support_level not in get_args(SupportLevel):
            found.append("its level of support is not stated")
        elif self.support_level != "actively-maintained" and not self.support:
            found.append(f"it is {self.support_level.replace('-', ' ')}, and nothing says why that will do")
        if not self.end_of_support:
            found.append("its end of support is not stated")
        elif self.end_of_support == NOT_ANNOUNCED:
            if not self.support:
                found.append("no end of support is announced, and nothing says who maintains it")
        elif self.end_of_support < day:
            found.append(f"its support ended on {self.end_of_support}")
        return found


def components_of(predicate: Mapping[str, Any], link: str) -> list[Component]:
    """The components of a CycloneDX document.

    Args:
        predicate: The document.
        link: What it is called in errors.

    Raises:
        IntegrityError: It is not of CycloneDX's form.
    """
    try:
        return [read_component(entry) for entry in predicate.get("components", [])]
    except (AttributeError, KeyError, TypeError, IndexError) as error:
        raise IntegrityError(f"holds a component that is none of CycloneDX: {error}", link=link) from error


def read_component(entry: Mapping[str, Any]) -> Component:
    """One component of a CycloneDX document; KeyError, TypeError or AttributeError where it is none."""
    properties = {one["name"]: str(one.get("value", "")) for one in entry.get("properties", [])}
    licences = [choice.get("expression") or _licence(choice) for choice in entry.get("licenses", [])]
    commits = entry.get("pedigree", {}).get("commits", [])
    return Component(
        name=str(entry["name"]),
        version=str(entry.get("version", "")),
        supplier=str(entry.get("supplier", {}).get("name", "")),
        licence=", ".join(filter(None, licences)),
        purl=str(entry.get("purl", "")),
        cpe=str(entry.get("cpe", "")),
        commit=str(commits[0].get("uid", "")) if commits else "",
        sha256=_sha256(entry),
        linked=entry.get("scope", REQUIRED) == REQUIRED,
        undeclared=properties.get(UNDECLARED, ""),
        mismatch=properties.get(MISMATCH, ""),
        support=properties.get(SUPPORT, ""),
        support_level=properties.get(SUPPORT_LEVEL, ""),
        end_of_support=properties.get(END_OF_SUPPORT) or properties.get(NO_END_OF_SUPPORT, ""),
    )


def _licence(choice: Mapping[str, Any]) -> str:
    licence = choice.get("license", {})
    return str(licence.get("id") or licence.get("name", ""))


def _sha256(entry: Mapping[str, Any]) -> str:
    """The first there is: of the component, of the archive it came in, of a file that it is made of."""
    parts = [entry, *entry.get("externalReferences", []), *entry.get("components", [])]
    return next(iter(_digests(parts)), "")


def _digests(parts: Iterable[Mapping[str, Any]]) -> Iterable[str]:
    for part in parts:
        yield from (str(one["content"]) for one in part.get("hashes", []) if one.get("alg") == "SHA-256")
