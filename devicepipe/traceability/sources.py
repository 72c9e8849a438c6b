"""Live sources: items that stay in another tool's files, read there on each check and each release.

What always holds: a live item stands in a file of the project (its evidence in a bundle is that file), has the type that the
mapping gives it whatever its id looks like, and is checked like every other. What cannot be carried is told by a finding of the
trace, or is an error where the source is `strict`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from devicepipe.errors import UsageError
from devicepipe.evidence.names import RULE, is_name
from devicepipe.evidence.trace import TraceFinding
from devicepipe.project.config import CONFIG_NAME, Project
from devicepipe.project.exchange import TraceMapping, TraceSource
from devicepipe.project.toml_file import TomlFile
from devicepipe.traceability.loss import Loss
from devicepipe.traceability.mapping import House, Mapped, map_items
from devicepipe.traceability.markdown import RawItem
from devicepipe.traceability.registry import make_importer
from devicepipe.traceability.schema import Schema

NOT_CARRIED = "not-carried"


@dataclass(slots=True)
class Live:
    """The items of live sources, and what they could not carry."""

    items: list[RawItem] = field(default_factory=list)
    losses: list[Loss] = field(default_factory=list)


def read_sources(project: Project, schema: Schema, problems: list[UsageError] | None = None) -> Live:
    """The items of all live sources of a project, in the order of devicepipe.toml.

    Args:
        project: The project.
        schema: Its types and links.
        problems: Where to put mistakes; without it, the first is raised.

    Raises:
        UsageError: A source cannot be read or mapped, or lost something though it is strict.
    """
    sources = project.traceability.source
    ids: dict[str, str] = {}
    if len(sources) > 1:  # links may lead from one source to another
        for index, source in enumerate(sources):
            with contextlib.suppress(UsageError):  # told below
                ids |= {item.id: item.type for item in _map(project, index, source, House(schema)).items}
    live = Live()
    for index, source in enumerate(sources):
        try:
            mapped = _map(project, index, source, House(schema, ids))
            _check(project, source, mapped)
        except UsageError as error:
            if problems is None:
                raise
            problems.append(error)
        else:
            live.items += mapped.items
            live.losses += mapped.losses
    return live


def read_mapping(path: Path) -> TraceMapping:
    """A file of mappings: the tables of [traceability.mapping] at its top.

    Raises:
        UsageError: It cannot be read, or has a wrong key.
    """
    return TomlFile.read(path, advice="see docs/reference/exchange.md").parse(TraceMapping)


def _map(project: Project, index: int, source: TraceSource, house: House) -> Mapped:
    mapping = project.traceability.mapping
    told = project.root / CONFIG_NAME
    if source.mapping is not None:
        told = project.root / source.mapping
        mapping = read_mapping(told)
    try:
        importer = make_importer(source.format, source.options)
    except UsageError as error:
        key = ".".join(filter(None, ("traceability", "source", str(index), error.key or "format")))
        raise UsageError(error.message, file=project.root / CONFIG_NAME, key=key, remedy=error.remedy) from error
    imported = importer.read([project.root / source.path])
    try:
        return map_items(imported, mapping, house, importer=importer, keep_ids=True)
    except UsageError as error:
        if error.file is not None:
            raise
        where = error.key if source.mapping is not None else f"traceability.{error.key}"
        raise UsageError(error.message, file=told, key=where, remedy=error.remedy) from error


def _check(project: Project, source: TraceSource, mapped: Mapped) -> None:
    if source.strict and mapped.losses:
        first = mapped.losses[0]
        more = f" (and {len(mapped.losses) - 1} more)" if len(mapped.losses) > 1 else ""
        raise UsageError(
            f"{first.what}{more}",
            file=first.file,
            line=first.line or None,
            key=first.item or None,
            remedy="change the file or the mapping; or set strict = false, and it is told",
        )
    for item in mapped.items:
        name = item.file.relative_to(project.root).as_posix()
        if not is_name(f"evidence/{name}"):
            raise UsageError(
                f"its name cannot be that of a file in a bundle: {RULE}", file=item.file, remedy="rename it"
            )


def loss_findings(losses: list[Loss], root: Path) -> list[TraceFinding]:
    """What the sources lost as findings: one for each file and sort of loss, at the first place, with how many there are."""
    groups: Mapping[tuple[Path, str], list[Loss]] = _grouped(losses)
    findings = []
    for (path, what), group in groups.items():
        more = f" ({len(group)} times)" if len(group) > 1 else ""
        findings.append(
            TraceFinding(
                kind=NOT_CARRIED,
                severity="warning",
                item=group[0].item,
                message=f"{what}{more}",
                file=path.relative_to(root).as_posix() if path.is_relative_to(root) else path.as_posix(),
                line=group[0].line,
            )
        )
    return findings


def _grouped(losses: list[Loss]) -> dict[tuple[Path, str], list[Loss]]:
    groups: dict[tuple[Path, str], list[Loss]] = {}
    for loss in losses:
        groups.setdefault((loss.file, loss.what), []).append(loss)
    return groups
