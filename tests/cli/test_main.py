"""The command line: exit codes, messages without tracebacks, one JSON document."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from devicepipe.cli import common
from devicepipe.cli import main as main_module
from devicepipe.cli.main import _COMMANDS, cli
from devicepipe.errors import BenchError, IntegrityError, UsageError


def run(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "devicepipe", *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_help_names_every_command_and_imports_none_of_them(tmp_path: Path) -> None:
    code = "import sys; sys.argv = ['devicepipe', '--help']\nimport devicepipe.__main__"
    heavy = "pydantic", "reportlab", "rich", "securesystemslib", "pytest"
    probe = f"import sys, atexit\natexit.register(lambda: print([m for m in {heavy} if m in sys.modules]))\n{code}"
    done = subprocess.run(
        [sys.executable, "-c", probe], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True
    )
    assert all(name in done.stdout for name in _COMMANDS)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("name", list(_COMMANDS))
def test_every_command_has_help(name: str) -> None:
    result = CliRunner().invoke(cli, [name, "--help"])
    assert result.exit_code == 0
    assert "Usage:" in result.output


def test_no_project_is_a_usage_error(tmp_path: Path) -> None:
    done = run("keys", cwd=tmp_path)
    assert done.returncode == 2
    assert "no devicepipe.toml" in done.stderr
    assert "remedy" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("command", "said"),
    {
        "release": ", and no bundle was made",
        "approve": "; `devicepipe approvals BUNDLE` shows whether you had signed",
        "publish": "; run it again",
        "verify": "\n",
    }.items(),
)
def test_who_interrupts_is_told_what_counts(
    command: str, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "main", interrupted)
    assert main_module._run([command]) == 130
    assert f"interrupted: nothing was left running{said}" in capsys.readouterr().err


def test_json_errors_are_one_document_on_standard_output(tmp_path: Path) -> None:
    (tmp_path / "devicepipe.toml").write_text("[product]\nnam = 1\n")
    done = run("keys", "--json", cwd=tmp_path)
    document = json.loads(done.stdout)
    assert done.returncode == document["exitCode"] == 2
    assert document["line"] == 2
    assert document["key"] == "product.nam"
    assert done.stderr == ""


@pytest.mark.parametrize(
    "arguments", [["nonsense"], ["keys", "--nonsense"], ["verify"]], ids=["command", "option", "argument"]
)
def test_wrong_usage_is_exit_code_2(tmp_path: Path, arguments: list[str]) -> None:
    assert run(*arguments, cwd=tmp_path).returncode == 2


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UsageError("u", remedy="r"), 2),
        (BenchError("b"), 3),
        (IntegrityError("i", link="file"), 4),
        (OSError(28, "No space left on device", "/full"), 3),
        (KeyboardInterrupt(), 130),
        (RuntimeError("defect"), 70),
    ],
    ids=lambda value: type(value).__name__,
)
def test_each_error_has_its_exit_code_and_no_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: BaseException, code: int
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(main_module.cli, "main", fail)
    assert main_module._run([]) == code
    captured = capsys.readouterr()
    assert "Traceback" not in captured.err
    assert captured.err


def test_a_reader_that_goes_away_is_no_failure_of_the_product() -> None:
    """As by `| head -1`: exit code 1 would say that a release is withdrawn, or not releasable."""
    read, write = os.pipe()
    os.close(read)
    words = [sys.executable, "-m", "devicepipe", "--help"]
    done = subprocess.run(words, stdout=write, stderr=subprocess.PIPE, text=True, check=False)
    os.close(write)
    assert (done.returncode, done.stderr) == (130, "")


@pytest.mark.parametrize(("command", "bundle"), [("release", True), ("test", False), ("campaign", False)])
def test_interrupt_tells_of_a_bundle_where_one_was_to_be_made(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: str, bundle: bool
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(main_module.cli, "main", interrupt)
    assert main_module._run([command]) == 130
    assert ("bundle" in capsys.readouterr().err) == bundle


def test_completion_script_of_each_shell() -> None:
    for shell in ("bash", "zsh", "fish"):
        result = CliRunner().invoke(cli, ["completion", shell])
        assert result.exit_code == 0
        assert "_DEVICEPIPE_COMPLETE" in result.output


def test_words_that_were_completed_are_no_interruption(tmp_path: Path) -> None:
    """click ends by SystemExit for that, too, and it was taken for a reader that had gone."""
    asked = {"_DEVICEPIPE_COMPLETE": "bash_complete", "COMP_WORDS": "devicepipe verify-d", "COMP_CWORD": "1"}
    words = [sys.executable, "-m", "devicepipe"]
    done = subprocess.run(words, env=os.environ | asked, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "plain,verify-documents\n", "")


def test_evidence_moved_the_cursor_of_who_read_it(capsys: pytest.CaptureFixture[str]) -> None:
    for say in (common.tell, common.note):
        say("all\tpassed \x1b[1A\x1b[2K\u202eDELIAF")
    said = capsys.readouterr()
    for text in said:
        assert text == "all\tpassed [U+001B][1A[U+001B][2K[U+202E]DELIAF\n"
