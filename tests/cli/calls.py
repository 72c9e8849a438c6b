"""Commands as people use them: called with `--json`, secrets by file descriptor."""

from __future__ import annotations

import functools
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pyotp
import pytest
from click.testing import CliRunner, Result

from devicepipe.approval.accounts import AccountRules
from devicepipe.approval.secret_box import Cost
from devicepipe.cli.main import cli
from devicepipe.errors import DevicepipeError

WORDS = {"eva": "horse battery staple", "ron": "quite another phrase", "quinn": "seven blue elephants"}
TEAM = {"eva": "engineer", "ron": "reviewer", "quinn": "qa"}


def run(*arguments: object, secrets: tuple[str, ...] = ()) -> tuple[int, Any]:
    """Call a command with `--json`; its exit code and what it printed."""
    result = _invoke((*arguments, "--json"), secrets)
    return result.return_value or 0, json.loads(result.stdout)


def sign(command: str, bundle: Path, who: str, *secrets: str, **options: str) -> tuple[int, Any]:
    extra = [word for key, value in options.items() for word in (f"--{key}", value)]
    return run(command, bundle, "--as", who, "--meaning", "I have read it", *extra, secrets=secrets)


def enrol(who: str, word: str, *roles: str, at: str = "example.com") -> pyotp.TOTP:
    """Make somebody's account; returns the authenticator."""
    given = [option for role in roles for option in ("--role", role)]
    words = ("account", "add", who, "--name", who.title(), "--email", f"{who}@{at}", *given)
    totp = pyotp.parse_uri(run(*words, secrets=(word,))[1]["authenticator"])
    assert isinstance(totp, pyotp.TOTP)
    return totp


def cheap_passwords(patch: pytest.MonkeyPatch) -> None:
    """Have a guess of a password cost next to nothing."""
    cheap = functools.partial(AccountRules, cost=Cost(memory_kib=64, iterations=1, lanes=1))
    patch.setattr("devicepipe.stages.approval.AccountRules", cheap)


def make_repository(folder: Path) -> None:
    """Make a folder a git repository with one commit, of nothing."""
    for words in (
        ("init", "-q"),
        ("-c", "user.name=a", "-c", "user.email=a@b.c", "commit", "-qm", "a", "--allow-empty"),
    ):
        subprocess.run(["git", *words], cwd=folder, check=True)


def entries(kind: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = run("log", "show", "--kind", kind)[1]
    return found


def run_text(*arguments: object, secrets: tuple[str, ...] = ()) -> str:
    """Call a command as people do; what it printed for them."""
    result = _invoke(arguments, secrets)
    text: str = result.stdout
    return text


def _invoke(arguments: tuple[object, ...], secrets: tuple[str, ...]) -> Result:
    words = [str(one) for one in arguments]
    if secrets:
        reading, writing = os.pipe()
        os.write(writing, "".join(f"{secret}\n" for secret in secrets).encode())
        os.close(writing)
        words += ["--secrets-fd", str(reading)]
    result = CliRunner().invoke(cli, words, standalone_mode=False)
    if isinstance(result.exception, DevicepipeError):
        raise result.exception
    assert result.exception is None, result.exception
    return result
