"""Bills of materials: of each board's firmware, from its link maps, and of what built and tested it, once for all boards."""

from __future__ import annotations

import json
import os
from importlib.metadata import version
from pathlib import Path
from typing import get_args

from devicepipe.analysis.build_sbom import installed_packages, make_build_sbom
from devicepipe.analysis.linked_libraries import LinkedFirmware, parts_of
from devicepipe.analysis.sbom import Declared, Product, make_sbom
from devicepipe.build.collect import Role
from devicepipe.build.lib_deps import fetched_libraries
from devicepipe.build.soup import SoupLock, load_lock
from devicepipe.evidence.bundle import Bundle
from devicepipe.evidence.facts import sha256_of
from devicepipe.evidence.layout import kind_of_model, sbom_file
from devicepipe.evidence.predicates import SBOM, BuildResult, Provenance, SourceInfo, Tool
from devicepipe.project.config import Project, ProjectBoard
from devicepipe.stages.context import Context
from devicepipe.stages.sign import factory_name

_ROLES: tuple[Role, ...] = get_args(Role)


def bill_of_materials(context: Context, board: ProjectBoard, build: BuildResult) -> None:
    """List what is linked into a board's firmwares, and attest it.

    Raises:
        UsageError: The lock file is wrong.
        ProductError: A link map cannot be read.
    """
    bundle, writer = context.bundle, context.writer
    source = bundle.predicate(SourceInfo)
    factory = writer.subject(factory_name(board.name))
    project = context.builds[board.name].project
    firmwares = [_linked(bundle, build, role) for role in _ROLES]
    lock = locked_libraries(context.project)
    fetched = fetched_libraries(project, [firmware.environment for firmware in build.firmwares])
    data = make_sbom(
        Product(
            name=source.product,
            version=source.version,
            manufacturer=source.manufacturer,
            board=board.name,
            binary=factory.name,
            sha256=factory.digest.sha256,
        ),
        firmwares,
        declared=Declared(lock.components, lock.linked, lock.own_libraries, fetched)
        if lock
        else Declared((), (), (), fetched),
        compilers=build.compilers,
        digests=_digests(firmwares, project),
        timestamp=source.commit_time,
        generator=Tool(name="devicepipe", version=version("devicepipe")),
    )
    file = writer.add_bytes(data, sbom_file(board.name))
    elves = [build.firmware(role).artifact("elf").path for role in _ROLES]
    writer.attest(f"{board.name}/sbom", SBOM, json.loads(data), [file.name, factory.name, *elves])


def build_bill_of_materials(context: Context) -> None:
    """List the compilers that built the boards and the Python packages of this environment, and attest it."""
    bundle, writer = context.bundle, context.writer
    source = bundle.predicate(SourceInfo)
    builds = [bundle.predicate(Provenance, board).devicepipe for board in source.boards]
    data = make_build_sbom(
        source.product,
        source.version,
        manufacturer=source.manufacturer,
        compilers=[tool for build in builds for tool in build.compilers],
        packages=installed_packages(),
        timestamp=source.commit_time,
    )
    file = writer.add_bytes(data, sbom_file())
    about = [kind_of_model(Provenance).path_for(board) for board in source.boards]
    writer.attest("build-sbom", SBOM, json.loads(data), [file.name, *about])


def locked_libraries(project: Project) -> SoupLock | None:
    """The product's lock file, if it has one. Raises UsageError where it is wrong."""
    return load_lock(project.root / project.firmware.soup) if project.firmware.soup is not None else None


def _linked(bundle: Bundle, build: BuildResult, role: str) -> LinkedFirmware:
    firmware = build.firmware(role)
    return LinkedFirmware(
        role=role,
        link_map=bundle.read(firmware.artifact("map").path).decode(),
        compile_commands=bundle.read(firmware.artifact("compile-commands").path).decode(),
    )


def _digests(firmwares: list[LinkedFirmware], project: Path) -> dict[str, str]:
    """The SHA-256 of what was linked and not built here, by its name in the link map; what is gone has none."""
    private = project / ".pio" / "core"
    core = str(private) if private.is_dir() else os.environ.get("PLATFORMIO_CORE_DIR") or "~/.platformio"
    names = {part.file for firmware in firmwares for part in parts_of(firmware, {}) if part.file.endswith((".a", ".o"))}
    places = {name: Path(name.replace("$PLATFORMIO_CORE_DIR", core)).expanduser() for name in names}
    return {
        name: sha256_of(project / place)
        for name, place in places.items()
        if ".pio/build/" not in name and (project / place).is_file()
    }
