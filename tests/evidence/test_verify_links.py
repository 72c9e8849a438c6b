"""Bundles whose signatures are all good and whose story is not: the broken link is named."""

from __future__ import annotations

import json
import random
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from devicepipe.errors import IntegrityError
from devicepipe.evidence.verify import verify_bundle
from devicepipe.evidence.vulnerabilities import RECORDS
from devicepipe.signing.keys import DEVELOPMENT_MARKER
from tests.evidence.synthetic_bundle import (
    HEADER,
    SLOT,
    Keys,
    Spoil,
    board_files,
    development_keys,
    ecdsa_pair,
    image_digest,
    make_bundle,
    signed,
    to_hex,
)
from tests.evidence.synthetic_records import RECORD, VEX, VEX_FILE

SOURCE = "attestations/source.dsse.json"
SECRETS = "attestations/secrets.dsse.json"
GATE = "attestations/gate.dsse.json"
TRACE = "attestations/traceability.dsse.json"
IMAGE = "images/alpha/application.signed.bin"
TOOLS = "attestations/build-sbom.dsse.json"
MERGED = "attestations/merged-coverage.dsse.json"
PROGRAMS = ("application", "bootloader")
UPDATE = "images/alpha/application.update.signed.bin"
TABLE = "images/alpha/table.signed.bin"
FACTORY = "images/alpha/factory.hex"
ATTEMPT = {"verdict": "error", "reason": "lost", "durationSeconds": 0.1, "logStart": 0, "logEnd": 0, "measurements": []}
QUARANTINE = {
    "reason": "flaky", "owner": "A. Tester", "issue": "", "expires": "2999-12-31", "file": "hil/quarantine.toml", "line": 1,
}  # fmt: skip
MEASURED = {"name": "x", "where": "", "unit": "1", "low": 0.0, "high": 1.0}
OTHER = "0" * 64
VULNERABILITIES = "attestations/vulnerabilities.dsse.json"
DEVICE = "devicepipe.device."


def of(kind: str) -> str:
    return f"attestations/alpha/{kind}.dsse.json"


def edit(name: str, where: str, value: object) -> Spoil:
    """Set one value of a predicate; `where` is a dotted path."""

    def change(predicate: dict[str, Any]) -> None:
        *parents, last = (int(part) if part.isdigit() else part for part in where.split("."))
        target: Any = predicate
        for part in parents:
            target = target[part]
        target[last] = value

    return Spoil(edit={name: change})


def drop(name: str, where: str) -> Spoil:
    return Spoil(edit={name: lambda predicate: predicate.pop(where)})


def vex(**changes: Any) -> bytes:
    return json.dumps({"statements": [VEX["statements"][0] | changes]}).encode()


def files() -> dict[str, bytes]:
    return dict(board_files("alpha", "1.2.3", development_keys()))


def flipped(data: bytes, place: int) -> bytes:
    return data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]


def broken_link(tmp_path: Path, spoil: Spoil, boards: tuple[str, ...] = ("alpha",), keys: Keys | None = None) -> str:
    made = make_bundle(tmp_path, boards=boards, spoil=spoil, keys=keys)
    with pytest.raises(IntegrityError) as caught:
        verify_bundle(made.path, made.keys.release.public)
    return caught.value.link


@cache
def update_of(payload: bytes = b"", version: str = "1.2.3+1", **changes: Any) -> bytes:
    """An update-test image signed by the right key that is not quite what it should be."""
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        (work / "application.bin").write_bytes(payload or files()["application.bin"])
        return signed(work, "application", version, development_keys(), **changes).path.read_bytes()


