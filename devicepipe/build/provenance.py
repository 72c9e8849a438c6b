"""The SLSA provenance of a board's build: what was asked for, what went in, what ran.

What always holds: no path, host name or user of this machine is in it.
Source: SLSA v1.0, provenance (buildDefinition, runDetails).
"""

from __future__ import annotations

import platform
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from devicepipe.build.platformio import Build, BuildInputs
from devicepipe.build.python_environment import package, python_digest
from devicepipe.build.soup import SoupLock
from devicepipe.evidence.facts import sha256_of
from devicepipe.evidence.predicates import (
    BUILD_TYPE,
    BuildDefinition,
    Provenance,
    ResourceDescriptor,
    RunDetails,
    Subject,
    Tool,
)

BUILDER_ID = "urn:devicepipe:builder:local"
"""The builder: devicepipe on the machine of whoever signs the attestation. It claims SLSA build level 1, not isolation."""


def build_tools() -> list[Tool]:
    """The build system's own programs, with the digests of what is installed: devicepipe, PlatformIO, SCons and Python."""
    tools = []
    for name in ("devicepipe", "platformio", "scons"):
        found = package(name)
        tools.append(Tool(name=name, version=version(name), sha256=found.sha256 if found else None))
    return [*tools, Tool(name="python", version=platform.python_version(), sha256=python_digest())]


def make_provenance(
    build: Build,
    *,
    inputs: BuildInputs,
    manifest: Path,
    manifest_name: str,
    soup: SoupLock | None,
    invocation_id: str,
    dirty: bool,
    environment: Subject | None = None,
) -> Provenance:
    """The provenance of a finished build.

    Args:
        build: The build.
        inputs: What it was told from outside.
        manifest: The board manifest's file.
        manifest_name: Its path in the product's repository.
        soup: The lock file of fetched libraries, if the product has one.
        invocation_id: Names the run, e.g. product, version and board.
        dirty: Whether the tree differed from the commit.
        environment: The list of installed Python packages in the bundle.
    """
    environments = {firmware.role: firmware.environment for firmware in build.result.firmwares}
    return Provenance(
        build_definition=BuildDefinition(
            build_type=BUILD_TYPE,
            external_parameters={
                "board": build.result.board,
                "environments": environments,
                "version": inputs.version,
                "commit": inputs.commit,
                "imageKey": {"sha256": inputs.image_key_sha256},
                "dirty": dirty,
            },
            internal_parameters={"environment": inputs.recorded()},
            resolved_dependencies=[
                *_materials(build.result.compilers, inputs, manifest, manifest_name, soup),
                *(
                    [ResourceDescriptor(name=environment.name, digest=environment.digest.to_json())]
                    if environment
                    else []
                ),
            ],
        ),
        run_details=RunDetails(
            builder={"id": BUILDER_ID, "version": {tool.name: tool.version for tool in build_tools()}},
            metadata={
                "invocationId": invocation_id,
                "startedOn": build.started_on,
                "finishedOn": build.finished_on,
            },
        ),
        devicepipe=build.result,
    )


def _materials(
    compilers: Sequence[Tool], inputs: BuildInputs, manifest: Path, manifest_name: str, soup: SoupLock | None
) -> list[ResourceDescriptor]:
    commit = ResourceDescriptor(name="source", digest={"gitCommit": inputs.commit})
    board = ResourceDescriptor(name=manifest_name, digest={"sha256": sha256_of(manifest)})
    archives = soup.materials() if soup is not None else []
    tools = [
        ResourceDescriptor(
            name=f"{tool.name} {tool.version}",
            uri=f"pkg:pypi/{tool.name}@{tool.version}" if tool.name in ("platformio", "scons") else None,
            digest={"sha256": tool.sha256} if tool.sha256 else {},
        )
        for tool in [*compilers, *(tool for tool in build_tools() if tool.name != "devicepipe")]
    ]
    return [commit, board, *archives, *tools]
