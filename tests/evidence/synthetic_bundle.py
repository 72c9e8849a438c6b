"""A small, complete and verifiable bundle, made with the real writer, the real signers and the real imgtool.

`make_bundle` takes edits of predicates and files *before* they are signed: that is how a bundle comes about whose signatures are
all good and whose story is not.
"""

from __future__ import annotations

import hashlib
import io
import json
import random
import struct
import tempfile
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from intelhex import IntelHex
from securesystemslib.signer import Signer

from devicepipe.evidence import campaigns as f
from devicepipe.evidence import coverage as c
from devicepipe.evidence import decisions as d
from devicepipe.evidence import foreign_results as n
from devicepipe.evidence import predicates as p
from devicepipe.evidence import results as r
from devicepipe.evidence import secrets as x
from devicepipe.evidence import vulnerabilities as v
from devicepipe.evidence.bundle import Attestation, BundleWriter
from devicepipe.evidence.findings import StaticAnalysis
from devicepipe.evidence.layout import (
    IMAGE_KEY,
    PYTHON_ENVIRONMENT,
    RELEASE_KEY,
    SOURCE_CONFIG,
    SOURCE_FILES,
    sbom_file,
)
from devicepipe.evidence.memory import Memory, ProgramMemory, StackUse
from devicepipe.evidence.model import Model
from devicepipe.evidence.trace import MatrixRow, Traceability
from devicepipe.evidence.words import HOST
from devicepipe.signing.factory import Placement, make_factory_image
from devicepipe.signing.image import SignedImage, imgtool_version, next_build, sign_image
from devicepipe.signing.keys import PublicKey, ensure_development_keys, load_signer
from devicepipe.signing.trusted_key import trusted_forms
from tests.evidence.synthetic_records import (
    ARCHIVE,
    COMMIT,
    COMPILER,
    JUNIT,
    JUNIT_FILE,
    RECORD,
    RULES,
    TIME,
    UNIT,
    VEX,
    VEX_FILE,
    assessment,
    build_sbom,
    campaigns,
    coverage,
    decisions,
    foreign_results,
    merged_coverage,
    sbom,
)

HEADER, BOOTLOADER, SLOT, TABLE = 512, Placement(0, 0x8000), Placement(0x8000, 0x8000), Placement(0x20000, 0x1000)
DEPENDENCY = "(1, 1.0.0+0)"
PRODUCTION_FILE = "keys/production.pub.pem"
"""Where the production key's public half lies in the product's repository."""

Edit = Callable[[dict[str, Any]], None]


@dataclass(frozen=True)
class Pair:
    """A signer and its public key."""

    signer: Signer
    public: PublicKey

    @property
    def info(self) -> p.KeyInfo:
        return p.KeyInfo(keyid=self.public.keyid, scheme=self.public.scheme, development=self.public.development)


@dataclass(frozen=True)
class Keys:
    image: Pair
    release: Pair


@dataclass(frozen=True)
class Made:
    """A published bundle and what it was made with."""

    path: Path
    keys: Keys
    attestations: Mapping[str, Attestation]


@dataclass(frozen=True)
class Spoil:
    """What to do differently from a good bundle.

    Attributes:
        edit: By attestation name ("source", "alpha/build", "release"): changes the predicate's JSON before it is signed.
        files: By file name: other bytes, or further files.
        leave_out: Attestations and files that are not written.
        subjects: By attestation name: other subjects.
    """

    edit: Mapping[str, Edit] = field(default_factory=dict)
    files: Mapping[str, bytes] = field(default_factory=dict)
    leave_out: Collection[str] = ()
    subjects: Mapping[str, Sequence[str]] = field(default_factory=dict)


@cache
def development_keys(which: int = 0) -> Keys:
    """Development keys; another number gives other ones."""
    assert which >= 0
    with tempfile.TemporaryDirectory() as folder:
        made = ensure_development_keys(Path(folder))
        return Keys(Pair(made.image.signer(), made.image.public), Pair(made.release.signer(), made.release.public))


