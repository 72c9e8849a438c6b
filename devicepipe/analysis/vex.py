"""VEX statements of the product, as OpenVEX 0.2.0 documents: read strictly, and asked about a component and a record.

What always holds of a document that was read: it has no key that OpenVEX does not know; every statement names a vulnerability and
at least one product by package URL or CPE; "not affected" has one of VEX's justifications and a reason in words (stricter than
OpenVEX, which takes either), "affected" says what to do.

Of several statements about one thing the latest counts, and of several of one time the one that says affected. None is of a time
to come: it would outrank every later one. Source: OpenVEX specification 0.2.0.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from packageurl import PackageURL
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from devicepipe.errors import UsageError
from devicepipe.evidence.vulnerabilities import Justification
from devicepipe.project.toml_file import explain

_WORSE = ("affected", "under_investigation")
_SKEW = dt.timedelta(days=1)
"""What a statement may be ahead of this machine: clocks, and days that were written as midnight UTC east of it."""
_REMEDY = "docs/reference/supply-chain.md says how a VEX statement is written"


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class Identifiers(_Part):
    """Software identifiers of a product."""

    purl: str | None = None
    cpe23: str | None = None
    cpe22: str | None = None


class Named(_Part):
    """A product or a part of one, by package URL or CPE."""

    id: str | None = Field(default=None, alias="@id")
    identifiers: Identifiers = Identifiers()
    hashes: dict[str, str] = Field(default_factory=dict)

    @property
    def names(self) -> list[str]:
        """Package URLs and CPE names."""
        return [one for one in (self.id, self.identifiers.purl, self.identifiers.cpe23) if one]

    def is_of(self, purl: str, cpe: str, version: str) -> bool:
        """Whether a component is meant: by its package URL (without a version: of every version) or by its CPE."""
        return any(_same(name, purl, version) or (cpe and name == cpe) for name in self.names)

    @model_validator(mode="after")
    def _named(self) -> Named:
        if not any(name.startswith(("pkg:", "cpe:2.3:")) for name in self.names):
            raise ValueError("names no package URL and no CPE 2.3")
        return self


class ProductName(Named):
    """A product, and which parts of it a statement is about."""

    subcomponents: tuple[Named, ...] = ()


class VulnerabilityName(_Part):
    """A vulnerability by its name and aliases."""

    id: str | None = Field(default=None, alias="@id")
    name: str = Field(min_length=1)
    description: str | None = None
    aliases: tuple[str, ...] = ()


class Statement(_Part):
    """One statement of a document."""

    id: str | None = Field(default=None, alias="@id")
    version: int | None = None
    vulnerability: VulnerabilityName
    timestamp: dt.datetime | None = None
    last_updated: dt.datetime | None = None
    products: tuple[ProductName, ...] = Field(min_length=1)
    status: Literal["not_affected", "affected", "fixed", "under_investigation"]
    supplier: str | None = None
    status_notes: str | None = None
    justification: Justification | None = None
    impact_statement: str | None = None
    action_statement: str | None = None
    action_statement_timestamp: dt.datetime | None = None

    @model_validator(mode="after")
    def _whole(self) -> Statement:
        if self.status == "not_affected" and not (self.justification and (self.impact_statement or "").strip()):
            raise ValueError("'not_affected' needs a justification and an impact_statement that says why in words")
        if self.status == "affected" and not (self.action_statement or "").strip():
            raise ValueError("'affected' needs an action_statement that says what to do")
        if self.status != "not_affected" and self.justification:
            raise ValueError("only 'not_affected' has a justification")
        return self


class _Document(_Part):
    context: Literal["https://openvex.dev/ns", "https://openvex.dev/ns/v0.2.0"] = Field(alias="@context")
    id: str = Field(alias="@id", min_length=1)
    author: str = Field(min_length=1)
    role: str | None = None
    timestamp: dt.datetime
    last_updated: dt.datetime | None = None
    version: int = Field(ge=1)
    tooling: str | None = None
    statements: tuple[Statement, ...] = Field(min_length=1)


@dataclass(frozen=True, slots=True)
class Told:
    """A statement and where it stands: file and number."""

    place: str
    when: dt.datetime
    statement: Statement

    def is_about(self, ids: Iterable[str]) -> bool:
        """Whether one of a record's ids is its vulnerability."""
        named = self.statement.vulnerability
        return bool({named.name, *named.aliases} & set(ids))

    def concerns(self, product: str, component: tuple[str, str, str]) -> bool:
        """Whether a component (package URL, CPE, version) of a product is meant."""
        for named in self.statement.products:
            if named.subcomponents:
                if _same_product(named.names, product) and any(part.is_of(*component) for part in named.subcomponents):
                    return True
            elif named.is_of(*component):
                return True
        return False


@dataclass(frozen=True, slots=True)
class Document:
    """A file of statements: its name, bytes, id and author."""

    name: str
    text: bytes
    id: str
    author: str
    statements: tuple[Told, ...]


def load_vex(folder: Path | None) -> tuple[Document, ...]:
    """The documents (*.json) of a folder, sorted by name.

    Raises:
        UsageError: One is no OpenVEX document of the kind that this module promises; names file and key.
    """
    if folder is None:
        return ()
    return tuple(_read(path) for path in sorted(folder.glob("*.json")))


def latest(
    documents: Sequence[Document], product: str, component: tuple[str, str, str], ids: Sequence[str]
) -> Told | None:
    """The latest statement about a component (package URL, CPE, version) of a product (package URL) and a record, or None."""
    found = [
        told
        for document in documents
        for told in document.statements
        if told.is_about(ids) and told.concerns(product, component)
    ]
    return max(found, key=lambda told: (told.when, told.statement.status in _WORSE), default=None)


def _read(path: Path) -> Document:
    try:
        text = path.read_bytes()
        document = _Document.model_validate(json.loads(text))
    except (OSError, ValueError) as error:
        if isinstance(error, ValidationError):
            message, where, known = explain(error, _Document)
            key = ".".join(str(part) for part in where)
            raise UsageError(message, file=path, key=key, remedy=known or _REMEDY) from error
        raise UsageError(f"is no JSON that can be read: {error}", file=path, remedy=_REMEDY) from error
    told: list[Told] = []
    for number, statement in enumerate(document.statements, start=1):
        when = statement.last_updated or statement.timestamp or document.last_updated or document.timestamp
        if when.tzinfo is None:
            raise UsageError("its time has no zone", file=path, key=f"statements.{number - 1}", remedy=_REMEDY)
        if when > dt.datetime.now(dt.UTC) + _SKEW:
            message = f"its time, {when.isoformat()}, has not come yet"
            raise UsageError(message, file=path, key=f"statements.{number - 1}", remedy="write when it was made")
        told.append(Told(f"{path.name}#{number}", when, statement))
    return Document(path.name, text, document.id, document.author, tuple(told))


def _same(name: str, purl: str, version: str) -> bool:
    if not purl or not name.startswith("pkg:"):
        return False
    try:
        wanted, here = PackageURL.from_string(name), PackageURL.from_string(purl)
    except ValueError:
        return False
    if (wanted.type, wanted.namespace, wanted.name) != (here.type, here.namespace, here.name):
        return False
    return wanted.version is None or wanted.version in (here.version, version)


def _same_product(names: list[str], product: str) -> bool:
    """Whether the product is meant, by its package URL with or without a version."""
    return any(_same(name, product, "") for name in names)
