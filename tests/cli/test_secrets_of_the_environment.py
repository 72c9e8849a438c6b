"""What a command takes out of its environment: no program that it starts, and no test of the product, inherits a secret."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from click.testing import CliRunner

from devicepipe import secret_variables
from devicepipe.bench.session import _environment
from devicepipe.cli.main import cli
from devicepipe.errors import UsageError
from devicepipe.evidence.bundle import BundleWriter
from devicepipe.project.exchange import TraceResults
from devicepipe.stages.approval import open_accounts
from devicepipe.stages.context import Context, open_keys
from devicepipe.stages.foreign_results import _run
from tests.traceability.test_reviews import make_project

ROOT = Path(__file__).parents[2]
SECRETS = {
    "DEVICEPIPE_SECRET_PRODUCTION_KEY_PEM": "words of the production key",
    "DEVICEPIPE_SECRET_NEVER_ASKED_FOR": "words of the timestamp key",
    "DEVICEPIPE_ACCOUNTS": "postgresql+psycopg://dp:words-of-the-database@127.0.0.1:1/accounts",
}


@pytest.fixture
def secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(secret_variables, "_withheld", {})
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)


def test_no_program_that_a_command_starts_inherits_a_secret_though_nothing_asked_for_it(tmp_path: Path) -> None:
    """git is what `release` starts first, before any key is opened."""
    (tmp_path / "bin").mkdir()
    seen, git = tmp_path / "seen", tmp_path / "bin/git"
    real = shutil.which("git")
    assert real
    git.write_text(f'#!/bin/sh\nenv >> {shlex.quote(str(seen))}\nexec {real} "$@"\n')
    git.chmod(0o755)
    (tmp_path / "product").mkdir()
    make_project(tmp_path / "product")
    subprocess.run([real, "init", "-q"], cwd=tmp_path / "product", check=True)
    path = f"{git.parent}{os.pathsep}{os.environ['PATH']}"
    reading, writing = os.pipe()
    os.close(writing)
    environment = os.environ | SECRETS | {"PATH": path, "PYTHONPATH": str(ROOT), "DEVICEPIPE_SECRETS_FD": str(reading)}
    command = [sys.executable, "-m", "devicepipe", "release", "1.0.0"]
    subprocess.run(
        command, cwd=tmp_path / "product", env=environment, capture_output=True, pass_fds=(reading,), check=False
    )
    os.close(reading)
    told = seen.read_text()
    assert "PYTHONPATH" in told
    assert "words" not in told
    assert not [name for name in (*SECRETS, "DEVICEPIPE_SECRETS_FD") if name in told]


def test_device_tests_inherit_no_secret_also_where_devicepipe_is_used_as_a_library(secrets: None) -> None:
    assert not SECRETS.keys() & _environment("mark").keys()
    assert _environment("mark")["PATH"] == os.environ["PATH"]
    assert SECRETS.items() <= os.environ.items()


def test_commands_that_make_results_inherit_no_secret(secrets: None, tmp_path: Path) -> None:
    (tmp_path / "product").mkdir()
    project = make_project(tmp_path / "product")
    keys = open_keys(project)
    writer = BundleWriter(tmp_path / "bundle", keys.release.signer, keys.release.public)
    context = Context(project, tmp_path, tmp_path, "1.0.0", writer, keys, "a tester", threading.Event())
    entry = TraceResults(name="unit", format="junit", path="*.xml", command=("env",))
    log = tmp_path / "log"
    assert _run(context, entry, tmp_path / "copy", log, "c0ffee") == 0
    assert "DEVICEPIPE_COMMIT=c0ffee" in log.read_text()
    assert "words" not in log.read_text()


def test_what_was_withheld_is_found_once_asked_for(secrets: None, tmp_path: Path) -> None:
    secret_variables.withhold()
    assert not SECRETS.keys() & os.environ.keys()
    name = "DEVICEPIPE_SECRET_PRODUCTION_KEY_PEM"
    assert (secret_variables.take(name), secret_variables.take(name)) == (SECRETS[name], None)
    assert {secret_variables.look_up("DEVICEPIPE_ACCOUNTS") for _ in range(2)} == {SECRETS["DEVICEPIPE_ACCOUNTS"]}
    with pytest.raises(Exception, match=r"127\.0\.0\.1"):
        open_accounts(make_project(tmp_path))


def test_no_program_inherits_a_descriptor_with_secrets(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(secret_variables, "_withheld", {})
    make_project(tmp_path)
    read, also_read = (_inheritable() for _ in range(2))
    monkeypatch.setenv("DEVICEPIPE_SECRETS_FD", str(read))
    secret_variables.withhold()
    options = ["--secrets-fd", str(also_read), "--project", str(tmp_path / "none")]
    CliRunner().invoke(cli, ["account", "password", "eva", *options])
    assert [os.get_inheritable(one) for one in (read, also_read)] == [False, False]
    for one in (read, also_read):
        os.close(one)


def test_lines_of_secrets_that_nothing_asked_for_are_told_and_are_no_error(tmp_path: Path) -> None:
    make_project(tmp_path)
    lines = _inheritable(b"horse battery staple\nhorse battery stable\n\nsurplus\n\n")
    options = ["--secrets-fd", str(lines), "--project", str(tmp_path)]
    result = CliRunner().invoke(cli, ["account", "password", "nobody", *options], standalone_mode=False)
    assert isinstance(result.exception, UsageError)
    assert result.stderr == "--secrets-fd: 1 line more than was asked for\n"


def _inheritable(text: bytes = b"") -> int:
    """A pipe with a text, as a shell opens one for a command."""
    reading, writing = os.pipe()
    os.write(writing, text)
    os.close(writing)
    os.set_inheritable(reading, True)
    return reading
