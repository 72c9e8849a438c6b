"""Importers and exporters by name: our own, and those of other packages by their entry points.

The groups are `devicepipe.importers` and `devicepipe.exporters`; an entry point's name is the format's:
`polarion = "our_lab.polarion:PolarionImporter"`. Our own are not entry points: they must be those of the code that runs, whatever
was installed when.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from pydantic import ValidationError

from devicepipe.errors import BenchError, UsageError
from devicepipe.project.toml_file import Table, explain
from devicepipe.traceability.exporters.exporter import Exporter
from devicepipe.traceability.importers.importer import Importer

IMPORTERS = "devicepipe.importers"
EXPORTERS = "devicepipe.exporters"

_OWN = {
    IMPORTERS: {
        "csv": "csv_table:CsvImporter",
        "doorstop": "doorstop:DoorstopImporter",
        "lobster": "lobster:LobsterImporter",
        "markdown": "markdown:MarkdownImporter",
        "mlx-traceability": "mlx_traceability:MlxImporter",
        "needs-json": "needs_json:NeedsImporter",
        "reqif": "reqif:ReqifImporter",
        "strictdoc": "strictdoc:StrictdocImporter",
        "xlsx": "xlsx:XlsxImporter",
    },
    EXPORTERS: {
        "csv": "csv_table:CsvExporter",
        "doorstop": "doorstop:DoorstopExporter",
        "lobster": "lobster:LobsterExporter",
        "markdown": "markdown:MarkdownExporter",
        "mlx-traceability": "mlx_traceability:MlxExporter",
        "needs-json": "needs_json:NeedsExporter",
        "reqif": "reqif:ReqifExporter",
        "strictdoc": "strictdoc:StrictdocExporter",
        "trlc": "trlc:TrlcExporter",
        "xlsx": "xlsx:XlsxExporter",
    },
}
_FOLDERS = {IMPORTERS: "importers", EXPORTERS: "exporters"}
_BASES: dict[str, type[Importer | Exporter]] = {IMPORTERS: Importer, EXPORTERS: Exporter}


def formats(group: str) -> dict[str, list[EntryPoint]]:
    """What a group has, by format; more than one where packages do not agree on a name."""
    folder = f"{__package__}.{_FOLDERS[group]}"
    found: dict[str, list[EntryPoint]] = {}
    for point in (
        *(EntryPoint(name, f"{folder}.{where}", group) for name, where in _OWN[group].items()),
        *entry_points(group=group),
    ):
        found.setdefault(point.name, []).append(point)
    return found


def make_importer(name: str, options: Mapping[str, Any]) -> Importer:
    """The importer of a format, with its settings.

    Raises:
        UsageError: No such importer is known, or a setting is wrong, unknown or missing.
        BenchError: Another package's importer cannot be loaded.
    """
    made = _make(IMPORTERS, name, options)
    if not isinstance(made, Importer):
        raise TypeError(name)
    return made


def make_exporter(name: str, options: Mapping[str, Any]) -> Exporter:
    """The exporter of a format, with its settings. Raises as `make_importer`."""
    made = _make(EXPORTERS, name, options)
    if not isinstance(made, Exporter):
        raise TypeError(name)
    return made


def _make(group: str, name: str, options: Mapping[str, Any]) -> Importer | Exporter:
    what = _FOLDERS[group].removesuffix("s")
    known = formats(group)
    if name not in known:
        raise UsageError(f"unknown format '{name}'", remedy=f"{what}s: {', '.join(sorted(known))}")
    if len(known[name]) > 1:
        packages = ", ".join(_package(point) for point in known[name])
        message = f"more than one package has an {what} '{name}': {packages}"
        raise UsageError(message, remedy="uninstall all of them but one")
    point = known[name][0]
    try:
        loaded = point.load()
    except Exception as error:
        raise BenchError(
            f"{what} '{name}' of {_package(point)} cannot be loaded: {type(error).__name__}: {error}",
            remedy=f"install {_package(point)} anew",
        ) from error
    base = _BASES[group]
    if not (isinstance(loaded, type) and issubclass(loaded, base) and issubclass(loaded.Config, Table)):
        raise BenchError(
            f"'{point.value}', {what} '{name}' of {_package(point)}, is no {base.__name__}",
            remedy=f"correct the entry point '{point.name}' of that package",
        )
    try:
        config = loaded.Config.model_validate(dict(options))
    except ValidationError as error:
        message, where, remedy = explain(error, loaded.Config)
        key = ".".join(("options", *map(str, where)))
        raise UsageError(message, key=key, remedy=remedy or "see docs/reference/exchange.md") from error
    made: Importer | Exporter = loaded(config)
    return made


def _package(point: EntryPoint) -> str:
    return f"package '{point.dist.name}'" if point.dist is not None else "devicepipe"
