"""The cross links of a build: what is said of its being repeated must agree in itself, and with what was built."""

from __future__ import annotations

from devicepipe.errors import IntegrityError
from devicepipe.evidence.bundle import Attestation
from devicepipe.evidence.checks import same
from devicepipe.evidence.predicates import BuildResult, Reproducibility

COMPARED = ("elf", "bin", "hex")
"""The roles of artifacts that two builds are compared by, beside data files."""

_TWO = 2


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
