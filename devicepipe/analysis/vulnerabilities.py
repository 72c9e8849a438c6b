"""A verdict for each component: what the records of a snapshot say of its version, and what VEX statements say of that.

What always holds: a record that names a component and whose range cannot be compared with its version counts as affecting it, until
a VEX statement says otherwise; a statement about a record that the version already clears changes nothing and is told as unused;
a component that no record names is "no data".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from packageurl import PackageURL

from devicepipe.analysis.vex import Document, Told, latest
from devicepipe.analysis.vulnerability_records import Affected, exploited_keys, keys_of
from devicepipe.analysis.vulnerability_snapshot import Found, Store
from devicepipe.evidence.components import Component
from devicepipe.evidence.vulnerabilities import ComponentVerdict, Exploited, Match, Severity, Status, verdict_of

_ORDER = ("affected", "undecided", "fixed", "outside")


@dataclass(slots=True)
class Assessed:
    """Every component's verdict, the records that were matched (id -> their text), and statements that concern nothing."""

    components: list[ComponentVerdict]
    records: dict[str, str] = field(default_factory=dict)
    unused: list[str] = field(default_factory=list)


def assess(
    product: str, boards: Mapping[str, Sequence[Component]], store: Store, documents: Sequence[Document]
) -> Assessed:
    """Assess what is linked into the boards of a product.

    Args:
        product: The product's package URL, by which VEX statements name it.
        boards: Each board's components; those that are not linked in do not count.
        store: The snapshot.
        documents: The product's VEX statements.

    Raises:
        IntegrityError: A record in the store is not what was stored.
    """
    where: dict[tuple[str, str, str, str, str], list[str]] = {}
    for board, components in boards.items():
        for one in components:
            if one.linked:
                places = where.setdefault((one.name, one.version, one.purl, one.cpe, one.commit), [])
                if board not in places:
                    places.append(board)
    result = Assessed([])
    used: set[str] = set()
    for (name, version, purl, cpe, commit), places in where.items():
        matches: list[Match] = []
        keys = keys_of(purl, cpe)
        for found in store.about(keys):
            match, told = _match(product, (purl, cpe, version), commit, keys, found, documents)
            result.records[found.record.id] = found.text.decode()
            if match.by == "vex" or match.status == "affected":
                match = _exploited(match, found, store, result.records)
            matches.append(match)
            if told is not None and match.by == "vex":
                used.add(told.place)
        result.components.append(
            ComponentVerdict(
                name=name, version=version, purl=purl, cpe=cpe, boards=places, verdict=verdict_of(matches), matches=matches
            )
        )  # fmt: skip
    result.components.sort(key=lambda one: (one.name, one.version))
    result.unused = [
        f"{told.place}: {told.statement.vulnerability.name} is {told.statement.status}, but {_left_over(told, product, result)}"
        for document in documents
        for told in document.statements
        if told.place not in used
    ]
    return result


def _left_over(told: Told, product: str, result: Assessed) -> str:
    """Why a statement changes no verdict."""
    if not any(told.concerns(product, (one.purl, one.cpe, one.version)) for one in result.components):
        names = [name for named in told.statement.products for name in named.names]
        parts = [name for named in told.statement.products for part in named.subcomponents for name in part.names]
        about = f"{', '.join(parts)} of {', '.join(names)}" if parts else ", ".join(names)
        return f"it is about {about}: no component that is linked in, or another product than {product}"
    return "no record of the snapshot says that it affects that component, or another statement counts"


def _match(
    product: str,
    component: tuple[str, str, str],
    commit: str,
    keys: set[str],
    found: Found,
    documents: Sequence[Document],
) -> tuple[Match, Told | None]:
    record = found.record
    position, reason = _position(record.affected, keys, component, commit)
    match = Match(
        id=record.id,
        aliases=list(record.aliases),
        status=_STATUS[position],
        by="version",
        reason=f"{reason}: counted as affected" if position == "undecided" else reason,
        record_sha256=found.sha256,
        severity=[Severity(method=method, score=score) for method, score in record.severity],
    )
    told = latest(documents, product, component, (record.id, *record.aliases))
    if told is None or match.status != "affected":
        return match, told
    statement = told.statement
    status: Status = "affected" if statement.status == "under_investigation" else statement.status
    words = {
        "not_affected": statement.impact_statement,
        "affected": statement.action_statement,
        "fixed": statement.status_notes or "a statement of the product says so",
        "under_investigation": statement.status_notes or "under investigation",
    }[statement.status]
    changed = {
        "status": status,
        "by": "vex",
        "reason": words or "",
        "justification": statement.justification,
        "statement": told.place,
    }
    return match.model_copy(update=changed), told


def _exploited(match: Match, found: Found, store: Store, records: dict[str, str]) -> Match:
    """With the fact that it is exploited, where the record itself or the catalogue says so."""
    told = [found] if found.record.exploited else []
    told += store.about(sorted(exploited_keys((match.id, *match.aliases))))
    if not told:
        return match
    first = min(told, key=lambda one: one.record.exploited)
    records[first.record.id] = first.text.decode()
    return match.model_copy(update={"exploited": Exploited(since=first.record.exploited, record=first.record.id)})


_STATUS: dict[str, Status] = {
    "affected": "affected",
    "undecided": "affected",
    "fixed": "fixed",
    "outside": "not_affected",
}


def _position(
    affected: Iterable[Affected], keys: set[str], component: tuple[str, str, str], commit: str
) -> tuple[str, str]:
    """The worst of what a record says of a component."""
    purl, _, version = component
    own = (PackageURL.from_string(purl).version if purl else None) or version
    about = [one for one in affected if one.keys & keys]
    found = [
        # A package URL's version is in its ecosystem's own form (a Debian revision, say); a CPE's is the maker's.
        one.versions.position(own if any(key.startswith("purl:") for key in one.keys & keys) else version, commit)
        for one in about
    ]
    # Some records tell commits in one entry and the versions that they come to in another.
    told = [
        position
        for position, one in zip(found, about, strict=True)
        if not (one.versions.only_commits and position[0] == "undecided")
    ]
    return min(told or found, key=lambda one: _ORDER.index(one[0]))