@cache
def program_of_the_table() -> bytes:
    """The table signed as a program: a device could be made to run it."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "table.bin").write_bytes(files()["table.bin"])
        return signed(Path(folder), "table", "1.0.0", development_keys(), dependencies=()).path.read_bytes()


def passed_over_a_failure(test: dict[str, Any]) -> None:
    test.update(passedTests=["hil/test_pump.py::test_2"])
    test["devicepipe"]["cases"][0]["verdict"] = "failed"


ALLOWED = {
    "tool": "devicepipe-secrets",
    "rule": "own-key",
    "place": "source",
    "file": "k",
    "line": 1,
    "allowed": "why not",
}
FINDING = {
    "tool": "gcc", "rule": "-Wshadow", "level": "warning", "message": "x", "file": "a.c", "line": 1, "fingerprint": OTHER,
}  # fmt: skip
DECISION = {
    "fingerprint": OTHER, "tool": "gcc", "rule": "-Wshadow", "file": "a.c", "disposition": "accepted", "justification": "y",
}  # fmt: skip


def analysed(**values: object) -> Spoil:
    """An analysis by gcc that says something else."""
    return Spoil(
        edit={"alpha/analysis": lambda one: one.update({"tools": [{"name": "gcc", "version": "12"}]} | values)}
    )


def asked(name: str, value: object) -> Spoil:
    """A build with another external parameter."""
    return Spoil(edit={"alpha/build": lambda one: one["buildDefinition"]["externalParameters"].update({name: value})})


def material(name: str, digest: str) -> Spoil:
    """A build whose material of that name is another one."""

    def change(provenance: dict[str, Any]) -> None:
        materials = provenance["buildDefinition"]["resolvedDependencies"]
        (found,) = [one for one in materials if str(one.get("name", "")).startswith(name)]
        found["digest"] = {"sha256": digest}

    return Spoil(edit={"alpha/build": change})


STORIES: dict[str, tuple[Spoil, str]] = {
    # source and release
    "another version in the source": (edit("source", "version", "1.2.4"), SOURCE),
    "another commit in the source": (edit("source", "commit", "2e" * 20), SOURCE),
    "another product in the source": (edit("source", "product", "pomp"), SOURCE),
    "another version in the release": (edit("release", "version", "1.2.4"), SOURCE),
    "no board": (edit("source", "boards", []), SOURCE),
    "board twice": (edit("source", "boards", ["alpha", "alpha"]), SOURCE),
    "board that is a path": (edit("source", "boards", ["../alpha"]), SOURCE),
    "board without evidence": (edit("source", "boards", ["alpha", "beta"]), "attestations/beta/build.dsse.json"),
    "evidence of a board that is not released": (
        edit("source", "boards", ["beta"]),
        "attestations/beta/build.dsse.json",
    ),
    "source lacks a key": (drop("source", "tester"), SOURCE),
    "source has a further key": (edit("source", "comment", "x"), SOURCE),
    "true spelled as text": (edit("source", "dirty", "no"), SOURCE),
    "commit in upper case": (edit("source", "commit", "1F" * 20), SOURCE),
    **{
        f"no {kind}": (Spoil(leave_out=[f"alpha/{kind}"]), of(kind))
        for kind in ("reproducibility", "analysis", "memory", "sbom", "coverage")
    },
    "no test": (Spoil(leave_out=["alpha/test"]), of("test")),
    "no gate": (Spoil(leave_out=["gate"]), GATE),
    "no traceability": (Spoil(leave_out=["traceability"]), TRACE),
    "no source": (Spoil(leave_out=["source"]), SOURCE),
    # keys
    "no image key": (Spoil(leave_out=["keys/image.pub.pem"]), "keys/image.pub.pem"),
    "no release key": (Spoil(leave_out=["keys/release.pub.pem"]), "keys/release.pub.pem"),
    "image key is no key": (Spoil(files={"keys/image.pub.pem": b"hello"}), "keys/image.pub.pem"),
    "two image keys in one file": (
        Spoil(files={"keys/image.pub.pem": development_keys().image.public.pem + development_keys(1).image.public.pem}),
        "keys/image.pub.pem",
    ),
    "another image key": (Spoil(files={"keys/image.pub.pem": development_keys(1).image.public.pem}), SOURCE),
    "another release key": (Spoil(files={"keys/release.pub.pem": development_keys(1).release.public.pem}), SOURCE),
    "source names another image key": (edit("source", "imageKey.keyid", OTHER), SOURCE),
    "source hides that the image key is for development": (edit("source", "imageKey.development", value=False), SOURCE),
    "release hides development keys": (edit("release", "developmentKeys", value=False), "release.json"),
    # images
    "image with a flipped payload bit": (Spoil(files={IMAGE: flipped(files()["application.signed.bin"], 600)}), IMAGE),
    "image with junk behind it": (Spoil(files={IMAGE: files()["application.signed.bin"] + b"\xff" * 4}), IMAGE),
    "image without its last byte": (Spoil(files={IMAGE: files()["application.signed.bin"][:-1]}), IMAGE),
    "unsigned image": (Spoil(files={IMAGE: files()["application.bin"]}), IMAGE),
    "signing is not about its image": (Spoil(subjects={"alpha/signing": [FACTORY]}), of("signing")),
    "signing names no file of the bundle": (edit("alpha/signing", "image", "images/alpha/none.bin"), of("signing")),
    # build
    "build of another version": (
        edit("alpha/build", "buildDefinition.externalParameters.version", "1.2.4"),
        of("build"),
    ),
    "build of another commit": (
        edit("alpha/build", "buildDefinition.resolvedDependencies.0.digest.gitCommit", "2e" * 20),
        of("build"),
    ),
    **{
        f"build that was told another {what}": (
            edit("alpha/build", f"buildDefinition.externalParameters.{what}", value),
            of("build"),
        )
        for what, value in (
            ("board", "beta"),
            ("commit", "2e" * 20),
            ("dirty", True),
            ("imageKey", {"sha256": OTHER}),
        )
    },
    "build of two commits": (
        Spoil(
            edit={
                "alpha/build": lambda build: build["buildDefinition"]["resolvedDependencies"].append(
                    {"digest": {"gitCommit": "2e" * 20}}
                )
            }
        ),
        of("build"),
    ),
    "build without a commit": (edit("alpha/build", "buildDefinition.resolvedDependencies", []), of("build")),
    "build of another board": (edit("alpha/build", "devicepipe.board", "beta"), of("build")),
    "build output with another digest": (
        edit("alpha/build", "devicepipe.firmwares.0.artifacts.0.sha256", OTHER),
        of("build"),
    ),
    "build output with another size": (edit("alpha/build", "devicepipe.firmwares.0.artifacts.0.size", 1), of("build")),
    "build output that is not there": (
        edit("alpha/build", "devicepipe.firmwares.0.artifacts.0.path", "images/alpha/x.elf"),
        of("build"),
    ),
    "build without an application": (edit("alpha/build", "devicepipe.firmwares", []), of("build")),
    "build about none of its outputs": (Spoil(subjects={"alpha/build": ["keys/image.pub.pem"]}), of("build")),
    # reports
    "a tool proven that did not run": (edit("alpha/analysis", "provenOn", {"gcc": "a.c"}), of("analysis")),
    "a finding of a tool that did not run": (edit("alpha/analysis", "findings", [FINDING]), of("analysis")),
    "a tool that ran and did not": (analysed(absent={"gcc": "gone"}), of("analysis")),
    "a decision that nobody took": (analysed(findings=[{**FINDING, "disposition": "accepted"}]), of("analysis")),
    "a decision about another finding": (
        analysed(findings=[{**FINDING, "disposition": "accepted"}], dispositions=[{**DECISION, "rule": "-Wother"}]),
        of("analysis"),
    ),
    "a decision without a reason": (analysed(dispositions=[{**DECISION, "justification": ""}]), of("analysis")),
    "no search for secrets": (Spoil(leave_out=["secrets"]), SECRETS),
    "an image that was not searched": (edit("secrets", "images", [IMAGE]), SECRETS),
    "sources that were not searched": (edit("secrets", "sourceFiles", 0), SECRETS),
    "a key that was not searched for": (edit("secrets", "keys", []), SECRETS),
    "another key searched for": (edit("secrets", "keys.0.keyid", OTHER), SECRETS),
    "a search that is about nothing": (Spoil(subjects={"secrets": ["evidence/source/files.sha256"]}), SECRETS),
    "a search proven that was not": (edit("secrets", "provenOn", {"gitleaks": "x"}), SECRETS),
    "an own key that is allowed": (edit("secrets", "findings", [ALLOWED]), SECRETS),
    "another build type": (edit("alpha/build", "buildDefinition.buildType", "https://example.com/make"), of("build")),
    "a parameter that nobody declared": (asked("flags", "-O0"), of("build")),
    "another environment was asked for": (
        asked("environments", {"application": "alpha_debug", "bootloader": "alpha"}),
        of("build"),
    ),
    "another environment was built": (
        edit("alpha/build", "devicepipe.firmwares.0.environment", "alpha_debug"),
        of("build"),
    ),
    "another version in the build's environment": (
        edit("alpha/build", "buildDefinition.internalParameters.environment.DEVICEPIPE_VERSION", "9.9.9"),
        of("build"),
    ),
    "another time in the build's environment": (
        edit("alpha/build", "buildDefinition.internalParameters.environment.SOURCE_DATE_EPOCH", "0"),
        of("build"),
    ),
    "another board manifest": (
        Spoil(files={"evidence/source/files.sha256": f"{OTHER}  boards/alpha.json\n".encode()}),
        of("build"),
    ),
    "another Python environment": (material("evidence/source/python-environment.txt", OTHER), of("build")),
    "another compiler among the materials": (material("gcc", OTHER), of("build")),
    "a configuration of another product": (
        Spoil(files={"evidence/source/devicepipe.toml": b'[product]\nname = "pomp"\n[[board]]\nname = "alpha"\n'}),
        "evidence/source/devicepipe.toml",
    ),
    "a configuration of other boards": (
        Spoil(files={"evidence/source/devicepipe.toml": b'[product]\nname = "pump"\n[[board]]\nname = "gamma"\n'}),
        "evidence/source/devicepipe.toml",
    ),
    "a configuration that is none": (
        Spoil(files={"evidence/source/devicepipe.toml": b"product"}),
        "evidence/source/devicepipe.toml",
    ),
    "a source that is not about its configuration": (
        Spoil(subjects={"source": ["keys/image.pub.pem", "keys/release.pub.pem"]}),
        SOURCE,
    ),
    "reproducibility of another board": (edit("alpha/reproducibility", "board", "beta"), of("reproducibility")),
    "identical after one build": (edit("alpha/reproducibility", "builds", 1), of("reproducibility")),
    "a program that was not compared": (
        edit("alpha/reproducibility", "compared", ["images/alpha/application.bin"]),
        of("reproducibility"),
    ),
    "surroundings that differ and do not": (
        edit("alpha/reproducibility", "varied", [{"what": "folder", "first": "a", "second": "a"}]),
        of("reproducibility"),
    ),
    "identical after comparing nothing": (edit("alpha/reproducibility", "compared", []), of("reproducibility")),
    "identical with a difference": (
        edit("alpha/reproducibility", "differences", [{"artifact": "application.bin", "offset": 3}]),
        of("reproducibility"),
    ),
    "coverage of a board that is not there": (edit("source", "coverage", ["alpha", "beta"]), SOURCE),
    "coverage that the source does not want": (drop("source", "coverage"), of("coverage")),
    "coverage of another board": (edit("alpha/coverage", "board", "beta"), of("coverage")),
    "coverage of another image": (edit("alpha/coverage", "imageDigest", OTHER), of("coverage")),
    "coverage of other programs": (
        Spoil(subjects={"alpha/coverage": [IMAGE, "attestations/alpha/test.dsse.json"]}),
        of("coverage"),
    ),
    "coverage of another session": (
        Spoil(subjects={"alpha/coverage": [IMAGE, *(f"images/alpha/{name}.elf" for name in PROGRAMS)]}),
        of("coverage"),
    ),
    "coverage by more tests than ran": (edit("alpha/coverage", "tests", 3), of("coverage")),
    "function executed by more tests than ran": (edit("alpha/coverage", "functions.0.hits", 5), of("coverage")),
    "coverage for a requirement without a test": (
        edit("alpha/coverage", "requirements", {"SRS-002": [0]}),
        of("coverage"),
    ),
    "coverage for a requirement by a function that did not run": (
        edit("alpha/coverage", "requirements.SRS-001", [1]),
        of("coverage"),
    ),
    "coverage with a better total": (edit("alpha/coverage", "total.lines.executed", 5), of("coverage")),
    "coverage without the function that did not run": (
        Spoil(edit={"alpha/coverage": lambda coverage: coverage["functions"].pop()}),
        of("coverage"),
    ),
    "no merged coverage": (Spoil(leave_out=["merged-coverage"]), MERGED),
    "merged coverage of other boards": (edit("merged-coverage", "boards", []), MERGED),
    "merged coverage of nothing": (Spoil(subjects={"merged-coverage": [IMAGE]}), MERGED),
    "merged coverage hides a function that did not run": (edit("merged-coverage", "neverExecuted", []), MERGED),
    "merged coverage hides a file": (edit("merged-coverage", "files", []), MERGED),
    "merged coverage with better instructions": (edit("merged-coverage", "files.0.instructions.executed", 9), MERGED),
    "merged coverage with better functions": (edit("merged-coverage", "files.0.functions.any", 2), MERGED),
    "merged coverage with a better total": (edit("merged-coverage", "total.outcomes.executed", 2), MERGED),
    "memory of another board": (edit("alpha/memory", "board", "beta"), of("memory")),
    "memory of a program that was not built": (edit("alpha/memory", "programs.0.flash.used", 2), of("memory")),
    "memory of another image": (edit("alpha/memory", "slot.used", 12), of("memory")),
    "memory of nothing": (Spoil(subjects={"alpha/memory": ["keys/image.pub.pem"]}), of("memory")),
    "memory is not about the image": (Spoil(subjects={"alpha/memory": ["images/alpha/application.elf"]}), of("memory")),
    "analysis of another board": (edit("alpha/analysis", "board", "beta"), of("analysis")),
    "analysis of nothing": (Spoil(subjects={"alpha/analysis": ["keys/image.pub.pem"]}), of("analysis")),
    "SBOM that is none": (edit("alpha/sbom", "bomFormat", "SPDX"), of("sbom")),
    "SBOM of another image": (edit("alpha/sbom", "metadata.component.hashes.0.content", OTHER), of("sbom")),
    "SBOM of nothing": (drop("alpha/sbom", "metadata"), of("sbom")),
    "SBOM is not about the factory image": (
        Spoil(subjects={"alpha/sbom": ["evidence/alpha/sbom.cdx.json", "images/alpha/application.elf"]}),
        of("sbom"),
    ),
    "SBOM whose file says something else": (Spoil(files={"evidence/alpha/sbom.cdx.json": b"{}"}), of("sbom")),
    "SBOM without its file": (
        Spoil(subjects={"alpha/sbom": [FACTORY, "images/alpha/application.elf"]}),
        of("sbom"),
    ),
    "SBOM of an archive that was not built from": (
        edit("alpha/sbom", "components.0.externalReferences.0.hashes.0.content", OTHER),
        of("sbom"),
    ),
    "SBOM with a component that is none": (edit("alpha/sbom", "components.0", "crypto"), of("sbom")),
    "no SBOM of the tools": (Spoil(leave_out=["build-sbom"]), TOOLS),
    "SBOM of the tools without a compiler": (edit("build-sbom", "components", []), TOOLS),
    "SBOM of the tools with another compiler": (edit("build-sbom", "components.0.hashes.0.content", OTHER), TOOLS),
    "SBOM of the tools of another build": (
        Spoil(subjects={"build-sbom": ["evidence/build-sbom.cdx.json"]}),
        TOOLS,
    ),
    "SBOM of the tools whose file says something else": (Spoil(files={"evidence/build-sbom.cdx.json": b"{}"}), TOOLS),
    # vulnerabilities
    "no check of vulnerabilities": (Spoil(leave_out=["vulnerabilities"]), VULNERABILITIES),
    "a check of vulnerabilities that nobody asks for": (drop("source", "vulnerabilities"), VULNERABILITIES),
    **{
        f"vulnerabilities: {what}": (edit("vulnerabilities", f"devicepipe.{where}", value), VULNERABILITIES)
        for what, where, value in (
            ("another snapshot than asked for", "snapshot.sha256", OTHER),
            ("a snapshot said to be newer", "snapshot.date", "2026-03-02"),
            ("an older one allowed than asked for", "maxAge", 31),
            ("no data accepted though refused", "noData", "accept"),
            ("a component left out", "components", []),
            ("a component of another version", "components.0.version", "1.1"),
            ("a component of a board that is not there", "components.0.boards", ["alpha", "beta"]),
            ("a verdict that does not follow", "components.0.verdict", "fixed"),
            (
                "a match left out",
                "components.0",
                {
                    "name": "crypto",
                    "version": "1.0",
                    "purl": "pkg:github/somebody/crypto@1.0",
                    "cpe": "",
                    "boards": ["alpha"],
                    "verdict": "no_data",
                    "matches": [],
                },
            ),
            ("a record that is not there", "components.0.matches.0.id", "X-2"),
            ("another record of that name", "components.0.matches.0.recordSha256", OTHER),
            ("another justification", "components.0.matches.0.justification", "component_not_present"),
            ("a statement that is not there", "components.0.matches.0.statement", "crypto.json#2"),
            ("cleared by version and by a statement", "components.0.matches.0.by", "version"),
            ("a VEX document left out", "vex", []),
            (
                "exploited by a record that is not there",
                "components.0.matches.0.exploited",
                {"since": "2026-02-01", "record": "KEV/X-1"},
            ),
        )
    },
    "vulnerabilities: a result that does not follow": (
        edit("vulnerabilities", "scanner.result", [{"id": "X-1", "severity": [], "annotations": []}]),
        VULNERABILITIES,
    ),
    "vulnerabilities of nothing": (Spoil(subjects={"vulnerabilities": [IMAGE]}), VULNERABILITIES),
    "vulnerabilities: a record that was changed": (
        Spoil(files={RECORDS: json.dumps({"X-1": '{"id": "X-1", "affected": []}'}).encode()}),
        VULNERABILITIES,
    ),
    "vulnerabilities: that it is exploited is left out": (
        Spoil(files={RECORDS: json.dumps({"X-1": RECORD, "KEV/X-1": "{}"}).encode()}),
        VULNERABILITIES,
    ),
    "vulnerabilities: a record too many": (
        Spoil(files={RECORDS: json.dumps({"X-1": RECORD, "X-2": "{}"}).encode()}),
        VULNERABILITIES,
    ),
    "vulnerabilities: records that are none": (Spoil(files={RECORDS: b"[]"}), RECORDS),
    "vulnerabilities: a statement that says affected": (
        Spoil(files={VEX_FILE: vex(status="affected")}),
        VULNERABILITIES,
    ),
    "vulnerabilities: a statement under investigation": (
        Spoil(files={VEX_FILE: vex(status="under_investigation")}),
        VULNERABILITIES,
    ),
    "vulnerabilities: a statement about another vulnerability": (
        Spoil(files={VEX_FILE: vex(vulnerability={"name": "X-2"})}),
        VULNERABILITIES,
    ),
    "vulnerabilities: a statement about another component": (
        Spoil(files={VEX_FILE: vex(products=[{"@id": "pkg:github/somebody/other"}])}),
        VULNERABILITIES,
    ),
    "vulnerabilities: no document of statements": (Spoil(files={VEX_FILE: b"{}"}), VEX_FILE),
    # source
    "a source that names no author": (drop("source", "authors"), SOURCE),
    "a source with an empty list of authors": (edit("source", "authors", []), SOURCE),
    "a source whose author has no address": (edit("source", "authors", [" "]), SOURCE),
    # campaigns
    "no campaigns": (Spoil(leave_out=["alpha/campaigns"]), of("campaigns")),
    "campaigns that nobody asks for": (drop("source", "campaigns"), of("campaigns")),
    "campaigns of another board": (edit("alpha/campaigns", "board", "beta"), of("campaigns")),
    "campaigns of another image": (edit("alpha/campaigns", "imageDigest", OTHER), of("campaigns")),
    "a result of another image": (edit("alpha/campaigns", "results.0.imageDigest", OTHER), of("campaigns")),
    "campaigns are not about the image": (Spoil(subjects={"alpha/campaigns": ["keys/image.pub.pem"]}), of("campaigns")),
    "a campaign left out": (edit("alpha/campaigns", "results", []), of("campaigns")),
    "a campaign of another seed": (edit("alpha/campaigns", "results.0.seed", 8), of("campaigns")),
    "a campaign of fewer points": (edit("source", "campaigns.0.points", 4), of("campaigns")),
    "points without an outcome": (edit("alpha/campaigns", "results.0.groups.0.points", 4), of("campaigns")),
    "more points than there are outcomes": (edit("alpha/campaigns", "results.0.points", 4), of("campaigns")),
    "one campaign asked for twice": (
        edit("source", "campaigns", [{"kind": "powercut", "points": 3, "seed": 7}] * 2),
        SOURCE,
    ),
    # signing
    "signing of another board": (edit("alpha/signing", "board", "beta"), of("signing")),
    "signing with another image digest": (edit("alpha/signing", "imageDigest", OTHER), of("signing")),
    "signing with another payload digest": (edit("alpha/signing", "payloadDigest", OTHER), of("signing")),
    "signing with another security counter": (edit("alpha/signing", "securityCounter", 2), of("signing")),
    "signing with another image version": (edit("alpha/signing", "imageVersion", "1.2.4+0"), of("signing")),
    "signing with another key": (edit("alpha/signing", "key.keyid", OTHER), of("signing")),
    "signed payload is not the built binary": (
        Spoil(files={"images/alpha/application.bin": b"rebuilt"}),
        of("signing"),
    ),
    # factory image
    "factory image is no Intel HEX": (Spoil(files={FACTORY: b"hello"}), FACTORY),
    "factory image with another image": (
        Spoil(files={FACTORY: files()["bootloader.hex"].replace(b":00000001FF\n", to_hex(b"\0" * 9, SLOT.address))}),
        FACTORY,
    ),
    "factory image without the bootloader": (
        Spoil(files={FACTORY: to_hex(files()["application.signed.bin"], SLOT.address)}),
        FACTORY,
    ),
    "factory image with something more": (
        Spoil(files={FACTORY: files()["factory.hex"].replace(b":00000001FF\n", to_hex(b"more", 0x30000))}),
        FACTORY,
    ),
    "factory image with the image at another address": (
        Spoil(
            files={
                FACTORY: files()["bootloader.hex"].replace(
                    b":00000001FF\n", to_hex(files()["application.signed.bin"], SLOT.address + 0x1000)
                )
            }
        ),
        FACTORY,
    ),
    "application linked for another address": (
        Spoil(files={"images/alpha/application.hex": to_hex(files()["application.bin"], SLOT.address + HEADER + 4)}),
        FACTORY,
    ),
    # data images and the update-test image
    "data image that is a program": (Spoil(files={TABLE: program_of_the_table()}), TABLE),
    "data image of another version": (edit("alpha/signing", "data.0.imageVersion", "1.0.1+0"), of("signing")),
    "data image of another counter": (edit("alpha/signing", "data.0.securityCounter", 2), of("signing")),
    "data image with another digest": (edit("alpha/signing", "data.0.imageDigest", OTHER), of("signing")),
    "data image with another payload digest": (edit("alpha/signing", "data.0.payloadDigest", OTHER), of("signing")),
    "data image that holds another file": (Spoil(files={"images/alpha/table.bin": b"other" * 30}), of("signing")),
    "data image of no file of the build": (
        edit("alpha/signing", "data.0.artifact", "images/alpha/application.bin"),
        of("signing"),
    ),
    "data image numbered as the application": (edit("alpha/signing", "data.0.number", 0), of("signing")),
    "data image left out of the attestation": (edit("alpha/signing", "data", []), of("signing")),
    "data image said to lie elsewhere": (edit("alpha/signing", "data.0.address", 0x21000), FACTORY),
    "data image of a flipped bit": (Spoil(files={TABLE: flipped(files()["table.signed.bin"], 600)}), TABLE),
    "data image that is the application": (edit("alpha/signing", "data.0.image", IMAGE), of("signing")),
    "signing is not about the data image": (Spoil(subjects={"alpha/signing": [IMAGE, UPDATE, FACTORY]}), of("signing")),
    "gate is not about the data image": (Spoil(subjects={"gate": [IMAGE, UPDATE]}), GATE),
    "factory image without the data image": (
        Spoil(
            files={
                FACTORY: files()["bootloader.hex"].replace(
                    b":00000001FF\n", to_hex(files()["application.signed.bin"], SLOT.address)
                )
            }
        ),
        FACTORY,
    ),
    "other dependencies": (edit("alpha/signing", "dependencies", []), of("signing")),
    "update of another payload": (Spoil(files={UPDATE: update_of(payload=b"other" * 300)}), of("signing")),
    "update of another payload, attested as such": (
        Spoil(
            files={UPDATE: update_of(payload=b"other" * 300)},
            edit={
                "alpha/signing": lambda s: s["update"].update(
                    imageDigest=image_digest(update_of(payload=b"other" * 300))
                )
            },
        ),
        UPDATE,
    ),
    "update that skips a build number": (
        Spoil(
            files={UPDATE: update_of(version="1.2.3+2")},
            edit={
                "alpha/signing": lambda s: s["update"].update(
                    imageDigest=image_digest(update_of(version="1.2.3+2")), imageVersion="1.2.3+2"
                )
            },
        ),
        UPDATE,
    ),
    "update that burns a security counter": (
        Spoil(
            files={UPDATE: update_of(security_counter=2)},
            edit={
                "alpha/signing": lambda s: s["update"].update(imageDigest=image_digest(update_of(security_counter=2)))
            },
        ),
        UPDATE,
    ),
    "update signed by another key": (
        Spoil(files={UPDATE: board_files("alpha", "1.2.3", development_keys(1))["application.update.signed.bin"]}),
        UPDATE,
    ),
    "update that nothing attests": (
        Spoil(
            edit={"alpha/signing": lambda s: s.pop("update")},
            subjects={"alpha/signing": [IMAGE, TABLE, FACTORY], "gate": [IMAGE, TABLE]},
        ),
        UPDATE,
    ),
    # test
    "test of another payload": (edit("alpha/test", "devicepipe.payloadDigest", OTHER), of("test")),
    "test of another image": (edit("alpha/test", "devicepipe.imageDigest", OTHER), of("test")),
    "test of another board": (edit("alpha/test", "devicepipe.board", "beta"), of("test")),
    "test on another board's device": (edit("alpha/test", "devicepipe.device.board", "beta"), of("test")),
    "test on a device that was out of service": (edit("alpha/test", DEVICE + "outOfService", "it hangs"), of("test")),
    "test on a real device that nobody had": (edit("alpha/test", DEVICE + "emulated", False), of("test")),
    "test on an emulated device with a lease": (edit("alpha/test", DEVICE + "leaseToken", 3), of("test")),
    "test with instruments whose calibration was over": (
        edit("alpha/test", DEVICE + "calibrationDue", "2020-01-01"),
        of("test"),
    ),
    "test on the device of another serial number": (edit("alpha/test", DEVICE + "statedSerial", "DP-18"), of("test")),
    "test with a lease that cannot be": (edit("alpha/test", DEVICE + "leaseToken", 0), of("test")),
    "test with another serial log": (edit("alpha/test", "devicepipe.serialLogSha256", OTHER), of("test")),
    "test whose serial log was exchanged": (
        Spoil(
            files={"evidence/beta/x": b"x"},
            edit={"alpha/test": lambda t: t["devicepipe"].update(serialLog="evidence/beta/x")},
        ),
        of("test"),
    ),
    "test with another configuration": (edit("alpha/test", "configuration.0.digest.sha256", OTHER), of("test")),
    "test with a configuration that is not there": (
        edit("alpha/test", "configuration.0.name", "bench.toml"),
        of("test"),
    ),
    "test is not about the image": (Spoil(subjects={"alpha/test": ["evidence/alpha/serial.log"]}), of("test")),
    "device ran another image before": (edit("alpha/test", "devicepipe.identityBefore.digest", OTHER), of("test")),
    "device ran another image afterwards": (edit("alpha/test", "devicepipe.identityAfter.digest", OTHER), of("test")),
    "device had another commit": (edit("alpha/test", "devicepipe.identityBefore.commit", "2e" * 20), of("test")),
    "device had another version": (edit("alpha/test", "devicepipe.identityBefore.version", "1.2.2+0"), of("test")),
    "device was another board": (edit("alpha/test", "devicepipe.identityAfter.board", "beta"), of("test")),
    "device was not asked": (Spoil(edit={"alpha/test": lambda t: t["devicepipe"].pop("identityAfter")}), of("test")),
    "unknown verdict": (edit("alpha/test", "devicepipe.cases.0.verdict", "skipped"), of("test")),
    "failed case in the list of passed ones": (edit("alpha/test", "devicepipe.cases.0.verdict", "failed"), of("test")),
    "PASSED over a failed case": (Spoil(edit={"alpha/test": passed_over_a_failure}), of("test")),
    "case twice": (edit("alpha/test", "devicepipe.cases.1.id", "hil/test_pump.py::test_1"), of("test")),
    "passed test that was no case": (edit("alpha/test", "passedTests", ["a", "b"]), of("test")),
    "test whose link's log is missing": (
        edit(
            "alpha/test", "devicepipe.uartLogs", [{"uart": 1, "links": ["plant"], "log": "no.log", "logSha256": OTHER}]
        ),
        of("test"),
    ),
    "case that passed outside its limits": (
        edit("alpha/test", "devicepipe.cases.0.measurements", [MEASURED | {"value": 2.0, "within": False}]),
        of("test"),
    ),
    "value outside its limits that is said to be within": (
        edit("alpha/test", "devicepipe.cases.0.measurements", [MEASURED | {"value": 2.0, "within": True}]),
        of("test"),
    ),
    "case outside the serial log": (edit("alpha/test", "devicepipe.cases.0.logEnd", 10_000), of("test")),
    "attempt outside its case's part of the serial log": (
        edit("alpha/test", "devicepipe.cases.0.earlierAttempts", [ATTEMPT | {"logStart": 3, "logEnd": 5}]),
        of("test"),
    ),
    "case tried again after it passed": (
        edit("alpha/test", "devicepipe.cases.0.earlierAttempts", [ATTEMPT | {"verdict": "passed"}]),
        of("test"),
    ),
    "case in a quarantine that had ended": (
        edit("alpha/test", "devicepipe.cases.0.quarantine", QUARANTINE | {"expires": "1999-12-31"}),
        of("test"),
    ),
    "matrix shows as passed what was in quarantine": (
        edit("alpha/test", "devicepipe.cases.0.quarantine", QUARANTINE),
        TRACE,
    ),
    # traceability
    "matrix shows as passed what was not run": (
        edit("traceability", "matrix.0.test", "hil/test_pump.py::test_3"),
        TRACE,
    ),
    "matrix shows as passed on another board": (edit("traceability", "matrix.0.verdicts.beta", "passed"), TRACE),
    "matrix leaves a test out": (Spoil(edit={"traceability": lambda t: t["matrix"].pop()}), TRACE),
    # stray images
    "image that nothing attests": (
        Spoil(files={"images/alpha/second.signed.bin": b"x"}),
        "images/alpha/second.signed.bin",
    ),
    # gate
    "gate judged other evidence": (edit("gate", "inputAttestations.0.digest.sha256", OTHER), GATE),
    "gate judged too little": (Spoil(edit={"gate": lambda g: g["inputAttestations"].pop()}), GATE),
    "gate judged something twice": (
        Spoil(edit={"gate": lambda g: g["inputAttestations"].append(g["inputAttestations"][0])}),
        GATE,
    ),
    "gate's input has a second digest": (edit("gate", "inputAttestations.0.digest.md5", "0" * 32), GATE),
    "gate by other rules": (edit("gate", "policy.digest.sha256", OTHER), GATE),
    "gate by rules that are not there": (edit("gate", "policy.uri", "evidence/policy/other.toml"), GATE),
    "gate by rules without a digest": (Spoil(edit={"gate": lambda g: g["policy"].pop("digest")}), GATE),
    "gate is not about the image": (Spoil(subjects={"gate": ["keys/image.pub.pem"]}), GATE),
    "gate says PASSED and decided otherwise": (edit("gate", "devicepipe.releasable", value=False), GATE),
    "gate says FAILED and decided otherwise": (edit("gate", "verificationResult", "FAILED"), GATE),
    "releasable over a dirty tree": (
        Spoil(
            edit={
                "source": lambda source: source.update(dirty=True),
                "alpha/build": lambda build: build["buildDefinition"]["externalParameters"].update(dirty=True),
            }
        ),
        GATE,
    ),
    "releasable over a broken rule": (
        edit(
            "gate",
            "devicepipe.decisions",
            [
                {
                    "rule": "tests-pass",
                    "title": "t",
                    "clause": "c",
                    "severity": "error",
                    "passed": False,
                    "message": "m",
                    "remedy": "r",
                    "board": "",
                }
            ],
        ),
        GATE,
    ),
    "release gives other reasons": (edit("release", "reasons", ["it is fine"]), "release.json"),
    "release denies what the gate decided": (edit("release", "releasable", value=False), "release.json"),
}


@pytest.mark.parametrize(("spoil", "link"), STORIES.values(), ids=STORIES.keys())
def test_a_story_that_does_not_hold(tmp_path: Path, spoil: Spoil, link: str) -> None:
    assert broken_link(tmp_path, spoil) == link


def test_a_second_spelling_of_one_version_is_refused(tmp_path: Path) -> None:
    made = make_bundle(tmp_path, version="1.2.3+0")
    with pytest.raises(IntegrityError, match=r"version '1.2.3\+0' is the version 1.2.3 of a device") as caught:
        verify_bundle(made.path, made.keys.release.public)
    assert caught.value.link == SOURCE


def test_a_not_releasable_bundle_verifies(tmp_path: Path) -> None:
    def failed(gate: dict[str, Any]) -> None:
        gate["verificationResult"] = "FAILED"
        gate["devicepipe"].update(releasable=False, reasons=["it failed"])

    spoil = Spoil(
        edit={"gate": failed, "release": lambda release: release.update(releasable=False, reasons=["it failed"])}
    )
    made = make_bundle(tmp_path, spoil=spoil)
    assert not verify_bundle(made.path, made.keys.release.public).release.releasable


def test_a_test_that_reports_a_wrong_device_verifies_but_nothing_of_it_may_show_as_passed(tmp_path: Path) -> None:
    def wrong_device(test: dict[str, Any]) -> None:
        test["devicepipe"]["identityErrors"] = ["device says digest '00', expected '01'"]

    assert broken_link(tmp_path, Spoil(edit={"alpha/test": wrong_device})) == TRACE


@pytest.mark.parametrize(
    "kind",
    ["build", "reproducibility", "analysis", "memory", "sbom", "signing", "test", "coverage", "campaigns"],
)
def test_attestation_about_another_boards_files(tmp_path: Path, kind: str) -> None:
    """Board alpha's evidence must not rest on what was built for beta."""

    made = make_bundle(
        tmp_path, boards=("beta", "alpha"), spoil=Spoil(subjects={f"alpha/{kind}": ["images/beta/application.elf"]})
    )
    with pytest.raises(IntegrityError) as caught:
        verify_bundle(made.path, made.keys.release.public)
    assert caught.value.link == of(kind)


