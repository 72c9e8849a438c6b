"""`devicepipe log`: what is in the log, whether it holds, proofs, witnesses."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, get_args

import pytest
from click.testing import CliRunner, Result
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from devicepipe.cli.log import _KINDS
from devicepipe.cli.main import cli
from devicepipe.durable import locked
from devicepipe.errors import EXIT_INTEGRITY, IntegrityError, UsageError
from devicepipe.evidence.ledger import writer as writer_module
from devicepipe.evidence.ledger.entry import Kind
from devicepipe.evidence.ledger.note import NoteKey
from devicepipe.evidence.ledger.writer import open_writer
from tests.evidence.ledger.keys import ORIGIN, log_signer, witness_signer
from tests.evidence.ledger.logs import make_log, sample

VKEY = log_signer().key.text()
WITNESS = witness_signer().key


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return make_log(tmp_path / "log", 40)


@pytest.fixture
def pem(tmp_path: Path) -> Path:
    path = tmp_path / "log.pub.pem"
    path.write_bytes(log_signer().key.public.pem)
    return path


def run(*arguments: object) -> Result:
    return CliRunner().invoke(cli, ["log", *map(str, arguments)], standalone_mode=False)


def good(*arguments: object) -> str:
    done = run(*arguments)
    assert done.exception is None, done.exception
    assert done.return_value == 0
    return done.stdout


def document(*arguments: object) -> Any:
    return json.loads(good(*arguments, "--json"))


def refused(kind: type[Exception], match: str, *arguments: object) -> None:
    done = run(*arguments)
    assert isinstance(done.exception, kind), done.exception or done.output
    assert match in str(done.exception)
    assert "remedy: " in str(done.exception)


def test_kinds() -> None:
    assert get_args(Kind) == _KINDS


def test_show(log: Path) -> None:
    text = good("show", log, "--key", VKEY)
    assert len(text.splitlines()) == 41
    assert text.splitlines()[-1] == f"40 entries of 40 in {ORIGIN}"
    assert "approval" in text
    assert "outcome=approved" in text
    logins = good("show", log, "--key", VKEY, "--kind", "login", "--by", "alice", "--limit", 1)
    assert logins.splitlines() == [
        "      0  2026-01-01T10:00:00Z  login           alice  alice  outcome=succeeded",
        f"1 entry of 40 in {ORIGIN}",
    ]
    found = document("show", log, "--key", VKEY, "--since", "2026-03", "--until", "2026-04-30T10:30:00Z", "--scan")
    assert [one["index"] for one in found] == [2, 3, 14, 15, 26, 27, 38, 39]
    assert found[0] == {"index": 2, **sample(2).to_json()}
    assert document("show", log, "--key", VKEY, "--digest", found[0]["digest"][:12], "--subject", "pump/2") == found[:1]
    refused(UsageError, "--since 'today' is no time", "show", log, "--key", VKEY, "--since", "today")


def test_verify(log: Path, pem: Path, tmp_path: Path) -> None:
    before = tmp_path / "before"
    good("checkpoint", log, "--key", pem, "--output", before)
    with open_writer(log, log_signer()) as writer:
        writer.append([sample(40)])
    text = good("verify", log, "--key", pem, "--origin", ORIGIN, "--earlier", before)
    assert f"{ORIGIN}: 41 entries, root " in text
    assert "intact: every entry and 4 tiles" in text  # the partial ones of both sizes
    assert f"grew from {before} (40 entries)" in text
    told = document("verify", log, "--key", VKEY, "--earlier", before)
    assert (told["intact"], told["size"], told["earlier"]) == (True, 41, [{"file": str(before), "size": 40}])
    vkey_file = tmp_path / "log.vkey"
    vkey_file.write_text(VKEY + "\n")
    assert document("verify", log, "--key", vkey_file) == document("verify", log, "--key", pem)


def test_verify_refuses(log: Path, pem: Path, tmp_path: Path) -> None:
    refused(UsageError, "--key is missing", "verify", log)
    refused(UsageError, "there is no log here", "verify", tmp_path / "none", "--key", VKEY)
    refused(UsageError, "there is no log here", "verify", log / "checkpoint", "--key", VKEY)
    refused(UsageError, "there is no key file", "verify", log, "--key", tmp_path / "none")
    refused(
        UsageError, "is not the name in the verifier key", "verify", log, "--key", VKEY, "--origin", "example.com/x"
    )
    refused(IntegrityError, "is of the log", "verify", log, "--key", pem, "--origin", "example.com/x")
    refused(IntegrityError, "not signed by a trusted key", "verify", log, "--key", log_signer(1).key.text())
    refused(IntegrityError, "cosigned by 0 of the witnesses", "verify", log, "--key", VKEY, "--witness", WITNESS.text())
    assert document("verify", log, "--key", VKEY, "--witness", WITNESS.text(), "--quorum", 0)["witnesses"] == []
    bundle = log / "tile/entries/000.p/40"
    bundle.write_bytes(bundle.read_bytes().replace(b"alice", b"mallo", 1))
    done = run("verify", log, "--key", VKEY)
    assert isinstance(done.exception, IntegrityError)
    assert (done.exception.link, done.exception.exit_code) == ("tile/entries/000.p/40", EXIT_INTEGRITY)
    assert "its entry 0 is not the one that was logged" in str(done.exception)
    refused(IntegrityError, "entry 0 does not hash to", "show", log, "--key", VKEY)
    refused(IntegrityError, "entry 0 does not hash to", "prove", 0, log, "--key", VKEY)


def test_a_proof_beside_a_log_that_was_not_looked_at_is_refused(log: Path, tmp_path: Path) -> None:
    """It said that all was well, of whatever log."""
    proof = tmp_path / "entry.tlog-proof"
    good("prove", 7, log, "--key", VKEY, "--output", proof)
    refused(UsageError, "would not be looked at", "verify", log, "--key", VKEY, "--proof", proof)
    assert document("verify", log, "--key", VKEY, "--earlier", proof)["earlier"][0]["size"] == 40


def test_prove(log: Path, pem: Path, tmp_path: Path) -> None:
    proof = tmp_path / "entry.tlog-proof"
    good("prove", 7, log, "--key", VKEY, "--output", proof)
    assert (
        proof.read_text() == good("prove", 7, log, "--key", VKEY) == document("prove", 7, log, "--key", VKEY)["proof"]
    )
    assert proof.read_text().startswith("c2sp.org/tlog-proof@v1\nextra ")
    for key in (VKEY, pem):
        text = good("verify", "--proof", proof, "--key", key)
        assert f"{proof}: in {ORIGIN}, among the first 40" in text
        assert "approval" in text
    (told,) = document("verify", "--proof", proof, "--key", VKEY)
    assert (told["index"], told["entry"]) == (7, sample(7).to_json())
    refused(UsageError, "the log has no entry 40", "prove", 40, log, "--key", VKEY)
    proof.write_text(proof.read_text().replace("index 7", "index 8"))
    refused(IntegrityError, "does not show that the entry is number 8", "verify", "--proof", proof, "--key", VKEY)


def test_witness(log: Path, tmp_path: Path) -> None:
    key = Ed25519PrivateKey.generate()
    private, public = tmp_path / "witness.key.pem", tmp_path / "witness.pub.pem"
    private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    public.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    state, cosigned = tmp_path / "state", tmp_path / "cosigned"
    own = ("--state", state, "--name", "witness.example.com/qa", "--signer", f"file:{private}", "--public", public)
    refused(UsageError, "no record of this log", "witness", log, "--key", VKEY, *own)
    refused(UsageError, "--key is missing", "witness", log, *own)
    text = good("witness", log, "--key", VKEY, *own, "--first", "--full", "--output", cosigned)
    vkey = text.splitlines()[-1].removeprefix("verifier key: ")
    assert "at 40 entries (seen for the first time)" in text
    good("checkpoint", log, "--key", VKEY, "--add", cosigned, "--witness", vkey, "--output", tmp_path / "merged")
    text = good("verify", log, "--key", VKEY, "--witness", vkey)
    assert "cosigned by witness.example.com/qa on 20" in text
    with open_writer(log, log_signer()) as writer:
        writer.append([sample(40)])
    told = document("witness", log, "--key", VKEY, *own)
    assert (told["before"], told["size"], told["vkey"]) == (40, 41, vkey)
    (log / "checkpoint").write_bytes(cosigned.read_bytes())
    refused(IntegrityError, "the log was rolled back", "witness", log, "--key", VKEY, *own)


@pytest.mark.parametrize("form", [(), ("--json",)])
def test_the_logs_verifier_key_is_taken_for_a_witness(log: Path, pem: Path, form: tuple[str, ...]) -> None:
    own = NoteKey.of_witness("witness.example.com/qa", log_signer().key.public).text()
    for vkey, wrong in ((VKEY, "makes no cosignatures"), (own, "a log is no witness of itself")):
        for key in (VKEY, pem):
            refused(UsageError, wrong, "verify", log, "--key", key, "--witness", vkey, "--quorum", 1, *form)
        refused(
            UsageError, wrong, "checkpoint", log, "--key", VKEY, "--add", log / "checkpoint", "--witness", vkey, *form
        )


def test_who_waits_for_another_run_of_the_witness_tells_no_rollback(log: Path, tmp_path: Path) -> None:
    """What it had read of the log before it waited was older than what the other run saw: a false alarm, exit code 4."""
    private, public, state = tmp_path / "witness.key.pem", tmp_path / "witness.pub.pem", tmp_path / "pump.seen"
    key = Ed25519PrivateKey.generate()
    private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    public.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    own = ("--name", "witness.example.com/qa", "--signer", f"file:{private}", "--public", public)
    good("witness", log, "--key", VKEY, "--state", state, "--first", *own)
    command = [sys.executable, "-m", "devicepipe", "log", "witness", log, "--key", VKEY, "--state", state, *own]
    lock = tmp_path / ".pump.seen.lock"
    with locked(lock):
        waiting = subprocess.Popen([*map(str, command)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        while not _has_open(waiting.pid, lock):
            assert waiting.poll() is None
            time.sleep(0.01)
        with open_writer(log, log_signer()) as writer:
            writer.append([sample(40)])
        # The other run, which has the lock.
        shutil.copy(state, tmp_path / "other")
        good("witness", log, "--key", VKEY, "--state", tmp_path / "other", *own)
        shutil.copy(tmp_path / "other", state)
    _, told = waiting.communicate(timeout=60)
    assert (waiting.returncode, told) == (0, "")


def _has_open(pid: int, file: Path) -> bool:
    try:
        return str(file) in {str(one.readlink()) for one in Path(f"/proc/{pid}/fd").iterdir()}
    except FileNotFoundError:  # closed meanwhile
        return False


def test_checkpoint(log: Path, pem: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert good("checkpoint", log, "--key", pem) == (log / "checkpoint").read_text()
    assert good("checkpoint", log, "--key", pem, "--vkey") == VKEY + "\n"
    assert document("checkpoint", log, "--key", pem)["vkey"] == VKEY
    with monkeypatch.context() as patched:
        patched.setattr(writer_module.LogWriter, "publish", lambda self: self.checkpoint)
        with open_writer(log, log_signer()) as writer:
            writer.append([sample(40)])
    (log / ".journal").write_bytes((log / ".journal").read_bytes() + b"dpj1 torn")
    text = good("verify", log, "--key", VKEY)
    assert "1 more acknowledged entries wait to be published" in text
    assert "nobody had an acknowledgement of was interrupted" in text
    done = run("checkpoint", log, "--key", VKEY)
    assert "published 1 entries" in done.stderr
    assert "cut off 9 bytes" in done.stderr
    assert done.stdout.splitlines()[1] == "41"
    assert document("verify", log, "--key", VKEY)["pending"] == 0


def test_the_log_of_a_project(tmp_path: Path, pem: Path) -> None:
    repository = Path(__file__).parents[2]
    project = tmp_path / "project"
    for part in ("devicepipe.toml", "boards", "requirements", "reports", "hil", "security"):
        source = repository / part
        project.mkdir(exist_ok=True)
        (shutil.copytree if source.is_dir() else shutil.copy)(source, project / part)
    (project / "firmware").mkdir()
    for path in (repository / "firmware").glob("*.toml"):
        shutil.copy(path, project / "firmware" / path.name)
    refused(UsageError, "the project has no release key yet", "show", "--project", project)
    make_log(project / ".devicepipe/log", 2)
    (project / ".devicepipe/keys").mkdir()
    shutil.copy(pem, project / ".devicepipe/keys/release.pub.pem")
    assert len(document("show", "--project", project)) == 2
    assert document("verify", "--project", project, "--key", VKEY)["size"] == 2