@cache
def ecdsa_pair() -> Pair:
    """An ECDSA P-256 release key, not for development."""
    private = generate_private_key(SECP256R1())
    public = PublicKey.from_pem(private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    with tempfile.TemporaryDirectory() as folder:
        pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        (Path(folder) / "release.pem").write_bytes(pem)
        return Pair(load_signer("file:release.pem", public, Path(folder)), public)


@cache
def production_pair(which: int = 0) -> Pair:
    """The Ed25519 production key, not for development, that every synthetic bundle names; another number gives another one."""
    assert which >= 0
    private = Ed25519PrivateKey.generate()
    public = PublicKey.from_pem(private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    with tempfile.TemporaryDirectory() as folder:
        pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        (Path(folder) / "production.pem").write_bytes(pem)
        return Pair(load_signer("file:production.pem", public, Path(folder)), public)


@cache
def board_files(board: str, version: str, keys: Keys) -> Mapping[str, bytes]:
    """The files of a board below images/<board>/: made once per process, because each imgtool start costs."""
    noise = random.Random(board)
    payload = noise.randbytes(1500)
    bootloader = (
        noise.randbytes(600) + trusted_forms(keys.image.public)[0] + noise.randbytes(200) + b"development\0" + b"end"
    )
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        (work / "application.bin").write_bytes(payload)
        (work / "bootloader.bin").write_bytes(bootloader)
        (work / "table.bin").write_bytes(TABLE_CONTENT)
        image = signed(work, "application", version, keys)
        update = signed(work, "application", next_build(version), keys, name="application.update")
        table = signed(work, "table", "1.0.0", keys, bootable=False, dependencies=())
        make_factory_image(work / "bootloader.bin", BOOTLOADER, image, SLOT, work / "factory.hex", [(table, TABLE)])
        return {
            "application.bin": payload,
            "application.elf": b"\x7fELF" + payload,
            "application.hex": to_hex(payload, SLOT.address + HEADER),
            "application.map": b"map of the application\n",
            "bootloader.bin": bootloader,
            "bootloader.elf": b"\x7fELF" + bootloader,
            "bootloader.hex": to_hex(bootloader, BOOTLOADER.address),
            "table.bin": TABLE_CONTENT,
            "table.signed.bin": table.path.read_bytes(),
            "application.signed.bin": image.path.read_bytes(),
            "application.update.signed.bin": update.path.read_bytes(),
            "factory.hex": (work / "factory.hex").read_bytes(),
        }


TABLE_CONTENT = b"table of limits" * 10


def signed(work: Path, binary: str, version: str, keys: Keys, *, name: str = "", **changes: Any) -> SignedImage:
    """`work/<binary>.bin` as a signed image, a program that depends on the table unless told otherwise."""
    settings: dict[str, Any] = {"dependencies": [DEPENDENCY], "security_counter": 1}
    return sign_image(
        work / f"{binary}.bin",
        work / f"{name or binary}.signed.bin",
        signer=keys.image.signer,
        public_key=keys.image.public,
        version=version,
        header_size=HEADER,
        slot_size=SLOT.size,
        align=4,
        **(settings | changes),
    )


def image_digest(image: bytes) -> str:
    """MCUboot's digest: over header, payload and protected TLVs, whose sizes the header gives."""
    protected, payload = struct.unpack_from("<HI", image, 10)
    return hashlib.sha256(image[: HEADER + payload + protected]).hexdigest()


def to_hex(data: bytes, address: int) -> bytes:
    """Bytes at an address, as Intel HEX."""
    parsed, text = IntelHex(), io.StringIO()
    parsed.frombytes(data, offset=address)
    parsed.write_hex_file(text)
    return text.getvalue().encode()


def make_bundle(
    folder: Path,
    *,
    boards: Sequence[str] = ("alpha",),
    version: str = "1.2.3",
    keys: Keys | None = None,
    name: str = "bundle",
    spoil: Spoil | None = None,
) -> Made:
    """Make, seal and publish a bundle as `folder/name`."""
    return _Maker(folder, tuple(boards), version, keys or development_keys(), spoil or Spoil()).make(folder / name)


class _Maker:
    def __init__(self, folder: Path, boards: tuple[str, ...], version: str, keys: Keys, spoil: Spoil) -> None:
        self.boards, self.version, self.keys, self.spoil = boards, version, keys, spoil
        work = Path(tempfile.mkdtemp(dir=folder))
        self.writer = BundleWriter(work / "new", keys.release.signer, keys.release.public)
        self.attestations: dict[str, Attestation] = {}

    def make(self, final: Path) -> Made:
        self.source()
        for board in self.boards:
            self.board(board)
        self.product()
        self.add("documents/report.pdf", b"%PDF-1.7 not really\n")
        for name, data in self.spoil.files.items():
            if name not in self.writer.names() and name not in self.spoil.leave_out:
                self.writer.add_bytes(data, name)
        release = p.Release(
            product="pump",
            version=self.version,
            commit=COMMIT,
            releasable=True,
            reasons=[],
            development_keys=self.keys.release.public.development or self.keys.image.public.development,
            sealed_on=TIME,
            generator=p.Tool(name="devicepipe", version="0.1.0"),
        )
        self.writer.seal(p.Release.from_json(self.edited("release", release)))
        return Made(self.writer.publish(final), self.keys, self.attestations)

    def add(self, name: str, data: bytes) -> None:
        if name not in self.spoil.leave_out:
            self.writer.add_bytes(self.spoil.files.get(name, data), name)

    def edited(self, name: str, predicate: Model | Mapping[str, Any]) -> dict[str, Any]:
        data = predicate.to_json() if isinstance(predicate, Model) else dict(predicate)
        if edit := self.spoil.edit.get(name):
            edit(data)
        return data

    def attest(
        self, name: str, predicate_type: str, predicate: Model | Mapping[str, Any], subjects: Sequence[str]
    ) -> None:
        if name not in self.spoil.leave_out:
            wanted = self.spoil.subjects.get(name, [each for each in subjects if each not in self.spoil.leave_out])
            made = self.writer.attest(name, predicate_type, self.edited(name, predicate), wanted)
            self.attestations[name] = made

    def digest(self, name: str) -> str:
        return (
            hashlib.sha256(b"").hexdigest() if name in self.spoil.leave_out else self.writer.subject(name).digest.sha256
        )

    def source(self) -> None:
        self.add(IMAGE_KEY, self.keys.image.public.pem)
        self.add(RELEASE_KEY, self.keys.release.public.pem)
        info = p.SourceInfo(
            product="pump",
            title="Pump",
            manufacturer="Maker",
            safety_class="C",
            version=self.version,
            commit=COMMIT,
            commit_time=TIME,
            dirty=False,
            boards=list(self.boards),
            coverage=list(self.boards),
            started_on=TIME,
            tester="tester",
            tools=[],
            image_key=self.keys.image.info,
            release_key=self.keys.release.info,
            campaigns=[p.CampaignWish(kind="powercut", points=3, seed=7)],
            vulnerabilities=assessment(self.boards).wish,
            results=[UNIT],
            authors=["author@example.com"],
        )
        boards = "".join(
            f'[[board]]\nname = "{board}"\nmanifest = "boards/{board}.json"\napplication = "{board}"\nbootloader = "{board}"\n'
            for board in self.boards
        )
        keys = f'[keys]\nproduction-public = "{PRODUCTION_FILE}"\n'
        self.add(SOURCE_CONFIG, f'[product]\nname = "pump"\n{boards}{keys}'.encode())
        files = dict.fromkeys((f"boards/{board}.json" for board in self.boards), "bd" * 32)
        files[PRODUCTION_FILE] = hashlib.sha256(production_pair().public.pem).hexdigest()
        self.add(SOURCE_FILES, "".join(f"{digest}  {name}\n" for name, digest in files.items()).encode())
        self.add(PYTHON_ENVIRONMENT, b"platformio==6.2.0\n")
        declared = [SOURCE_CONFIG, SOURCE_FILES, PYTHON_ENVIRONMENT]
        self.attest("source", p.SOURCE, info, [*declared, IMAGE_KEY, RELEASE_KEY])

    def board(self, board: str) -> None:
        folder = f"images/{board}"
        files = board_files(board, self.version, self.keys)
        for name, data in files.items():
            self.add(f"{folder}/{name}", data)
        self.add(f"evidence/{board}/serial.log", f"app: ready board={board}\r\n".encode())
        image, factory = f"{folder}/application.signed.bin", f"{folder}/factory.hex"
        outputs = [f"{folder}/{name}" for name in files if not name.endswith("signed.bin") and name != "factory.hex"]
        elf = f"{folder}/application.elf"
        self.attest(f"{board}/build", p.PROVENANCE, self.provenance(board, outputs), outputs)
        same = p.Reproducibility(board=board, builds=2, compared=outputs, identical=True, differences=[])
        self.attest(f"{board}/reproducibility", p.REPRODUCIBILITY, same, outputs)
        analysis = StaticAnalysis(board=board, tools=[], proven_on={}, findings=[], checks=[])
        self.attest(f"{board}/analysis", p.STATIC_ANALYSIS, analysis, [elf])
        used = p.MemoryUse(used=1, limit=2)
        stack = StackUse(worst=1, reserved=2, levels=[], functions=1, recursion=[], unbounded=[])
        memory = Memory(
            board=board,
            programs=[ProgramMemory(role="application", flash=used, ram=used, stack=stack)],
            slot=p.MemoryUse(
                used=len(self.spoil.files.get(f"{folder}/application.signed.bin", files["application.signed.bin"])),
                limit=SLOT.size,
            ),
            slot_spare=15,
            tool=p.Tool(name="objdump", version="2.40"),
        )
        self.attest(f"{board}/memory", p.MEMORY, memory, [elf, f"{folder}/application.signed.bin"])
        self.sbom(board, sbom(board, self.digest(factory)), [elf, factory])
        update, table = f"{folder}/application.update.signed.bin", f"{folder}/table.signed.bin"
        signing = p.ImageSigning(
            board=board,
            image=image,
            factory_image=factory,
            payload_digest=hashlib.sha256(files["application.bin"]).hexdigest(),
            image_digest=image_digest(files["application.signed.bin"]),
            image_version=f"{self.version}+0",
            security_counter=1,
            key=self.keys.image.info,
            tool=p.Tool(name="imgtool", version=imgtool_version()),
            dependencies=[DEPENDENCY],
            data=[
                p.DataImage(
                    name="table",
                    number=1,
                    image=table,
                    artifact=f"{folder}/table.bin",
                    payload_digest=hashlib.sha256(files["table.bin"]).hexdigest(),
                    image_digest=image_digest(files["table.signed.bin"]),
                    image_version="1.0.0+0",
                    security_counter=1,
                    region="table",
                    address=TABLE.address,
                )
            ],
            update=p.UpdateImage(
                image=update,
                image_digest=image_digest(files["application.update.signed.bin"]),
                image_version=f"{self.version}+1",
            ),
        )
        self.attest(f"{board}/signing", p.IMAGE_SIGNING, signing, [image, update, table, factory])
        self.attest(f"{board}/test", p.TEST_RESULT, self.test_result(signing), [image, f"evidence/{board}/serial.log"])
        about = [image, elf, f"{folder}/bootloader.elf", f"attestations/{board}/test.dsse.json"]
        self.attest(f"{board}/coverage", c.COVERAGE, coverage(signing), self.present(about))
        self.attest(f"{board}/campaigns", f.CAMPAIGNS, campaigns(signing), [image, update])

    def sbom(self, board: str, document: dict[str, Any], about: Sequence[str]) -> None:
        """The attestation says what the edits make of it; the file says the same unless it is spoilt itself."""
        name = f"{board}/sbom" if board else "build-sbom"
        self.add(sbom_file(board), json.dumps(self.edited(name, json.loads(json.dumps(document)))).encode())
        self.attest(name, p.SBOM, document, self.present([sbom_file(board), *about]))

    def present(self, names: Sequence[str]) -> list[str]:
        return [name for name in names if name in self.writer.names()] or [IMAGE_KEY]

    def provenance(self, board: str, outputs: list[str]) -> p.Provenance:
        def firmware(role: Any) -> p.FirmwareBuild:
            own = (f"images/{board}/{role}.", *([f"images/{board}/table."] if role == "application" else []))
            names = [name for name in outputs if name.startswith(own)]
            artifacts = [
                p.Artifact(
                    role="data/table" if name.endswith("table.bin") else name.rsplit(".", 1)[1],
                    path=name,
                    sha256=self.digest(name),
                    size=len(self.spoil.files.get(name, board_files(board, self.version, self.keys)[Path(name).name])),
                )
                for name in names
            ]
            use = p.MemoryUse(used=1, limit=2)
            return p.FirmwareBuild(role=role, environment=board, artifacts=artifacts, flash=use, ram=use)

        return p.Provenance(
            build_definition=p.BuildDefinition(
                build_type=p.BUILD_TYPE,
                external_parameters={
                    "board": board,
                    "environments": {"application": board, "bootloader": board},
                    "version": self.version,
                    "commit": COMMIT,
                    "dirty": False,
                    "imageKey": {"sha256": self.keys.image.public.keyid},
                },
                internal_parameters={
                    "environment": {
                        "DEVICEPIPE_VERSION": self.version,
                        "DEVICEPIPE_COMMIT": COMMIT,
                        "DEVICEPIPE_IMAGE_KEY": f"sha256:{self.keys.image.public.keyid}",
                        "SOURCE_DATE_EPOCH": str(int(datetime.fromisoformat(TIME).timestamp())),
                    }
                },
                resolved_dependencies=[
                    p.ResourceDescriptor(name=f"boards/{board}.json", digest={"sha256": "bd" * 32}),
                    p.ResourceDescriptor(name=PYTHON_ENVIRONMENT, digest={"sha256": self.digest(PYTHON_ENVIRONMENT)}),
                    p.ResourceDescriptor(
                        name=f"{COMPILER.name} {COMPILER.version}", digest={"sha256": str(COMPILER.sha256)}
                    ),
                    p.ResourceDescriptor(name="source", digest={"gitCommit": COMMIT}),
                    p.ResourceDescriptor(name="crypto-1.0.tar.gz", digest={"sha256": ARCHIVE}),
                ],
            ),
            run_details=p.RunDetails(builder={"id": "urn:devicepipe:builder:local"}, metadata={}),
            devicepipe=p.BuildResult(
                board=board, firmwares=[firmware("application"), firmware("bootloader")], compilers=[COMPILER]
            ),
        )

    def test_result(self, signing: p.ImageSigning) -> r.TestResult:
        board = signing.board
        log = f"evidence/{board}/serial.log"
        identity = r.Identity(
            board=board, version=signing.image_version, commit=COMMIT, digest=signing.image_digest, serial="emulated"
        )
        cases = [
            r.TestCase(
                id=f"hil/test_pump.py::test_{number}",
                verdict=r.Verdict.PASSED,
                verifies=["SRS-001"],
                procedure_file="hil/test_pump.py",
                procedure_line=number,
                procedure_sha256="ab" * 32,
                expected="It runs.",
                started_on=TIME,
                duration_seconds=0.25,
                log_start=0,
                log_end=10,
            )
            for number in (1, 2)
        ]
        return r.TestResult(
            result="PASSED",
            configuration=[self.writer.subject(IMAGE_KEY)] if IMAGE_KEY not in self.spoil.leave_out else [],
            passed_tests=[case.id for case in cases],
            warned_tests=[],
            failed_tests=[],
            devicepipe=r.TestRun(
                board=board,
                device=r.Device(id=f"{board}-1", board=board, serial="emulated", driver="qemu", emulated=True),
                image_digest=signing.image_digest,
                payload_digest=signing.payload_digest,
                identity_before=identity,
                identity_after=identity,
                identity_errors=[],
                tools=[],
                tester="tester",
                started_on=TIME,
                finished_on=TIME,
                serial_log=log,
                serial_log_sha256=self.digest(log),
                cases=cases,
            ),
        )

    def secrets(self) -> None:
        made = secrets_of(self)
        self.attest("secrets", x.SECRETS, made, self.present([SOURCE_FILES, *made.images]))

    def product(self) -> None:
        kinds = ("application", "application.update", "table")
        images = [f"images/{board}/{kind}.signed.bin" for board in self.boards for kind in kinds]
        builds = [f"attestations/{board}/build.dsse.json" for board in self.boards]
        self.sbom("", build_sbom(), builds)
        self.add(v.RECORDS, json.dumps({"X-1": RECORD}).encode())
        self.add(VEX_FILE, json.dumps(VEX).encode())
        about = [f"evidence/{board}/sbom.cdx.json" for board in self.boards]
        about += [f"images/{board}/factory.hex" for board in self.boards]
        found = v.Vulnerabilities(
            scanner={"uri": "urn:devicepipe:vulnerabilities", "result": []},
            metadata={"scanStartedOn": TIME, "scanFinishedOn": TIME},
            devicepipe=assessment(self.boards),
        )
        self.attest("vulnerabilities", v.VULNERABILITIES, found, self.present([v.RECORDS, VEX_FILE, *about]))
        passed = dict.fromkeys(self.boards, "passed")
        trace = Traceability(
            items=[],
            matrix=[
                MatrixRow(requirement="SRS-001", test=f"hil/test_pump.py::test_{number}", verdicts=passed)
                for number in (1, 2)
            ]
            + [MatrixRow(requirement="SRS-001", test="unit: core.adds", verdicts={HOST: "passed"})],
            findings=[],
        )
        self.add(JUNIT_FILE, JUNIT)
        self.attest("foreign-results", n.FOREIGN_RESULTS, foreign_results(self.digest(JUNIT_FILE)), [JUNIT_FILE])
        about = [f"attestations/{board}/coverage.dsse.json" for board in self.boards]
        self.attest("merged-coverage", c.MERGED_COVERAGE, merged_coverage(self.boards), self.present(about))
        self.secrets()
        self.attest("traceability", p.TRACEABILITY, trace, images)
        self.add("evidence/policy/basic.toml", RULES)
        summary = d.VerificationSummary(
            verifier={"id": "urn:devicepipe:gate"},
            time_verified=TIME,
            resource_uri=f"pkg:generic/pump@{self.version}",
            policy={
                "uri": "evidence/policy/basic.toml",
                "digest": {"sha256": self.digest("evidence/policy/basic.toml")},
            },
            input_attestations=[made.as_input() for made in self.attestations.values()],
            verification_result="PASSED",
            verified_levels=["SLSA_BUILD_LEVEL_1"],
            devicepipe=d.Decisions(rule_set="basic", releasable=True, reasons=[], decisions=decisions(self.boards)),
        )
        self.attest("gate", p.VERIFICATION_SUMMARY, summary, images)


def secrets_of(maker: _Maker) -> x.Secrets:
    names = maker.writer.names()
    keys = {"image": maker.keys.image.public.keyid, "release": maker.keys.release.public.keyid}
    return x.Secrets(
        tools=[p.Tool(name="devicepipe-secrets", version="0.1.0")],
        proven_on={"devicepipe-secrets": "planted keys"},
        absent={"gitleaks": "it is not on PATH"},
        source_files=len(maker.boards) + 1,
        bundle_files=len(names),
        images=sorted(name for name in names if name.startswith("images/")),
        keys=[
            x.KeySearch(role="image", keyid=keys["image"], searched=True, note="raw"),
            x.KeySearch(role="release", keyid=keys["release"], searched=True, note="raw"),
        ],
        findings=[],
    )