def test_an_image_signed_by_another_key(tmp_path: Path) -> None:
    foreign = board_files("alpha", "1.2.3", development_keys(1))["application.signed.bin"]
    assert broken_link(tmp_path, Spoil(files={IMAGE: foreign})) == IMAGE


def test_an_image_of_another_board(tmp_path: Path) -> None:
    foreign = board_files("beta", "1.2.3", development_keys())["application.signed.bin"]
    assert broken_link(tmp_path, Spoil(files={IMAGE: foreign})) == of("signing")


def test_an_image_key_that_cannot_sign_images(tmp_path: Path) -> None:
    key = ecdsa_pair().public

    def name_it(source: dict[str, Any]) -> None:
        source["imageKey"] = {"keyid": key.keyid, "scheme": key.scheme, "development": False}

    spoil = Spoil(files={"keys/image.pub.pem": key.pem}, edit={"source": name_it})
    assert broken_link(tmp_path, spoil) == "keys/image.pub.pem"


def test_a_development_key_cannot_shed_its_marker_before_a_verifier_who_knows(tmp_path: Path) -> None:
    keys = development_keys()
    plain = keys.release.public.pem.replace(DEVELOPMENT_MARKER.encode() + b"\n", b"")

    def deny(source: dict[str, Any]) -> None:
        source["releaseKey"]["development"] = False

    spoil = Spoil(files={"keys/release.pub.pem": plain}, edit={"source": deny})
    assert broken_link(tmp_path, spoil) == "keys/release.pub.pem"


def test_production_keys(tmp_path: Path) -> None:
    keys = Keys(development_keys().image, ecdsa_pair())
    made = make_bundle(tmp_path, keys=keys)
    verified = verify_bundle(made.path, keys.release.public)
    assert verified.release.development_keys  # the image key still is one


@pytest.mark.parametrize("seed", range(4))
def test_any_changed_bit_of_the_signed_image_is_named(tmp_path: Path, seed: int) -> None:
    data = files()["application.signed.bin"]
    place = random.Random(seed).randrange(len(data))
    assert broken_link(tmp_path, Spoil(files={IMAGE: flipped(data, place)})) == IMAGE
