"""The cross links of a build: it was asked for as the product declares it, made of what the source has, and repeated as is said.

What the product declares is its devicepipe.toml as the source attestation has it; what the source has is its list of files.
"""

from __future__ import annotations

import tomllib
from datetime import datetime
from typing import Any

from devicepipe.errors import IntegrityError
from devicepipe.evidence.bundle import Attestation, Bundle
from devicepipe.evidence.checks import same
from devicepipe.evidence.layout import PYTHON_ENVIRONMENT, SOURCE_CONFIG, SOURCE_FILES
from devicepipe.evidence.predicates import BUILD_TYPE, BuildResult, Provenance, Reproducibility, SourceInfo

COMPARED = ("elf", "bin", "hex")
"""The roles of artifacts that two builds are compared by, beside data files."""

_TWO = 2

_PARAMETERS = {"board", "environments", "version", "commit", "imageKey", "dirty"}


def check_provenance(bundle: Bundle, attestation: Attestation, declaring: Attestation) -> None:
    """Check that a board was built as the product declares, of what the source has.

    Args:
        bundle: The bundle.
        attestation: The board's provenance.
        declaring: The source attestation, which is about the product's devicepipe.toml.

    Raises:
        IntegrityError: Another build type, another or a further parameter, or another board manifest or Python environment.
    """
    provenance, source, link = attestation.read(Provenance), declaring.read(SourceInfo), attestation.path
    definition, board = provenance.build_definition, attestation.board
    same("buildType", definition.build_type, BUILD_TYPE, link, "devicepipe")
    if wrong := sorted(_PARAMETERS ^ definition.external_parameters.keys()):
        raise IntegrityError(f"its externalParameters lack {wrong[0]}, or should not have it", link=link)
    for name in (SOURCE_CONFIG, SOURCE_FILES, PYTHON_ENVIRONMENT):
        if not bundle.exists(name):
            raise IntegrityError("is missing", link=name)
        if declaring.statement.digest_of(name) is None:
            raise IntegrityError(f"is not about {name}, which it should be", link=declaring.path)
    declared = _declared(bundle, source, board)
    asked = {"application": declared.get("application"), "bootloader": declared.get("bootloader")}
    same("environments", definition.external_parameters["environments"], asked, link, SOURCE_CONFIG)
    built = {firmware.role: firmware.environment for firmware in provenance.devicepipe.firmwares}
    same("built environments", built, asked, link, SOURCE_CONFIG)
    variables = definition.internal_parameters.get("environment", {})
    for what, expected in (
        ("DEVICEPIPE_VERSION", source.version),
        ("DEVICEPIPE_COMMIT", source.commit),
        ("DEVICEPIPE_IMAGE_KEY", f"sha256:{source.image_key.keyid}"),
        ("SOURCE_DATE_EPOCH", str(int(datetime.fromisoformat(source.commit_time).timestamp()))),
    ):
        same(what, variables.get(what), expected, link, "the source")
    materials = {entry.name: entry.digest.get("sha256") for entry in definition.resolved_dependencies if entry.name}
    manifest = str(declared.get("manifest"))
    same(f"digest of {manifest}", materials.get(manifest), source_files(bundle).get(manifest), link, SOURCE_FILES)
    same(
        f"digest of {PYTHON_ENVIRONMENT}",
        materials.get(PYTHON_ENVIRONMENT),
        bundle.sha256(PYTHON_ENVIRONMENT),
        link,
        "the file",
    )
    for tool in provenance.devicepipe.compilers:
        if tool.sha256 is not None and materials.get(f"{tool.name} {tool.version}") != tool.sha256:
            raise IntegrityError(f"{tool.name}, which made it, is not among its resolvedDependencies", link=link)


def _declared(bundle: Bundle, source: SourceInfo, board: str) -> dict[str, Any]:
    """The board's entry in the product's devicepipe.toml."""
    try:
        config = tomllib.loads(bundle.read(SOURCE_CONFIG).decode("utf-8"))
        entries = {str(entry["name"]): dict(entry) for entry in config["board"]}
        product = str(config["product"]["name"])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise IntegrityError("is no devicepipe.toml with a product and boards", link=SOURCE_CONFIG) from error
    same("product", product, source.product, SOURCE_CONFIG, "the source")
    same("boards", sorted(entries), sorted(source.boards), SOURCE_CONFIG, "the source")
    return entries[board]


def source_files(bundle: Bundle) -> dict[str, str]:
    """The source files of the release, each with its SHA-256, as its list says."""
    lines = bundle.read(SOURCE_FILES).decode("utf-8", "replace").splitlines()
    return {name: digest for digest, _, name in (line.partition("  ") for line in lines)}


def check_reproducibility(attestation: Attestation, build: BuildResult) -> None:
    """Check a board's comparison of two builds.

    Raises:
        IntegrityError: It says identical of what differs or was not all compared, or that two builds differed in what was the same.
    """
    twice, link = attestation.read(Reproducibility), attestation.path
    same("board", twice.board, attestation.board, link, "its name")
    if twice.identical and (twice.differences or twice.builds < _TWO or not twice.compared):
        raise IntegrityError("says identical, but not of two builds without differences", link=link)
    outputs = {
        artifact.path
        for firmware in build.firmwares
        for artifact in firmware.artifacts
        if artifact.role in COMPARED or artifact.role.startswith("data/")
    }
    if left_out := sorted(outputs - set(twice.compared)):
        raise IntegrityError(f"did not compare {left_out[0]}", link=link)
    for variation in twice.varied or []:
        if variation.first == variation.second:
            raise IntegrityError(f"says that the {variation.what} differed, and gives it twice alike", link=link)
